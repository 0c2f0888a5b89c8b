"""The bandit runs a figure draws from, found by their configuration, not their path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dql import paths
from dql.errors import UserError
from dql.figures.bandit_content import FigureContent
from dql.results.bandit_summary import read_samples, summarize_runs
from dql.results.files import has_diverged
from dql.results.runs import read_run_config


@dataclass(frozen=True)
class BanditRuns:
    """Run directories by (layout, method, seed), and a row of numbers for each.

    Numbers are computed from these runs alone, so that a figure can be drawn as soon as
    its own runs are there.
    """

    directories: dict[tuple[str, str, int], Path]
    settings: dict[tuple[str, str], dict[str, Any]]
    summary: pd.DataFrame

    @classmethod
    def load(
        cls, run_directories: Sequence[Path], content: FigureContent
    ) -> BanditRuns:
        """Index those of the given runs that the figure shows and that exist."""
        directories, settings = {}, {}
        for directory in run_directories:
            if not (directory / paths.CONFIG_FILE).is_file():
                continue
            config = read_run_config(directory)
            if content.uses(config["task"], config["method"]):
                layout = config["environment"]["layout"]
                key = (layout, config["method"], int(config["seed"]))
                directories[key] = directory
                settings[layout, config["method"]] = config["settings"]
        if not directories:
            raise UserError(
                "none of the given runs belongs to this figure, which shows "
                f"{', '.join(content.methods)} on {', '.join(content.layouts)}"
            )
        return cls(directories, settings, summarize_runs([*directories.values()]))

    def methods(self, layout: str) -> set[str]:
        """Return the methods, with their variants, that have a run on a layout."""
        return {method for where, method, _ in self.directories if where == layout}

    def by_setting(self, layout: str, base: str, name: str) -> dict[float, str]:
        """Return a method and its variants by the value of one setting, ascending.

        Of two methods with the same value the plain one is kept.
        """
        methods = [
            method
            for where, method in self.settings
            if where == layout and method.partition("@")[0] == base
        ]
        values = {
            self.settings[layout, method][name]: method
            for method in sorted(methods, key=len, reverse=True)
        }
        return dict(sorted(values.items()))

    def plotted_seed(self) -> int:
        """Return the seed whose samples are drawn: the lowest of all."""
        return min(seed for _, _, seed in self.directories)

    def samples(self, layout: str, method: str) -> np.ndarray | None:
        """Return the plotted seed's actions (n, 2), or None without a sound run."""
        directory = self.directories.get((layout, method, self.plotted_seed()))
        if directory is None or not (directory / paths.SAMPLES_FILE).is_file():
            return None
        if has_diverged(directory):
            return None
        return read_samples(directory)[0]

    def trajectories(self, layout: str, method: str) -> np.ndarray | None:
        """Return the plotted seed's states (n, N + 1, 2), noise first, or None."""
        directory = self.directories.get((layout, method, self.plotted_seed()))
        if directory is None or not (directory / paths.TRAJECTORIES_FILE).is_file():
            return None
        path = directory / paths.TRAJECTORIES_FILE
        with np.load(path, allow_pickle=False) as stored:
            return stored["states"].astype(float)

    def rows(self, layout: str, method: str) -> pd.DataFrame:
        """Return the summary's rows of a method, one per seed that has numbers."""
        table = self.summary
        chosen = (table["layout"] == layout) & (table["method"] == method)
        return table[chosen].dropna(subset=["distance"])

    def sizes(
        self, layout: str, numbers: str = "Numbers: mean ± standard deviation"
    ) -> str:
        """Return the plotted seed, seeds and gradient steps of a layout's runs."""
        table = self.summary[self.summary["layout"] == layout]
        table = table[table["method"].isin(self.methods(layout))]
        steps = " or ".join(f"{n:,}" for n in sorted(set(table["num_gradient_steps"])))
        num_seeds = table.groupby("method")["seed"].nunique()
        seeds = " to ".join(str(n) for n in sorted({num_seeds.min(), num_seeds.max()}))
        return (
            f"Drawn: seed {self.plotted_seed()}. {numbers} over {seeds} seeds, "
            f"{steps} gradient steps each."
        )


def spread(values: pd.Series, digits: int = 2, scale: float = 1.0) -> str:
    """Return `mean ± standard deviation` of a column, without ± for one seed."""
    mean = f"{scale * values.mean():.{digits}f}"
    if len(values) < 2:
        return mean
    return f"{mean} ± {scale * values.std(ddof=1):.{digits}f}"
