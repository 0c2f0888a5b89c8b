"""BeT: its bins against Lloyd's algorithm, its loss written out, the modes it keeps."""

import numpy as np
import pytest
import torch
from core import make_agent, make_dataset, train_steps, training_steps
from literal_networks import perceptron
from small_bandit import MODES, draw_actions, shares_of_modes, two_modes
from weighted_bandit import precise_update

from dql.core.discretization import ActionBins
from dql.errors import UserError


def test_losses_equal_sums_written_out():
    before, agent, batch, _, metrics = precise_update("bet", offset_coefficient=3.0)
    num_bins, centers = 4, agent.bins.centers.numpy()
    for run in range(2):
        focal = offset = 0.0
        for b in range(5):
            s, a = batch.observations[run, b].tolist(), batch.actions[run, b].numpy()
            outputs = np.array(perceptron(before["actor"], run, s))
            p = np.exp(outputs[:num_bins]) / np.exp(outputs[:num_bins]).sum()
            mine = np.argmin(((centers[run] - a) ** 2).sum(axis=1))
            focal -= (1 - p[mine]) ** 2 * np.log(p[mine]) / 5
            guess = outputs[num_bins:].reshape(num_bins, 3)[mine]
            offset += ((guess - (a - centers[run, mine])) ** 2).mean() / 5
        expected = {
            "actor/bin_loss": focal,
            "actor/offset_loss": offset,
            "actor/bc_loss": focal + 3.0 * offset,
        }
        for key, value in expected.items():
            assert metrics[key][run].item() == pytest.approx(value, rel=1e-7), key


def test_a_centre_is_the_mean_of_all_actions_shown_to_it():
    bins = ActionBins(1, 2, 1)
    bins.start(torch.tensor([[[0.0], [1.0], [9.0]]]))
    bins.learn(torch.tensor([[[0.1], [0.3], [0.9]]]))
    torch.testing.assert_close(bins.centers[0, :, 0], torch.tensor([0.2, 0.9]))
    bins.learn(torch.tensor([[[0.8], [0.7], [0.7]]]))
    expected = torch.tensor([0.2, (0.9 + 0.8 + 0.7 + 0.7) / 4])
    torch.testing.assert_close(bins.centers[0, :, 0], expected)
    assert bins.counts.tolist() == [[2, 4]]


def test_bins_move_first_and_stay_then():
    agent, store = make_agent("bet")
    assert [agent.phase(step) for step in (0, 1, 4, 5)] == [
        "first",
        "binning",
        "binning",
        "step",
    ]
    train_steps(agent, store, 5)
    before = agent.bins.centers.clone()
    train_steps(agent, store, 3, start=5)
    assert torch.equal(agent.bins.centers, before)


def test_more_bins_than_a_batch_are_refused():
    agent, _ = make_agent("bet", settings=[{"num_bins": 17}] * 2)
    with pytest.raises(UserError, match="num_bins, 17, is above batch_size, 16"):
        agent.training_draws(16)


def test_both_modes_are_kept_and_nothing_lies_between():
    settings = {"hidden_dim": 32, "learning_rate": 3e-3, "num_binning_steps": 50}
    agent, store = make_agent("bet", settings=[settings] * 2, dataset=two_modes())
    for step, batch, noise in training_steps(agent, store, 200, batch_size=64):
        agent.update(batch, noise, agent.phase(step))
    actions = draw_actions(agent)
    shares = shares_of_modes(actions)
    assert (shares > 0.4).all()
    assert (shares.sum(axis=1) > 0.98).all()
    centers = agent.bins.centers.numpy()
    distances = np.linalg.norm(centers[:, :, None] - MODES, axis=3).min(axis=2)
    assert (distances < 0.25).all()


def test_actions_are_a_centre_plus_its_offset():
    agent, store = make_agent("bet", dataset=make_dataset())
    train_steps(agent, store, 6)
    with torch.no_grad():
        for parameter in agent.actor.layers[-1].parameters():
            parameter.zero_()
    drawn = torch.from_numpy(draw_actions_of(agent))
    nearest = agent.bins.nearest(drawn)
    assert agent.bins.offsets(drawn, nearest).abs().max() < 1e-6
    counts = torch.nn.functional.one_hot(nearest, 4).float().mean(dim=1)
    np.testing.assert_allclose(counts, 0.25, atol=0.04)


def draw_actions_of(agent, num_actions=4000):
    from dql.core.noise import NoiseStreams

    draws = agent.evaluation_draws(num_actions)
    noise = NoiseStreams(agent.spec.seeds, draws, "evaluation", 0, block_steps=1).at(0)
    observations = torch.zeros(2, num_actions, 5)
    return agent.sample_actions(observations, noise).numpy()
