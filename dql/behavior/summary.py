"""The summary of a training's snapshots: what each returns, and what it serves."""

from __future__ import annotations

import logging
from typing import Any

from dql.bars import progress_bar
from dql.behavior import quality
from dql.behavior.kept import agent_settings
from dql.behavior.policies import Arrays, make_policy
from dql.behavior.snapshots import ByMean
from dql.config.schema import BehaviorConfig
from dql.environments.locomotion import LocomotionEnvironment
from dql.errors import UserError

logger = logging.getLogger(__name__)

HORIZON = 1000
"""Of the episodes that SAC learns from, and that its policies are measured by."""


def describe(
    environment: str, physics: str, budget: BehaviorConfig, weights: dict[int, Arrays]
) -> dict[str, Any]:
    """Measure every snapshot, choose those that serve, and return the summary.

    Those are measured again with more episodes: data and scores are made of them.

    `weights` are by environment step. A last policy that is no better than random
    actions raises UserError: nothing could be scored by it.
    """
    count, seed = budget.num_evaluation_episodes, budget.seed
    measured = measure(environment, physics, weights, count, seed)
    entries = serving(measured)
    steps = [entry["environment_step"] for entry in entries]
    chosen = {step: weights[step] for step in steps}
    again = measure(environment, physics, chosen, quality.NUM_REFERENCE_EPISODES, seed)
    entries = [was | more for was, more in zip(entries, again, strict=True)]
    for entry in entries:
        logger.info(
            "%s, step %d (%s): return %.0f, by its mean %.0f",
            environment,
            entry["environment_step"],
            ", ".join(entry["qualities"]),
            entry["mean_return"],
            entry["return_by_mean"],
        )
    floor = quality.random_return(environment, physics, budget.seed)
    ceiling = entries[-1]["mean_return"]
    if ceiling <= floor:
        raise UserError(
            f"the policy at the end returns {ceiling:.1f} in {environment}, random "
            f"actions {floor:.1f}: no scores lie between them; train longer: "
            "suites.local.behavior.num_environment_steps"
        )
    return {
        "environment": environment,
        "physics": physics,
        "budget": budget.model_dump(),
        "settings": agent_settings(),
        "reference_scores": {
            "min": floor,
            "max": ceiling,
            "source": "mean returns measured here: random actions, and the policy at "
            "the end of SAC's training, by draws as in its data",
        },
        "policies": entries,
        "learning_curve": measured,
    }


def serving(measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the snapshots that serve a quality of data, with all that they serve."""
    places = quality.choose([entry["mean_return"] for entry in measured])
    return [
        {**entry, "qualities": qualities}
        for place, entry in enumerate(measured)
        if (qualities := [name for name, chosen in places.items() if place == chosen])
    ]


def measure(
    environment: str, physics: str, weights: dict[int, Arrays], count: int, seed: int
) -> list[dict[str, Any]]:
    """Return what every snapshot returns, by draws and by its mean, in their order.

    Each in `count` episodes.
    """
    batch = LocomotionEnvironment(environment, count, horizon=HORIZON, physics=physics)
    found = []
    with progress_bar(f"measuring {environment} policies", len(weights)) as progress:
        for step, arrays in weights.items():
            policy = make_policy(arrays, batch.observation_dim, batch.action_dim)
            drawn = quality.returns(policy, batch, seed, "draws")
            quiet = quality.returns(ByMean(policy), batch, seed, "mean")
            found.append(
                {
                    "environment_step": step,
                    "mean_return": float(drawn.mean()),
                    "std_return": float(drawn.std()),
                    "return_by_mean": float(quiet.mean()),
                    "num_episodes": count,
                }
            )
            progress(1)
    return found
