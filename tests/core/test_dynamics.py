"""Moments and models of transitions against NumPy, sums written out, a known system."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from literal_networks import perceptron

from dql.core.batch import Batch
from dql.core.dynamics import (
    SMALLEST_SCALE,
    DynamicsEnsemble,
    RunningMoments,
    largest_discrepancy,
)
from dql.core.noise import seeded_generator
from dql.core.optimization import Adam, gradient_step


def make_batch(generator, size=6, num_runs=2):
    """Return random transitions of a state of 2 and an action of 1, in float64."""

    def draw(*shape):
        return torch.randn(num_runs, size, *shape, generator=generator).double()

    ends = (torch.rand(num_runs, size, generator=generator) < 0.5).double()
    return Batch(draw(2), draw(1).tanh(), draw(), draw(2), ends)


def make_model(num_members=3, hidden_dim=4):
    generators = [seeded_generator(seed, "weights") for seed in (0, 1)]
    sizes = {"num_members": num_members, "num_hidden_layers": 1}
    return DynamicsEnsemble(2, 1, generators, hidden_dim=hidden_dim, **sizes)


def test_moments_are_those_of_all_rows_together():
    moments = RunningMoments(2, 3).double()
    rows = torch.randn(5, 2, 7, 3, generator=torch.Generator().manual_seed(0))
    rows = 4 + 3 * rows.double()
    for batch in rows:
        moments.see(batch)
    for run in (0, 1):
        every = rows[:, run].reshape(-1, 3).numpy()
        np.testing.assert_allclose(moments.mean[run, 0], every.mean(0))
        np.testing.assert_allclose(moments.variance[run, 0], every.var(0))
    normalized = moments.normalize(rows[0])
    assert normalized[0, 0, 0].item() == pytest.approx(
        (rows[0, 0, 0, 0].item() - every_mean(rows, 0)) / every_std(rows, 0)
    )


def every_mean(rows, run):
    return rows[:, run, :, 0].mean().item()


def every_std(rows, run):
    return rows[:, run, :, 0].std(correction=0).item() + SMALLEST_SCALE


def literal_outputs(model, batch, run, member, row):
    """Return one network's outputs for one row, of normalised inputs."""
    inputs = [*batch.observations[run, row].tolist(), *batch.actions[run, row].tolist()]
    mean = model.inputs.mean[run, 0].tolist()
    std = [math.sqrt(v) + SMALLEST_SCALE for v in model.inputs.variance[run, 0]]
    scaled = [(x - m) / s for x, m, s in zip(inputs, mean, std, strict=True)]
    return perceptron(model.mlp, run, scaled, members=3, member=member)


def literal_outcome(model, batch, run, row):
    """Return what one row's outcome is, normalised."""
    change = (batch.next_observations - batch.observations)[run, row].tolist()
    outcome = [*change, batch.rewards[run, row].item()]
    mean = model.outputs.mean[run, 0].tolist()
    std = [math.sqrt(v) + SMALLEST_SCALE for v in model.outputs.variance[run, 0]]
    return [(x - m) / s for x, m, s in zip(outcome, mean, std, strict=True)]


def test_the_loss_equals_sums_written_out():
    generator = torch.Generator().manual_seed(0)
    model, batch = make_model().double(), make_batch(generator)
    model.see(batch)
    rows = torch.rand(2, 3, 6, generator=generator).double()
    found = model.loss(batch, rows)
    for run in (0, 1):
        total = 0.0
        for member in range(3):
            for row in range(6):
                if rows[run, member, row] >= 0.5:
                    continue
                *outcome, logit = literal_outputs(model, batch, run, member, row)
                target = literal_outcome(model, batch, run, row)
                pairs = zip(outcome, target, strict=True)
                error = sum((x - y) ** 2 for x, y in pairs) / 3
                end = batch.terminations[run, row].item()
                probability = 1 / (1 + math.exp(-logit))
                right = probability if end else 1 - probability
                total += 2 * (error - math.log(right)) / 6
        assert found[run].item() == pytest.approx(total, rel=1e-10)


def test_predictions_are_in_the_datas_units():
    batch, model = make_batch(torch.Generator().manual_seed(1)), make_model().double()
    model.see(batch)
    states, rewards, logits = model(batch.observations, batch.actions)
    for run, member, row in ((0, 0, 0), (1, 2, 5)):
        *outcome, logit = literal_outputs(model, batch, run, member, row)
        mean = model.outputs.mean[run, 0].tolist()
        std = [math.sqrt(v) + SMALLEST_SCALE for v in model.outputs.variance[run, 0]]
        change = [m + s * x for m, s, x in zip(mean, std, outcome, strict=True)]
        state = batch.observations[run, row].tolist()
        expected = [state[0] + change[0], state[1] + change[1], change[2], logit]
        found = [*states[run, member, row].tolist(), rewards[run, member, row].item()]
        assert [*found, logits[run, member, row].item()] == pytest.approx(expected)


def test_the_largest_discrepancy_is_of_the_pair_furthest_apart():
    members = torch.tensor([[0.0, 0.0], [3.0, 4.0], [-3.0, 0.0]])
    found = largest_discrepancy(members[None, :, None])
    assert found.shape == (1, 1)
    assert found.item() == pytest.approx(math.hypot(6, 4))


def test_models_agree_with_a_system_where_they_saw_it_and_not_far_from_it():
    """s' = s + (0.5, -1) a, r = s_0, an end where s_1 > 0; a is within 0.3."""
    generator = torch.Generator().manual_seed(0)
    model = make_model(hidden_dim=64)
    optimizer = Adam(model.mlp.parameters(), 3e-3)

    def transitions(size, reach):
        states = torch.randn(2, size, 2, generator=generator)
        actions = reach * (2 * torch.rand(2, size, 1, generator=generator) - 1)
        following = states + actions * torch.tensor([0.5, -1.0])
        ends = (states[..., 1] > 0).float()
        return Batch(states, actions, states[..., 0], following, ends)

    for _ in range(600):
        batch = transitions(64, 0.3)
        model.see(batch)
        rows = torch.rand(2, 3, 64, generator=generator)
        gradient_step(optimizer, model.loss(batch, rows).sum(), 2)
    with torch.no_grad():
        batch = transitions(256, 0.3)
        states, rewards, logits = model(batch.observations, batch.actions)
        errors = (states - batch.next_observations[:, None]).abs()
        assert errors.median() < 0.03
        assert (rewards - batch.rewards[:, None]).abs().median() < 0.1
        right = (logits > 0) == (batch.terminations[:, None] > 0)
        assert right.float().mean() > 0.93
        near = largest_discrepancy(states)
        far, _, _ = model(batch.observations, 20 * batch.actions.sign())
        assert largest_discrepancy(far).median() > 5 * near.median()


def test_what_never_moves_is_predicted_to_stay():
    model = make_model()
    stays = torch.zeros(2, 5, 2)
    batch = SimpleNamespace(
        observations=stays,
        actions=torch.zeros(2, 5, 1),
        rewards=torch.full((2, 5), 3.0),
        next_observations=stays,
    )
    model.see(batch)
    states, rewards, _ = model(batch.observations, batch.actions)
    assert states.abs().max() < 1e-6
    torch.testing.assert_close(rewards, torch.full_like(rewards, 3.0))
