"""Published policies ready to act: clones of recorded actions, SAC's and DAPG's."""

from __future__ import annotations

from dql.behavior.clones import Clone
from dql.behavior.rollout import Policy
from dql.behavior.snapshots import ARCHITECTURES, Snapshot
from dql.data.d4rl_facts import state_moments
from dql.data.d4rl_rows import dimensions
from dql.data.policy_weights import (
    Arrays,
    PublishedWeights,
    load_weights,
    published_weights,
)
from dql.errors import UserError

GOAL_KIND = "goal_policy"


def load_policy(name: str, environment: str) -> Policy:
    """Build a stored policy for an environment; another's, or other shapes, raise."""
    entry = published_weights(name)
    if entry.environment != environment:
        raise UserError(
            f"policy '{name}' acts in {entry.environment}, not in {environment}"
        )
    weights = load_weights(name)
    try:
        policy = _build(entry, weights)
    except UserError as error:
        raise UserError(
            f"policy '{name}' ({entry.stored}) does not act in {environment}: {error}"
        ) from None
    if policy is None:
        kind = entry.kind.replace("_", " ")
        raise UserError(f"'{name}' is a {kind}: it does not act")
    return policy


def load_goal_policy(name: str) -> Snapshot:
    """Build the stored ant that walks along a vector; another policy raises."""
    entry = published_weights(name)
    if entry.kind != GOAL_KIND:
        kind = entry.kind.replace("_", " ")
        raise UserError(f"'{name}' is a {kind}: it does not walk to goals")
    observation_dim, action_dim = dimensions(entry.environment)
    return Snapshot(load_weights(name), observation_dim, action_dim, GOAL_KIND)


def _build(entry: PublishedWeights, weights: Arrays) -> Policy | None:
    observation_dim, action_dim = dimensions(entry.environment)
    if entry.kind == "action_model":
        from dql.diffusion.edm import DiffusionModel

        model = DiffusionModel(weights, action_dim, observation_dim)
        return Clone(model, state_moments(entry.name.partition("-")[2]))
    if entry.kind in ARCHITECTURES and entry.kind != GOAL_KIND:
        return Snapshot(weights, observation_dim, action_dim, entry.kind)
    return None
