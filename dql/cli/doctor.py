"""`dql doctor`: look over the machine and the checkout."""

from __future__ import annotations

from typing import Annotated

import typer

from dql.cli.output import print_json


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what works here and what does not, each line with its remedy.

    Looks at Python, packages, GPUs, physics, C kernels, space, DVC, git, locks and
    D4RL's files; trains and downloads nothing. Exit code 1: something is in the way.

    Example: dql doctor --json
    """
    from rich.console import Console

    from dql.upkeep.doctor import as_json, examine, is_usable, print_findings

    findings = examine()
    if json:
        print_json(as_json(findings))
    else:
        print_findings(findings, Console())
    if not is_usable(findings):
        raise typer.Exit(1)
