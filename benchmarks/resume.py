"""What it costs to survive: checkpoints, and a stop with its resume, against limits.

python benchmarks/resume.py times a checkpoint against the gradient steps between two of
them, and a training that is stopped by SIGTERM and started again against one that is
not. It trains in temporary folders, prints, and writes results/benchmarks/resume.json.
"""

from __future__ import annotations

import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from storage import store

from dql.config.project import Project, load_project
from dql.training.checkpoint import checkpoint_file, promote, save_checkpoint
from dql.training.loop import Block
from dql.training.process import StopSignals
from dql.training.runs import prepare_runs

SHARE_LIMIT = 0.01
"""Of the training time between two checkpoints."""

SECONDS_LIMIT = 10.0
OUTPUT = Path("results/benchmarks/resume.json")
TASK = "bandit-axes"
METHODS = ("bc_mle", "diffusion_ql@N=5", "diffusion_ql")
"""From the cheapest step, on which a checkpoint weighs most, to the dearest."""

SEEDS = (0, 1, 2)
NUM_REPEATS = 7


def short(num_steps: int) -> Project:
    """Return scale quick with the bandit's training cut to some steps."""
    training = {
        "num_gradient_steps": num_steps,
        "log_interval": num_steps // 4,
        "evaluation_interval": num_steps,
        "checkpoint_interval": num_steps // 4,
        "num_evaluation_episodes": 100,
    }
    changes = {"suites": {"bandit": {"training": training}}}
    return load_project(scale="quick", overrides=changes)


def checkpoint_cost(method: str, num_steps: int, interval: int) -> dict[str, Any]:
    """Time a block's steps and its checkpoints; their ratio is per `interval` steps."""
    configs = [short(num_steps).run_config(TASK, method, seed) for seed in SEEDS]
    with tempfile.TemporaryDirectory(prefix="dql-resume-") as folder:
        directories = [Path(folder) / f"seed{seed}" for seed in SEEDS]
        runs = prepare_runs(configs, directories, "refuse")
        block = Block(runs, torch.device("cpu"))
        with StopSignals() as signals:
            block.train(signals)
        step_seconds = runs[0].records.training_seconds / num_steps
        seconds = []
        for _ in range(NUM_REPEATS):
            began = time.perf_counter()
            for position, run in enumerate(runs):
                save_checkpoint(
                    run.directory, block.agent, position, num_steps, run.records,
                    run.identity,
                )  # fmt: skip
            for run in runs:
                promote(run.directory)
            seconds.append(time.perf_counter() - began)
        num_bytes = sum(checkpoint_file(d).stat().st_size for d in directories)
    checkpoint_seconds = statistics.median(seconds)
    return {
        "method": method,
        "runs": len(SEEDS),
        "checkpoint_bytes": num_bytes,
        "checkpoint_seconds": checkpoint_seconds,
        "step_seconds": step_seconds,
        "checkpoint_interval": interval,
        "share": checkpoint_seconds / (interval * step_seconds),
    }


def train_command(method: str, num_steps: int) -> list[str]:
    """Return the command that trains the seeds at the sizes of `short`."""
    training = {
        name: getattr(short(num_steps).suite("bandit").training, name)
        for name in (
            "num_gradient_steps", "log_interval", "evaluation_interval",
            "checkpoint_interval", "num_evaluation_episodes",
        )
    }  # fmt: skip
    options = [f"suites.bandit.training.{key}={n}" for key, n in training.items()]
    return [
        sys.executable, "-m", "dql", "--quiet", "train", TASK, method,
        *(word for seed in SEEDS for word in ("--seed", str(seed))),
        "--scale", "quick",
        *(word for option in options for word in ("--set", option)),
    ]  # fmt: skip


def resume_cost(method: str, num_steps: int) -> dict[str, Any]:
    """Time a training without and with a stop half-way, processes started anew."""
    command = train_command(method, num_steps)
    with tempfile.TemporaryDirectory(prefix="dql-resume-") as folder:
        whole, halves = Path(folder) / "whole", Path(folder) / "halves"
        seconds = []
        for place in (whole, halves):
            place.mkdir()
        began = time.perf_counter()
        subprocess.run(command, cwd=whole, check=True, stderr=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
        with subprocess.Popen(
            command, cwd=halves, stderr=subprocess.DEVNULL
        ) as training:
            while not list(halves.rglob(checkpoint_file(Path()).name)):
                time.sleep(0.05)
                if training.poll() is not None:
                    raise RuntimeError("the training ended before its first checkpoint")
            training.send_signal(signal.SIGTERM)
        assert training.returncode == 128 + signal.SIGTERM, training.returncode
        subprocess.run(command, cwd=halves, check=True, stderr=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - began)
    return {
        "method": method,
        "seconds_without_stop": seconds[0],
        "seconds_with_stop": seconds[1],
        "overhead_seconds": seconds[1] - seconds[0],
    }


def main(
    steps: Annotated[int, typer.Option(help="Gradient steps to time.", min=8)] = 400,
    output: Annotated[Path, typer.Option(help="Where to write the numbers.")] = OUTPUT,
) -> None:
    """Time checkpoints and a resume, print the ratios to their limits."""
    torch.set_num_threads(1)
    interval = load_project(scale="quick").suite("bandit").training.checkpoint_interval
    checkpoints = [checkpoint_cost(method, steps, interval) for method in METHODS]
    for row in checkpoints:
        typer.echo(
            f"{row['method']:>18}  checkpoint {row['checkpoint_seconds']:.3f} s, "
            f"{row['share']:.2%} of {interval} steps "
            f"({row['share'] / SHARE_LIMIT:.2f} of the limit)"
        )
    resume = resume_cost(METHODS[1], steps)
    typer.echo(
        f"{resume['method']:>18}  a stop and its resume: "
        f"{resume['overhead_seconds']:.1f} s "
        f"({resume['overhead_seconds'] / SECONDS_LIMIT:.2f} of the limit)"
    )
    store(
        output,
        {
            "limits": {"share": SHARE_LIMIT, "overhead_seconds": SECONDS_LIMIT},
            "checkpoints": checkpoints,
            "resume": resume,
        },
    )
    typer.echo(f"written to {output}")


if __name__ == "__main__":
    typer.run(main)
