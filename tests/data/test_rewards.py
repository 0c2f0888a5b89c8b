"""Rewards as agents learn from them, held against literal arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from dql.data.datasets import Dataset
from dql.data.rewards import reward_transform
from dql.errors import UserError


def recorded_rows(rewards, ends=(), breaks=()):
    """Return rows with these rewards; `ends` terminate, after `breaks` one begins."""
    rewards = np.array(rewards, dtype=np.float32)
    observations = np.arange(len(rewards), dtype=np.float32)[:, None]
    following = observations + 1
    following[list(breaks)] = -1
    terminations = np.zeros(len(rewards), dtype=np.float32)
    terminations[list(ends)] = 1
    return Dataset(
        observations, observations, rewards, following, terminations=terminations
    )


def test_rewards_stay_as_they_are():
    data = recorded_rows([0.0, 1.0, 1.0, 4.0])
    assert reward_transform("none", data)(data.rewards) is data.rewards


def test_normalised_rewards_have_the_datas_moments():
    data = recorded_rows([0.0, 1.0, 1.0, 4.0])
    transform = reward_transform("normalize", data)
    found = transform(data.rewards)
    np.testing.assert_allclose(found, (data.rewards - 1.5) / np.sqrt(3.0), 1e-6, 1e-7)
    fresh = np.array([1.5, 1.5], dtype=np.float32)
    np.testing.assert_array_equal(transform(fresh), [0.0, 0.0])


@pytest.mark.parametrize(
    ("name", "expected"), [("cql_antmaze", [-2.0, 2.0]), ("iql_antmaze", [-1.0, 0.0])]
)
def test_a_mazes_rewards_are_shifted(name, expected):
    rewards = np.array([0.0, 1.0], dtype=np.float32)
    found = reward_transform(name, recorded_rows(rewards))(rewards)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32


def test_locomotions_returns_span_a_thousand():
    """IQL's code: times 1000, over the best trajectory's return less the worst's."""
    rng = np.random.default_rng(0)
    lengths = [
        3,
        1,
        5,
        4,
    ]  # ended by a fall, twice by truncation, by the file
    rewards = rng.normal(size=sum(lengths)).astype(np.float32)
    data = recorded_rows(rewards, ends=[2], breaks=[3, 8])
    returns = [part.sum() for part in np.split(rewards, np.cumsum(lengths)[:-1])]
    transform = reward_transform("iql_locomotion", data)
    np.testing.assert_allclose(
        transform(rewards), rewards / (max(returns) - min(returns)) * 1000, rtol=1e-5
    )
    scaled = [p.sum() for p in np.split(transform(rewards), np.cumsum(lengths)[:-1])]
    assert max(scaled) - min(scaled) == pytest.approx(1000, rel=1e-5)
    fresh = np.array([2.0], dtype=np.float32)
    assert transform(fresh)[0] == pytest.approx(2000 / np.ptp(returns), rel=1e-5)
    assert transform(fresh).dtype == np.float32


def test_data_that_tell_no_scale_are_refused():
    for rows in (1, 7):  # whose mean is not quite 0.1
        constant = recorded_rows(np.full(rows, 0.1))
        with pytest.raises(UserError, match="every reward is 0.1: .*set it to 'none'"):
            reward_transform("normalize", constant)
    alike = recorded_rows([1.0, 2.0, 2.0, 1.0], ends=[1, 3])
    with pytest.raises(UserError, match="every episode returns 3: .*methods.yaml"):
        reward_transform("iql_locomotion", alike)


def test_an_unknown_name_is_met_with_the_nearest():
    with pytest.raises(UserError, match="'normalise'.*normalize"):
        reward_transform("normalise", recorded_rows([0.0, 1.0]))
