"""`dql data policies` and `dql data compare`: remade data, before and after."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dql import paths
from dql.cli.options import AsJson, Changes, Scale, load
from dql.cli.output import print_json


def policies(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Policies, or remade tasks for all of theirs."),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--from", help="Look here first; default: $DQL_POLICY_DIR."),
    ] = None,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Fetch published policies that data are remade with; without names, list them.

    Each is checked against the digest of its arrays and kept in results/policies. A
    folder that has its file, as published or as npz, spares the download.

    Example: dql data policies remade-hopper-medium-expert --from downloads
    """
    from dql.data import policy_weights

    if not names:
        for entry in policy_weights.catalogue().values():
            state = "ready" if entry.stored.is_file() else "absent"
            typer.echo(f"{entry.name:38} {state:7} {entry.kind:12} {entry.url}")
        return
    project = load(scale, changes)
    for name in names:
        task = project.tasks.get(name)
        parts = [part.policy for part in task.dataset.parts or []] if task else []
        for policy in parts or [name]:
            typer.echo(policy_weights.store_weights(policy, folder))


def compare(
    tasks: Annotated[list[str], typer.Argument(help="Remade tasks.")],
    table: Annotated[
        bool,
        typer.Option(
            "--table", help="Write results/tables/remade_data from what is stored."
        ),
    ] = False,
    json: AsJson = False,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Hold remade data against the D4RL set they are named after, in numbers.

    Counts and returns beside D4RL's, mean and spread of every observation, and a ruler:
    published models of the real states and actions denoise the data. They are fetched
    as dql data policies does. Writes results/comparisons and figures/remade. As JSON
    it is a list, a task each.

    Example: dql data compare remade-hopper-medium
    """
    from dql.tables.files import markdown_text
    from dql.tables.registry import EXTENSIONS
    from dql.tables.remade_data import comparison_table, write_comparison_table

    chosen = [load(scale, changes).task(name) for name in tasks]
    files = [paths.comparison_file(task.name) for task in chosen]
    if table:
        outputs = [paths.table_file("remade_data", suffix) for suffix in EXTENSIONS]
        write_comparison_table(files, outputs)
        return
    from dql.data import comparison
    from dql.figures.remade_data import draw_comparison
    from dql.files import write_json

    contents = []
    for task, file in zip(chosen, files, strict=True):
        found = comparison.compare(task)
        contents.append(found.content())
        write_json(file, found.content())
        name = paths.comparison_figure(task.name)
        draw_comparison(found, [paths.figure_file(name, s) for s in ("pdf", "png")])
        if not json:
            typer.echo(markdown_text(comparison_table([found.content()])))
    if json:
        print_json(contents)
