"""Rows of policies: batches that share simulations play as they would alone."""

import numpy as np
import pytest

from dql.config.project import load_project
from dql.data.policy_rows import Environments, FirstEpisodes
from dql.environments.locomotion import LocomotionEnvironment

TASK = load_project(scale="smoke").task("local-hopper-random")


def played(environment, seeds):
    """Return what random actions lead to, until every episode has ended."""
    generator = np.random.default_rng(0)
    active = np.ones(environment.num_environments, dtype=bool)
    found = [environment.reset(seeds)]
    while active.any():
        actions = generator.uniform(-1, 1, (len(active), environment.action_dim))
        observations, *outcome = environment.step(actions, active)
        found += [observations, *outcome]
        active &= ~(outcome[1] | outcome[2])
    return found


def test_the_first_of_a_batch_play_as_a_batch_of_their_own():
    environments = Environments(TASK)
    larger = environments.of(7)
    played(larger, range(7))  # leaves states behind
    first = environments.of(3)
    assert isinstance(first, FirstEpisodes) and first.environment is larger
    alone = LocomotionEnvironment(
        TASK.environment, 3, horizon=TASK.horizon, physics=TASK.physics
    )
    pairs = zip(played(first, [4, 5, 6]), played(alone, [4, 5, 6]), strict=True)
    assert all(np.array_equal(ours, theirs) for ours, theirs in pairs)


@pytest.mark.parametrize("sizes", [(5, 2, 5), (2, 5, 3)])
def test_no_more_simulations_are_made_than_the_largest_batch_has(sizes):
    environments = Environments(TASK)
    for size in sizes:
        assert environments.of(size).num_environments == size
    assert environments.of(1).environment.num_environments == 5
