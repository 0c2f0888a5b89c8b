"""The reverse chains of a trained diffusion policy, every state of them, on the bandit.

Evaluation keeps the actions only. Here the chain of a finished run is run again, from
its checkpoint, and stored beside the run for the figure that shows how noise turns into
modes.
"""

from __future__ import annotations

import io
import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dql import paths
from dql.agents.agent import Agent
from dql.config.schema import RunConfig
from dql.core.noise import Draw, NoiseStreams
from dql.diffusion.policy import Diffusion
from dql.errors import UserError
from dql.files import write_bytes
from dql.results.files import has_diverged
from dql.training.finished_runs import finished_run
from dql.training.loop import Block

logger = logging.getLogger(__name__)

NUM_TRAJECTORIES = 300


@torch.no_grad()
def reverse_states(diffusion: Diffusion, observations: Tensor, noise: Tensor) -> Tensor:
    """Run the reverse chain and return all its states, (R, N + 1, B, A).

    State 0 is the noise a^N, the last the action a^0, equal to `Diffusion.sample` of
    the same observations (R, B, O) and noise (R, N, B, A) up to rounding.
    """
    schedule = diffusion.schedule
    first = diffusion.predictor.first_layer(observations)
    num_steps = noise.shape[1]
    actions = noise[:, 0]
    states = [actions]
    for index in reversed(range(num_steps)):
        output = diffusion.predictor.at(first, actions, index)
        clean = (
            schedule.noisy_scale[index] * actions
            + schedule.output_scale[index] * output
        ).clamp(-1, 1)
        actions = (
            schedule.noisy_weight[index] * actions
            + schedule.clean_weight[index] * clean
        )
        if index > 0:  # the last reverse step adds no noise
            fresh = noise[:, num_steps - index]
            actions = actions + schedule.noise_scale[index] * fresh
        states.append(actions)
    return torch.stack(states, dim=1)


def store_trajectories(
    config: RunConfig, directory: Path, *, num_trajectories: int = NUM_TRAJECTORIES
) -> Path:
    """Write trajectories.npz of a finished bandit run: `states` (n, N + 1, A).

    The chains are those of the policy before candidates are compared. A diverged run
    has no chain: its n is 0. A run that is not finished, of other code or settings, or
    of a method without a diffusion policy, raises.
    """
    _check_method(config)
    run = finished_run(config, directory)
    num_steps = config.settings["num_denoising_steps"]
    if has_diverged(directory):
        states = np.empty((0, num_steps + 1, run.dataset.actions.shape[1]))
    else:
        states = _sample(Block([run], torch.device("cpu")).agent, num_trajectories)
    content = io.BytesIO()
    np.savez_compressed(content, states=states.astype(np.float32))
    output = directory / paths.TRAJECTORIES_FILE
    write_bytes(output, content.getvalue())
    logger.info("%s trajectories in %s", len(states), output)
    return output


def _check_method(config: RunConfig) -> None:
    """Raise unless the run is a diffusion policy's on the bandit."""
    if config.suite != "bandit":
        raise UserError(
            f"{config.task} is of suite {config.suite}; trajectories are drawn in two "
            "dimensions: bandit-axes or bandit-corners"
        )
    if config.agent not in ("bc_diffusion", "diffusion_ql"):
        raise UserError(
            f"{config.method} has no reverse diffusion chain; trajectories are of "
            "bc_diffusion and diffusion_ql"
        )


def _sample(agent: Agent, num_trajectories: int) -> np.ndarray:
    """Return the states of chains from the bandit's one state, (n, N + 1, A)."""
    is_ema = getattr(agent.settings, "evaluation_actor", None) == "ema"
    diffusion = agent.modules["target_actor" if is_ema else "actor"]
    spec = agent.spec
    shape = (diffusion.num_denoising_steps, num_trajectories, spec.action_dim)
    streams = NoiseStreams(
        spec.seeds, {"chain": Draw(shape)}, "trajectories", block_steps=1
    )
    observations = torch.zeros(1, num_trajectories, spec.observation_dim)
    states = reverse_states(diffusion, observations, streams.at(0)["chain"])
    return states[0].transpose(0, 1).numpy()
