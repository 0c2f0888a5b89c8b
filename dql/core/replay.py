"""A replay buffer behind the recorded transitions, and how it is stored.

Rows lie in one matrix with the recorded ones, so that a batch of both, of all runs, is
still one gather. A buffer is as long as its run and forgets nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from dql.core.batch import TransitionStore
from dql.core.noise import Draw

ANY_ROW = 2**62
"""Bound of a row number drawn before the buffer's size is known: taken modulo it."""


class ReplayStore(TransitionStore):
    """Recorded transitions and, for each run, those it has played since.

    Every run plays E transitions a round; a round's rows stand together, so that the
    row E further on is what followed, unless an episode ended between.
    """

    def __init__(
        self,
        datasets: Sequence,
        run_datasets: Sequence[int],
        capacity: int,
        *,
        bootstraps: bool | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(datasets, run_datasets, device)
        num_runs, start = len(run_datasets), len(self.rows)
        empty = self.rows.new_zeros(num_runs * capacity, self.rows.shape[1])
        self.rows = torch.cat([self.rows, empty])
        self.buffer = self.rows[start:].view(num_runs, capacity, -1)
        first = start + capacity * torch.arange(num_runs, device=device)[:, None]
        self.buffer_starts = first - self.offsets  # `gather` adds the offsets
        self.num_played = 0
        if bootstraps is not None:
            self.bootstraps = bootstraps

    def observation_moments(self) -> tuple[Tensor, Tensor]:
        """Return those of the recorded data, (R, 1, O); without any, 0 and 1."""
        if min(self.run_sizes) > 0:
            return super().observation_moments()
        shape = (len(self.run_sizes), 1, self.observation_dim)
        return torch.zeros(shape), torch.ones(shape)

    def append(self, rows: np.ndarray) -> None:
        """Add a round of transitions, (R, E, O + A + O + 2), in the order of a row."""
        end = self.num_played + rows.shape[1]
        self.buffer[:, self.num_played : end] = torch.from_numpy(rows).to(self.rows)
        self.num_played = end

    def row_draws(
        self, batch_size: int, offline_share: float | Literal["pooled"]
    ) -> dict[str, Draw]:
        """Return the draws of a batch's rows, of which a share is recorded ones."""
        if offline_share == "pooled":
            return {"pooled_row": Draw((batch_size,), "integer", ANY_ROW)}
        num_recorded = round(offline_share * batch_size)
        draws = {
            "row": Draw((num_recorded,), "integer", self.run_sizes),
            "played_row": Draw((batch_size - num_recorded,), "integer", ANY_ROW),
        }
        return {name: draw for name, draw in draws.items() if draw.shape[0]}

    def choose(self, drawn: dict[str, Tensor]) -> Tensor:
        """Return the row numbers of a batch, (R, B), from the draws above."""
        if "pooled_row" in drawn:
            sizes = torch.tensor(self.run_sizes, device=self.rows.device)[:, None]
            rows = drawn["pooled_row"] % (sizes + self.num_played)
            played = rows - sizes + self.buffer_starts
            return torch.where(rows < sizes, rows, played)
        rows = [drawn["row"]] if "row" in drawn else []
        if "played_row" in drawn:
            played = drawn["played_row"] % self.num_played
            rows.append(played + self.buffer_starts)
        return torch.cat(rows, dim=1)

    def state(self, run: int, num_environments: int) -> dict[str, Tensor]:
        """Return a run's buffer without what stands in it twice.

        A next observation is kept where the row E further on does not begin with it.
        """
        played = self.buffer[run, : self.num_played].cpu()
        observations, actions, following, rewards, ends = played.split(self.dims, -1)
        # Bit for bit: -0.0 equals 0.0, and NaN nothing.
        pair = (following[:-num_environments], observations[num_environments:])
        same = torch.eq(*(values.view(torch.int32) for values in pair)).all(dim=1)
        is_kept = torch.ones(len(played), dtype=torch.bool)
        is_kept[: len(same)] = ~same
        return {
            "observations": observations.contiguous(),
            "actions": actions.contiguous(),
            "rewards": rewards[:, 0].contiguous(),
            "terminations": ends[:, 0].bool(),
            "is_next_kept": is_kept,
            "next_observations": following[is_kept],
        }

    def load_state(
        self, states: Sequence[dict[str, Tensor]], num_environments: int
    ) -> None:
        """Restore the buffers of all runs from what `state` returned for each."""
        self.num_played = len(states[0]["rewards"])
        for buffer, state in zip(self.buffer, states, strict=True):
            observations, is_kept = state["observations"], state["is_next_kept"]
            following = torch.empty_like(observations)
            following[:-num_environments] = observations[num_environments:]
            following[is_kept] = state["next_observations"]
            columns = [
                observations,
                state["actions"],
                following,
                state["rewards"][:, None],
                state["terminations"][:, None].to(observations),
            ]
            buffer[: self.num_played] = torch.cat(columns, dim=1).to(buffer)
