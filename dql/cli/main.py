"""The `dql` command: the one place that parses arguments.

Every verb loads its modules when it is called, so that `dql --help` stays quick. Exit
codes: 0 done, or yes; 1 no (`dql doctor`: something is in the way; `dql data verify`: a
fault; `dql cell`: different); 2 the user can mend it (one message, no traceback); 3 it
failed unexpectedly, with a traceback; 128 + n stopped by signal n with the checkpoint
written (130 Ctrl-C, 138 SIGUSR1, 143 SIGTERM).
"""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Annotated

import typer

from dql.cli import (
    bandit,
    cell,
    config,
    data,
    diagnostics,
    figures,
    results,
    training,
    upkeep,
)
from dql.cli.output import replace_what_cannot_be_shown
from dql.errors import UserError

UNEXPECTED = 3
"""Exit code of a failure that is nobody's answer; Python's own 1 would be a "no"."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Diffusion-QL and its baselines: data, runs, tables and figures. Every verb "
    "does one step of the workflow; [bold]snakemake[/bold] calls them in order.",
)
app.add_typer(data.app, name="data")
app.add_typer(bandit.app, name="bandit")
app.add_typer(config.app, name="config")
for verb in (
    training.train,
    training.online,
    training.plan,
    results.aggregate,
    results.table,
    results.claims,
    results.page,
    results.bundle,
    figures.figure,
    figures.film,
    cell.cell,
    results.summary,
    results.provenance,
    diagnostics.stability,
    diagnostics.episode,
    diagnostics.ways,
    upkeep.doctor,
    upkeep.gc,
    upkeep.record,
    upkeep.adopt,
    upkeep.keep,
    upkeep.restore,
):
    app.command()(verb)
app.command("action-samples")(diagnostics.action_samples)


@app.callback()
def configure_logging(
    quiet: Annotated[bool, typer.Option(help="Print warnings only.")] = False,
) -> None:
    """Send the log to standard error, one line per message."""
    logging.basicConfig(
        level=logging.WARNING if quiet else logging.INFO,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )
    # Writing a pdf makes it list every glyph it embeds.
    logging.getLogger("fontTools").setLevel(logging.WARNING)


def _check_place(arguments: list[str]) -> None:
    """Raise in a folder without results below one with; some verbs read none."""
    verbs = [word for word in arguments if not word.startswith("-")]
    if verbs and verbs[0] not in ("config", "doctor") and "--help" not in arguments:
        from dql.upkeep.places import check_working_directory

        check_working_directory()


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; what a user can mend is one message and exit code 2."""
    replace_what_cannot_be_shown()
    try:
        _check_place(sys.argv[1:] if arguments is None else arguments)
        app(args=arguments)
    except UserError as error:
        message = str(error)
    except Exception as error:
        name = error.name if isinstance(error, ModuleNotFoundError) else None
        if not name or name.partition(".")[0] == "dql":
            traceback.print_exc()
            sys.exit(UNEXPECTED)
        message = f"this Python has no '{name}'; install all it needs: make setup"
    else:
        return
    typer.secho(f"dql: {message}", fg="red", err=True)
    sys.exit(2)
