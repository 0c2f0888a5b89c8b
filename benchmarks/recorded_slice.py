"""Every method on recorded transitions of D4RL's hopper: does each of them learn?

python benchmarks/recorded_slice.py FILE.npz [--steps N] [--method NAME ...] [--device
D] trains on a file of transitions with D4RL's keys (observations, actions, rewards,
next_observations, terminals, timeouts), rolls out in the physics they were recorded in,
and prints scores by D4RL's constants beside the data's own and those of random actions.
Networks, batches and seeds are those of the local suite at scale `ablations`, far below
a paper's: the numbers tell a method that learns from one that does not, and rank none.
They go to results/benchmarks/recorded_slice.json; with --method, the others' rows there
stay.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
import typer
from rich.console import Console
from rich.table import Table
from storage import store

from dql import paths
from dql.behavior import quality
from dql.config.project import Project, load_project
from dql.data.datasets import Dataset, digest
from dql.errors import UserError
from dql.results.fingerprint import training_fingerprint
from dql.training.loop import Block
from dql.training.process import StopSignals, choose_device, keep_freed_memory
from dql.training.runs import Run

OUTPUT = Path("results/benchmarks/recorded_slice.json")
SIZES_OF = "local-hopper-medium-expert"
NAME = "recorded-slice"
SCORES_OF = "hopper-medium-expert-v2"
"""D4RL's reference scores and horizon are the environment's, whatever the dataset."""
KEYS = {"terminations": "terminals"}


def read_slice(path: Path) -> tuple[Dataset, float]:
    """Return the transitions but those a timeout cut, and the episodes' mean return."""
    names = ("observations", "actions", "rewards", "next_observations", "terminations")
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[KEYS.get(name, name)] for name in names}
            timeouts = stored["timeouts"].astype(bool)
    except (OSError, KeyError, ValueError) as error:
        raise UserError(
            f"{path}: no file of transitions with D4RL's keys ({error})"
        ) from None
    ends = np.flatnonzero(timeouts | arrays["terminations"].astype(bool))
    totals = np.cumsum(arrays["rewards"], dtype=float)[ends]
    arrays = {
        name: np.ascontiguousarray(rows[~timeouts], dtype=np.float32)
        for name, rows in arrays.items()
    }
    return Dataset(**arrays), float(np.diff(totals, prepend=0.0).mean())


def methods_of(project: Project) -> list[str]:
    """Return the methods of the local suite at this scale, variants left out."""
    return [name for name in project.suite("local").methods if "@" not in name]


def evaluations_of(
    project: Project,
    dataset: Dataset,
    method: str,
    num_steps: int | None,
    root: Path,
    device: torch.device,
) -> pd.DataFrame:
    """Train a method's seeds side by side; return evaluations, a row per episode."""
    environment = project.task(SCORES_OF)
    runs = []
    for seed in project.suite("local").seeds:
        config = project.run_config(SIZES_OF, method, seed)
        training = config.training
        if num_steps:
            changes = {
                "num_gradient_steps": num_steps,
                "evaluation_interval": num_steps,
            }
            training = training.model_copy(update=changes)
        changes = {"task": NAME, "environment": environment, "training": training}
        config = config.model_copy(update=changes)
        identity = {
            "config": {},
            "dataset": digest(dataset),
            "code": training_fingerprint(config.agent, environment.environment),
        }
        runs.append(Run(config, root / method / f"seed{seed}", dataset, identity))
    with StopSignals() as signals:
        Block(runs, device).train(signals)
    tables = [
        pd.read_csv(run.directory / paths.EVALUATIONS_FILE).assign(seed=run.config.seed)
        for run in runs
        if not run.diverged
    ]
    return pd.concat(tables) if tables else pd.DataFrame()


def random_return(project: Project) -> float:
    """Return the mean return of uniformly random actions."""
    task = project.task(SCORES_OF)
    return quality.random_return(task.environment, task.physics, seed=0)


def summarize(project: Project, method: str, table: pd.DataFrame) -> dict[str, Any]:
    """Return a method's last scores, over seeds, and the length of its episodes."""
    if table.empty:
        return {"method": method, "diverged": True}
    last = table[table["gradient_step"] == table["gradient_step"].max()]
    returns = last.groupby("seed")["episode_return"].mean()
    return {
        "method": method,
        "scores": [score_of(project, value) for value in returns],
        "mean_return": float(returns.mean()),
        "mean_length": float(last["episode_length"].mean()),
    }


def sizes_of(
    project: Project, dataset: Dataset, steps: int | None, device: torch.device
) -> dict[str, Any]:
    """Return what was trained on what, the same for every method."""
    seeds = list(project.suite("local").seeds)
    config = project.run_config(SIZES_OF, "diffusion_ql", seeds[0])
    return {
        "dataset": digest(dataset),
        "num_transitions": len(dataset),
        "num_gradient_steps": steps or config.training.num_gradient_steps,
        "batch_size": config.training.batch_size,
        "hidden_dim": config.settings["hidden_dim"],
        "seeds": seeds,
        "device": device.type,
    }


def kept_rows(
    output: Path, sizes: dict[str, Any], without: set[str]
) -> list[dict[str, Any]]:
    """Return the rows of an earlier call of the same sizes, for other methods."""
    if not output.is_file():
        return []
    stored = json.loads(output.read_text(encoding="utf-8"))
    if stored.get("sizes") != sizes:
        return []
    return [row for row in stored["methods"] if row["method"] not in without]


def score_of(project: Project, mean_return: float) -> float:
    """Return a return on D4RL's scale: 0 its random policy, 100 its expert."""
    task = project.task(SCORES_OF)
    span = task.reference_max_score - task.reference_min_score
    return 100.0 * (mean_return - task.reference_min_score) / span


def main(
    file: Annotated[Path, typer.Argument(help="Transitions, npz with D4RL's keys.")],
    steps: Annotated[
        int | None, typer.Option(min=1, help="Gradient steps; default: the scale's.")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="A method; default: all of them.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "cpu",
    output: Annotated[Path, typer.Option(help="Where the numbers go.")] = OUTPUT,
) -> None:
    """Train every method on the file, print and write what each scores."""
    torch.set_num_threads(1)
    keep_freed_memory()
    console = Console()
    project = load_project(scale="ablations")
    dataset, data_return = read_slice(file)
    chosen = choose_device(device)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in method or methods_of(project):
            root = Path(folder)
            found = evaluations_of(project, dataset, name, steps, root, chosen)
            rows.append(summarize(project, name, found))
    sizes = sizes_of(project, dataset, steps, chosen)
    rows += kept_rows(output, sizes, without={row["method"] for row in rows})
    floor = random_return(project)
    rows.sort(key=lambda row: row.get("mean_return", -np.inf), reverse=True)
    table = Table("method", "score", "return", "episode length")
    table.add_row(
        "the data", f"{score_of(project, data_return):.1f}", f"{data_return:.0f}"
    )
    for row in rows:
        if row.get("diverged"):
            table.add_row(row["method"], "diverged")
            continue
        table.add_row(
            row["method"],
            " ".join(f"{score:.1f}" for score in row["scores"]),
            f"{row['mean_return']:.0f}",
            f"{row['mean_length']:.0f}",
        )
    table.add_row("random actions", f"{score_of(project, floor):.1f}", f"{floor:.0f}")
    console.print(table)
    content = {
        "methods": rows,
        "data_return": data_return,
        "random_return": floor,
        "sizes": sizes,
    }
    store(output, content)


if __name__ == "__main__":
    typer.run(main)
