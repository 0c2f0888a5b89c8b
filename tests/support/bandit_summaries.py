"""Summaries of the bandit's runs: all as the paper says, or one number a method."""

import pandas as pd

from dql.results.bandit_summary import COLUMNS

GOOD = {"modes_covered": 4, "share_on_modes": 0.97, "share_best_mode": 0.25,
        "distance": 0.02, "mean_reward": 2.4}  # fmt: skip
BEST = GOOD | {"modes_covered": 1, "share_best_mode": 0.97, "mean_reward": 4.9}
POOR = {"modes_covered": 2, "share_on_modes": 0.2, "share_best_mode": 0.05,
        "distance": 0.4, "mean_reward": 1.0}  # fmt: skip


def summary_rows(method, numbers, seeds=3, layout="axes", steps=None):
    return [
        {"layout": layout, "method": method, "seed": seed, "num_gradient_steps": 5000,
         "num_denoising_steps": steps, **numbers}
        for seed in range(seeds)
    ]  # fmt: skip


def paper_like_table(seeds=3):
    """Return a summary in which everything is as the paper says."""
    rows = []
    for layout in ("axes", "corners"):
        options = {"seeds": seeds, "layout": layout}
        for method in ("bc_mle", "bc_cvae", "bc_mmd", "td3_bc", "bcq", "bear_mmd"):
            rows += summary_rows(method, POOR, **options)
        rows += summary_rows("bc_diffusion", GOOD, steps=50, **options)
        rows += summary_rows("diffusion_ql@eta=0", GOOD, steps=50, **options)
        rows += summary_rows("diffusion_ql", BEST, steps=50, **options)
        for method in ("bc_diffusion", "diffusion_ql"):
            blurred = GOOD | {"share_on_modes": 0.5}
            rows += summary_rows(f"{method}@N=2", blurred, steps=2, **options)
    return pd.DataFrame(rows).reindex(columns=COLUMNS)
