"""The `dql` command: the one place that parses arguments.

Every verb loads its modules when it is called, so that `dql --help` stays quick. Exit
codes: 0 done, 1 failed, 2 the user can mend it (one message, no traceback).
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dql import paths
from dql.errors import UserError, nearest

if TYPE_CHECKING:
    from dql.config import Project

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Diffusion-QL and its baselines: data, runs, tables and figures. Every verb "
    "does one step of the workflow; [bold]snakemake[/bold] calls them in order.",
)
data = typer.Typer(no_args_is_help=True, help="Make, fetch and inspect datasets.")
bandit = typer.Typer(
    no_args_is_help=True, help="Summary, claims and figures of the 2-D bandit."
)
config = typer.Typer(no_args_is_help=True, help="Show the configuration.")
app.add_typer(data, name="data")
app.add_typer(bandit, name="bandit")
app.add_typer(config, name="config")

Task = Annotated[str, typer.Argument(help="A task of workflow/config/tasks.yaml.")]
Method = Annotated[
    str, typer.Argument(help="A method, with or without variant: diffusion_ql@eta=0.")
]
Scale = Annotated[
    str | None,
    typer.Option(help="smoke, quick or paper; default: as in config.yaml."),
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of config.yaml, e.g. suites.local.seeds=[[0]]; repeatable.",
    ),
]
ForeignCheckpoint = Literal["refuse", "discard"]


def load(scale: str | None, changes: list[str] | None) -> Project:
    """Load the configuration with the changes of the command line."""
    from dql.config import load_project
    from dql.validation import parse_changes

    return load_project(scale=scale, overrides=parse_changes(changes or []))


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


@app.command()
def train(
    task: Task,
    method: Method,
    seed: Annotated[
        list[int], typer.Option(help="A seed; repeat it to train a block together.")
    ],
    foreign_checkpoint: Annotated[
        ForeignCheckpoint,
        typer.Option(help="What to do with a checkpoint of other settings or code."),
    ] = "refuse",
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Train a method on a task, all its seeds in one process.

    Files go to results/runs/TASK/METHOD/seedS. A run that was interrupted resumes from
    its checkpoint.

    Example: dql train bandit-axes diffusion_ql --seed 0 --seed 1 --scale smoke
    """
    project = load(scale, changes)
    runs = [project.run_config(task, method, one) for one in seed]
    folders = [paths.run_directory(task, method, one) for one in seed]
    from dql import training

    training.train(runs, folders, foreign_checkpoint=foreign_checkpoint)


@data.command("behavior")
def data_behavior(
    environment: Annotated[str, typer.Argument(help="For example: hopper.")],
    processes: Annotated[int, typer.Option(min=1, help="How many to use.")] = 1,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Train the behavior policies that local datasets are rolled out with."""
    project = load(scale, changes)
    budget = project.suite("local").behavior
    if budget is None:
        raise UserError(f"Scale '{project.config.scale}' trains no behavior policies.")
    from dql import behavior

    folder = paths.behavior_directory(environment)
    behavior.train(
        environment, project.config.physics, budget, folder, num_processes=processes
    )


@data.command("generate")
def data_generate(task: Task, scale: Scale = None, changes: Changes = None) -> None:
    """Roll out behavior policies into the task's dataset, in Minari's layout."""
    chosen = load(scale, changes).task(task)
    from dql import local_data

    local_data.generate(chosen)


@data.command("fetch")
def data_fetch(task: Task, scale: Scale = None, changes: Changes = None) -> None:
    """Download the task's D4RL file, check its digest and convert it to Minari."""
    chosen = load(scale, changes).task(task)
    from dql import d4rl

    d4rl.fetch(chosen)


@data.command("describe")
def data_describe(task: Task) -> None:
    """Print the manifest of a dataset that is there."""
    from rich.console import Console

    path = paths.dataset_manifest(task)
    if not path.is_file():
        raise UserError(f"{path} is not there; make it with: snakemake {path}")
    Console().print_json(path.read_text(encoding="utf-8"))


@data.command("check-physics")
def data_check_physics(
    task: Task,
    file: Annotated[Path, typer.Argument(help="Recorded transitions, D4RL keys.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Compare the task's simulator, step by step, with recorded transitions."""
    chosen = load(scale, changes).task(task)
    from rich.console import Console

    from dql.physics import check_physics

    found = check_physics(chosen.environment, file, chosen.physics)
    if json:
        Console().print_json(data=found)
        return
    typer.echo(
        f"{file}: one-step error over {found['num_transitions']} transitions, "
        f"{found['physics']} physics on MuJoCo {found['mujoco']}: median "
        f"{found['median']:.1e}, 90th percentile {found['percentile_90']:.1e}, "
        f"largest {found['largest']:.1e}"
    )


@app.command()
def aggregate(
    task: Task, method: Method, scale: Scale = None, changes: Changes = None
) -> None:
    """Aggregate a cell: the scores of a method on a task over its seeds."""
    project = load(scale, changes)
    from dql import cells

    seeds = project.suite(project.task(task).suite).seeds
    runs = [project.run_config(task, method, seed) for seed in seeds]
    manifest = paths.dataset_manifest(task)
    cells.aggregate_cell(
        [run.model_dump(mode="json") for run in runs],
        [paths.run_directory(task, method, seed) for seed in seeds],
        paths.cell_file(task, method),
        manifest=manifest if manifest.is_file() else None,
    )


@app.command()
def table(
    name: Annotated[str, typer.Argument(help="A table of config.yaml: local, d4rl.")],
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Make a table as csv, md and tex from its cells and the published scores."""
    project = load(scale, changes)
    suites = project.table_suites(name)
    from dql import d4rl_table, local_table

    writers = {
        "local": local_table.write_local_table,
        "d4rl": d4rl_table.write_d4rl_table,
    }
    if name not in writers:
        raise UserError(f"No one writes the table '{name}'{nearest(name, writers)}")
    cells = [paths.cell_file(*cell) for cell in project.cells(suites)]
    outputs = [paths.table_file(name, extension) for extension in ("csv", "md", "tex")]
    writers[name](cells, outputs)


@app.command()
def cell(
    task: Task,
    method: Method,
    seed: Annotated[int, typer.Option(help="The seed to run again.")] = 0,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Run one seed of a table's cell again, beside the stored results, and compare.

    Prints the stored, the re-run and the published value with a verdict and the cost;
    files go to results/rerun/TASK/METHOD/seedS.

    Example: dql cell local-hopper-medium-expert td3_bc --seed 0
    """
    run = load(scale, changes).run_config(task, method, seed)
    from dql import cell_rerun

    cell_rerun.rerun_cell(run)


@app.command()
def summary() -> None:
    """Print what was made, where it is, and the main numbers."""
    from dql.summary import print_summary

    print_summary()


@bandit.command("summary")
def bandit_summary(scale: Scale = None, changes: Changes = None) -> None:
    """Write results/bandit/summary.csv: one row per layout, method and seed."""
    project = load(scale, changes)
    from dql import bandit_summary

    bandit_summary.write_summary(bandit_folders(project), paths.BANDIT_SUMMARY)


@bandit.command("figure")
def bandit_figure(
    name: Annotated[str, typer.Argument(help="For example: bandit_axes.")],
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Draw a figure as pdf and png from stored runs and the summary."""
    project = load(scale, changes)
    from dql import figures

    figures.figure_content(name)
    outputs = [paths.figure_file(name, extension) for extension in ("pdf", "png")]
    folders = bandit_folders(project)
    figures.draw_figure(name, folders, paths.BANDIT_SUMMARY, outputs)


@bandit.command("claims")
def bandit_claims(scale: Scale = None, changes: Changes = None) -> None:
    """Check the paper's claims about the bandit against the summary."""
    load(scale, changes)
    from dql import bandit_claims

    outputs = [paths.BANDIT_CLAIMS, paths.BANDIT_CLAIMS.with_suffix(".md")]
    bandit_claims.write_claims(paths.BANDIT_SUMMARY, outputs)


def bandit_folders(project: Project) -> list[Path]:
    """List the folders of the bandit runs of a scale."""
    return [
        paths.run_directory(run.task, run.method, run.seed)
        for run in project.runs()
        if project.task(run.task).suite == "bandit"
    ]


@config.command("runs")
def config_runs(scale: Scale = None, changes: Changes = None) -> None:
    """List every run of a scale: task, method and seed."""
    for run in load(scale, changes).runs():
        typer.echo(f"{run.task} {run.method} {run.seed}")


@config.command("run")
def config_run(
    task: Task,
    method: Method,
    seed: Annotated[int, typer.Option(help="The run's seed.")] = 0,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Print everything that decides one run, as its config.json will hold it."""
    run = load(scale, changes).run_config(task, method, seed)
    typer.echo(run.model_dump_json(indent=2))


@config.command("schema")
def config_schema() -> None:
    """Print the JSON schema of config.yaml, kept in config.schema.json."""
    import json

    from dql.schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; a user's mistake is one message and exit code 2."""
    try:
        app(args=arguments)
    except UserError as error:
        typer.secho(f"dql: {error}", fg="red", err=True)
        sys.exit(2)
