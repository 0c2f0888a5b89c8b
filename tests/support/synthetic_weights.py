"""Weights of the published shapes, drawn here: small enough for a test's folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dql.behavior.snapshots import layer_shapes as snapshot_shapes
from dql.data import policy_weights
from dql.data.policy_weights import PublishedWeights, arrays_digest
from dql.diffusion.edm import layer_shapes as model_shapes


def draw(shapes: dict[str, tuple[int, ...]], seed: int = 0, scale: float = 0.05):
    """Draw arrays of the given shapes, float32, by name."""
    generator = np.random.default_rng(seed)
    return {
        name: (scale * generator.standard_normal(shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


def action_model(seed: int = 0, dims: tuple[int, int] = (11, 3)):
    """Draw the arrays of a model of hopper's actions."""
    return draw(model_shapes(sum(dims), dims[1]), seed)


def state_model(seed: int = 0, observation_dim: int = 11):
    """Draw the arrays of a model of hopper's observations."""
    return draw(model_shapes(observation_dim, observation_dim), seed)


def snapshot(seed: int = 0, dims: tuple[int, int] = (11, 3)):
    """Draw the arrays of a SAC policy for hopper."""
    return draw(snapshot_shapes(*dims), seed)


def dapg(seed: int = 0, dims: tuple[int, int] = (29, 8), width: int = 32):
    """Draw the arrays of a DAPG policy, for AntMaze where nothing else is said."""
    return draw(snapshot_shapes(*dims, width), seed)


def entry(
    name: str, kind: str, arrays, suffix: str = ".npz", environment: str = "hopper"
) -> PublishedWeights:
    """Describe arrays as if they were published."""
    return PublishedWeights(
        name=name,
        kind=kind,
        environment=environment,
        url=f"http://127.0.0.1:9/models/{name}{suffix}",
        sha256=None,
        num_bytes=None,
        arrays_sha256=arrays_digest(arrays),
        licence="none",
        source="drawn by the test",
    )


def publish(
    monkeypatch,
    folder: Path,
    named: dict[str, tuple[str, dict]],
    environment: str = "hopper",
) -> None:
    """Put arrays, by name and with their kind, into a folder and the list.

    The working directory must be the test's own: weights are stored below it.
    """
    listed = {
        name: entry(name, kind, arrays, environment=environment)
        for name, (kind, arrays) in named.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, (_, arrays) in named.items():
        np.savez(folder / f"{name}.npz", **arrays)
    monkeypatch.setattr(policy_weights, "catalogue", lambda: listed)
    monkeypatch.setenv(policy_weights.FOLDER_VARIABLE, str(folder))
