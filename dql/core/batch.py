"""Transitions on the device, and the batches gathered from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Transitions of R independent runs, B for each run.

    Shapes: observations and next_observations (R, B, O), actions (R, B, A) within
    [-1, 1], rewards and terminations (R, B).
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    next_observations: Tensor
    terminations: Tensor


class RowStore:
    """All datasets of a block as rows of one matrix, held once whatever R is.

    A row is what `row_arrays` says, side by side, so a batch of all runs is one gather.
    Run r reads only the rows of its own dataset.
    """

    def __init__(
        self,
        datasets: Sequence,
        run_datasets: Sequence[int],
        device: torch.device | str = "cpu",
    ) -> None:
        first = datasets[0]
        self.observation_dim = first.observations.shape[1]
        self.action_dim = first.actions.shape[1]
        self.dims = [self.observation_dim, self.action_dim, self.observation_dim, 1, 1]
        """Widths of a row's parts."""
        self.dims_ends = np.cumsum(self.dims)[:-1]
        sizes = [len(dataset.rewards) for dataset in datasets]
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self.run_sizes = tuple(int(sizes[d]) for d in run_datasets)
        run_starts = [int(starts[d]) for d in run_datasets]
        self.run_rows = [
            slice(start, start + size)
            for start, size in zip(run_starts, self.run_sizes, strict=True)
        ]
        self.offsets = torch.tensor(run_starts, device=device)[:, None]
        rows = [
            np.concatenate(self.row_arrays(dataset), axis=1, dtype=np.float32)
            for dataset in datasets
        ]
        self.rows = torch.from_numpy(np.concatenate(rows)).to(device)
        self.bootstraps = any((data.terminations == 0).any() for data in datasets)

    def row_arrays(self, dataset) -> list[np.ndarray]:
        """Return what a row holds, (n, columns) each; observations come first."""
        raise NotImplementedError

    def moments(self, columns: slice) -> tuple[Tensor, Tensor]:
        """Return each run's mean and standard deviation of some columns, (R, 1, .)."""
        means, stds = [], []
        for rows in self.run_rows:
            data = self.rows[rows, columns].double()
            means.append(data.mean(0))
            stds.append(data.std(0, correction=0))
        return torch.stack(means)[:, None].float(), torch.stack(stds)[:, None].float()

    def observation_moments(self) -> tuple[Tensor, Tensor]:
        """Return each run's observation mean and standard deviation, (R, 1, O)."""
        return self.moments(slice(self.observation_dim))


class TransitionStore(RowStore):
    """Rows of (observation, action, next observation, reward, termination)."""

    def row_arrays(self, dataset) -> list[np.ndarray]:
        """Return a transition's arrays, in the order in which `gather` splits them."""
        return [
            dataset.observations,
            dataset.actions,
            dataset.next_observations,
            dataset.rewards[:, None],
            dataset.terminations[:, None],
        ]

    def gather(self, indices: Tensor) -> Batch:
        """Return the batch at each run's own row numbers (R, B)."""
        num_runs, batch_size = indices.shape
        flat = (indices + self.offsets).reshape(-1)
        rows = self.rows.index_select(0, flat).view(num_runs, batch_size, -1)
        parts = rows.split(self.dims, -1)
        observations, actions, next_observations, rewards, ends = parts
        return Batch(
            observations, actions, rewards[..., 0], next_observations, ends[..., 0]
        )
