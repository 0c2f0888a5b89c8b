"""What a verb prints, whatever it is printed on."""

from __future__ import annotations

import json
import sys
from typing import Any

import typer


def print_json(content: Any) -> None:
    """Print JSON: without colours, which would not be JSON, in ASCII."""
    typer.echo(json.dumps(content, indent=2))


def replace_what_cannot_be_shown() -> None:
    """Let an output print `?` for a character that its encoding lacks, not fail."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
