"""The replay buffer: what a batch is made of, and that storing it loses nothing."""

import numpy as np
import pytest
import torch
from core import make_dataset

from dql.core.noise import NoiseStreams
from dql.core.replay import ReplayStore

ROUND = 4


def make_store(num_rounds=6, *, runs=2, num_transitions=300):
    return ReplayStore(
        [make_dataset(num_transitions)], [0] * runs, capacity=num_rounds * ROUND
    )


def play(store, num_rounds, seed=0):
    """Fill the buffers with episodes that now and then begin anew."""
    generator = np.random.default_rng(seed)
    runs, width = len(store.run_sizes), store.rows.shape[1]
    o, a = store.observation_dim, store.action_dim
    now = generator.standard_normal((runs, ROUND, o)).astype(np.float32)
    for _ in range(num_rounds):
        rows = generator.standard_normal((runs, ROUND, width)).astype(np.float32)
        rows[..., :o] = now
        ends = generator.random((runs, ROUND)) < 0.3
        rows[..., -1] = ends
        start = generator.standard_normal((runs, ROUND, o))
        now = np.where(ends[..., None], start, rows[..., o + a : 2 * o + a])
        now = now.astype(np.float32)
        store.append(rows)


def draw(store, batch_size, share, step=0):
    streams = NoiseStreams((0, 1), store.row_draws(batch_size, share), "training")
    return store.choose(streams.at(step))


@pytest.mark.parametrize(("share", "recorded"), [(0.5, 5), (0, 0), (1, 10), (0.26, 3)])
def test_a_share_of_a_batch_is_recorded(share, recorded):
    store = make_store()
    play(store, 3)
    rows = draw(store, 10, share)
    batch = store.gather(rows)
    assert batch.rewards.shape == (2, 10)
    for run in range(2):
        played = store.buffer[run, : 3 * ROUND, : store.observation_dim]
        data = store.rows[:300, : store.observation_dim]
        for index, observation in enumerate(batch.observations[run]):
            source = data if index < recorded else played
            assert (source == observation).all(dim=1).any()


def test_a_pooled_batch_takes_every_row_equally_often():
    store = make_store(5, num_transitions=20)
    play(store, 5)
    counts = torch.zeros(2, 40)
    for step in range(200):
        rows = draw(store, 100, "pooled", step)
        for run in range(2):
            numbers = rows[run]
            is_played = numbers >= 20
            numbers = torch.where(
                is_played, numbers - store.buffer_starts[run] + 20, numbers
            )
            counts[run] += torch.bincount(numbers, minlength=40)
    # 20,000 draws over 40 rows: 500 each, with a deviation of 22
    assert (counts - 500).abs().max() < 110


def test_runs_see_their_own_transitions_only():
    store = make_store()
    play(store, 6)
    rows = draw(store, 200, 0)
    for run in range(2):
        found = store.gather(rows).rewards[run]
        own = store.buffer[run, :, -2]
        assert torch.isin(found, own).all()
        assert not torch.isin(found, store.buffer[1 - run, :, -2]).any()


def test_what_is_stored_is_restored_bit_for_bit_and_takes_less_room():
    store = make_store()
    play(store, 5)
    store.buffer[0, 4, 0] = -0.0
    store.buffer[1, 8, 2] = torch.nan
    states = [store.state(run, ROUND) for run in range(2)]
    other = make_store()
    other.load_state(states, ROUND)
    assert other.num_played == 5 * ROUND
    bits = [s.rows.view(torch.int32) for s in (store, other)]
    assert torch.equal(*bits)
    stored = sum(t.numel() * t.element_size() for t in states[0].values())
    assert stored < 0.8 * store.buffer[0, : 5 * ROUND].numel() * 4


def test_a_store_without_recorded_data_has_neutral_moments():
    store = ReplayStore([make_dataset(0)], [0], capacity=8, bootstraps=True)
    mean, std = store.observation_moments()
    assert torch.equal(mean, torch.zeros(1, 1, 5))
    assert torch.equal(std, torch.ones(1, 1, 5))
    assert store.bootstraps
