"""The bandit in numbers: one row per layout, method and seed, beside its figures.

A sample lies on a mode within three standard deviations (0.15) of its centre, where
98.9 % of the mode's own law lies. A mode is covered when at least 5 % of all samples
lie on it. `distance` is the energy distance between the samples and the data's law:

    D^2 = 2 E|X - Y| - E|X - X'| - E|Y - Y'|,

a metric between distributions (Szekely and Rizzo, 2013), computed without randomness
against one fixed sample of the law. Two samples of 1,000 of the law itself lie about
0.03 apart, so values near that are as good as it gets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from dql import paths
from dql.environments import bandit
from dql.errors import UserError
from dql.results.files import (
    UnusableRunError,
    check_digest,
    has_diverged,
    numbers_of,
    read_csv,
)
from dql.results.runs import read_run_config

COLUMNS = (
    "layout",
    "method",
    "seed",
    "modes_covered",
    "share_on_modes",
    "share_best_mode",
    "distance",
    "mean_reward",
    "num_gradient_steps",
    "num_denoising_steps",
)
COVERED_SHARE = 0.05
REFERENCE_SIZE = 4000
REFERENCE_SEED = 20220812
"""The law's fixed sample; its seed is no run's seed."""

SAMPLE_COLUMNS = ("action_0", "action_1", "reward")


def read_samples(run_directory: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the last actions (n, 2) and rewards (n,) of a bandit run."""
    path = run_directory / paths.SAMPLES_FILE
    table = read_csv(path)
    missing = [name for name in SAMPLE_COLUMNS if name not in table]
    if missing or table.empty:
        what = f"no column {', '.join(missing)}" if missing else "no samples"
        raise UnusableRunError(f"{path}: {what}")
    values = np.column_stack(
        [numbers_of(table, name, path) for name in SAMPLE_COLUMNS]
    ).astype(float)
    check_digest(path)
    if not np.isfinite(values).all():
        raise UnusableRunError(f"{path}: holds values that are not finite")
    return values[:, :2], values[:, 2]


@lru_cache(maxsize=4)
def _reference(layout: str) -> tuple[np.ndarray, float]:
    """Return the fixed sample (m, 2) of the law and its mean pairwise distance."""
    sample, _ = bandit.sample_data(layout, REFERENCE_SIZE, REFERENCE_SEED)
    sample = sample.astype(float)
    return sample, float(cdist(sample, sample).mean())


def energy_distance(actions: np.ndarray, layout: str) -> float:
    """Return the energy distance between actions (n, 2) and a layout's data law."""
    reference, within_reference = _reference(layout)
    between = cdist(actions, reference).mean()
    squared = 2.0 * between - cdist(actions, actions).mean() - within_reference
    return float(np.sqrt(max(squared, 0.0)))


def summarize_samples(
    actions: np.ndarray, rewards: np.ndarray, layout: str
) -> dict[str, float]:
    """Return the numbers of one set of samples."""
    modes = bandit.assign_modes(actions, layout)
    num_modes = len(bandit.REWARD_MEANS)
    shares = np.array([(modes == mode).mean() for mode in range(num_modes)])
    return {
        "modes_covered": int((shares >= COVERED_SHARE).sum()),
        "share_on_modes": float(shares.sum()),
        "share_best_mode": float(shares[bandit.BEST_MODE]),
        "distance": energy_distance(actions, layout),
        "mean_reward": float(rewards.mean()),
    }


def summarize_run(run_directory: Path) -> dict[str, Any]:
    """Return the summary row of a run; a diverged run has a row without numbers."""
    config = read_run_config(run_directory)
    layout = config["environment"].get("layout")
    if layout is None:
        raise UserError(f"{run_directory}: not a bandit run (its config has no layout)")
    # A user's own data follow no layout's law, even where they have its modes.
    is_own = config["environment"]["dataset"]["source"] == "file"
    identity = {
        "layout": config["task"] if is_own else layout,
        "method": config["method"],
        "seed": int(config["seed"]),
        "num_gradient_steps": config["training"]["num_gradient_steps"],
        "num_denoising_steps": config["settings"].get("num_denoising_steps"),
    }
    if has_diverged(run_directory):
        return identity
    actions, rewards = read_samples(run_directory)
    return identity | summarize_samples(actions, rewards, layout)


def summarize_runs(run_directories: Sequence[Path]) -> pd.DataFrame:
    """Return the rows of the given bandit runs, in a fixed order."""
    if not run_directories:
        raise UserError("the bandit summary needs at least one bandit run")
    table = pd.DataFrame([summarize_run(path) for path in run_directories])
    table = table.reindex(columns=COLUMNS)
    _refuse_duplicates(table)
    for name in ("modes_covered", "num_gradient_steps", "num_denoising_steps"):
        table[name] = table[name].astype("Int64")
    return table.sort_values(["layout", "method", "seed"], ignore_index=True)


def write_summary(run_directories: Sequence[Path], output: Path) -> pd.DataFrame:
    """Write and return the summary of the given bandit runs."""
    table = summarize_runs(run_directories)
    output.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(output, index=False, float_format="%.6g", lineterminator="\n")
    return table


def _refuse_duplicates(table: pd.DataFrame) -> None:
    """Raise when two directories hold the same layout, method and seed."""
    repeated = table[table.duplicated(["layout", "method", "seed"])]
    if len(repeated):
        row = repeated.iloc[0]
        raise UserError(
            f"two bandit runs of {row.layout}, {row.method}, seed {row.seed}; "
            "keep one of them"
        )


def read_summary(path: Path) -> pd.DataFrame:
    """Return a written summary; a missing file or column is an error that names it."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; `dql bandit summary` writes it")
    table = read_csv(path)
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise UserError(f"{path}: no column {', '.join(missing)}")
    return table


def mean_by_method(table: pd.DataFrame, methods: Iterable[str]) -> pd.DataFrame:
    """Return the means over seeds, and the number of seeds, of the methods present."""
    chosen = table[table["method"].isin(list(methods))].dropna(subset=["distance"])
    groups = chosen.groupby(["layout", "method"], sort=False)
    means = groups[list(COLUMNS[3:])].mean()
    return means.assign(num_seeds=groups["seed"].nunique())
