"""`dql bandit`: summary, claims and figures of the 2-D bandit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dql import paths
from dql.cli.options import Changes, Scale, load

if TYPE_CHECKING:
    from dql.config import Project

app = typer.Typer(
    no_args_is_help=True, help="Summary, claims and figures of the 2-D bandit."
)


@app.command("summary")
def summary(scale: Scale = None, changes: Changes = None) -> None:
    """Write results/bandit/summary.csv: one row per layout, method and seed."""
    project = load(scale, changes)
    from dql import bandit_summary

    bandit_summary.write_summary(bandit_folders(project), paths.BANDIT_SUMMARY)


@app.command("figure")
def figure(
    name: Annotated[str, typer.Argument(help="For example: bandit_axes.")],
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Draw a figure as pdf and png from stored runs and the summary.

    Files go to figures/. Names: bandit_axes, bandit_corners, bandit_eta,
    bandit_denoising_steps, bandit_as_released.

    Example: dql bandit figure bandit_axes
    """
    project = load(scale, changes)
    from dql import figures

    figures.figure_content(name)
    outputs = [paths.figure_file(name, extension) for extension in ("pdf", "png")]
    folders = bandit_folders(project)
    figures.draw_figure(name, folders, paths.BANDIT_SUMMARY, outputs)


@app.command("claims")
def claims(scale: Scale = None, changes: Changes = None) -> None:
    """Check the paper's claims about the bandit against the summary.

    Reads workflow/claims.yaml and writes results/bandit/claims.json and claims.md.
    """
    load(scale, changes)
    from dql import bandit_claims

    outputs = [paths.BANDIT_CLAIMS, paths.BANDIT_CLAIMS.with_suffix(".md")]
    bandit_claims.write_claims(paths.BANDIT_SUMMARY, outputs)


def bandit_folders(project: Project) -> list[Path]:
    """List the folders of the bandit runs of a scale."""
    return [
        paths.run_directory(run.task, run.method, run.seed)
        for run in project.runs()
        if project.task(run.task).suite == "bandit"
    ]
