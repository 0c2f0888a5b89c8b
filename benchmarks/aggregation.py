"""Time and memory of aggregating a study of the paper's size, as ratios to its limits.

python benchmarks/aggregation.py [--quick] makes up the files of 20 tasks x 12 methods
x 6 seeds x 40 evaluations x 100 episodes: random numbers in a temporary folder, deleted
at the end, never results. There it runs `dql aggregate --all` and `dql table --all`,
prints what they take, and writes results/benchmarks/aggregation.json.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from storage import store

from dql import paths
from dql.config.project import Project, load_project
from dql.config.validation import parse_changes
from dql.files import write_json

SECONDS_LIMIT = 20.0
BYTES_LIMIT = 1e9
OUTPUT = Path("results/benchmarks/aggregation.json")
SUITES = ("gym", "antmaze", "adroit", "kitchen")
METHODS = (
    "bc_mle", "bc_mdn", "bc_cvae", "bc_diffusion", "td3_bc", "ql_mdn", "bcq",
    "bcq_diffusion", "cvae_ql", "diffusion_ql", "iql", "onestep",
)  # fmt: skip
NUM_SEEDS = 6
EVALUATION_INTERVAL = 50_000
LOG_INTERVAL = 1000
METRICS = ("critic/loss", "critic/q_mean", "actor/bc_loss", "actor/q_loss")


def study(num_evaluations: int, num_episodes: int) -> list[str]:
    """Return the options of `dql` that make the configuration the study's."""
    training = {
        "num_gradient_steps": num_evaluations * EVALUATION_INTERVAL,
        "num_evaluation_episodes": num_episodes,
    }
    suite = {
        "methods": list(METHODS),
        "seeds": list(range(NUM_SEEDS)),
        "training": training,
    }
    changes = {f"suites.{name}": suite for name in SUITES}
    paper = load_project(scale="paper")
    for name in SUITES:  # each of its tasks runs METHODS alone, no ablations
        sweeps = paper.suite(name).task_methods
        changes |= {f"suites.{name}.task_methods.{task}": [] for task in sweeps}
    changes |= {f"suites.{name}.seeds": [] for name in ("bandit", "local")}
    options = [f"{key}={json.dumps(value)}" for key, value in changes.items()]
    return ["--scale", "paper", *(part for one in options for part in ("--set", one))]


def make_up(root: Path, project: Project) -> int:
    """Write the files of every run of the project; return how many bytes.

    Tasks share the text of their numbers, since only its size matters; the runs of a
    cell differ, so that none is taken for a copy.
    """
    texts: dict[tuple[str, int], dict[str, bytes]] = {}
    for task in dict.fromkeys(key.task for key in project.runs()):
        manifest = {"task": task, "source": "synthetic", "digest": f"synthetic-{task}"}
        write_json(root / paths.dataset_manifest(task), manifest)
    num_bytes = 0
    for key in project.runs():
        config = project.run_config(*key).model_dump(mode="json")
        random = (key.method, key.seed)
        if random not in texts:
            texts[random] = random_tables(config["training"], len(texts))
        folder = root / paths.run_directory(*key)
        folder.mkdir(parents=True)
        files = {paths.CONFIG_FILE: json.dumps(config, indent=2).encode()}
        files |= texts[random]
        record = provenance(key.task, key.seed)
        record["files"] = {
            name: hashlib.sha256(text).hexdigest() for name, text in files.items()
        }
        files[paths.PROVENANCE_FILE] = json.dumps(record).encode()
        for name, text in files.items():
            (folder / name).write_bytes(text)
        num_bytes += sum(path.stat().st_size for path in folder.iterdir())
    return num_bytes


def random_tables(training: dict[str, Any], seed: int) -> dict[str, bytes]:
    """Return made-up evaluations and metrics, as long as the training says."""
    generator = np.random.default_rng(seed)
    total = training["num_gradient_steps"]
    steps = np.arange(EVALUATION_INTERVAL, total + 1, EVALUATION_INTERVAL)
    episodes = np.arange(training["num_evaluation_episodes"])
    size = len(steps) * len(episodes)
    evaluations = pd.DataFrame(
        {
            "gradient_step": np.repeat(steps, len(episodes)),
            "episode": np.tile(episodes, len(steps)),
            "episode_return": generator.normal(3000.0, 500.0, size),
            "episode_length": generator.integers(1, 1001, size),
        }
    )
    logged = np.arange(LOG_INTERVAL, total + 1, LOG_INTERVAL)
    metrics = {name: generator.random(len(logged)) for name in METRICS}
    # The loss falls, so that the offline rule finds what it keeps.
    metrics["actor/bc_loss"] += np.linspace(40.0, 0.0, len(logged))
    metrics = pd.DataFrame({"gradient_step": logged, **metrics})
    return {
        paths.EVALUATIONS_FILE: evaluations.to_csv(index=False).encode(),
        paths.METRICS_FILE: metrics.to_csv(index=False).encode(),
    }


def provenance(task: str, seed: int) -> dict[str, Any]:
    """Return a made-up record that says so."""
    return {
        "code_fingerprint": "synthetic",
        "dataset": {"task": task, "digest": f"synthetic-{task}"},
        "machine": {"processor": "synthetic"},
        "device": "synthetic",
        "physics": "d4rl",
        "wall_seconds": 3600.0 + seed // 3,
        "gpu_seconds": 3600.0 + seed // 3,
        "steps_per_second": 500.0,
        "peak_memory_bytes": 1_000_000_000,
        "diverged": None,
    }


def measure(
    verb: Sequence[str], options: Sequence[str], root: Path
) -> dict[str, float]:
    """Run one verb of `dql` in the folder; return its seconds and peak memory."""
    command = [
        sys.executable,
        "-c",
        "from dql.cli.main import main; main()",
        *verb,
        *options,
    ]
    source = os.pathsep.join([str(paths.SOURCE), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": source}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(command, cwd=root, env=environment, check=True)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "wall_seconds": wall,
        "processor_seconds": processor,
        "peak_bytes_so_far": after.ru_maxrss * unit,
    }


def main(
    quick: Annotated[bool, typer.Option(help="A hundredth of the episodes.")] = False,
    output: Annotated[Path, typer.Option(help="Where to write the numbers.")] = OUTPUT,
) -> None:
    """Make the files up, aggregate them, print the ratios, delete the files."""
    options = study(*((4, 10) if quick else (40, 100)))
    project = load_project(scale="paper", overrides=parse_changes(options[3::2]))
    with tempfile.TemporaryDirectory(prefix="dql-synthetic-") as folder:
        root = Path(folder)
        num_bytes = make_up(root, project)
        steps = {
            "aggregate --all": measure(["aggregate", "--all"], options, root),
            "table --all": measure(["table", "--all"], options, root),
        }
        num_cells = len(list((root / paths.CELLS).glob("*/*.json")))
        tables = sorted(path.stem for path in (root / paths.TABLES).glob("*.md"))
    wall = sum(step["wall_seconds"] for step in steps.values())
    processor = sum(step["processor_seconds"] for step in steps.values())
    peak = max(step["peak_bytes_so_far"] for step in steps.values())
    summary = {
        "wall seconds": wall,
        "wall / limit": wall / SECONDS_LIMIT,
        "processor seconds": processor,
        "processor / limit": processor / SECONDS_LIMIT,
        "peak bytes": peak,
        "peak / limit": peak / BYTES_LIMIT,
    }
    sizes = {"runs": len(project.runs()), "cells": num_cells, "bytes": num_bytes}
    for name, value in (sizes | summary).items():
        typer.echo(f"{name:>20}  {value:,.2f}")
    typer.echo(f"{'tables':>20}  {', '.join(tables)}")
    store(
        output,
        {
            "sizes": sizes | {"tables": tables},
            "steps": steps,
            "summary": summary,
        },
    )


if __name__ == "__main__":
    typer.run(main)
