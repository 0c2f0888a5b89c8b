"""Thresholds and samples against NumPy and loops; what lies outside is found."""

import numpy as np
import pytest
import torch

from dql.core.batch import Batch
from dql.core.noise import NoiseStreams, seeded_generator
from dql.core.optimization import Adam, gradient_step
from dql.diffusion.data_models import DataModels
from dql.diffusion.denoiser import noise_levels


def make_models(hidden_dim=8, **sizes):
    generators = [seeded_generator(seed, "weights") for seed in (0, 1)]
    sizes = {"num_action_levels": 2, "num_state_levels": 3} | sizes
    common = {"hidden_dim": hidden_dim, "num_hidden_layers": 1}
    return DataModels(2, 1, generators, **common, **sizes)


def draws_of(models, batch_size, step=0):
    streams = NoiseStreams((0, 1), models.draws(batch_size, 2, 1), "training")
    return streams.at(step)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_errors_are_averaged_over_levels():
    models, noise = make_models(), None
    states, actions = normal(2, 4, 2), normal(2, 4, 1, seed=1)
    noise = draws_of(models, 4)
    with torch.no_grad():
        action_errors = models.action_error(states, actions, noise)
        state_errors = models.state_error(states, noise)
    for row in range(4):
        sums = torch.zeros(2), torch.zeros(2)
        for level in range(2):
            at = slice(2 * row + level, 2 * row + level + 1)
            here = noise_levels(noise["action_level"][:, at])
            drawn = noise["action_noise"][:, at]
            x, s = actions[:, row : row + 1], states[:, row : row + 1]
            sums[0].add_(models.actions.error(x, here, drawn, s)[:, 0].detach())
        for level in range(3):
            at = slice(3 * row + level, 3 * row + level + 1)
            here = noise_levels(noise["state_level"][:, at])
            drawn = noise["state_noise"][:, at]
            x = states[:, row : row + 1]
            sums[1].add_(models.states.error(x, here, drawn, None)[:, 0].detach())
        torch.testing.assert_close(action_errors[:, row], sums[0] / 2)
        torch.testing.assert_close(state_errors[:, row], sums[1] / 3)


def test_thresholds_are_means_of_batches_quantiles():
    models, expected = make_models(), []
    for step in range(3):
        states, actions = normal(2, 9, 2, seed=step), normal(2, 9, 1, seed=9 + step)
        noise = draws_of(models, 9, step)
        models.survey(states, actions, noise, 0.8)
        with torch.no_grad():
            errors = models.action_error(states, actions, noise).numpy()
        expected.append(np.percentile(errors, 80, axis=1))
    np.testing.assert_allclose(
        models.action_threshold[:, 0], np.mean(expected, axis=0), rtol=1e-5
    )
    assert (models.state_threshold > 0).all()


def test_samples_are_denoised_from_the_largest_level_down():
    models = make_models().double()
    states, start = normal(2, 3, 2).double(), normal(2, 6, 1, seed=1).double()
    level = torch.tensor([[0.3, 0.9, 0.5], [0.8, 0.1, 0.6]], dtype=torch.float64)
    noise = normal(2, 3, 6, 1, seed=2).double()
    with torch.no_grad():
        found = models.sample_actions(states, start, level, noise)
        for run in (0, 1):
            levels = sorted(noise_levels(level[run]).tolist(), reverse=True)
            for row in range(6):
                action = start[:, row : row + 1]
                given = states[:, row // 2 : row // 2 + 1]
                for step, sigma in enumerate(levels):
                    here = torch.full((2, 1, 1), sigma, dtype=torch.float64)
                    action = models.actions.denoise(action, here, given)
                    if step < 2:
                        spread = (sigma**2 - levels[step + 1] ** 2) ** 0.5
                        action = action + spread * noise[:, step, row : row + 1]
                torch.testing.assert_close(found[run, row], action[run, 0])


def test_what_the_data_do_not_hold_is_outside():
    """Actions are the first state's sign, states lie around 0, and s' = s + a / 2."""
    models = make_models(hidden_dim=32, num_action_levels=8, num_state_levels=8)
    names = ("actions", "states", "dynamics")
    optimizers = {n: Adam(getattr(models, n).parameters(), 3e-3) for n in names}
    nothing = torch.zeros(2, 64)

    def data(step):
        states = normal(2, 64, 2, seed=step)
        actions = 0.5 * states[..., :1].sign()
        return Batch(states, actions, nothing, states + actions / 2, nothing)

    for step in range(400):
        losses = models.losses(data(step), draws_of(models, 64, step))
        assert set(losses) == set(names)
        for name, loss in losses.items():
            gradient_step(optimizers[name], loss.sum(), 2)
    for step in range(400, 410):
        batch, noise = data(step), draws_of(models, 64, step)
        models.survey(batch.observations, batch.actions, noise, 0.95)
    batch, noise = data(500), draws_of(models, 64, 500)
    states, actions = batch.observations, batch.actions
    with torch.no_grad():
        following = models.next_states(states, actions)
        inside = models.are_outside(states, actions, following, noise)
        far = models.are_outside(states, -actions, 6 + following, noise)
    assert (following - batch.next_observations).abs().median() < 0.1
    for found, other in zip(inside, far, strict=True):
        assert found.float().mean() < 0.25
        assert other.float().mean() > 0.9
    assert models.num_batches[0, 0].item() == pytest.approx(10)
