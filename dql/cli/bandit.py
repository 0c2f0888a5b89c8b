"""`dql bandit`: summary, claims and trajectories of the 2-D bandit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dql import paths
from dql.cli.options import Changes, Method, Scale, Task, load

if TYPE_CHECKING:
    from dql.config.project import Project

app = typer.Typer(
    no_args_is_help=True, help="Summary, claims, trajectories of the 2-D bandit."
)


@app.command("summary")
def summary(scale: Scale = None, changes: Changes = None) -> None:
    """Write results/bandit/summary.csv: one row per layout, method and seed.

    Reads results/runs.

    Example: dql bandit summary --scale smoke
    """
    project = load(scale, changes)
    from dql.results import bandit_summary

    bandit_summary.write_summary(bandit_folders(project), paths.BANDIT_SUMMARY)


@app.command("trajectories")
def trajectories(
    task: Task,
    method: Method,
    seed: Annotated[int, typer.Option(help="The run's seed.")] = 0,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Store how the reverse chain of a finished run turns noise into actions.

    Writes trajectories.npz beside the run, for the figure bandit_trajectories.

    Example: dql bandit trajectories bandit-axes diffusion_ql --seed 0
    """
    run = load(scale, changes).run_config(task, method, seed)
    from dql.diagnostics.trajectories import store_trajectories

    store_trajectories(run, paths.run_directory(task, method, seed))


@app.command("claims")
def claims(scale: Scale = None, changes: Changes = None) -> None:
    """Check the paper's claims about the bandit against the summary.

    Reads workflow/claims.yaml and writes results/bandit/claims.json and claims.md.

    Example: dql bandit claims
    """
    load(scale, changes)
    from dql.claims import bandit as bandit_claims

    outputs = [paths.BANDIT_CLAIMS, paths.BANDIT_CLAIMS.with_suffix(".md")]
    bandit_claims.write_claims(paths.BANDIT_SUMMARY, outputs)


def bandit_folders(project: Project) -> list[Path]:
    """List the folders of the bandit runs of a scale."""
    return [
        paths.run_directory(run.task, run.method, run.seed)
        for run in project.runs()
        if project.task(run.task).suite == "bandit"
    ]
