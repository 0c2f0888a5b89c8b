"""Which actions and states are no part of the data, and where actions lead.

e(a | s) = |D(a + sigma eps | s, sigma) - a|, one step of denoising, and e(s) the same
of a model of states; what lies above a quantile of the data's own errors is outside
(DOSER; Wang et al., 2026).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dql.core.batch import Batch
from dql.core.losses import mean_squared_error
from dql.core.networks import MLP, Generators
from dql.core.noise import Draw
from dql.diffusion.denoiser import Denoiser, noise_levels


class DataModels(nn.Module):
    """Denoisers of actions and of states, the errors they make, and the dynamics f.

    An error is averaged over one or several levels of noise a row.
    """

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        generators: Generators,
        *,
        hidden_dim: int,
        num_hidden_layers: int,
        num_action_levels: int,
        num_state_levels: int,
    ) -> None:
        super().__init__()
        self.num_action_levels = num_action_levels
        self.num_state_levels = num_state_levels
        sizes = generators, hidden_dim
        self.actions = Denoiser(action_dim, observation_dim, *sizes)
        self.states = Denoiser(observation_dim, 0, *sizes)
        hidden = [hidden_dim] * num_hidden_layers
        dims = [observation_dim + action_dim, *hidden, observation_dim + 1]
        self.dynamics = MLP(dims, generators, activation="relu")
        shape = len(generators), 1
        self.num_batches = nn.Parameter(torch.zeros(shape), False)
        self.action_threshold = nn.Parameter(torch.zeros(shape), False)
        self.state_threshold = nn.Parameter(torch.zeros(shape), False)

    def draws(
        self, batch_size: int, observation_dim: int, action_dim: int
    ) -> dict[str, Draw]:
        """Return the random inputs of the losses, and of the errors of a batch."""
        rows = batch_size * self.num_action_levels
        state_rows = batch_size * self.num_state_levels
        return {
            "action_level": Draw((rows, 1), "uniform"),
            "action_noise": Draw((rows, action_dim)),
            "state_level": Draw((state_rows, 1), "uniform"),
            "state_noise": Draw((state_rows, observation_dim)),
        }

    def losses(self, batch: Batch, noise: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the loss of each network, (R,); of the denoisers at one level a row.

        The dynamics predict the reward, too, as released.
        """
        states, actions = batch.observations, batch.actions
        rows = slice(states.shape[1])
        noise = {name: noise[name][:, rows] for name in self.draws(0, 0, 0)}
        levels = [noise_levels(noise[f"{x}_level"]) for x in ("action", "state")]
        outcome = torch.cat([batch.next_observations, batch.rewards[..., None]], dim=2)
        predicted = self.dynamics(torch.cat([states, actions], dim=2))
        return {
            "actions": self.actions.loss(
                actions, levels[0], noise["action_noise"], states
            ),
            "states": self.states.loss(states, levels[1], noise["state_noise"], None),
            "dynamics": mean_squared_error(predicted, outcome),
        }

    def next_states(self, states: Tensor, actions: Tensor) -> Tensor:
        """Return f(s, a), (R, B, O)."""
        return self.dynamics(torch.cat([states, actions], dim=2))[..., :-1]

    def action_error(
        self, states: Tensor, actions: Tensor, noise: dict[str, Tensor]
    ) -> Tensor:
        """Return e(a | s) of (R, B, O) and (R, B, A), (R, B)."""
        count = self.num_action_levels
        actions, states = (x.repeat_interleave(count, 1) for x in (actions, states))
        levels = noise_levels(noise["action_level"])
        errors = self.actions.error(actions, levels, noise["action_noise"], states)
        return errors.unflatten(1, (-1, count)).mean(dim=2)

    def state_error(self, states: Tensor, noise: dict[str, Tensor]) -> Tensor:
        """Return e(s) of (R, B, O), (R, B)."""
        count = self.num_state_levels
        levels = noise_levels(noise["state_level"])
        repeated = states.repeat_interleave(count, 1)
        errors = self.states.error(repeated, levels, noise["state_noise"], None)
        return errors.unflatten(1, (-1, count)).mean(dim=2)

    @torch.no_grad()
    def survey(
        self,
        states: Tensor,
        actions: Tensor,
        noise: dict[str, Tensor],
        quantile: float,
    ) -> None:
        """Take the quantiles of a batch of the data into the thresholds, their means.

        A quantile of all rows would need all errors at once.
        """
        self.num_batches += 1
        for threshold, errors in (
            (self.action_threshold, self.action_error(states, actions, noise)),
            (self.state_threshold, self.state_error(states, noise)),
        ):
            found = errors.quantile(quantile, dim=1, keepdim=True)
            threshold += (found - threshold) / self.num_batches

    def are_outside(
        self,
        states: Tensor,
        actions: Tensor,
        following: Tensor,
        noise: dict[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Tell which actions, and which of the states that follow, are outside."""
        errors = self.action_error(states, actions, noise)
        state_errors = self.state_error(following, noise)
        return errors > self.action_threshold, state_errors > self.state_threshold

    def sample_actions(
        self, states: Tensor, start: Tensor, level: Tensor, noise: Tensor
    ) -> Tensor:
        """Return n samples of the behaviour for each state, (R, B n, A).

        From `start` (R, B n, A), by denoising at levels of uniform numbers (R, T), the
        largest first, with `noise` (R, T, B n, A) between them, as released.
        """
        actions, count = start, start.shape[1] // states.shape[1]
        given = states.repeat_interleave(count, 1)
        levels = noise_levels(level).sort(dim=1, descending=True).values
        for step in range(levels.shape[1]):
            here = levels[:, step, None, None].expand(-1, actions.shape[1], 1)
            actions = self.actions.denoise(actions, here, given)
            if step + 1 < levels.shape[1]:
                following = levels[:, step + 1, None, None]
                spread = (here.square() - following.square()).sqrt()
                actions = actions + spread * noise[:, step]
        return actions
