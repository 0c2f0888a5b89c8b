"""How a cell is read and printed, the same in every table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dql import paths
from dql.errors import UserError
from dql.results.files import read_json

Cell = Mapping[str, Any]


def read_cells(files: Sequence[Path]) -> list[Cell]:
    """Return the cells in the given order; two files of one cell are an error."""
    cells: dict[tuple[str, str], Cell] = {}
    for path in files:
        cell = read_json(path)
        key = (cell["task"], cell["method"])
        if key in cells:
            raise UserError(f"{path}: a second cell of {key[1]} on {key[0]}")
        cells[key] = cell
    return list(cells.values())


def mean_and_error(scores: Mapping[str, Any]) -> str:
    """Return `mean ± standard error` as the tables print it."""
    if scores["mean"] is None:
        return "–"
    if scores["standard_error"] is None:
        return f"{scores['mean']:.1f}"
    return f"{scores['mean']:.1f} ± {scores['standard_error']:.1f}"


def score_text(cell: Cell | None) -> str:
    """Return a cell as a table prints it: score, seeds, and what was left out."""
    if cell is None:
        return "not run"
    headline = cell["scores"][cell["headline"]]
    diverged = f"{len(cell['diverged'])} diverged" if cell["diverged"] else ""
    if headline["mean"] is None:
        return diverged or "not run"
    seeds = f"{seed_text(cell)} seed{'' if len(cell['expected_seeds']) == 1 else 's'}"
    return f"{mean_and_error(headline)} ({', '.join(filter(None, [seeds, diverged]))})"


def seed_text(cell: Cell) -> str:
    """Return how many seeds count: `3`, or `2 of 3` where some do not."""
    count, expected = len(cell["seeds"]), len(cell["expected_seeds"])
    return f"{count}" if count == expected else f"{count} of {expected}"


def without_planned(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells without runs of no file, which a campaign has still to do."""
    return [
        {
            **cell,
            "left_out": [
                run for run in cell["left_out"] if not _nothing_there(run["reason"])
            ],
        }
        for cell in cells
    ]


def exclusion_notes(cells: Sequence[Cell]) -> list[str]:
    """Return one note per run that a cell left out, and per run that diverged.

    A cell of which no run left any file is one note, and so are runs of several codes
    or processors' data in a cell.
    """
    notes = []
    for cell in cells:
        name = f"{cell['task']}, {cell['label']}"
        reasons = [run["reason"] for run in cell["left_out"]]
        if cell["status"] == "not run" and all(map(_nothing_there, reasons)):
            if reasons:
                seeds = ", ".join(str(run["seed"]) for run in cell["left_out"])
                notes.append(f"not run: {name}, seeds {seeds}: no files of these runs")
        else:
            notes += [
                f"left out: {name}, seed {run['seed']}: {run['reason']}"
                for run in cell["left_out"]
            ]
        for run in cell["diverged"]:
            notes.append(
                f"diverged: {name}, seed {run['seed']}, at gradient step "
                f"{run.get('step')} in {run.get('term')}"
            )
        notes += _mixture_notes(name, cell.get("made_by", []))
    return notes


def _mixture_notes(name: str, makers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a note for each fact of their making in which a cell's runs differ."""
    facts = {
        "code_fingerprint": "trained by more than one version of the code",
        "dataset_digest": "data made by one recipe on more than one processor",
    }
    notes = []
    for key, text in facts.items():
        seeds: dict[str, list[int]] = {}
        for maker in makers:
            seeds.setdefault(str(maker[key])[:12], []).extend(maker["seeds"])
        if len(seeds) > 1:
            listed = "; ".join(f"{k}: seeds {sorted(v)}" for k, v in seeds.items())
            notes.append(f"{text}: {name} ({listed})")
    return notes


def _nothing_there(reason: str) -> bool:
    """Return whether a run was left out because it has no files."""
    return reason.endswith(f"{paths.EVALUATIONS_FILE}: no such file")


def long_row(cell: Cell) -> dict[str, Any]:
    """Return a cell as one row of a CSV table."""
    headline = cell["scores"][cell["headline"]]
    low, high = headline.get("interval_95") or (None, None)
    return {
        "suite": cell["suite"],
        "task": cell["task"],
        "method": cell["method"],
        "status": cell["status"],
        "score": cell["headline"],
        "num_seeds": len(cell["seeds"]),
        "mean": headline["mean"],
        "standard_error": headline.get("standard_error"),
        "standard_deviation": headline.get("standard_deviation"),
        "interquartile_mean": headline.get("interquartile_mean"),
        "interval_95_low": low,
        "interval_95_high": high,
        "offline_mean": cell["scores"]["offline"]["mean"],
        "online_mean": cell["scores"]["online"]["mean"],
        "behavior_score": cell["dataset"].get("behavior_score"),
        **cell["sizes"],
        "physics": cell["physics"],
        "num_left_out": len(cell["left_out"]),
        "num_diverged": len(cell["diverged"]),
    }


def best_columns(means: Mapping[int, float]) -> list[int]:
    """Return the columns that print the highest mean, if several are compared."""
    if len(means) < 2:
        return []
    best = max(round(mean, 1) for mean in means.values())
    return [column for column, mean in means.items() if round(mean, 1) == best]
