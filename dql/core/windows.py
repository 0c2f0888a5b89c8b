"""Windows of episodes on the device, for agents that learn from more than a step.

An episode is a stretch of rows of which each begins where the one before has led to. It
ends with a termination, or where the next row begins elsewhere: D4RL's Q-learning rows
leave out the row that a time limit cut, so that nothing leads from an episode to the
next. Its reward is missing from the returns, one of about a thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from dql.core.batch import RowStore, TransitionStore
from dql.core.quantiles import quantile_table
from dql.errors import UserError


@dataclass(frozen=True)
class WindowSpec:
    """What an agent reads of episodes."""

    length: int  # rows of a window, L
    discount: float = 1.0  # of the returns-to-go
    termination_reward: float = 0.0  # added to the reward of a row that terminates
    padded: Literal["every", "terminated"] = "every"
    """Episodes behind whose end a window may reach; of the others whole windows."""
    num_quantiles: int = 0  # of each observation dimension, for agents that ask


@dataclass(frozen=True)
class Windows:
    """Rows of one episode each, of R independent runs, B windows for each run.

    A window begins at its row. Behind the episode's end everything is 0.
    """

    observations: Tensor  # (R, B, L, O)
    actions: Tensor  # (R, B, L, A), within [-1, 1]
    returns_to_go: Tensor  # (R, B, L), of the environment's rewards
    timesteps: Tensor  # (R, B, L), counted from the episode's first row
    mask: Tensor  # (R, B, L): 1 within the episode, 0 behind its end


@dataclass(frozen=True)
class EpisodeFacts:
    """What a store of windows knows of each run's data."""

    action_mean: Tensor  # (R, 1, A)
    action_std: Tensor  # (R, 1, A)
    best_return: Tensor  # (R,), the largest return-to-go from an episode's first row
    observation_quantiles: Tensor | None  # (R, O, Q), where the agent asks for them


def episode_lengths(dataset) -> np.ndarray:
    """Return the number of rows of each episode, in the data's order."""
    ends = np.asarray(dataset.terminations).astype(bool)
    leads_on = dataset.next_observations[:-1] == dataset.observations[1:]
    ends[:-1] |= ~leads_on.all(axis=1)
    ends[-1] = True
    return np.diff(np.flatnonzero(ends), prepend=-1)


def check_episodes(dataset, length: int) -> None:
    """Raise unless the data have episodes, one of them as long as a window."""
    lengths = episode_lengths(dataset)
    if len(lengths) == 1 and not dataset.terminations[-1]:
        raise UserError(
            f"its {len(dataset.rewards)} rows hold no end of an episode: none "
            "terminates, and each leads to the next; take a method that learns from "
            "transitions, or data with their terminations"
        )
    if length > lengths.max():
        raise UserError(
            f"a window of {length} steps is longer than any episode of the data, "
            f"whose longest has {lengths.max()}; set a shorter one in methods.yaml"
        )


def returns_to_go(
    rewards: np.ndarray, lengths: np.ndarray, discount: float
) -> np.ndarray:
    """Return sum_k discount^k r_(t+k) to the end of each row's episode, float64."""
    values = rewards.astype(np.float64)
    starts = np.cumsum(lengths) - lengths
    for time in range(lengths.max() - 2, -1, -1):
        rows = starts[lengths > time + 1] + time
        values[rows] += discount * values[rows + 1]
    return values


class WindowStore(RowStore):
    """Rows of (observation, action, return-to-go), and where they stand in an episode.

    The next observation is the next row's. So it is smaller than a `TransitionStore`.
    """

    def __init__(
        self,
        datasets: Sequence,
        run_datasets: Sequence[int],
        spec: WindowSpec,
        device: torch.device | str = "cpu",
    ) -> None:
        for dataset in datasets:
            check_episodes(dataset, spec.length)
        self.spec = spec
        super().__init__(datasets, run_datasets, device)
        lengths = np.concatenate([episode_lengths(dataset) for dataset in datasets])
        firsts = np.repeat(np.cumsum(lengths) - lengths, lengths)
        timesteps = (np.arange(len(firsts)) - firsts).astype(np.int32)
        num_left = (np.repeat(lengths, lengths) - timesteps).astype(np.int32)
        self.timesteps = torch.from_numpy(timesteps).to(device)
        self.num_left = torch.from_numpy(num_left).to(device)  # with the row itself
        self.steps = torch.arange(spec.length, device=device)
        self.starts: Tensor | None = None
        if spec.padded == "terminated":
            ends = np.concatenate([data.terminations for data in datasets])
            is_terminated = ends[np.arange(len(firsts)) + num_left - 1] > 0
            self._begin_at(np.flatnonzero(is_terminated | (num_left >= spec.length)))

    def _begin_at(self, rows: np.ndarray) -> None:
        """Let windows begin at these rows only, which a run's numbers now count."""
        bounds = [(part.start, part.stop) for part in self.run_rows]
        first, last = np.searchsorted(rows, bounds).T
        self.run_sizes = tuple((last - first).tolist())
        device = self.offsets.device
        self.offsets = torch.from_numpy(first)[:, None].to(device)
        self.starts = torch.from_numpy(rows.astype(np.int32)).to(device)

    def row_arrays(self, dataset) -> list[np.ndarray]:
        """Return a row's arrays, in the order in which `gather` splits them."""
        ends = self.spec.termination_reward * np.asarray(dataset.terminations)
        rewards, lengths = dataset.rewards + ends, episode_lengths(dataset)
        returns = returns_to_go(rewards, lengths, self.spec.discount)
        return [dataset.observations, dataset.actions, returns[:, None]]

    def gather(self, indices: Tensor) -> Windows:
        """Return the windows of each run's own numbers (R, B) below its `run_sizes`."""
        first = (indices + self.offsets)[..., None]
        if self.starts is not None:
            first = self.starts[first].long()
        num_left = self.num_left[first]
        mask = self.steps < num_left
        index = first + self.steps.minimum(num_left - 1)
        rows = self.rows[index] * mask[..., None]
        dims = [self.observation_dim, self.action_dim, 1]
        observations, actions, returns = rows.split(dims, dim=-1)
        timesteps = self.timesteps[first].long() + self.steps
        return Windows(
            observations, actions, returns[..., 0], timesteps * mask, mask.float()
        )

    def episode_facts(self) -> EpisodeFacts:
        """Return what agents may ask of each run's data besides observations."""
        actions = slice(self.observation_dim, self.observation_dim + self.action_dim)
        best = []
        for rows in self.run_rows:
            is_first = self.timesteps[rows] == 0
            best.append(self.rows[rows, -1].where(is_first, -torch.inf).amax())
        quantiles = self._quantiles() if self.spec.num_quantiles else None
        return EpisodeFacts(*self.moments(actions), torch.stack(best), quantiles)

    def _quantiles(self) -> Tensor:
        tables = [
            quantile_table(
                self.rows[rows, : self.observation_dim], self.spec.num_quantiles
            )
            for rows in self.run_rows
        ]
        return torch.stack(tables)


def make_row_store(
    datasets: Sequence,
    run_datasets: Sequence[int],
    windows: WindowSpec | None,
    device: torch.device | str = "cpu",
) -> RowStore:
    """Return the store of what an agent reads: windows or, None, transitions."""
    if windows is None:
        return TransitionStore(datasets, run_datasets, device)
    return WindowStore(datasets, run_datasets, windows, device)
