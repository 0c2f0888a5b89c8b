"""The `dql` command: the one place that parses arguments.

Every verb loads its modules when it is called, so that `dql --help` stays quick. Exit
codes: 0 done, 1 failed, 2 the user can mend it (one message, no traceback), 128 + n
stopped by signal n with the checkpoint written (130 Ctrl-C, 138 SIGUSR1, 143 SIGTERM).
"""

from __future__ import annotations

import logging
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from dql import paths
from dql.cli import bandit, config, data, diagnostics, figures
from dql.cli.adoption import adopt, keep, record, restore
from dql.cli.doctor import doctor
from dql.cli.garbage import gc
from dql.cli.options import (
    Changes,
    Device,
    ForeignCheckpoint,
    Method,
    Scale,
    Task,
    load,
)
from dql.cli.output import replace_what_cannot_be_shown
from dql.errors import UserError

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
for verb in (doctor, gc, record, adopt, keep, restore, figures.figure):
    app.command()(verb)
app.command("action-samples")(diagnostics.action_samples)
app.command()(diagnostics.stability)


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


@app.command()
def train(
    task: Task,
    method: Method,
    seed: Annotated[
        list[int], typer.Option(help="A seed; repeat it to train a block together.")
    ],
    foreign_checkpoint: Annotated[
        ForeignCheckpoint,
        typer.Option(help="What to do with a damaged or another run's checkpoint."),
    ] = "refuse",
    threads: Annotated[
        int, typer.Option(min=1, help="Threads that share the evaluated episodes.")
    ] = 1,
    device: Device = "auto",
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Train a method on a task, all its seeds in one process.

    Files go to results/runs/TASK/METHOD/seedS. A finished run is left alone; one
    that was interrupted resumes from its checkpoint.

    Example: dql train bandit-axes diffusion_ql --seed 0 --seed 1 --scale smoke
    """
    project = load(scale, changes)
    runs = project.run_configs(task, method, seed)
    folders = [paths.run_directory(task, method, one) for one in seed]
    refuse_restored(folders)
    from dql.training.gpus import leased_gpu

    with leased_gpu() if device != "cpu" else nullcontext():
        from dql.training import loop as training

        training.train(
            runs,
            folders,
            foreign_checkpoint=foreign_checkpoint,
            device=device,
            num_threads=threads,
        )


def refuse_restored(folders: list[Path]) -> None:
    """Raise if a run was restored: without its checkpoint it would start afresh."""
    from dql.results.restored import is_restored

    for folder in filter(is_restored, folders):
        raise UserError(
            f"{folder} is a finished run that was restored from results/kept; remove "
            "the folder to train it anew"
        )


@app.command()
def plan(
    scale: Scale = None,
    device: Device = "auto",
    changes: Changes = None,
) -> None:
    """Print what a scale would train, and what that costs on this machine.

    Times gradient steps of every kind of run, seconds to minutes; trains nothing.

    Example: dql plan --scale paper
    """
    project = load(scale, changes)
    import torch

    from dql.training.plan import make_works, print_plan
    from dql.training.process import choose_device, keep_freed_memory

    torch.set_num_threads(1)
    keep_freed_memory()
    chosen = choose_device(device)
    print_plan(make_works(project, chosen), chosen)


@app.command()
def aggregate(
    task: Annotated[str | None, typer.Argument(help="A task of tasks.yaml.")] = None,
    method: Annotated[str | None, typer.Argument(help="A method.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All cells that the tables read.")
    ] = False,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Aggregate a cell: the scores of a method on a task over its seeds.

    Reads results/runs and writes results/cells/TASK/METHOD.json; runs that are
    missing are named in it. --all aggregates every cell in one process.

    Example: dql aggregate local-hopper-medium-expert td3_bc
    """
    if every == bool(task and method):
        raise UserError("dql aggregate: give TASK and METHOD, or --all")
    project = load(scale, changes)
    from dql.tables import aggregation

    if every:
        aggregation.aggregate_all(project)
    else:
        aggregation.aggregate(project, task, method)


@app.command()
def table(
    names: Annotated[
        list[str] | None, typer.Argument(help="Tables of config.yaml: local, d4rl.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Make tables as csv, md and tex from stored results and the published scores.

    Reads results/cells (compute: results/runs) and writes results/tables; snakemake
    tables makes the cells and their runs as well.

    Example: dql table d4rl
    """
    if every == bool(names):
        raise UserError("dql table: name a table, or --all")
    project = load(scale, changes)
    from dql.tables.registry import check_name, make_table

    chosen = project.tables if every else names
    for name in chosen:
        check_name(project, name)
    for name in chosen:
        make_table(project, name)


@app.command()
def claims() -> None:
    """Judge every claim of workflow/claims.yaml by the results that are there.

    Writes results/claims.json, claims.md and claims.html; computes nothing else.
    """
    from dql.claims.page import write_claims

    write_claims()


@app.command()
def provenance() -> None:
    """Write results/provenance/runs.{csv,html}: how every run was made."""
    from dql.tables.runs import write_run_table

    write_run_table()


@app.command()
def cell(
    task: Task,
    method: Method,
    seed: Annotated[int, typer.Option(help="The seed to run again.")] = 0,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Run one seed of a table's cell again, beside the stored results, and compare.

    Prints the stored, the re-run and the published value with verdicts and cost.
    Files go to results/rerun/TASK/METHOD/seedS.

    Example: dql cell local-hopper-medium-expert td3_bc --seed 0
    """
    run = load(scale, changes).run_config(task, method, seed)
    from dql.training.gpus import leased_gpu

    with leased_gpu():
        from dql.diagnostics import cell_rerun

        cell_rerun.rerun_cell(run)


@app.command()
def summary() -> None:
    """Print what was made, where it is, and the main numbers.

    Reads the results below the working directory and computes nothing.
    """
    from dql.upkeep.summary import print_summary

    print_summary()


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
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] == "dql":
            raise
        message = f"this Python has no '{error.name}'; install all it needs: make setup"
    else:
        return
    typer.secho(f"dql: {message}", fg="red", err=True)
    sys.exit(2)
