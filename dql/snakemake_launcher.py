"""The environment's `snakemake` command: lets a target follow `--resources gpu=2`.

Snakemake's parser takes every word after an option such as `--resources` as one more
NAME=VALUE pair, so `snakemake --cores 8 --resources gpu=2 all` fails inside Snakemake.
This launcher moves such words to the front, where they are targets, refuses what
Snakemake would wait for or misread in silence, and hands everything else on untouched.
It also makes `--logger dql` known: the console of `make` (see `dql.console`).

Installing this project replaces Snakemake's own script by this one; `python -m
snakemake` stays the original. To remove the launcher, delete its line from
pyproject.toml, install again, then `pip install --force-reinstall --no-deps snakemake`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from itertools import takewhile

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

NO_CORES = re.compile(r"(?<!\S)(--(cores|jobs)[ =]|-[cj][ =]?)(0+|-\d+)(?!\S)")

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


def check(arguments: Sequence[str]) -> None:
    """Raise for what Snakemake takes without a word and cannot do, or reads wrongly.

    With no cores it waits for ever. Of a key that stands twice in `--config`, it takes
    the last.
    """
    from dql.errors import UserError

    options = list(takewhile(lambda word: word != "--", arguments))
    match = NO_CORES.search(" ".join(options))
    if match:
        raise UserError(
            f"{match[0].strip()}: no job could start; give a number from 1, or 'all'"
        )
    pairs = configuration(options)
    if pairs:
        from dql.config.validation import parse_changes

        parse_changes(pairs, option="--config")


def configuration(options: Sequence[str]) -> list[str]:
    """Return the NAME=VALUE words of `--config`, however often it stands there."""
    pairs, is_inside = [], False
    for word in options:
        name, separator, value = word.partition("=")
        if word.startswith("-"):
            is_inside = name in ("--config", "-C")
            pairs += [value] if is_inside and separator else []
        elif is_inside and PAIR.match(word):
            pairs.append(word)
    return pairs


def register_console() -> None:
    """Make `--logger dql` known: no search of Snakemake's finds `dql.console`."""
    from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

    from dql import console

    LoggerPluginRegistry().register_plugin("snakemake_logger_plugin_dql", console)


def main() -> None:
    """Run Snakemake's own command on the rearranged arguments."""
    from dql.cli.output import replace_what_cannot_be_shown
    from dql.errors import UserError

    arguments = move_targets(sys.argv[1:])
    try:
        check(arguments)
    except UserError as error:
        print(f"snakemake: {error}", file=sys.stderr)
        sys.exit(2)
    replace_what_cannot_be_shown()
    register_console()
    from snakemake.cli import main as snakemake_main

    sys.exit(snakemake_main(arguments))
