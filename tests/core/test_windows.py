"""Windows of episodes: what they hold, where they end, what they cost."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dql.core.batch import TransitionStore
from dql.core.windows import (
    WindowSpec,
    WindowStore,
    episode_lengths,
    make_row_store,
    returns_to_go,
)
from dql.errors import UserError


def make_data(endings, observation_dim=2, action_dim=1, first=0.0):
    """Return episodes of (length, is terminated), all of whose numbers differ."""
    observations, next_observations, terminations = [], [], []
    for index, (length, terminates) in enumerate(endings):
        path = first + 100.0 * index + np.arange(length + 1.0)
        path = np.repeat(path[:, None], observation_dim, axis=1)
        observations.append(path[:-1])
        next_observations.append(path[1:])
        terminations.append(np.arange(length) == (length - 1 if terminates else -1))
    observations = np.concatenate(observations).astype(np.float32)
    size = len(observations)
    actions = np.linspace(-1, 1, size * action_dim, dtype=np.float32)
    return SimpleNamespace(
        observations=observations,
        actions=actions.reshape(size, action_dim),
        rewards=1.0 + np.arange(size, dtype=np.float32),
        next_observations=np.concatenate(next_observations).astype(np.float32),
        terminations=np.concatenate(terminations).astype(np.float32),
    )


ENDINGS = [(3, True), (2, False), (4, True)]


def test_episodes_end_where_a_row_terminates_or_leads_elsewhere():
    assert episode_lengths(make_data(ENDINGS)).tolist() == [3, 2, 4]
    data = make_data(ENDINGS)
    data.next_observations[2] = data.observations[3]  # a termination, all the same
    assert episode_lengths(data).tolist() == [3, 2, 4]


def test_returns_to_go_are_those_of_the_rows_own_episode():
    rewards = 1.0 + np.arange(9)
    found = returns_to_go(rewards, np.array([3, 2, 4]), 1.0)
    assert found.tolist() == [6, 5, 3, 9, 5, 30, 24, 17, 9]
    found = returns_to_go(rewards, np.array([3, 2, 4]), 0.5)
    assert found.tolist() == [2.75, 3.5, 3, 6.5, 5, 12.625, 13.25, 12.5, 9]


def test_a_window_begins_at_its_row_and_is_zero_behind_the_end():
    store = WindowStore([make_data(ENDINGS)], [0], WindowSpec(3))
    windows = store.gather(torch.tensor([[1, 4, 5]]))
    assert windows.observations[0, ..., 0].tolist() == [
        [1, 2, 0],
        [101, 0, 0],
        [200, 201, 202],
    ]
    assert windows.returns_to_go[0].tolist() == [[5, 3, 0], [5, 0, 0], [30, 24, 17]]
    assert windows.timesteps[0].tolist() == [[1, 2, 0], [1, 0, 0], [0, 1, 2]]
    assert windows.mask[0].tolist() == [[1, 1, 0], [1, 0, 0], [1, 1, 1]]
    assert windows.actions.shape == (1, 3, 3, 1)
    assert windows.actions[0, 1].flatten().tolist() == [0.0, 0.0, 0.0]  # row 4 is 0
    assert windows.actions[0, 2].flatten().tolist() == [0.25, 0.5, 0.75]


def test_no_window_crosses_an_episodes_end():
    generator = np.random.default_rng(0)
    endings = [(int(n), bool(n % 2)) for n in generator.integers(1, 9, 40)]
    data = make_data(endings)
    store = WindowStore([data], [0], WindowSpec(5))
    rows = torch.arange(len(data.rewards))[None]
    windows = store.gather(rows)
    episode = windows.observations[0, ..., 0].div(100, rounding_mode="floor")
    is_within = windows.mask[0] > 0
    assert (episode == episode[:, :1])[is_within].all()
    lengths = np.array([length for length, _ in endings])
    left = np.concatenate([np.arange(n, 0, -1) for n in lengths])
    assert windows.mask[0].sum(dim=1).tolist() == np.minimum(left, 5).tolist()


def test_a_termination_may_cost():
    spec = WindowSpec(2, discount=0.5, termination_reward=-100.0)
    store = WindowStore([make_data(ENDINGS)], [0], spec)
    returns = store.gather(torch.arange(9)[None]).returns_to_go[0, :, 0]
    plain = [2.75, 3.5, 3, 6.5, 5, 12.625, 13.25, 12.5, 9]
    costs = [-25.0, -50, -100, 0, 0, -12.5, -25, -50, -100]
    expected = torch.tensor(plain) + torch.tensor(costs)
    torch.testing.assert_close(returns, expected)


def test_each_run_reads_its_own_data():
    data = [make_data(ENDINGS), make_data([(5, False), (2, True)], first=1000.0)]
    store = WindowStore(data, [1, 0], WindowSpec(2))
    assert store.run_sizes == (7, 9)
    windows = store.gather(torch.tensor([[4, 6], [4, 8]]))
    assert windows.observations[..., 0].tolist() == [
        [[1004, 0], [1101, 0]],
        [[101, 0], [203, 0]],
    ]
    facts = store.episode_facts()
    assert facts.best_return.tolist() == [15.0, 30.0]
    for run, of_run in enumerate((data[1], data[0])):
        moments = of_run.actions.mean(axis=0), of_run.actions.std(axis=0)
        np.testing.assert_allclose(facts.action_mean[run, 0], moments[0], atol=1e-6)
        np.testing.assert_allclose(facts.action_std[run, 0], moments[1], rtol=1e-6)


def test_windows_reach_behind_terminations_alone():
    """An episode that a time limit cut goes on: its windows end with it."""
    data = [make_data([(3, True), (4, False), (1, False)]), make_data([(5, True)])]
    spec = WindowSpec(3, padded="terminated")
    store = WindowStore(data, [1, 0], spec)
    assert store.run_sizes == (5, 5)
    windows = store.gather(torch.arange(5).expand(2, 5))
    expected = [[0, 1, 2], [1, 2, 0], [2, 0, 0], [100, 101, 102], [101, 102, 103]]
    assert windows.observations[1, ..., 0].tolist() == expected
    assert windows.timesteps[1].tolist()[3:] == [[0, 1, 2], [1, 2, 3]]
    assert windows.mask[0].sum(dim=1).tolist() == [3, 3, 3, 2, 1]
    facts, mean = store.episode_facts(), data[0].actions.mean()
    assert facts.action_mean[1].item() == pytest.approx(mean, abs=1e-6)


def num_bytes(store):
    tensors = [x for x in vars(store).values() if isinstance(x, torch.Tensor)]
    return sum(x.numel() * x.element_size() for x in tensors)


@pytest.mark.parametrize(("observation_dim", "action_dim"), [(11, 3), (45, 24), (4, 2)])
@pytest.mark.parametrize("padded", ["every", "terminated"])
def test_it_is_hardly_larger_than_the_transitions(observation_dim, action_dim, padded):
    data = make_data([(200, True)] * 20, observation_dim, action_dim)
    windows = make_row_store([data], [0, 0], WindowSpec(100, padded=padded))
    transitions = make_row_store([data], [0, 0], None)
    assert type(transitions) is TransitionStore
    assert num_bytes(windows) <= 1.2 * num_bytes(transitions)


def test_data_without_an_end_of_an_episode_are_refused():
    with pytest.raises(UserError, match="its 50 rows hold no end of an episode"):
        WindowStore([make_data([(50, False)])], [0], WindowSpec(3))
    WindowStore([make_data([(50, True)])], [0], WindowSpec(3))


def test_a_window_longer_than_any_episode_is_refused():
    data = make_data(ENDINGS)
    WindowStore([data], [0], WindowSpec(4))
    with pytest.raises(UserError, match="5 steps is longer.* longest has 4"):
        WindowStore([data], [0], WindowSpec(5))
