"""Fresh interaction beside training: episodes of all runs, into a replay buffer.

E environments of a run step together, each by the policy as it is, and an episode that
ends begins anew at once. A round of steps goes before the updates that it is due for.

An interaction goes on bit for bit: its noise has addresses, an episode's seed follows
from its number, and a simulation is brought to where it was by playing the actions in
the buffer again, which is milliseconds and needs no copy of a simulator's insides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dql.agents.agent import Agent, Memory, Noise
from dql.config.online import OnlineConfig
from dql.core.batch import TransitionStore
from dql.core.noise import Draw, NoiseStreams, seeded_generator
from dql.core.replay import ReplayStore
from dql.data.rewards import reward_transform
from dql.environments.batch import BatchEnvironment, make_environments
from dql.errors import UserError
from dql.training.decisions import RecordedDecisions
from dql.training.evaluation import episode_seeds
from dql.training.gradient_steps import training_streams
from dql.training.runs import Run


def episode_seed(seed: int, environment: int, number: int) -> int:
    """Return the seed of an environment's episode, counted from 0; of no evaluation."""
    generator = seeded_generator(seed, "interaction", environment, number)
    return generator.initial_seed() % 2**63


class Interaction:
    """The noise of a block's gradient steps, and all that is played before each."""

    def __init__(
        self, runs: Sequence[Run], agent: Agent, store: ReplayStore, first_step: int
    ) -> None:
        config, self.online = runs[0].config, runs[0].config.online
        self.runs, self.agent, self.store = runs, agent, store
        self.first_step = first_step
        count = self.online.num_environments
        self.environments = [
            make_environments(run.config.environment, count) for run in runs
        ]
        for environment, run in zip(self.environments, runs, strict=True):
            check_dimensions(environment, store, run.config.task)
        # As the recorded rewards are learned from.
        self.transforms = [
            reward_transform(run.config.environment.reward_transform, run.dataset)
            for run in runs
        ]
        batch_size = config.training.batch_size
        rows = store.row_draws(batch_size, self.online.offline_share)
        self.streams = training_streams(agent, store, batch_size, rows)
        self.policy = ExploringPolicy(agent, self.online)
        self.episodes = np.zeros((len(runs), count), dtype=np.int64)
        self.elapsed = np.zeros((len(runs), count), dtype=np.int64)
        self.observations = np.stack([self._begin(run) for run in range(len(runs))])

    def at(self, step: int) -> Noise:
        """Play what is due before a step, from 0; return the step's noise (R, ...)."""
        online = self.online
        due = online.start_steps + step // online.updates_per_step + 1
        while self.store.num_played < due:
            self._play_round()
        noise = self.streams.at(self.first_step + step)
        return noise | {"row": self.store.choose(noise)}

    def state(self, run: int) -> dict[str, Tensor]:
        """Return what a run's interaction goes on with: its buffer, its episodes."""
        return {
            **self.store.state(run, self.online.num_environments),
            "episodes": torch.from_numpy(self.episodes[run].copy()),
            "elapsed": torch.from_numpy(self.elapsed[run].copy()),
        }

    def load_state(self, states: Sequence[dict[str, Tensor]]) -> None:
        """Go on from what `state` returned for every run."""
        self.store.load_state(states, self.online.num_environments)
        for run, state in enumerate(states):
            self.episodes[run] = state["episodes"].numpy()
            self.elapsed[run] = state["elapsed"].numpy()
            self.observations[run] = self._begin(run)
            self._catch_up(run)

    def _begin(self, run: int) -> np.ndarray:
        """Start the episodes that a run stands in; return observations (E, O)."""
        seed, environment = self.agent.spec.seeds[run], self.environments[run]
        # A maze takes its goal from the first reset of all: that of the evaluations.
        environment.reset(episode_seeds(seed, environment.num_environments))
        return environment.reset(self._seeds(run, range(environment.num_environments)))

    def _seeds(self, run: int, chosen: Sequence[int]) -> list[int]:
        seed = self.agent.spec.seeds[run]
        return [episode_seed(seed, one, self.episodes[run, one]) for one in chosen]

    def _play_round(self) -> None:
        """Let every environment of every run take one step."""
        actions = self.policy.act(self.observations, self.store.num_played)
        rows = [self._step(run, actions[run]) for run in range(len(self.runs))]
        self.store.append(np.stack(rows))

    def _step(self, run: int, actions: np.ndarray) -> np.ndarray:
        """Step a run's environments; return their transitions, rows of the store."""
        before, environment = self.observations[run].copy(), self.environments[run]
        everyone = np.ones(len(actions), dtype=bool)
        following, rewards, terminated, truncated = environment.step(actions, everyone)
        self.observations[run] = following
        self.elapsed[run] += 1
        ended = np.flatnonzero(terminated | truncated)
        if len(ended):
            self.episodes[run, ended] += 1
            self.elapsed[run, ended] = 0
            seeds = self._seeds(run, ended)
            self.observations[run] = environment.reset(seeds, ended)
        learned = self.transforms[run](rewards.astype(np.float32))
        columns = [before, actions, following, learned, terminated]
        return np.column_stack(columns).astype(np.float32)

    def _catch_up(self, run: int) -> None:
        """Play the episodes of a run again from their starts to where they stood."""
        played = self.store.buffer[run, : self.store.num_played].cpu().numpy()
        rounds = played.reshape(-1, self.online.num_environments, played.shape[1])
        _, actions, following, _, _ = np.split(rounds, self.store.dims_ends, axis=2)
        elapsed = self.elapsed[run]
        for time in range(elapsed.max(initial=0)):
            active = elapsed > time
            index = np.where(active, len(rounds) - elapsed + time, 0)
            chosen = actions[index, np.arange(len(elapsed))].astype(np.float64)
            stepped = self.environments[run].step(chosen, active)[0]
            self.observations[run, active] = stepped[active]
        stood = elapsed > 0
        found = self.observations[run, stood].astype(np.float32)
        if stood.any() and not np.array_equal(found, following[-1, stood]):
            raise UserError(
                f"{self.runs[run].directory} cannot go on here: this machine's physics "
                "does not repeat the episodes in its checkpoint. Go on where it was "
                "made, or remove the folder to start again"
            )


def make_interaction(
    runs: Sequence[Run], agent: Agent, store: TransitionStore, first_step: int
) -> Interaction | None:
    """Return a block's interaction, new or where checkpoints left it; None offline."""
    if runs[0].config.online is None:
        return None
    interaction = Interaction(runs, agent, store, first_step)
    checkpoints = [run.checkpoint for run in runs]
    if all(checkpoints):
        interaction.load_state([checkpoint.played for checkpoint in checkpoints])
    return interaction


class ExploringPolicy:
    """How the runs of a block act while they gather data."""

    def __init__(self, agent: Agent, online: OnlineConfig) -> None:
        self.agent, self.online = agent, online
        count, action_dim = online.num_environments, agent.spec.action_dim
        self.own_draws = agent.exploration_draws(count)
        draws = {
            "random_action": Draw((count, action_dim), "uniform"),
            "action_noise": Draw((count, action_dim)),
        }
        self.streams = NoiseStreams(
            agent.spec.seeds,
            {**draws, **{f"own.{n}": draw for n, draw in self.own_draws.items()}},
            "interaction",
            device=agent.spec.device,
        )
        on_gpu = agent.spec.device.type == "cuda"
        self.recorded: RecordedDecisions | None = None
        if on_gpu:
            self.recorded = RecordedDecisions(agent, decide=self.explore)

    def act(self, observations: np.ndarray, num_played: int) -> np.ndarray:
        """Return actions (R, E, A), those that float32 holds, after so many steps."""
        online = self.online
        noise = self.streams.at(num_played // online.num_environments)
        if online.start == "scratch" and num_played < online.start_steps:
            actions = 2 * noise["random_action"].cpu().numpy() - 1
        else:
            actions = self._decide(observations, noise)
        # A run that has left the numbers goes on until the loop notices.
        return np.nan_to_num(actions).astype(np.float64)

    def explore(
        self, observations: Tensor, rewards: Tensor, memory: Memory, noise: Noise
    ) -> tuple[Tensor, Memory]:
        """Decide as `Agent.act` does, by what the agent explores with."""
        return self.agent.explore(observations, noise), memory

    def _decide(self, observations: np.ndarray, noise: Noise) -> np.ndarray:
        """Ask the policies; a deterministic one's actions get Gaussian noise."""
        own = {name: noise[f"own.{name}"] for name in self.own_draws}
        if self.recorded:
            rewards = np.zeros(observations.shape[:2])  # which no policy online reads
            actions = self.recorded.make(observations, rewards, {}, own)
        else:
            inputs = torch.from_numpy(observations).float()
            actions = self.agent.explore(inputs, own).numpy()
        if self.own_draws:
            return actions
        disturbance = self.online.action_noise * noise["action_noise"].cpu().numpy()
        return (actions + disturbance.astype(np.float32)).clip(-1, 1)


def check_dimensions(
    environment: BatchEnvironment, store: ReplayStore, task: str
) -> None:
    """Refuse an environment whose observations or actions are not the data's."""
    played = environment.observation_dim, environment.action_dim
    recorded = store.observation_dim, store.action_dim
    if played != recorded:
        raise UserError(
            f"task '{task}': its environment has (observation, action) dimensions "
            f"{played}, its data {recorded}: no policy of one acts in the other"
        )
