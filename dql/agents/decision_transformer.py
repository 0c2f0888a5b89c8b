"""Decision Transformer (Chen et al., 2021, Section 3 and Algorithm 1).

A causal transformer reads the last K steps as tokens R_1, s_1, a_1, R_2, s_2, a_2 and
so on, R_t being the return still to come, and predicts a_t from the token of s_t; its
loss is the squared error. At evaluation R_1 is a wished return, and each reward is
taken off.

In training a window is padded behind its episode's end; its authors pad in front. No
token attends to one after it, so the losses are the same. At evaluation a window ends
with the present step, and what would lie before the episode is masked, as theirs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dql.agents.agent import Agent, AgentSpec, Memory, Metrics, Noise
from dql.agents.sequence_settings import DecisionTransformerSettings
from dql.core.dropout import key_draw
from dql.core.networks import Generators, StackedLayerNorm, StackedLinear
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step
from dql.core.transformer import Transformer, by_rows
from dql.core.windows import Windows, WindowSpec


class ReturnConditionedTransformer(nn.Module):
    """pi(a_t | R_1, s_1, a_1, ..., R_t, s_t) of R stacked runs."""

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        generators: Generators,
        settings: DecisionTransformerSettings,
    ) -> None:
        super().__init__()
        dim, num_runs = settings.embedding_dim, len(generators)
        self.return_layer = StackedLinear(1, dim, generators)
        self.observation_layer = StackedLinear(observation_dim, dim, generators)
        self.action_layer = StackedLinear(action_dim, dim, generators)
        times = [torch.randn(settings.num_timesteps, dim, generator=g)
                 for g in generators]  # fmt: skip
        self.times = nn.Parameter(torch.stack(times))
        first = torch.arange(num_runs) * settings.num_timesteps
        self.register_buffer("first", first[:, None, None], persistent=False)
        self.token_norm = StackedLayerNorm(num_runs, dim)
        self.transformer = Transformer(
            dim,
            generators,
            num_layers=settings.num_layers,
            num_heads=settings.num_heads,
            dropout_rate=settings.dropout,
        )
        self.output_layer = StackedLinear(dim, action_dim, generators)

    def forward(self, windows: Windows, keys: Tensor | None = None) -> Tensor:
        """Predict the actions of windows, (R, B, K, A) within [-1, 1].

        Returns are scaled, observations normalised. Without `keys` nothing is dropped.
        """
        steps = windows.timesteps.clamp(max=self.times.shape[1] - 1) + self.first
        times = nn.functional.embedding(steps, self.times.flatten(0, 1))
        tokens = torch.stack(
            [
                by_rows(self.return_layer, windows.returns_to_go[..., None]) + times,
                by_rows(self.observation_layer, windows.observations) + times,
                by_rows(self.action_layer, windows.actions) + times,
            ],
            dim=3,
        ).flatten(2, 3)
        tokens = by_rows(self.token_norm, tokens)
        mask = windows.mask.repeat_interleave(3, dim=2)
        hidden = self.transformer(tokens, mask, keys)
        return by_rows(self.output_layer, hidden[:, :, 1::3]).tanh()


class DecisionTransformer(Agent):
    """Imitates what led to each return; asked for a high one, it acts for that."""

    def __init__(
        self, spec: AgentSpec, settings: Sequence[DecisionTransformerSettings]
    ) -> None:
        super().__init__(spec, settings)
        actor = ReturnConditionedTransformer(
            spec.observation_dim, spec.action_dim, self.generators, self.settings
        )
        self.actor = self.add_module("actor", actor)
        self.optimizers["actor"] = Adam(
            actor.parameters(), self.settings.learning_rate, self.settings.weight_decay
        )
        self.max_gradient_norm = None
        if self.settings.max_gradient_norm is not None:
            self.max_gradient_norm = self.per_run("max_gradient_norm")
        target = spec.episodes.best_return.to(spec.device)
        if self.settings.target_return is not None:
            target = self.per_run("target_return")
        self.target = target / self.settings.return_scale

    @classmethod
    def windows(cls, settings: DecisionTransformerSettings) -> WindowSpec:
        return WindowSpec(settings.context_length)

    def schedule_learning_rates(self, step: int) -> None:
        """Let the rate rise over the first steps, then be or fall."""
        rise = min((step + 1) / max(self.settings.warmup_steps, 1), 1.0)
        rate = rise * self.decay_factor(step)
        self.optimizers["actor"].scale_learning_rate(rate)

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        return {"dropout": key_draw(batch_size, self.actor.transformer.num_sites)}

    def normalize(self, observations: Tensor) -> Tensor:
        """Return (R, B, K, O) with mean 0 and deviation 1."""
        mean, std = self.spec.observation_mean, self.spec.observation_std
        return (observations - mean[:, None]) / (std[:, None] + 1e-6)

    def bc_loss(self, batch: Windows, keys: Tensor) -> Tensor:
        """Return the mean squared error of actions within episodes, (R,)."""
        windows = Windows(
            self.normalize(batch.observations),
            batch.actions,
            batch.returns_to_go / self.settings.return_scale,
            batch.timesteps,
            batch.mask,
        )
        errors = (self.actor(windows, keys) - batch.actions).square().mean(dim=-1)
        total = (errors * batch.mask).sum(dim=(1, 2))
        return total / batch.mask.sum(dim=(1, 2))

    def update(self, batch: Windows, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on the squared error."""
        loss = self.bc_loss(batch, noise["dropout"])
        gradient_step(
            self.optimizers["actor"],
            loss.sum(),
            self.spec.num_runs,
            self.max_gradient_norm,
        )
        return {"actor/bc_loss": loss.detach()}

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        return {}

    def new_memory(self, num_episodes: int) -> Memory:
        """Return windows without a step; the last return is the one asked for."""
        shape = self.spec.num_runs, num_episodes, self.settings.context_length
        returns = self.target[:, None, None].expand(shape).clone()
        return {
            "observations": returns.new_zeros(*shape, self.spec.observation_dim),
            "actions": returns.new_zeros(*shape, self.spec.action_dim),
            "returns": returns,
            "time": torch.zeros(shape[:2], dtype=torch.int64, device=self.spec.device),
        }

    @torch.no_grad()
    def act(
        self, observations: Tensor, rewards: Tensor, memory: Memory, noise: Noise
    ) -> tuple[Tensor, Memory]:
        """Decide by the last K steps, this one the last of them."""
        left = memory["returns"][..., -1] - rewards / self.settings.return_scale
        ages = torch.arange(self.settings.context_length, device=self.spec.device)
        times = memory["time"][..., None] - ages.flip(0)
        seen = shifted(memory["observations"], observations)
        # The action of this step is no part of what it is predicted from.
        acted = shifted(memory["actions"], torch.zeros_like(memory["actions"][:, :, 0]))
        returns = shifted(memory["returns"], left)
        is_there = (times >= 0).float()
        windows = Windows(
            self.normalize(seen), acted, returns, times.clamp(min=0), is_there
        )
        actions = self.actor(windows)[:, :, -1]
        acted = torch.cat([acted[:, :, :-1], actions[:, :, None]], dim=2)
        memory = {"observations": seen, "actions": acted, "returns": returns,
                  "time": memory["time"] + 1}  # fmt: skip
        return actions, memory

    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Decide as at the first step of an episode."""
        memory = self.new_memory(observations.shape[1])
        rewards = torch.zeros_like(observations[..., 0])
        return self.act(observations, rewards, memory, noise)[0]


def shifted(values: Tensor, newest: Tensor) -> Tensor:
    """Drop the oldest of K along the third axis and append (R, E, ...)."""
    return torch.cat([values[:, :, 1:], newest[:, :, None]], dim=2)
