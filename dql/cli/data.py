"""`dql data`: make, fetch, check and inspect datasets."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dql import paths
from dql.cli import data_inspection, remade
from dql.cli.options import Changes, Device, Scale, Task, load
from dql.errors import UserError

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

logger = logging.getLogger(__name__)

app = typer.Typer(no_args_is_help=True, help="Make, fetch, check and inspect datasets.")
NUM_FAULTS_SHOWN = 3

app.command("policies")(remade.policies)
app.command("roll-out")(remade.roll_out)
app.command("compare")(remade.compare)
app.command("list")(data_inspection.list_tasks)
app.command("verify")(data_inspection.verify)
app.command("describe")(data_inspection.describe)
app.command("check-physics")(data_inspection.check_physics)


@app.command("behavior")
def behavior(
    environment: Annotated[str, typer.Argument(help="For example: hopper.")],
    device: Device = "cpu",
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Train the behavior policies that local datasets are rolled out with.

    SAC learns from scratch, and snapshots of it are the policies. Files go to
    results/behavior/ENVIRONMENT; the scale decides the budget. A training that was
    stopped goes on. Policies that were trained with this budget before come with the
    source and are taken from there, unless --set behavior_policies=trained.

    Example: dql data behavior hopper --scale smoke
    """
    project = load(scale, changes)
    budget = project.suite("local").behavior
    if budget is None:
        raise UserError(f"Scale '{project.config.scale}' trains no behavior policies.")
    from dql.behavior.kept import copy_policies, kept_folder

    folder = paths.behavior_directory(environment)
    kept = kept_folder(environment, project.config, budget)
    if kept is not None:
        copy_policies(kept, folder)
        return
    from dql.training.gpus import leased_gpu

    with leased_gpu() if device != "cpu" else nullcontext():
        from dql.training import behavior

        behavior.train(environment, project.config.physics, budget, folder, device)


@app.command("generate")
def generate(task: Task, scale: Scale = None, changes: Changes = None) -> None:
    """Roll out behavior policies into the task's dataset, in Minari's layout.

    Local tasks need the policies of dql data behavior; point mazes have a controller
    instead. Remade tasks need those of dql data policies. A variant, TASK@KEY=VALUE,
    needs the task's data, and of it a manifest alone is written. Files go to
    results/datasets.

    Example: dql data generate local-hopper-medium-expert --scale smoke
    """
    chosen = load(scale, changes).task(task)
    from dql.data.again import maker

    manifest = maker(chosen)(chosen)
    if chosen.dataset.variant:
        logger.info(
            "%s: %d transitions in %d episodes, mean return %.0f; its manifest is "
            "stored, its rows are made as they are loaded",
            task,
            manifest["num_transitions"],
            manifest["num_episodes"],
            manifest["episode_return"]["mean"],
        )


@app.command("again")
def again(task: Task, scale: Scale = None, changes: Changes = None) -> None:
    """Make the data behind a restored manifest again, to train further runs on them.

    Data of another recipe are refused. The same recipe may give other rows on another
    kind of processor, which the manifest then says.

    Example: dql data again remade-hopper-medium --scale evidence
    """
    chosen = _with_rows(load(scale, changes).task(task), "again")
    from dql.data.again import fetcher, make_again, maker

    is_fetched = chosen.dataset.source in ("d4rl", "minari")
    make_again(chosen, (fetcher if is_fetched else maker)(chosen))


@app.command("fetch")
def fetch(
    task: Annotated[
        str | None, typer.Argument(help="A task of workflow/config/tasks.yaml.")
    ] = None,
    suites: Annotated[
        list[str] | None,
        typer.Option("--suite", help="All D4RL tasks of this suite; repeatable."),
    ] = None,
    all_suites: Annotated[
        bool, typer.Option("--all", help="All D4RL tasks there are.")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option("--from", help="Take the D4RL files from this folder."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would come from where, and GB."),
    ] = False,
    at_once: Annotated[int, typer.Option(min=1, help="Files fetched at once.")] = 4,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Bring D4RL's files here, check them and convert them to Minari.

    A file is used from results/downloads or from D4RL's own folders ($D4RL_DATASET_DIR,
    then ~/.d4rl/datasets) if it is there, otherwise downloaded, from a mirror if its
    host fails; a download that was cut is resumed. Tasks of source minari come from
    Minari's own remote instead. Files go to results/datasets.

    Example: dql data fetch --suite gym
    """
    project = load(scale, changes)
    if sum((task is not None, bool(suites), all_suites)) != 1:
        raise UserError(
            "dql data fetch takes one of: a task, --suite SUITE (repeatable), --all"
        )
    if task is not None and folder is None and not dry_run:
        chosen = _with_rows(project.task(task), "fetch")
        from dql.data.again import fetcher

        fetcher(chosen)(chosen)
        return
    from dql.data.fetching import published_tasks

    if task is None:
        _fetch_many(published_tasks(project, suites), folder, at_once, dry_run)
    elif dry_run:
        _fetch_many([_with_rows(project.task(task), "fetch")], folder, at_once, dry_run)
    else:
        from dql.data.d4rl import fetch

        fetch(_with_rows(project.task(task), "fetch"), folder=folder)


def _with_rows(task: TaskConfig, verb: str) -> TaskConfig:
    """Return a task that has data on disk; a variant of one is refused."""
    from dql.results.manifests import refuse_source

    if task.dataset.variant:
        raise refuse_source(task, verb)
    return task


def _fetch_many(
    tasks: list[TaskConfig], folder: Path | None, at_once: int, dry_run: bool
) -> None:
    """Fetch, or foresee, and print the table; raise with every fault there was."""
    from rich.console import Console

    from dql.cli.data_table import print_fetched
    from dql.data import fetching

    if dry_run:
        lines = fetching.foresee_all(tasks, folder)
    else:
        lines = fetching.fetch_all(tasks, folder, at_once)
    print_fetched(lines, fetching.free_bytes(), Console())
    if faults := [line.fault for line in lines if line.fault]:
        more = len(faults) - NUM_FAULTS_SHOWN
        listed = "\n".join(faults[:NUM_FAULTS_SHOWN])
        rest = f"\nand {more} more; dql data fetch TASK says why" if more > 0 else ""
        raise UserError(f"{len(faults)} of {len(lines)} failed:\n{listed}{rest}")
    fetching.check_disk(line.missing_bytes for line in lines)
