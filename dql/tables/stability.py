"""How far scores can be trusted: chance between evaluations, and the policy's own part.

Two questions about the last policies of a campaign. How much of the swing between a
run's last evaluations is chance? And what does the last policy score on a hundred
episodes, with the online or the EMA network and with fewer candidates?
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dql import paths
from dql.results.cell_scores import normalize, with_reference_returns
from dql.results.files import UnusableRunError
from dql.results.runs import (
    StoredRun,
    config_differences,
    evaluation_problems,
    read_run,
)
from dql.results.stability import (
    NUM_LAST,
    ONLINE,
    read_episodes,
    summarize_variants,
    swing,
)
from dql.tables.compute import CellRuns
from dql.tables.files import Block, Table, write_table

COLUMNS = (
    "suite", "task", "method", "label", "seed", "num_evaluation_episodes",
    "last_evaluation", "swing", "noise", "policy_swing",
    "policy", "num_candidates", "as_evaluated", "num_episodes", "score",
    "standard_error",
)  # fmt: skip
SWINGS = ("swing", "noise", "policy_swing")
SWING_HEADINGS = (
    "task", "method", "runs", "episodes", "swing", "chance", "policy", "chance's share",
)  # fmt: skip


def write_stability_table(
    cells: Sequence[CellRuns], outputs: Sequence[Path], notes: Sequence[str] = ()
) -> Table:
    """Write the table; runs that cannot be used are named."""
    rows, left_out, num_missing = [], [], 0
    for cell in cells:
        for seed, directory in cell.directories.items():
            try:
                rows += _run_rows(cell, seed, directory)
            except UnusableRunError as error:
                if str(error).endswith("no such file"):
                    num_missing += 1
                else:
                    left_out.append(f"left out: {error}")
    if num_missing or not cells:
        left_out.append(f"not run yet: {num_missing} runs")
    long = pd.DataFrame(rows, columns=list(COLUMNS))
    blocks = [_swing_block(long), _policy_block(long)] if len(long) else []
    table = Table(
        "Stability: chance between evaluations, and the last policy",
        long,
        blocks,
        [
            "Normalised scores. Swing: standard deviation between the means of a run's "
            f"last {NUM_LAST} evaluations; chance: what so few episodes of one policy "
            "would give (root mean square of the standard errors); policy: what is "
            "left of the variance. Root mean squares over seeds; the share is of "
            "variances. "
            "All evaluations of a run begin in the same states, so chance is rather "
            "over- than underrated.",
            "Last policy: of the last checkpoint, mean ± standard error over episodes "
            "and seeds. Online, EMA: which network acts, with 1, 10, 50 candidates. "
            "Bold: as the run is evaluated.",
            *left_out,
            *notes,
        ],
    )
    write_table(table, outputs)
    return table


def _run_rows(cell: CellRuns, seed: int, directory: Path) -> list[dict[str, Any]]:
    """Return a run's rows, one for each way in which its last policy played."""
    run = read_run(directory)
    problems = config_differences(run.config, {**cell.config, "seed": seed})
    if run.diverged:
        problems = [f"diverged at gradient step {run.diverged.get('step')}"]
    problems = problems or evaluation_problems(run)
    if problems:
        raise UnusableRunError(f"{directory}: {'; '.join(problems[:3])}")
    scale = _scale(run)
    parts = {k: None if v is None else v / scale[1] for k, v in swing(run).items()}
    facts = {
        "suite": run.config["suite"],
        "task": run.config["task"],
        "method": run.config["method"],
        "label": run.config["label"],
        "seed": seed,
        "num_evaluation_episodes": run.config["training"]["num_evaluation_episodes"],
        "last_evaluation": (run.mean_returns[-1] - scale[0]) / scale[1],
        "swing": parts["swing"],
        "noise": parts["noise"],
        "policy_swing": parts["policy"],
    }
    path = paths.stability_file(run.config["task"], run.config["method"], seed)
    if not path.is_file():
        return [facts]
    return [
        facts
        | variant
        | {
            "score": (variant["mean_return"] - scale[0]) / scale[1],
            "standard_error": _scaled(variant["standard_error"], scale[1]),
        }
        for variant in summarize_variants(read_episodes(path))
    ]


def _scale(run: StoredRun) -> tuple[float, float]:
    """Return (zero, unit) of the run's scores in returns; (0, 1) without references."""
    environment = with_reference_returns(
        run.config["environment"], run.provenance.get("dataset") or {}
    )
    scores = normalize(np.array([0.0, 1.0]), environment)
    if scores is None:
        return 0.0, 1.0
    unit = 1.0 / (scores[1] - scores[0])
    return -scores[0] * unit, unit


def _scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else value / unit


def _swing_block(long: pd.DataFrame) -> Block:
    """Return the parts of the swing, a row for each cell."""
    runs = long.drop_duplicates(["task", "method", "seed"]).dropna(subset=["swing"])
    body = []
    for (task, label), group in runs.groupby(["task", "label"], sort=False):
        variances = group[list(SWINGS)].astype(float) ** 2
        means = variances.mean() ** 0.5
        share = variances["noise"].mean() / variances["swing"].mean()
        episodes = ", ".join(map(str, sorted(set(group["num_evaluation_episodes"]))))
        numbers = [f"{means[name]:.1f}" for name in SWINGS]
        body.append([task, label, len(group), episodes, *numbers, f"{share:.0%}"])
    return Block(
        f"The last {NUM_LAST} evaluations of a run",
        pd.DataFrame(body, columns=list(SWING_HEADINGS)),
    )


def _policy_block(long: pd.DataFrame) -> Block:
    """Return what the last policies score, a row for each cell, a column each way."""
    played = long.dropna(subset=["score"])
    is_average = played["policy"] != ONLINE
    counts = played["num_candidates"].astype(int)
    ways = sorted(set(zip(is_average, counts, strict=True)))
    names = {False: "online", True: "EMA"}
    body, bold = [], set()
    for row, ((task, label), group) in enumerate(
        played.groupby(["task", "label"], sort=False)
    ):
        runs = group.drop_duplicates("seed")
        cells = [task, label, f"{runs['last_evaluation'].mean():.1f}"]
        for is_ema, count in ways:
            same = (group["policy"] != ONLINE) == is_ema
            way = group[same & (group["num_candidates"] == count)]
            if len(way) and way["as_evaluated"].all():
                bold.add((row, len(cells)))
            cells.append(_mean_text(way))
        body.append(cells)
    columns = ["task", "method", "last evaluation"]
    columns += [f"{names[is_ema]}, {count}" for is_ema, count in ways]
    return Block(
        "The last policy on more episodes, by network and number of candidates",
        pd.DataFrame(body, columns=columns),
        bold=frozenset(bold),
    )


def _mean_text(way: pd.DataFrame) -> str:
    """Return the mean over seeds with the standard error of its episodes."""
    if not len(way):
        return "–"
    errors = way["standard_error"].astype(float)
    error = np.sqrt((errors**2).sum()) / len(way)
    text = f"{way['score'].mean():.1f}"
    return text if np.isnan(error) else f"{text} ± {error:.1f}"
