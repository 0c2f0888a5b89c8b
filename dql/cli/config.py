"""`dql config`: show the configuration."""

from __future__ import annotations

from typing import Annotated

import typer

from dql.cli.options import Changes, Method, Scale, Task, load
from dql.cli.output import print_json

app = typer.Typer(no_args_is_help=True, help="Show the configuration.")


@app.command("runs")
def runs(scale: Scale = None, changes: Changes = None) -> None:
    """List every run of a scale: task, method and seed.

    Example: dql config runs --scale paper
    """
    for run in load(scale, changes).runs():
        typer.echo(f"{run.task} {run.method} {run.seed}")


@app.command("run")
def run(
    task: Task,
    method: Method,
    seed: Annotated[int, typer.Option(help="The run's seed.")] = 0,
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Print everything that decides one run, as its config.json will hold it.

    Example: dql config run bandit-axes diffusion_ql@eta=0 --seed 1
    """
    run = load(scale, changes).run_config(task, method, seed)
    typer.echo(run.model_dump_json(indent=2))


@app.command("schema")
def schema() -> None:
    """Print the JSON schema of config.yaml, kept in config.schema.json.

    Example: dql config schema
    """
    from dql.config.schema import json_schema

    print_json(json_schema())
