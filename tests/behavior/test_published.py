"""Published policies act; episodes are rolled out with disturbances of their own."""

import numpy as np
import pytest

from dql.behavior.clones import Clone
from dql.behavior.moments import Moments
from dql.behavior.rollout import Disturbance, roll_out
from dql.behavior.snapshots import Snapshot
from dql.diffusion.edm import DiffusionModel
from dql.environments.locomotion import LocomotionEnvironment
from dql.errors import UserError
from tests.support.synthetic_weights import action_model, snapshot


class Recorder:
    """A policy that does nothing and remembers how many asked it."""

    def __init__(self):
        self.asked = []

    def actions(self, observations, generator):
        self.asked.append(len(observations))
        return np.zeros((len(observations), 3), np.float32)


def test_observations_are_scaled_as_the_models_saw_them():
    moments = Moments(mean=np.array([1.0, 0.0]), std=np.array([0.999, 1.999]))
    assert moments.normalized(np.array([[2.0, 4.0]])).tolist() == [[1.0, 2.0]]


def test_clones_draw_actions_by_the_generator_alone():
    clone = Clone(
        DiffusionModel(action_model(), 3, 11), Moments(np.zeros(11), np.ones(11))
    )
    observations = np.random.default_rng(0).standard_normal((6, 11))
    first, again = (
        clone.actions(observations, np.random.default_rng(3)) for _ in range(2)
    )
    other = clone.actions(observations, np.random.default_rng(4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.abs(first).max() <= 1


def test_a_snapshot_of_zeros_squashes_standard_noise():
    policy = Snapshot({name: 0 * a for name, a in snapshot().items()}, 11, 3)
    found = policy.actions(np.ones((5, 11)), np.random.default_rng(0))
    noise = np.random.default_rng(0).standard_normal((5, 3), dtype=np.float32)
    np.testing.assert_allclose(found, np.tanh(noise), rtol=1e-6)


def test_a_snapshot_keeps_its_noise_within_bounds():
    weights = {name: 0 * array for name, array in snapshot().items()}
    weights["last_fc_log_std.bias"] = np.full(3, -50.0, np.float32)
    policy = Snapshot(weights, 11, 3)
    found = policy.actions(np.ones((500, 11)), np.random.default_rng(0))
    assert found.std() == pytest.approx(np.exp(-5), rel=0.05)


def test_a_snapshot_of_another_environment_is_refused():
    with pytest.raises(UserError, match=r"fc0.weight.*256, 11.*256, 17"):
        Snapshot(snapshot(), 17, 6)


def test_each_episode_draws_its_own_disturbance():
    drawn = Disturbance.draw(200, (0.1, 0.3), (0.0, 0.0), np.random.default_rng(0))
    assert 0.1 <= drawn.noise_stds.min() < 0.12
    assert 0.28 < drawn.noise_stds.max() <= 0.3
    assert not drawn.random_shares.any()


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)])
def test_a_share_of_the_steps_is_random(share, expected):
    disturbance = Disturbance(np.zeros(4000), np.full(4000, share))
    actions = np.full((4000, 2), 0.5)
    found = disturbance.apply(actions, np.arange(4000), np.random.default_rng(0))
    changed = (found != actions).any(axis=1).mean()
    assert changed == pytest.approx(expected, abs=0.03)


def test_noise_is_added_and_clipped():
    disturbance = Disturbance(np.array([0.0, 10.0]), np.zeros(2))
    found = disturbance.apply(
        np.full((2, 3), 0.2), np.arange(2), np.random.default_rng(0)
    )
    assert found[0].tolist() == [0.2] * 3
    assert set(found[1]) <= {-1.0, 1.0}


def test_ended_episodes_ask_no_more():
    policy = Recorder()
    environment = LocomotionEnvironment("hopper", 5, horizon=400)
    none = Disturbance(np.zeros(5), np.zeros(5))
    episodes = roll_out(environment, policy, none, np.random.default_rng(0))
    assert sum(policy.asked) == episodes.lengths.sum()
    assert len(policy.asked) == episodes.lengths.max() < 400  # it falls
    assert episodes.terminated.all()
    assert episodes.observations.dtype == episodes.actions.dtype == np.float32
