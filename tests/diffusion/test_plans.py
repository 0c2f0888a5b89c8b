"""The chain of plans: posterior by hand, exact denoising, the first observation."""

import numpy as np
import pytest
import torch

from dql.diffusion.plans import PlanDiffusion, with_first
from dql.diffusion.policy import cosine_betas


def make_plans(num_steps):
    generator = torch.Generator().manual_seed(0)
    plans = torch.rand(2, 3, 4, 5, generator=generator) * 2 - 1
    noise = torch.randn(2, 3, num_steps, 4, 5, generator=generator)
    return plans, noise


@pytest.mark.parametrize("prediction", ["plan", "noise"])
@pytest.mark.parametrize("clips", [True, False])
def test_a_network_that_knows_the_plan_ends_there(prediction, clips):
    diffusion = PlanDiffusion(6, prediction, clips=clips)
    plans, noise = make_plans(6)
    signal = np.sqrt(np.cumprod(1 - cosine_betas(6)))
    seen = []

    def network(noisy, steps):
        seen.append(steps[0, 0].item())
        assert torch.equal(noisy[:, :, 0, 3:], plans[:, :, 0, 3:])
        if prediction == "plan":
            return plans
        scale = float(signal[seen[-1]])
        return (noisy - scale * plans) / (1 - scale**2) ** 0.5

    found = diffusion.sample(plans[:, :, 0, 3:], noise, network)
    torch.testing.assert_close(found, plans, atol=1e-3, rtol=0)
    assert seen == [5, 4, 3, 2, 1, 0]


def test_a_step_is_the_posterior_of_ho_and_others():
    diffusion = PlanDiffusion(3, "noise", clips=False)
    plans, noise = make_plans(3)
    betas = cosine_betas(3)
    cumprod = np.cumprod(1 - betas)
    output = torch.full_like(plans, 0.3)
    for index in (1, 2):
        clean = (plans - (1 - cumprod[index]) ** 0.5 * 0.3) / cumprod[index] ** 0.5
        mean = (
            cumprod[index - 1] ** 0.5 * betas[index] * clean
            + (1 - betas[index]) ** 0.5 * (1 - cumprod[index - 1]) * plans
        ) / (1 - cumprod[index])
        torch.testing.assert_close(
            diffusion.denoised(plans, output, index), mean, atol=1e-4, rtol=1e-4
        )
        variance = betas[index] * (1 - cumprod[index - 1]) / (1 - cumprod[index])
        assert diffusion.schedule.noise_scale[index] ** 2 == pytest.approx(variance)


def test_plans_are_noised_each_to_its_own_step():
    diffusion = PlanDiffusion(4, "noise", clips=False)
    plans, noise = make_plans(1)
    steps = torch.tensor([[0, 3, 1], [2, 2, 0]])
    found = diffusion.noised(plans, steps, noise[:, :, 0])
    cumprod = np.cumprod(1 - cosine_betas(4))
    for run, row in np.ndindex(2, 3):
        share = cumprod[steps[run, row]]
        expected = share**0.5 * plans[run, row]
        expected = expected + (1 - share) ** 0.5 * noise[run, row, 0]
        torch.testing.assert_close(found[run, row], expected, atol=1e-6, rtol=1e-5)


def test_a_guide_moves_plans_before_every_step_but_not_the_observation():
    diffusion = PlanDiffusion(3, "plan", clips=False)
    plans, noise = make_plans(3)
    asked = []

    def guide(moved, index):
        asked.append(index)
        return moved + 1

    found = diffusion.sample(
        plans[:, :, 0, 3:], noise, lambda noisy, steps: noisy, guide
    )
    plain = diffusion.sample(plans[:, :, 0, 3:], noise, lambda noisy, steps: noisy)
    assert asked == [2, 1, 0]
    assert torch.equal(found[:, :, 0, 3:], plain[:, :, 0, 3:])
    assert (found[:, :, 1:] > plain[:, :, 1:]).all()


def test_the_first_observation_is_put_where_rows_hold_it():
    plans, _ = make_plans(1)
    found = with_first(plans, torch.full((2, 3, 2), 7.0))
    assert (found[:, :, 0, 3:] == 7).all()
    assert torch.equal(found[:, :, 0, :3], plans[:, :, 0, :3])
    assert torch.equal(found[:, :, 1:], plans[:, :, 1:])
