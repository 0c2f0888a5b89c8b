"""Small synthetic run directories for the tests of everything that reads results."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from dql import paths
from dql.config.schema import RunConfig
from dql.results.cells import aggregate_cell
from dql.results.statistics import summarize

DIGEST = "sha256:0123"
FORMATS = ("csv", "html", "md", "tex")


def make_config(
    task: str = "local-hopper-medium-expert",
    method: str = "diffusion_ql",
    seed: int = 0,
    *,
    suite: str = "local",
    settings: dict | None = None,
    training: dict | None = None,
    environment: dict | None = None,
) -> dict:
    """Return a complete configuration as config.json holds it."""
    values = {
        "task": task,
        "method": method,
        "label": method,
        "seed": seed,
        "suite": suite,
        "scale": "test",
        "agent": method.split("@")[0],
        "settings": settings or {"num_denoising_steps": 5},
        "training": {
            "num_gradient_steps": 300,
            "batch_size": 256,
            "log_interval": 50,
            "evaluation_interval": 100,
            "checkpoint_interval": 300,
            "num_evaluation_episodes": 2,
            **(training or {}),
        },
        "environment": {
            "name": task,
            "suite": suite,
            "environment": "hopper",
            "horizon": 1000,
            "physics": "d4rl",
            "reference_min_score": 0.0,
            "reference_max_score": 1000.0,
            "dataset": {"source": suite if suite in ("bandit", "local") else "d4rl"},
            "num_gradient_steps": 2_000_000,
            "num_evaluation_episodes": 10,
            **(environment or {}),
        },
    }
    return RunConfig.model_validate(values).model_dump(mode="json")


def write_run(
    directory: Path,
    config: dict,
    returns: list[float] = (100.0, 300.0, 200.0),
    *,
    losses: list[float] | None = (0.3, 0.2, 0.1),
    provenance: dict | None = None,
) -> Path:
    """Write a run whose evaluations have the given mean returns, +-10 per episode."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config))
    interval = config["training"]["evaluation_interval"]
    rows = [
        (interval * (index + 1), episode, value + offset + 1e-6 * config["seed"], 1000)
        for index, value in enumerate(returns)
        for episode, offset in enumerate((-10.0, 10.0))
    ]
    columns = ["gradient_step", "episode", "episode_return", "episode_length"]
    pd.DataFrame(rows, columns=columns).to_csv(
        directory / "evaluations.csv", index=False
    )
    if losses is not None:
        steps = [interval * (index + 1) for index in range(len(losses))]
        pd.DataFrame({"gradient_step": steps, "actor/bc_loss": losses}).to_csv(
            directory / "metrics.csv", index=False
        )
    record = {
        "dataset": {"task": config["task"], "digest": DIGEST},
        "physics": config["environment"].get("physics"),
        "wall_seconds": 2.0,
        "device": "cpu",
        "steps_per_second": 150.0,
        **(provenance or {}),
    }
    (directory / "provenance.json").write_text(json.dumps(record))
    return directory


def write_manifest(path: Path, task: str = "local-hopper-medium-expert") -> Path:
    """Write a dataset manifest whose behaviour has a mean return of 500."""
    path.parent.mkdir(parents=True, exist_ok=True)
    manifest = {
        "task": task,
        "source": "local",
        "digest": DIGEST,
        "num_transitions": 20000,
        "num_episodes": 40,
        "episode_return": {"mean": 500.0, "std": 10.0, "min": 450.0, "max": 550.0},
    }
    path.write_text(json.dumps(manifest))
    return path


def write_bandit_run(
    root: Path,
    layout: str,
    method: str,
    seed: int,
    actions: np.ndarray,
    rewards: np.ndarray,
    num_denoising_steps: int | None = None,
    q_coefficient: float = 2.5,
) -> Path:
    """Write a bandit run with the given last samples."""
    settings = {"hidden_dim": 128, "q_coefficient": q_coefficient}
    if num_denoising_steps:
        settings["num_denoising_steps"] = num_denoising_steps
    config = make_config(
        f"bandit-{layout}",
        method,
        seed,
        suite="bandit",
        settings=settings,
        training={
            "num_evaluation_episodes": len(actions),
            "num_gradient_steps": 1000,
            "evaluation_interval": 1000,
        },
        environment={
            "environment": "bandit",
            "layout": layout,
            "dataset": {"source": "bandit", "num_transitions": 200},
            "reference_min_score": None,
            "reference_max_score": None,
        },
    )
    directory = root / f"bandit-{layout}" / method / f"seed{seed}"
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(config))
    table = {"action_0": actions[:, 0], "action_1": actions[:, 1], "reward": rewards}
    pd.DataFrame(table).to_csv(directory / "samples.csv", index=False)
    return directory


def write_d4rl_cell(
    root: Path,
    task: str,
    method: str,
    scores: list[float],
    *,
    scale: str = "paper",
    source: str = "d4rl",
    physics: str = "d4rl",
    num_gradient_steps: int = 2_000_000,
    num_evaluation_episodes: int = 10,
) -> Path:
    """Write a cell of the paper's protocol with the given score of every seed."""
    seeds = list(range(len(scores)))
    chosen = {
        **summarize(np.array(scores)),
        "per_seed": {
            str(seed): score for seed, score in zip(seeds, scores, strict=True)
        },
        "gradient_steps": {str(seed): num_gradient_steps for seed in seeds},
    }
    cell = {
        "task": task,
        "method": method,
        "scale": scale,
        "seeds": seeds,
        "expected_seeds": seeds,
        "diverged": [],
        "scores": dict.fromkeys(("last", "offline", "online"), chosen),
        "dataset": {"source": source},
        "physics": physics,
        "sizes": {
            "num_gradient_steps": num_gradient_steps,
            "num_evaluation_episodes": num_evaluation_episodes,
        },
        "cost": {"devices": ["cpu"], "steps_per_second": 100.0},
    }
    path = root / paths.cell_file(task, method)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(cell))
    return path


def outputs(folder: Path, name: str) -> list[Path]:
    """Return the files of a table in every format."""
    return [folder / f"{name}.{extension}" for extension in FORMATS]


def make_cell(folder, method, means, *, task="local-hopper-medium-expert", **options):
    """Aggregate a cell of one seed per mean; a mean of None is a missing run."""
    configs = [make_config(task, method, seed, **options) for seed in range(len(means))]
    directories = [folder / task / method / str(seed) for seed in range(len(means))]
    for config, directory, mean in zip(configs, directories, means, strict=True):
        if mean is not None:
            write_run(directory, config, (0.0, mean, mean), losses=(0.3, 0.2, 0.1))
    path = folder / f"{task}-{method}.json"
    manifest = write_manifest(folder / f"{task}.json", task)
    aggregate_cell(configs, directories, path, manifest=manifest)
    return path
