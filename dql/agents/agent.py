"""What training and evaluation ask of an agent, and the state they store.

An agent holds R independent runs. Tensors carry the run axis first; a loss is summed
over runs, whose parameters are disjoint, so no gradient crosses from one to another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dql.agents.sharing import first_conflict
from dql.core.batch import Batch, RowStore
from dql.core.noise import Draw, seeded_generator
from dql.core.optimization import Adam
from dql.core.windows import EpisodeFacts, Windows, WindowSpec, WindowStore
from dql.errors import UserError

Metrics = dict[str, Tensor]
Noise = dict[str, Tensor]
Memory = dict[str, Tensor]
"""What a policy remembers of each episode, (R, E, ...) by name."""


@dataclass(frozen=True)
class AgentSpec:
    """The dimensions and data facts an agent is built for."""

    observation_dim: int
    action_dim: int
    seeds: tuple[int, ...]
    dataset_sizes: tuple[int, ...]
    observation_mean: Tensor  # (R, 1, O)
    observation_std: Tensor  # (R, 1, O)
    bootstraps: bool = True  # False where every transition ends its episode
    device: torch.device = torch.device("cpu")
    episodes: EpisodeFacts | None = None  # of agents that read windows

    @classmethod
    def of(
        cls, store: RowStore, seeds: Sequence[int], device: torch.device
    ) -> AgentSpec:
        """Return what an agent is built for on a store's data."""
        mean, std = store.observation_moments()
        has_episodes = isinstance(store, WindowStore)
        return cls(
            observation_dim=store.observation_dim,
            action_dim=store.action_dim,
            seeds=tuple(seeds),
            dataset_sizes=store.run_sizes,
            observation_mean=mean.to(device),
            observation_std=std.to(device),
            bootstraps=store.bootstraps,
            device=device,
            episodes=store.episode_facts() if has_episodes else None,
        )

    @property
    def num_runs(self) -> int:
        """Return R."""
        return len(self.seeds)


class Agent:
    """Base of all agents: shared settings, networks and optimisers by name."""

    @classmethod
    def windows(cls, settings: Any) -> WindowSpec | None:
        """Return the windows of episodes that a batch holds; None: transitions."""
        return None

    def __init__(self, spec: AgentSpec, settings: Sequence) -> None:
        self.spec = spec
        self.settings = common_settings(settings)
        self.all_settings = tuple(settings)
        self.modules: dict[str, nn.Module] = {}
        self.optimizers: dict[str, Adam] = {}
        self.generators = [seeded_generator(seed, "weights") for seed in spec.seeds]

    def per_run(self, name: str) -> Tensor:
        """Return a numeric setting of every run, (R,)."""
        values = [getattr(settings, name) for settings in self.all_settings]
        return torch.tensor(values, dtype=torch.float32, device=self.spec.device)

    def add_module(self, name: str, module: nn.Module) -> nn.Module:
        """Register a network, whose parameters belong to the checkpoint."""
        self.modules[name] = module.to(self.spec.device)
        return module

    def phase(self, step: int) -> str:
        """Name the branch a step takes; steps of a phase run the same operations."""
        return "step"

    def schedule_learning_rates(self, step: int) -> None:
        """Set every optimiser's learning rate for a step, counted from 0."""
        if self.settings.learning_rate_decay_steps is None:
            return
        for optimizer in self.optimizers.values():
            optimizer.scale_learning_rate(self.decay_factor(step))

    def decay_factor(self, step: int) -> float:
        """Return what the settings' cosine leaves of a learning rate at a step."""
        decay_steps = self.settings.learning_rate_decay_steps
        if decay_steps is None:
            return 1.0
        interval = self.settings.learning_rate_decay_interval
        share = min(step // interval * interval / decay_steps, 1.0)
        return (1 + math.cos(math.pi * share)) / 2

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        """Return the random inputs of one update besides the batch's rows."""
        raise NotImplementedError

    def update(self, batch: Batch | Windows, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step of every run; metrics are detached, (R,) each.

        The batch is of windows if the class asks for them.
        """
        raise NotImplementedError

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        """Return the random inputs of one decision; the first axis is the episode."""
        raise NotImplementedError

    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Decide for observations (R, E, O); return actions (R, E, A) in [-1, 1]."""
        raise NotImplementedError

    def exploration_draws(self, num_episodes: int) -> dict[str, Draw]:
        """Return the random inputs of one decision while the agent gathers data.

        None: a deterministic policy, on whose actions others put noise.
        """
        return self.evaluation_draws(num_episodes)

    def explore(self, observations: Tensor, noise: Noise) -> Tensor:
        """Decide while gathering data: as in evaluation, unless an agent differs."""
        return self.sample_actions(observations, noise)

    def new_memory(self, num_episodes: int) -> Memory:
        """Return what the policy knows before an episode's first step, (R, E, ...)."""
        return {}

    def act(
        self, observations: Tensor, rewards: Tensor, memory: Memory, noise: Noise
    ) -> tuple[Tensor, Memory]:
        """Decide like `sample_actions`, with what was remembered; return it anew.

        `rewards` (R, E) are those of the steps before, 0 at first. A policy without a
        memory decides by the observations alone.
        """
        return self.sample_actions(observations, noise), memory

    def state(self) -> dict[str, Tensor]:
        """Return every tensor training depends on, each with the run axis first."""
        state = {}
        for name, module in self.modules.items():
            for key, parameter in module.named_parameters():
                state[f"{name}.{key}"] = parameter.detach()
        for name, optimizer in self.optimizers.items():
            for key, moment in optimizer.state().items():
                state[f"optimizer.{name}.{key}"] = moment
        return state

    @torch.no_grad()
    def load_state(self, state: dict[str, Tensor], num_updates: dict[str, int]) -> None:
        """Restore `state` after `num_updates` steps of each optimiser."""
        for name, module in self.modules.items():
            for key, parameter in module.named_parameters():
                parameter.copy_(state[f"{name}.{key}"])
        for name, optimizer in self.optimizers.items():
            prefix = f"optimizer.{name}."
            moments = {
                key.removeprefix(prefix): moment
                for key, moment in state.items()
                if key.startswith(prefix)
            }
            optimizer.load_state(moments, num_updates[name])

    def num_updates(self) -> dict[str, int]:
        """Return how often each optimiser has stepped."""
        return {name: int(adam.count) for name, adam in self.optimizers.items()}


def common_settings(settings: Sequence):
    """Return the settings of a block after checking that its runs may share it."""
    first = asdict(settings[0])
    for other in settings[1:]:
        if conflict := first_conflict(first, asdict(other)):
            raise UserError(f"{conflict}; train them as separate jobs")
    return settings[0]


def repeat_rows(values: Tensor, times: int) -> Tensor:
    """Repeat each row of (R, B, ...) `times` times in place, (R, B times, ...)."""
    return values.repeat_interleave(times, dim=1)


def choose_rows(values: Tensor, chosen: Tensor) -> Tensor:
    """Pick one of C candidates per row: (R, B, C, A) and (R, B) to (R, B, A)."""
    index = chosen[..., None, None].expand(-1, -1, 1, values.shape[-1])
    return values.gather(2, index).squeeze(2)


def choose_candidates(
    actions: Tensor, scores: Tensor, num_candidates: int, choice: Tensor | None = None
) -> Tensor:
    """Keep one of C candidates per decision: (R, E C, A) and (R, E C) to (R, E, A).

    With uniform numbers `choice` (R, E, C) it is drawn with probability proportional to
    exp(score), by the Gumbel maximum; without, it is the one of the largest score.
    """
    scores = scores.unflatten(1, (-1, num_candidates))
    if choice is not None:
        exponential = -torch.log(choice.clamp(min=1e-20))
        scores = scores - torch.log(exponential.clamp(min=1e-20))
    actions = actions.unflatten(1, (-1, num_candidates))
    return choose_rows(actions, scores.argmax(dim=2))
