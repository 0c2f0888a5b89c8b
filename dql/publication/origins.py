"""How results were made: commit, versions, machines, runs, and commands to paste."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dql import paths
from dql.config.project import Project, load_project
from dql.results.cell_facts import size_differences
from dql.results.files import read_csv
from dql.tables.runs import made_with, run_rows

ENVIRONMENT = "source .venv/bin/activate"


@dataclass(frozen=True)
class Commit:
    """The commit of the source tree; `is_clean`: nothing tracked differs from it."""

    digest: str
    date: str
    is_clean: bool


@dataclass(frozen=True)
class Origins:
    """What a reader must know to make the results again."""

    commit: Commit | None
    environments: Sequence[Mapping[str, Any]]
    num_runs: int
    hours: float
    sizes: Mapping[str, Sequence[str]]
    commands: Sequence[tuple[str, str]]
    kept: Sequence[Mapping[str, Any]]
    has_run_table: bool


def origins(project: Project, root: Path = Path()) -> Origins:
    """Return how what is below `root` was made."""
    rows = run_rows(root)
    # Runs of a block train together, and each has the time of the whole block.
    blocks = {(r["task"], r["method"], r["wall_seconds"]) for r in rows}
    return Origins(
        commit=source_commit(),
        environments=made_with(root),
        num_runs=len(rows),
        hours=sum(seconds for *_, seconds in blocks) / 3600,
        sizes=_sizes(project),
        commands=commands(project, root),
        kept=kept_results(),
        has_run_table=(root / paths.run_table("html")).is_file(),
    )


def source_commit(source: Path = paths.SOURCE) -> Commit | None:
    """Return the commit that the source tree is at; None where git knows none."""
    digest = _git(source, "rev-parse", "--verify", "HEAD")
    if not digest:
        return None
    date = _git(source, "show", "--no-patch", "--format=%cI", "HEAD")
    changed = _git(source, "status", "--porcelain", "--untracked-files=no")
    return Commit(digest, date, not changed)


def _git(folder: Path, *words: str) -> str:
    """Return what git prints about a folder, nothing where it is not a repository."""
    command = ["git", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _sizes(project: Project) -> dict[str, list[str]]:
    """Return, by suite, in which sizes the scale differs from the paper."""
    found: dict[str, dict[str, None]] = {}
    for task, method in project.cells(project.scale.suites):
        seeds = project.seeds(task, method)
        config = project.run_config(task, method, seeds[0]).model_dump(mode="json")
        phrases = size_differences(config, len(seeds))
        found.setdefault(config["suite"], {}).update(dict.fromkeys(phrases))
    return {suite: list(phrases) for suite, phrases in found.items() if phrases}


def commands(project: Project, root: Path = Path()) -> list[tuple[str, str]]:
    """Return commands by what they do, to be pasted in this order in the checkout.

    Where results are elsewhere (`snakemake --directory`), the later ones work there.
    """
    scale = project.config.scale
    is_default = scale == load_project().config.scale
    option = "" if is_default else f" --scale {scale}"
    make = "make" if is_default else f"snakemake all --cores all --config scale={scale}"
    listed = [("install what the commands below need", "make setup")]
    listed += [("use it in this shell", ENVIRONMENT)]
    place = _place(root)
    if place and not is_default:
        make += f" --directory {place}"
    listed += [("make everything again that is out of date", make)]
    if place:
        listed += [("go to these results", f"cd {place}")]
    listed += [("what was made, and the main numbers", "dql summary")]
    if cell := _a_cell(project, root):
        listed += [("run one cell again and compare", f"dql cell {cell}{option}")]
    listed += [
        ("judge all claims again", "dql claims"),
        ("write this page again", f"dql page{option}"),
    ]
    return listed


def _place(root: Path) -> str:
    """Return the results' folder as a word for a shell; nothing for the checkout."""
    place = root.resolve()
    if place.is_relative_to(paths.SOURCE):
        place = place.relative_to(paths.SOURCE)
    return "" if place == Path() else shlex.quote(str(place))


def _a_cell(project: Project, root: Path) -> str:
    """Return a cell that is there as `dql cell` takes it, the paper's method first."""
    cells = [c for c in project.cells(project.scale.suites) if c[0] in project.tasks]
    cells.sort(key=lambda cell: cell[1] != "diffusion_ql")
    for task, method in cells:
        if (root / paths.cell_file(task, method)).is_file():
            return (
                f"{task} {shlex.quote(method)} --seed {project.seeds(task, method)[0]}"
            )
    return ""


def kept_results(kept: Path = paths.SOURCE / paths.KEPT) -> list[dict[str, Any]]:
    """Return the results that git keeps: name, scale, runs, steps, last finished."""
    found = []
    for path in sorted(kept.glob("*/runs.csv")):
        runs = read_csv(path)
        if len(runs):
            found.append(
                {
                    "name": path.parent.name,
                    "scales": ", ".join(sorted(set(runs["scale"].astype(str)))),
                    "num_runs": len(runs),
                    "num_steps": int(runs["num_gradient_steps"].sum()),
                    "finished": str(runs["finished_at"].max())[:10],
                }
            )
    return found
