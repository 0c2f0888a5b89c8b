"""`dql train`, `dql online` and `dql plan`: runs, and what they cost beforehand."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dql import paths
from dql.cli.options import (
    Changes,
    Device,
    ForeignCheckpoint,
    Method,
    Scale,
    Task,
    load,
)
from dql.errors import UserError

if TYPE_CHECKING:
    from dql.config.project import Project

Seeds = Annotated[
    list[int], typer.Option(help="A seed; repeat it to train a block together.")
]
Threads = Annotated[
    int, typer.Option(min=1, help="Threads that share the evaluated episodes.")
]
Foreign = Annotated[
    ForeignCheckpoint,
    typer.Option(help="What to do with a damaged or another run's checkpoint."),
]


def train(
    task: Task,
    method: Method,
    seed: Seeds,
    foreign_checkpoint: Foreign = "refuse",
    also: Annotated[
        list[str] | None,
        typer.Option(help="Another task of equal dimensions, trained beside it."),
    ] = None,
    threads: Threads = 1,
    device: Device = "auto",
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Train a method on a task, all its seeds in one process.

    Files go to results/runs/TASK/METHOD/seedS. A finished run is left alone; one
    that was interrupted resumes from its checkpoint.

    Example: dql train bandit-axes diffusion_ql --seed 0 --seed 1 --scale smoke
    """
    cells = [(one, method) for one in dict.fromkeys([task, *(also or [])])]
    _train(load(scale, changes), cells, seed, foreign_checkpoint, threads, device)


def online(
    task: Task,
    method: Method,
    seed: Seeds,
    steps: Annotated[int, typer.Option(min=1, help="Environment steps.")] = 50_000,
    foreign_checkpoint: Foreign = "refuse",
    threads: Threads = 1,
    device: Device = "auto",
    scale: Scale = None,
    changes: Changes = None,
) -> None:
    """Let a method's finished run go on with fresh interaction.

    The same as dql train TASK METHOD@online=STEPS, whose files it writes. Half of a
    batch is recorded data; further keys of the variant say otherwise: offline_share,
    updates_per_step, start_steps (METHOD@start_steps=50 for few steps). Method sac
    starts from scratch, without data.

    Example: dql online local-hopper-medium-expert td3_bc --seed 0 --steps 50000
    """
    from dql.config.online import online_method

    cells = [(task, online_method(method, steps))]
    _train(load(scale, changes), cells, seed, foreign_checkpoint, threads, device)


def _train(
    project: Project,
    cells: list[tuple[str, str]],
    seed: list[int],
    foreign_checkpoint: ForeignCheckpoint,
    threads: int,
    device: str,
) -> None:
    """Train seeds of each cell together, with a GPU of their own if they take one."""
    runs = [run for cell in cells for run in project.run_configs(*cell, seed)]
    folders = [paths.run_directory(run.task, run.method, run.seed) for run in runs]
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


def plan(
    scale: Scale = None,
    device: Device = "auto",
    changes: Changes = None,
) -> None:
    """Print what a scale would train, and what that costs on this machine.

    Times gradient steps and evaluations of every kind of run: seconds for scale smoke,
    more than ten minutes for paper, of more than a hundred kinds. Trains nothing.

    Example: dql plan --scale paper
    """
    project = load(scale, changes)
    import torch

    from dql.training.plan import make_works
    from dql.training.plan_table import print_plan
    from dql.training.process import choose_device, keep_freed_memory

    torch.set_num_threads(1)
    keep_freed_memory()
    chosen = choose_device(device)
    print_plan(make_works(project, chosen, evaluates=True), chosen)
