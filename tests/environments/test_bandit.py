import numpy as np
import pytest

from dql.environments.bandit import (
    BEST_MODE,
    LAYOUTS,
    MODE_STD,
    REWARD_MEANS,
    BanditEnvironment,
    assign_modes,
    sample_data,
)
from dql.errors import UserError


@pytest.mark.parametrize("layout", LAYOUTS)
def test_data_follow_the_published_law(layout):
    actions, rewards = sample_data(layout, 10_000, seed=0)
    modes = assign_modes(actions, layout)
    assert np.mean(modes >= 0) > 0.98
    for mode, center in enumerate(LAYOUTS[layout]):
        chosen = modes == mode
        assert abs(chosen.sum() - 2500) < 60
        np.testing.assert_allclose(actions[chosen].mean(0), center, atol=0.005)
        np.testing.assert_allclose(actions[chosen].std(0), MODE_STD, atol=0.004)
        assert abs(rewards[chosen].mean() - REWARD_MEANS[mode]) < 0.05
        assert abs(rewards[chosen].std() - 0.5) < 0.03


def test_corner_rewards_are_those_of_the_released_code():
    best = LAYOUTS["corners"][BEST_MODE]
    np.testing.assert_allclose(best, [0.8, -0.8])
    order = {
        tuple(np.sign(c)): r
        for c, r in zip(LAYOUTS["corners"], REWARD_MEANS, strict=True)
    }
    assert order == {(-1, 1): 3.0, (-1, -1): 0.0, (1, 1): 1.5, (1, -1): 5.0}


def test_axis_layout_is_the_corner_layout_turned_by_45_degrees():
    turn = np.array([[1, 1], [-1, 1]]) / 2**0.5
    turned = LAYOUTS["corners"] @ turn.T / 2**0.5
    np.testing.assert_allclose(turned, LAYOUTS["axes"], atol=1e-12)


def test_actions_between_modes_belong_to_none():
    assert assign_modes(np.array([[0.0, 0.0], [0.8, -0.64]]), "corners").tolist() == [
        -1,
        -1,
    ]
    assert assign_modes(np.array([[0.8, -0.66]]), "corners").tolist() == [BEST_MODE]


def test_environment_pays_the_mode_and_ends():
    environment = BanditEnvironment("corners", 4000)
    environment.reset(range(4000))
    actions = np.tile(LAYOUTS["corners"], (1000, 1))
    actions[::8] = 0.0
    active = np.ones(4000, dtype=bool)
    active[1] = False
    _, rewards, terminations, truncations = environment.step(actions, active)
    assert terminations.tolist() == active.tolist()
    assert not truncations.any()
    assert (rewards[::8] == 0).all()
    assert rewards[1] == 0
    assert abs(rewards[2::4].mean() - 5.0) < 0.05


def test_unknown_layout_names_the_nearest():
    with pytest.raises(UserError, match="Did you mean 'corners'"):
        sample_data("corner", 10, 0)
