"""The arguments that verbs share, and the configuration they choose."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from dql.config.project import Project

Task = Annotated[str, typer.Argument(help="A task of workflow/config/tasks.yaml.")]
Method = Annotated[
    str, typer.Argument(help="A method, with or without variant: diffusion_ql@eta=0.")
]
Scale = Annotated[
    str | None,
    typer.Option(
        help="A file of workflow/config/scales: smoke, quick, evidence, paper and "
        "others; default: as in config.yaml."
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of config.yaml, for example physics=stock; repeatable.",
    ),
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    typer.Option(help="cuda is a GPU; auto takes one where there is one."),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON, and nothing else, to standard out.")
]
ForeignCheckpoint = Literal["refuse", "discard"]


def check_one_or_all(
    verb: str, task: str | None, method: str | None, every: bool
) -> None:
    """Raise unless either a cell is named or all are asked for, and not both."""
    if [bool(task), bool(method)] != [not every] * 2:
        from dql.errors import UserError

        raise UserError(f"dql {verb}: give TASK and METHOD, or --all")


def load(scale: str | None, changes: list[str] | None) -> Project:
    """Load the configuration with the changes of the command line."""
    from dql.config.project import load_project
    from dql.config.validation import parse_changes
    from dql.errors import UserError

    overrides = parse_changes(changes or [])
    if scale and overrides.get("scale", scale) != scale:
        other = overrides["scale"]
        raise UserError(f"--scale {scale} and --set scale={other}: keep one of the two")
    return load_project(scale=scale, overrides=overrides)


def scales_with(found: Callable[[Project], Any]) -> str:
    """Return the end of an error: the scales at which `found` is not empty."""
    from dql.config.project import load_project
    from dql.errors import UserError
    from dql.paths import CONFIG

    names = []
    for path in sorted((CONFIG / "scales").glob("*.yaml")):
        with suppress(UserError):  # a scale of the reader's own may not be whole yet
            names += [path.stem] if found(load_project(scale=path.stem)) else []
    return f"; scales that have: {', '.join(names)}" if names else "; no scale has any"
