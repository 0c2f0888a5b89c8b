"""FASTER: its loss written out, and one start of several ends at the better mode."""

import numpy as np
import pytest
import torch
from core import make_agent, train_steps, training_steps
from literal_networks import perceptron, q_value
from small_bandit import draw_actions, two_modes
from weighted_bandit import precise_update

from dql.core.noise import NoiseStreams

TINY = {"hidden_dim": 5, "num_denoising_steps": 3, "num_training_candidates": 2}


def test_the_filters_loss_equals_the_sum_written_out():
    before, agent, batch, noise, metrics = precise_update("faster", **TINY)
    for run in range(2):
        total = 0.0
        for b in range(5):
            state = batch.observations[run, b].tolist()
            starts = noise["filter_start"][run, 2 * b : 2 * b + 2].tolist()
            scores = [
                perceptron(before["target_noise_critic"], run, [*state, *z])[0]
                for z in starts
            ]
            start = starts[int(np.argmax(scores))]
            # Clone and critics, and their averages, have taken their steps before.
            ends = agent.denoise(
                agent.target_actor,
                batch.observations[:, b : b + 1],
                torch.tensor(start).double().expand(2, 1, 3),
            )
            end = ends[run, 0].tolist()
            q = min(q_value(agent.target_critic, run, k, state, end) for k in (0, 1))
            score = perceptron(before["noise_critic"], run, [*state, *start])[0]
            total += (score - q) ** 2 / 5
        found = metrics["critic/filter_loss"][run].item()
        assert found == pytest.approx(total, rel=1e-7)


def test_a_decision_denoises_the_start_of_the_largest_score():
    agent, store = make_agent("faster")
    train_steps(agent, store, 5)
    noise = NoiseStreams((0, 1), agent.evaluation_draws(4), "evaluation", 0).at(0)
    observations = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    found = agent.sample_actions(observations, noise)
    for run in range(2):
        for e in range(4):
            state = observations[run, e].tolist()
            starts = noise["start"][run, e]
            scores = [
                perceptron(agent.target_noise_critic, run, [*state, *z.tolist()])[0]
                for z in starts
            ]
            start = starts[int(np.argmax(scores))].expand(2, 1, 3)
            ends = agent.denoise(agent.target_actor, observations[:, e : e + 1], start)
            torch.testing.assert_close(found[run, e], ends[run, 0])


def test_its_other_steps_are_idqls():
    sizes = {"hidden_dim": 16, "num_denoising_steps": 4, "expectile": 0.7}
    sizes |= {"time_embedding_dim": 64, "critic_num_hidden_layers": 2}
    faster, store = make_agent("faster", settings=[sizes] * 2)
    idql, _ = make_agent("idql", settings=[sizes] * 2)
    train_steps(faster, store, 4)
    train_steps(idql, store, 4)
    theirs = faster.state()
    for key, value in idql.state().items():
        assert torch.equal(value, theirs[key]), key


def test_the_better_of_two_modes_is_found_by_one_denoised_sample():
    sizes = {"hidden_dim": 32, "num_denoising_steps": 8, "actor_polyak_step_size": 0.05}
    rates = {"learning_rate": 3e-3, "critic_learning_rate": 3e-3}
    rates |= {"polyak_step_size": 0.05, "num_candidates": 8}
    each = [sizes | rates] * 2
    agent, store = make_agent("faster", settings=each, dataset=two_modes())
    for step, batch, noise in training_steps(agent, store, 400, batch_size=64):
        agent.update(batch, noise, agent.phase(step))
    shares = (draw_actions(agent)[..., 0] > 0).mean(axis=1)
    assert (shares > 0.85).all()  # behaviour cloning: 0.5
