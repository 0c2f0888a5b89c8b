"""What a verb prints, whatever it is printed on."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console


def print_json(content: Any) -> None:
    """Print JSON: without colours, which would not be JSON, in ASCII."""
    typer.echo(json.dumps(content, indent=2))


def plain_console(*, stderr: bool = False) -> Console:
    """Return a console for sentences and tables: as typed, lines wrapped by nobody."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, soft_wrap=True)


def replace_what_cannot_be_shown() -> None:
    """Let an output print `?` for a character that its encoding lacks, not fail."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
