"""The solver on targets whose probability-flow ODE is solved on paper."""

import numpy as np
import pytest
import torch
from torch import nn

from dql.core.noise import seeded_generator
from dql.diffusion import dpm_solver
from dql.diffusion.dpm_solver import solver_indices, solver_steps
from dql.diffusion.policy import BETA_SCHEDULES, Diffusion

MEAN, STD = 0.1, 0.2  # of the Gaussian target: far from where actions are clamped


class GaussianNoise(nn.Module):
    """The noise an ideal network predicts where actions are N(mean, std^2).

    The noised action is alpha a + sigma eps, so that given it, eps has the mean
    sigma (noisy - alpha mean) / (alpha^2 std^2 + sigma^2).
    """

    def __init__(self, alphas_cumprod, mean, std):
        super().__init__()
        self.alphas_cumprod, self.mean, self.std = alphas_cumprod, mean, std

    def first_layer(self, observations, indices):
        return list(indices)

    def at(self, first, noisy_actions, position):
        square = self.alphas_cumprod[first[position]]
        variance = square * self.std**2 + 1 - square
        error = noisy_actions - np.sqrt(square) * self.mean
        return np.sqrt(1 - square) * error / variance


def ideal_diffusion(num_steps, schedule="linear", mean=MEAN, std=STD):
    diffusion = Diffusion(
        3,
        2,
        [seeded_generator(0, "weights")],
        hidden_dim=4,
        time_embedding_dim=4,
        num_denoising_steps=num_steps,
        beta_schedule=schedule,
        prediction="noise",
    ).double()
    diffusion.predictor = GaussianNoise(diffusion.alphas_cumprod, mean, std)
    return diffusion


def exact_actions(diffusion, start):
    """Follow the ODE by its solution: (a_t - alpha_t mean) / std_t never changes.

    `start` holds a_N. From index 0 the last step goes to the action expected there.
    """
    squares = diffusion.alphas_cumprod
    stds = np.sqrt(squares * STD**2 + 1 - squares)
    score = (start - np.sqrt(squares[-1]) * MEAN) / stds[-1]
    return MEAN + np.sqrt(squares[0]) * STD**2 / stds[0] * score


def error(num_solver_steps, num_steps=1000, schedule="linear"):
    diffusion = ideal_diffusion(num_steps, schedule)
    start = torch.linspace(-2, 2, 22, dtype=torch.float64).view(1, 11, 2)
    actions = diffusion.solve(torch.zeros(1, 11, 3), start, num_solver_steps)
    return (actions - exact_actions(diffusion, start)).abs().max().item()


@pytest.mark.parametrize("num_steps", [1, 5, 20])
@pytest.mark.parametrize("num_solver_steps", [1, 2, 5, 15, 20])
def test_indices_go_from_last_to_first_without_repeating(num_steps, num_solver_steps):
    if num_solver_steps > num_steps:
        return
    indices = solver_indices(num_steps, num_solver_steps)
    assert len(indices) == num_solver_steps
    assert indices[0] == num_steps - 1
    assert (np.diff(indices) < 0).all()
    assert indices[-1] == 0 or num_solver_steps == 1


def test_as_many_solver_steps_as_denoising_steps_take_every_one():
    np.testing.assert_array_equal(solver_indices(7, 7), [6, 5, 4, 3, 2, 1, 0])


def test_steps_by_hand():
    # sigma / alpha falls from 2 over 1 to 1/2: lambda grows by log 2, then by log 2.
    ratios = np.array([0.5, 1.0, 2.0])
    first, second, last = solver_steps(1 / (1 + ratios**2), 3)
    assert (first.index, second.index, last.index) == (2, 1, 0)
    alpha, sigma = 1 / np.sqrt(1 + ratios**2), ratios / np.sqrt(1 + ratios**2)
    np.testing.assert_allclose(first.noisy_weight, sigma[1] / sigma[2])
    np.testing.assert_allclose(first.clean_weight, alpha[1] * (1 - 1 / 2))
    np.testing.assert_allclose(second.clean_weight, alpha[0] * (1 - 1 / 2))
    assert first.extrapolation == 0
    np.testing.assert_allclose(second.extrapolation, 1 / 2)
    assert (last.noisy_weight, last.clean_weight, last.extrapolation) == (0, 1, 0)


@pytest.mark.parametrize("schedule", BETA_SCHEDULES)
@pytest.mark.parametrize("num_solver_steps", [1, 2, 5, 20])
def test_one_point_is_found_exactly_in_any_number_of_steps(schedule, num_solver_steps):
    diffusion = ideal_diffusion(20, schedule, mean=0.3, std=0.0)
    start = torch.randn(1, 5, 2, generator=torch.Generator().manual_seed(0))
    actions = diffusion.solve(torch.zeros(1, 5, 3), start.double(), num_solver_steps)
    torch.testing.assert_close(actions, torch.full_like(actions, 0.3))


@pytest.mark.parametrize("schedule", ["vp", "linear", "cosine"])
def test_all_steps_follow_the_ode(schedule):
    assert error(1000, schedule=schedule) < 2e-3 * STD


def test_the_error_falls_with_the_square_of_the_number_of_steps():
    errors = [error(n) for n in (20, 40, 80)]
    assert errors[0] / errors[1] > 3
    assert errors[1] / errors[2] > 3


def test_indices_dense_near_the_data_miss_less_than_even_ones(monkeypatch):
    chosen = error(15)
    even = np.rint(np.linspace(999, 0, 15)).astype(int)
    monkeypatch.setattr(dpm_solver, "solver_indices", lambda *sizes: even)
    assert chosen < 0.2 * error(15)


def test_fifteen_of_a_thousand_steps_sample_the_gaussian():
    diffusion = ideal_diffusion(1000)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 20000, 2, generator=generator, dtype=torch.float64)
    actions = diffusion.solve(torch.zeros(1, 20000, 3), noise, 15)
    assert abs(actions.mean().item() - MEAN) < 0.03 * STD
    assert abs(actions.std().item() / STD - 1) < 0.1


def test_solver_asks_the_network_as_the_loss_does():
    diffusion = Diffusion(
        3,
        2,
        [seeded_generator(seed, "weights") for seed in (0, 1)],
        hidden_dim=16,
        time_embedding_dim=8,
        num_denoising_steps=9,
        beta_schedule="vp",
        prediction="noise",
    )
    generator = torch.Generator().manual_seed(0)
    observations = torch.randn(2, 6, 3, generator=generator)
    noisy = torch.randn(2, 6, 2, generator=generator)
    first = diffusion.predictor.first_layer(observations, [7, 2])
    for position, index in enumerate([7, 2]):
        steps = torch.full((2, 6), index)
        expected = diffusion.predictor(observations, noisy, steps)
        found = diffusion.predictor.at(first, noisy, position)
        torch.testing.assert_close(found, expected)
