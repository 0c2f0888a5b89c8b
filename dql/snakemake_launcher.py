"""The environment's `snakemake` command: lets a target follow `--resources gpu=2`.

Snakemake's parser takes every word after an option such as `--resources` as one more
NAME=VALUE pair, so `snakemake --cores 8 --resources gpu=2 all` fails inside Snakemake.
This launcher moves such words to the front, where they are targets, and hands
everything else to Snakemake untouched.

Installing this project replaces Snakemake's own script by this one; `python -m
snakemake` stays the original. To remove the launcher, delete its line from
pyproject.toml, install again, then `pip install --force-reinstall --no-deps snakemake`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

PAIR_OPTIONS = frozenset(
    {
        "--resources",
        "--res",
        "--set-threads",
        "--set-resources",
        "--set-scatter",
        "--set-resource-scopes",
        "--default-resources",
        "--default-res",
        "--config",
        "-C",
        "--consider-ancient",
        "--groups",
        "--group-components",
    }
)
"""Options of Snakemake 9 that take a list of NAME=VALUE pairs."""

PAIR = re.compile(r"[\w.:-]+=|base64//")
"""How a value of these options starts; a path such as `a/b@eta=0` does not match."""


def move_targets(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with targets moved out of NAME=VALUE lists to the front."""
    targets: list[str] = []
    others: list[str] = []
    state = "other"
    for position, argument in enumerate(arguments):
        if argument == "--":
            others += arguments[position:]
            break
        if argument.startswith("-"):
            state = "pairs" if argument in PAIR_OPTIONS else "other"
        elif state == "pairs" and not PAIR.match(argument):
            state = "targets"
        (targets if state == "targets" else others).append(argument)
    return [*targets, *others]


def main() -> None:
    """Run Snakemake's own command on the rearranged arguments."""
    from snakemake.cli import main as snakemake_main

    sys.exit(snakemake_main(move_targets(sys.argv[1:])))
