import numpy as np
import pytest
import torch

from dql.core.kernels.build import library
from dql.core.noise import seeded_generator
from dql.diffusion import reverse_chain
from dql.diffusion.noise_predictor import sinusoidal_embedding
from dql.diffusion.policy import BETA_SCHEDULES, Diffusion, vp_betas


def make_diffusion(num_steps=5, prediction="noise", schedule="vp"):
    return Diffusion(
        3,
        2,
        [seeded_generator(0, "weights"), seeded_generator(1, "weights")],
        hidden_dim=16,
        time_embedding_dim=8,
        num_denoising_steps=num_steps,
        beta_schedule=schedule,
        prediction=prediction,
    )


def test_vp_schedule_at_five_steps_is_the_papers():
    expected = [0.1959, 0.4588, 0.6358, 0.7549, 0.8350]
    np.testing.assert_allclose(vp_betas(5), expected, atol=5e-5)


@pytest.mark.parametrize("num_steps", [1, 2, 5, 50, 200])
def test_vp_schedule_leaves_the_same_signal_for_any_number_of_steps(num_steps):
    signal = np.prod(1 - vp_betas(num_steps))
    np.testing.assert_allclose(signal, np.exp(-5.05), rtol=1e-9)


@pytest.mark.parametrize("name", BETA_SCHEDULES)
def test_schedules_are_probabilities(name):
    betas = BETA_SCHEDULES[name](20)
    assert betas.shape == (20,)
    assert (betas > 0).all()
    assert (betas < 1).all()


def test_embedding_starts_with_sines_of_zero():
    embedding = sinusoidal_embedding(3, 4)
    expected = [np.sin(2), np.sin(2e-4), np.cos(2), np.cos(2e-4)]
    np.testing.assert_allclose(embedding[2], expected, atol=1e-6)
    np.testing.assert_allclose(embedding[0], [0, 0, 1, 1])


def test_predicted_action_inverts_the_noising():
    diffusion = make_diffusion()
    actions, noise = torch.rand(2, 7, 2), torch.randn(2, 7, 2)
    for index in range(5):
        noisy = (
            diffusion.scales[index, 0] * actions + diffusion.scales[index, 1] * noise
        )
        schedule = diffusion.schedule
        clean = schedule.noisy_scale[index] * noisy
        clean = clean + schedule.output_scale[index] * noise
        torch.testing.assert_close(clean, actions, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("schedule", BETA_SCHEDULES)
@pytest.mark.parametrize("num_steps", [1, 2, 5, 50, 1000])
def test_the_last_reverse_step_returns_the_clamped_action(schedule, num_steps):
    numbers = make_diffusion(num_steps, schedule=schedule).schedule.rows[0, 2:]
    assert numbers.tolist() == [0.0, 1.0, 0.0]


def test_a_network_that_knows_the_action_samples_it_exactly():
    diffusion = make_diffusion(prediction="action")
    action = torch.tensor([0.3, -0.7])
    last = diffusion.predictor.mlp.layers[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(action.expand_as(last.bias))
    sampled = diffusion.sample(torch.zeros(2, 4, 3), torch.randn(2, 5, 4, 2))
    torch.testing.assert_close(sampled, action.expand(2, 4, 2))


def recorded_chain(diffusion, observations, noise, num_kept=None):
    """Sample with every operation left to automatic differentiation.

    The action is detached where its last `num_kept` steps begin.
    """
    predictor, schedule = diffusion.predictor, diffusion.schedule
    actions = noise[:, 0]
    num_steps = diffusion.num_denoising_steps
    for index in reversed(range(num_steps)):
        if index + 1 == num_kept:
            actions = actions.detach()
        steps = torch.full(observations.shape[:2], index)
        output = predictor(observations, actions, steps)
        clean = schedule.noisy_scale[index] * actions
        clean = (clean + schedule.output_scale[index] * output).clamp(-1, 1)
        actions = schedule.noisy_weight[index] * actions
        actions = actions + schedule.clean_weight[index] * clean
        if index > 0:
            fresh = noise[:, num_steps - index]
            actions = actions + schedule.noise_scale[index] * fresh
    return actions


@pytest.mark.parametrize("prediction", ["noise", "action"])
@pytest.mark.parametrize("num_steps", [1, 2, 7])
def test_chain_and_its_gradients_equal_the_recorded_ones(prediction, num_steps):
    diffusion = make_diffusion(num_steps, prediction).double()
    generator = torch.Generator().manual_seed(0)
    options = {"generator": generator, "dtype": torch.float64}
    observations = torch.randn(2, 6, 3, **options)
    noise = torch.randn(2, num_steps, 6, 2, **options)
    upstream = torch.randn(2, 6, 2, **options)
    parameters = list(diffusion.parameters())
    ours = diffusion.sample(observations, noise)
    theirs = recorded_chain(diffusion, observations, noise)
    torch.testing.assert_close(ours, theirs)
    found = torch.autograd.grad((ours * upstream).sum(), parameters)
    expected = torch.autograd.grad((theirs * upstream).sum(), parameters)
    assert any(g.abs().max() > 1e-3 for g in expected)
    for mine, recorded in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, recorded)


def make_wide(action_dim, hidden_dim, prediction="noise"):
    return Diffusion(
        3,
        action_dim,
        [seeded_generator(seed, "weights") for seed in (0, 1)],
        hidden_dim=hidden_dim,
        time_embedding_dim=4,
        num_denoising_steps=6,
        beta_schedule="vp",
        prediction=prediction,
    )


needs_compiler = pytest.mark.skipif(
    library() is None, reason="no C compiler on this machine"
)


@needs_compiler
@pytest.mark.parametrize("prediction", ["noise", "action"])
@pytest.mark.parametrize(
    ("action_dim", "hidden_dim", "num_rows"),
    [(1, 3, 2), (2, 32, 8), (3, 40, 13), (11, 33, 9), (24, 128, 50)],
)
def test_chain_in_c_equals_double_precision(
    action_dim, hidden_dim, num_rows, prediction
):
    single = make_wide(action_dim, hidden_dim, prediction)
    double = make_wide(action_dim, hidden_dim, prediction).double()
    generator = torch.Generator().manual_seed(0)
    options = {"generator": generator, "dtype": torch.float64}
    observations = torch.randn(2, num_rows, 3, **options)
    noise = 0.1 * torch.randn(2, 6, num_rows, action_dim, **options)  # few clamps
    upstream = torch.randn(2, num_rows, action_dim, **options)
    results = []
    for diffusion, dtype in ((single, torch.float32), (double, torch.float64)):
        actions = diffusion.sample(observations.to(dtype), noise.to(dtype))
        assert (actions.grad_fn.inputs is not None) == (dtype == torch.float32)
        loss = (actions * upstream.to(dtype)).sum()
        gradients = torch.autograd.grad(loss, list(diffusion.parameters()))
        results.append([actions, *gradients])
    assert sum(bool(g.abs().max() > 1e-3) for g in results[1]) > len(results[1]) / 3
    for ours, expected in zip(*results, strict=True):
        scale = float(expected.detach().abs().max())
        torch.testing.assert_close(
            ours.double(), expected, atol=1e-6 + 2e-5 * scale, rtol=1e-4
        )
    with torch.no_grad():
        silent = single.sample(observations.float(), noise.float())
    torch.testing.assert_close(silent, results[0][0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "dtype", [pytest.param(torch.float32, marks=needs_compiler), torch.float64]
)
def test_chain_goes_back_at_the_weights_it_went_forward_at(dtype):
    diffusion = make_wide(2, 16).to(dtype)
    drawn = torch.randn(2, 6, 5, 2, dtype=dtype)
    loss = diffusion.sample(torch.zeros(2, 5, 3, dtype=dtype), drawn).sum()
    parameters = list(diffusion.parameters())
    with torch.no_grad():
        parameters[-1].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, parameters)


@needs_compiler
def test_chain_in_c_passes_nan_on():
    diffusion = make_wide(2, 16)
    noise = torch.randn(2, 6, 5, 2)
    noise[1, 3, 4, 0] = torch.nan
    actions = diffusion.sample(torch.zeros(2, 5, 3), noise)
    assert actions.isnan().any(dim=2).nonzero().tolist() == [[1, 4]]


def test_chain_without_gradients_is_the_same_chain_and_keeps_nothing(monkeypatch):
    diffusion = make_diffusion()
    observations, noise = torch.randn(2, 4, 3), torch.randn(2, 5, 4, 2)
    recorded = diffusion.sample(observations, noise)
    forward = reverse_chain.mish_forward

    def silent_forward(sums, keeps):
        assert not keeps
        return forward(sums, keeps)

    monkeypatch.setattr(reverse_chain, "mish_forward", silent_forward)
    monkeypatch.setattr(reverse_chain, "kernels_apply", lambda *tensors: False)
    with torch.no_grad():
        silent = diffusion.sample(observations, noise)
    torch.testing.assert_close(silent, recorded, atol=1e-6, rtol=1e-6)


def test_loss_of_a_silent_network_is_the_noise_power():
    diffusion = make_diffusion()
    with torch.no_grad():
        for parameter in diffusion.predictor.mlp.layers[-1].parameters():
            parameter.zero_()
    noise = torch.randn(2, 64, 2)
    steps = torch.randint(5, (2, 64))
    loss = diffusion.loss(torch.zeros(2, 64, 3), torch.zeros(2, 64, 2), steps, noise)
    torch.testing.assert_close(loss, noise.square().mean(dim=(1, 2)))


@pytest.mark.parametrize("schedule", BETA_SCHEDULES)
@pytest.mark.parametrize("prediction", ["noise", "action"])
@pytest.mark.parametrize("num_kept", [1, 3, 6, 7])
def test_last_steps_alone_pass_the_gradient(num_kept, prediction, schedule):
    diffusion = make_diffusion(7, prediction, schedule).double()
    generator = torch.Generator().manual_seed(0)
    options = {"generator": generator, "dtype": torch.float64}
    observations = torch.randn(2, 6, 3, **options)
    noise = torch.randn(2, 7, 6, 2, **options)
    upstream = torch.randn(2, 6, 2, **options)
    parameters = list(diffusion.parameters())
    ours = diffusion.sample(observations, noise, num_kept)
    theirs = recorded_chain(diffusion, observations, noise, num_kept)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(ours, diffusion.sample(observations, noise))
    found = torch.autograd.grad((ours * upstream).sum(), parameters)
    expected = torch.autograd.grad((theirs * upstream).sum(), parameters)
    for mine, recorded in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, recorded)
    whole = torch.autograd.grad(
        (diffusion.sample(observations, noise) * upstream).sum(), parameters
    )
    differs = any(not torch.allclose(a, b) for a, b in zip(found, whole, strict=True))
    # Under the cosine schedule the first of seven steps is clamped everywhere.
    assert differs == (num_kept < 7) or (num_kept, schedule) == (6, "cosine")


@needs_compiler
@pytest.mark.parametrize("num_kept", [1, 4])
def test_last_steps_in_c_equal_double_precision(num_kept):
    generator = torch.Generator().manual_seed(0)
    options = {"generator": generator, "dtype": torch.float64}
    observations = torch.randn(2, 9, 3, **options)
    noise = 0.1 * torch.randn(2, 6, 9, 3, **options)
    results = []
    for dtype in (torch.float32, torch.float64):
        diffusion = make_wide(3, 40).to(dtype)
        actions = diffusion.sample(observations.to(dtype), noise.to(dtype), num_kept)
        assert (actions.grad_fn.inputs is not None) == (dtype == torch.float32)
        gradients = torch.autograd.grad(actions.sum(), list(diffusion.parameters()))
        results.append([actions, *gradients])
    for ours, expected in zip(*results, strict=True):
        scale = float(expected.detach().abs().max())
        torch.testing.assert_close(
            ours.double(), expected, atol=1e-6 + 2e-5 * scale, rtol=1e-4
        )


@pytest.mark.parametrize("prediction", ["noise", "action"])
def test_more_steps_than_rows_predict_the_same(prediction):
    diffusion = make_diffusion(20, prediction).double()
    generator = torch.Generator().manual_seed(0)
    options = {"generator": generator, "dtype": torch.float64}
    observations = torch.randn(2, 40, 3, **options)
    actions, noise = torch.rand(2, 2, 40, 2, **options)
    steps = torch.randint(20, (2, 40), generator=generator)
    parameters = list(diffusion.parameters())
    many = diffusion.loss(observations, actions, steps, noise)  # 40 rows of 20 steps
    parts = [slice(0, 10), slice(10, 20), slice(20, 30), slice(30, 40)]
    few = [
        diffusion.loss(observations[:, p], actions[:, p], steps[:, p], noise[:, p])
        for p in parts
    ]
    torch.testing.assert_close(torch.stack(few).mean(dim=0), many)
    found = torch.autograd.grad(sum(few).sum() / 4, parameters)
    expected = torch.autograd.grad(many.sum(), parameters)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_frozen_predictions_pass_the_gradient_to_the_actions_alone(dtype):
    diffusion = make_diffusion().to(dtype)
    generator = torch.Generator().manual_seed(0)
    options = {"generator": generator, "dtype": dtype}
    observations, noise = (
        torch.randn(2, 6, 3, **options),
        torch.randn(2, 6, 2, **options),
    )
    actions = torch.rand(2, 6, 2, **options).requires_grad_()
    steps = torch.randint(5, (2, 6), generator=generator)
    gradients = []
    for frozen in (False, True):
        prediction = diffusion.predict(
            observations, actions, steps, noise, frozen=frozen
        )
        loss = diffusion.prediction_loss(prediction, actions, noise).sum()
        gradients.append(torch.autograd.grad(loss, actions, retain_graph=True)[0])
    torch.testing.assert_close(*gradients)
    assert gradients[0].abs().max() > 1e-4
    embedding = diffusion.predictor.time_mlp.layers[0].weight
    (reached,) = torch.autograd.grad(loss, [embedding], allow_unused=True)
    assert reached is None


def test_predicted_actions_invert_the_noising_and_are_clamped():
    diffusion = make_diffusion(prediction="action")
    last = diffusion.predictor.mlp.layers[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([0.3, 4.0]).expand_as(last.bias))
    steps = torch.arange(5).expand(2, 5)
    zeros = torch.zeros(2, 5, 2)
    prediction = diffusion.predict(torch.zeros(2, 5, 3), zeros, steps, zeros)
    expected = torch.tensor([0.3, 1.0]).expand(2, 5, 2)
    torch.testing.assert_close(diffusion.clean_actions(prediction), expected)
    silent = make_diffusion()  # says that there is no noise
    with torch.no_grad():
        for parameter in silent.predictor.mlp.layers[-1].parameters():
            parameter.zero_()
    actions = torch.full((2, 5, 2), 0.4)
    prediction = silent.predict(torch.zeros(2, 5, 3), actions, steps, zeros)
    torch.testing.assert_close(silent.clean_actions(prediction), actions)
