"""Whether runs can go in lock step, and on this device, before time is spent."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch

from dql.agents.agent import Agent
from dql.config.schema import RunConfig
from dql.errors import UserError
from dql.training.checkpoint import checkpoint_file
from dql.training.runs import Run

logger = logging.getLogger(__name__)


def check_block(configs: Sequence[RunConfig]) -> None:
    """Refuse runs that cannot go in lock step, before any time is spent."""
    if not configs:
        raise UserError("no runs to train")
    first, shared = configs[0], _shared(configs[0])
    for other in configs[1:]:
        for (name, here), there in zip(
            shared.items(), _shared(other).values(), strict=True
        ):
            if here != there:
                raise UserError(
                    f"runs of one block differ in {name!r}: {first.task}"
                    f" {first.method} has {here}, {other.task} {other.method} {there}"
                )


def _shared(config: RunConfig) -> dict[str, Any]:
    return {
        "agent": config.agent,
        "training": config.training,
        "online": config.online,
        "horizon": config.environment.horizon,
    }


def common_first_step(runs: Sequence[Run]) -> int:
    """Return the steps that a block's runs had taken before they went online."""
    steps = {run.first_step for run in runs}
    if len(steps) > 1:
        raise UserError(
            f"runs of one block go on from runs of {min(steps)} and {max(steps)} "
            "gradient steps; train them one --seed at a time"
        )
    return steps.pop()


def warn_of_rates(agent: Agent, run: Run) -> None:
    """Say, of a block by its first run, that its last steps would change nothing."""
    config = run.config
    last = run.first_step + config.training.num_gradient_steps
    if agent.decay_factor(last - 1) == 0:
        logger.warning(
            "%s on %s: learning_rate_decay_steps, %d: all learning rates are 0 from "
            "there to gradient step %d, the run's last; give that number, or null for "
            "constant rates",
            config.method,
            config.task,
            agent.settings.learning_rate_decay_steps,
            last,
        )


def check_devices(runs: Sequence[Run], device: torch.device) -> None:
    """Refuse to go on, on a processor, with what a GPU began, and the other way round.

    They draw noise of their own, so the run would be neither's. Even where foreign
    checkpoints are discarded: a node whose GPU failed must not throw away GPU-days.
    """
    for run in runs:
        made = run.records.sessions[-1]["device"] if run.records.sessions else None
        is_done = run.step >= run.config.training.num_gradient_steps
        if not made or is_done or (made == "cpu") == (device.type == "cpu"):
            continue
        began, here = ("cpu", "cuda") if made == "cpu" else ("cuda", "cpu")
        raise UserError(
            f"{checkpoint_file(run.directory)} was made on {made} in {run.step} steps; "
            f"{here} draws other noise and cannot go on with it. Go on with dql train "
            f"--device {began}, or remove {run.directory} to start again on {here}"
        )
