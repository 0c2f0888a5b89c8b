"""Which snapshots serve which data, and what policies return."""

import numpy as np
import pytest

from dql.behavior.quality import choose, random_return, returns
from dql.behavior.rollout import RandomActions
from dql.behavior.summary import serving
from dql.environments.locomotion import LocomotionEnvironment


@pytest.mark.parametrize(
    ("values", "medium"),
    [
        ([30, 90, 100, 240, 300], 2),  # exactly a third of the best
        ([30, 99, 120, 300, 90], 2),  # the end is not the best
        ([200, 10, 300], 0),
        ([5.0], 0),
        ([-300, -200, -250], 1),  # below zero: the best of all
        ([-300, -200, 30], 2),
        ([0, 0], 0),
    ],
)
def test_medium_is_the_first_to_reach_a_third_of_the_best(values, medium):
    assert choose(values) == {"medium": medium, "expert": len(values) - 1}


def test_a_snapshot_says_all_that_it_serves():
    measured = [
        {"mean_return": value, "n": n} for n, value in enumerate((1, 50, 9, 99))
    ]
    assert [(entry["n"], entry["qualities"]) for entry in serving(measured)] == [
        (1, ["medium"]),
        (3, ["expert"]),
    ]
    assert serving(measured[:1])[0]["qualities"] == ["medium", "expert"]


class StandsStill:
    """A policy that does nothing."""

    def actions(self, observations, generator):
        return np.zeros((len(observations), 3))


def test_returns_are_asked_under_the_same_seeds():
    batch = LocomotionEnvironment("hopper", 4)
    found = returns(StandsStill(), batch, 0, "draws")
    assert found.shape == (4,) and len(set(found)) == 4
    assert np.array_equal(found, returns(StandsStill(), batch, 0, "draws"))
    for seed, purpose in ((1, "draws"), (0, "mean")):
        assert not np.array_equal(found, returns(StandsStill(), batch, seed, purpose))


def test_random_actions_return_little():
    """D4RL's own reference for hopper is -20.3, of a random network's actions."""
    batch = LocomotionEnvironment("hopper", 100)
    expected = returns(RandomActions(3), batch, 0, "random actions").mean()
    assert random_return("hopper", "d4rl", 0) == expected
    assert 10 < expected < 30


def test_random_actions_are_uniform():
    drawn = RandomActions(3).actions(np.zeros((4000, 11)), np.random.default_rng(0))
    assert drawn.shape == (4000, 3) and np.abs(drawn).max() <= 1
    assert drawn.mean() == pytest.approx(0, abs=0.02)
    assert drawn.var() == pytest.approx(1 / 3, abs=0.01)
