"""The bandit's tables, from the kept summaries: one row a layout, method and seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
import pandas as pd
from formats import KEPT, label, markdown, percent, spread

LAYOUTS = ("axes", "corners")
CLONES = ("bc_mle", "bc_cvae", "bc_mmd", "bc_diffusion")
IMPROVED = ("td3_bc", "bcq", "bear_mmd", "diffusion_ql")
QUICK = dict.fromkeys(LAYOUTS, "quick")
AT_PAPER_SCALE = {"axes": "bandit-paper-axes", "corners": "bandit-paper"}
SHARE = "share_best_mode"
THIRD_PARTY = ("0.78", "0.98", "(0.762, -0.850)")
"""Of a run of the released code at its defaults, read from a figure's coordinates:
github.com/1otuses/Diffusion-Policies-for-Offline-RL."""


@cache
def bandit_runs(folder: str) -> pd.DataFrame:
    """Return the runs of a kept bandit by layout and method, one row a seed."""
    table = pd.read_csv(KEPT / folder / "bandit" / "summary.csv")
    return table.set_index(["layout", "method"]).sort_index()


def of_layouts(folders: dict[str, str], method: str, column: str) -> list[pd.Series]:
    """Return a column of a method's runs, on the axes and in the corners."""
    return [bandit_runs(folders[name]).loc[(name, method), column] for name in LAYOUTS]


def pair(texts: Iterable[str]) -> str:
    """Return the texts of the two layouts in one field."""
    return " / ".join(texts)


def bandit_short() -> str:
    """Show what quick and the paper's settings leave on the best mode."""
    rows = []
    for method in ("bc_diffusion", *IMPROVED):
        columns = [
            pair(percent(runs.mean()) for runs in of_layouts(folders, method, SHARE))
            for folders in (QUICK, AT_PAPER_SCALE)
        ]
        rows.append([label(method), *columns])
    return markdown(
        [
            "samples on the best of four modes, axes / corners, mean of 3 seeds",
            "`quick`: 4,000 steps, 100,000 transitions",
            "the paper's settings: 100,000 steps, 10,000 transitions",
        ],
        rows,
    )


def bandit_quick() -> str:
    """Show every method of the bandit at scale quick, mean over seeds."""
    columns: dict[str, tuple[str, Callable[[float], str]]] = {
        "modes covered": ("modes_covered", "{:.1f}".format),
        "on any mode": ("share_on_modes", percent),
        "on the best mode": (SHARE, percent),
        "distance to the data": ("distance", "{:.2f}".format),
        "reward": ("mean_reward", "{:.2f}".format),
    }
    methods = (*CLONES, *IMPROVED, "diffusion_ql@eta=0")
    rows = [
        [
            label(method),
            *(
                pair(write(runs.mean()) for runs in of_layouts(QUICK, method, name))
                for name, write in columns.values()
            ),
        ]
        for method in methods
    ]
    return markdown(["mean over 3 seeds, axes / corners", *columns], rows)


def bandit_paper() -> str:
    """Show the share on the best mode at the paper's settings, seed by seed."""

    def seeds(method: str, column: str) -> list[str]:
        return [
            ", ".join(f"{100 * share:.0f}" for share in sorted(runs))
            for runs in of_layouts(AT_PAPER_SCALE, method, column)
        ]

    rows = [
        [label(method), *seeds(method, "share_on_modes"), *seeds(method, SHARE)]
        for method in (*CLONES, *IMPROVED)
    ]
    header = ["any mode, axes", "any mode, corners", "best, axes", "best, corners"]
    return markdown(["% of samples, 3 seeds in rising order", *header], rows)


def bandit_released() -> str:
    """Show Diffusion-QL on the released draw: near the best mode's centre, by seed."""
    centre, rows = np.array([0.8, -0.8]), []
    for seed in range(3):
        file = KEPT / "bandit-released" / "bandit" / f"samples_seed{seed}.csv"
        samples = pd.read_csv(file)[["action_0", "action_1"]].to_numpy()
        distance = np.linalg.norm(samples - centre, axis=1)
        near = samples[distance <= 0.4]
        shares = [f"{(distance <= radius).mean():.2f}" for radius in (0.15, 0.4)]
        mean = "({:.3f}, {:.3f})".format(*near.mean(axis=0))
        rows.append([f"here, seed {seed}", f"{len(samples):,}", *shares, mean])
    rows.append(["third party's figure of the released code", "100", *THIRD_PARTY])
    return markdown(["", "samples", "within 0.15", "within 0.4", "mean of those"], rows)


def bandit_denoising() -> str:
    """Show the effect of N on the axes at scale quick."""
    runs = bandit_runs("quick").loc["axes"]
    rows = []
    for base in ("bc_diffusion", "diffusion_ql"):
        shares = [
            runs.loc[name, "share_on_modes"]
            for name in [f"{base}@N={n}" for n in (2, 5, 10, 20)] + [base]
        ]
        rows.append([label(base), *(spread(share) for share in shares)])
    header = [f"N = {n}" for n in (2, 5, 10, 20, 50)]
    return markdown(["on any mode, mean [lowest, highest]", *header], rows)


def bandit_eta() -> str:
    """Show the effect of eta on the axes, N = 5, at scale ablations."""
    runs = bandit_runs("ablations").loc["axes"]
    rows = []
    for eta in ("0", "0.01", "0.1", "0.5", "1", "5"):
        found = runs.loc[f"diffusion_ql@N=5,eta={eta}"]
        rows.append([eta, *summary_of(found)])
        if eta == "1":  # the bandit's own value has no name of its own
            rows.append(["2.5", *summary_of(runs.loc["diffusion_ql@N=5"])])
    return markdown(["eta", "modes covered", "on any mode", "on the best mode"], rows)


def summary_of(runs: pd.DataFrame) -> list[str]:
    """Return modes covered and both shares of a few runs."""
    modes = ", ".join(f"{count:.0f}" for count in runs["modes_covered"])
    return [modes, spread(runs["share_on_modes"]), spread(runs[SHARE])]
