"""The published denoiser: schedule, network against a literal one, errors."""

import numpy as np
import pytest
import torch
from torch.nn.functional import mish

from dql.diffusion import edm
from dql.errors import UserError
from tests.support.synthetic_weights import action_model, state_model


def literal_denoised(weights, noisy, conditions, sigma):
    """Evaluate the network layer by layer, as its publishers describe it."""
    arrays = {name: torch.from_numpy(array) for name, array in weights.items()}

    def layer(name, inputs):
        return inputs @ arrays[f"{name}.weight"].T + arrays[f"{name}.bias"]

    embedding = layer("embed.3", mish(layer("embed.1", edm.time_embedding(sigma))))
    variance = sigma**2 + 0.25
    inputs = [noisy / variance**0.5, conditions, embedding.expand(len(noisy), 16)]
    hidden = layer("layers.layers.0", torch.cat(inputs, dim=1))
    for index in (1, 3, 5):
        hidden = mish(layer(f"layers.layers.{index}", hidden))
    output = layer("layers.layers.7", hidden)
    return 0.25 / variance * noisy + 0.5 * sigma / variance**0.5 * output


@pytest.mark.parametrize("sigma", [80.0, 1.0, 0.05, 0.002])
def test_denoiser_is_the_literal_network(sigma):
    weights = action_model()
    generator = torch.Generator().manual_seed(0)
    noisy = sigma * torch.randn(7, 3, generator=generator)
    conditions = torch.randn(7, 11, generator=generator)
    model = edm.DiffusionModel(weights, output_dim=3, condition_dim=11)
    torch.testing.assert_close(
        model.denoised(noisy, conditions, sigma),
        literal_denoised(weights, noisy, conditions, sigma),
        rtol=1e-5,
        atol=1e-5,
    )


def test_state_models_take_no_conditions():
    weights = state_model()
    noisy = torch.randn(5, 11, generator=torch.Generator().manual_seed(1))
    found = edm.DiffusionModel(weights, 11, 0).denoised(noisy, None, 0.1)
    expected = literal_denoised(weights, noisy, torch.zeros(5, 0), 0.1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_noise_levels_run_from_80_to_0002():
    levels = edm.sigmas()
    assert len(levels) == 15
    assert (levels[0], levels[-1]) == pytest.approx((80.0, 0.002))
    middle = ((80 ** (1 / 7) + 0.002 ** (1 / 7)) / 2) ** 7
    assert levels[7] == pytest.approx(middle)


def test_embedding_of_sigma_1_has_no_angle():
    expected = torch.cat((torch.zeros(8), torch.ones(8)))
    assert torch.equal(edm.time_embedding(1.0), expected)


def test_embedding_starts_with_the_angle_itself_and_ends_slow():
    features = edm.time_embedding(np.e**4)
    assert features[0] == pytest.approx(np.sin(1.0))
    assert features[7] == pytest.approx(np.sin(1e-4), rel=1e-4)


def silent_model():
    """Return a model whose network answers nothing: it only scales its input."""
    weights = {name: 0 * array for name, array in action_model().items()}
    return edm.DiffusionModel(weights, 3, 11)


def test_a_silent_network_leaves_the_skip_connection():
    noisy = torch.tensor([[1.0, -2.0, 0.5]])
    found = silent_model().denoised(noisy, torch.zeros(1, 11), 0.5)
    assert torch.allclose(found, noisy / 2)


def test_euler_steps_by_hand():
    # Two clipped steps from sigma 80: x1 = 1 + (80 - 1) s1 / 80 for a noise of 1.
    found = silent_model().sample(torch.zeros(1, 11), torch.ones(1, 3))
    vector, levels = 80.0, [*edm.sigmas(), 0.0]
    for sigma, following in zip(levels, levels[1:], strict=False):
        clean = min(0.25 / (sigma**2 + 0.25) * vector, 1.0)
        vector += (following - sigma) * (vector - clean) / sigma
    assert found.tolist()[0] == pytest.approx([vector] * 3, rel=1e-4)


def test_samples_stay_in_range():
    model = edm.DiffusionModel(action_model(), 3, 11)
    generator = torch.Generator().manual_seed(2)
    conditions = torch.randn(64, 11, generator=generator)
    samples = model.sample(conditions, torch.randn(64, 3, generator=generator))
    assert samples.abs().max() <= 1
    assert samples.std() > 0.01


def test_error_of_a_silent_network_is_the_share_of_noise_it_keeps():
    error = edm.denoising_error(
        silent_model(),
        torch.zeros(20_000, 3),
        torch.zeros(20_000, 11),
        0.5,
        torch.Generator().manual_seed(0),
    )
    mean_norm = 2 * (2 / np.pi) ** 0.5  # of three standard normal numbers
    assert error == pytest.approx(0.5 * mean_norm / 3**0.5, rel=0.01)


def test_arrays_of_another_shape_are_named():
    weights = action_model()
    weights["layers.layers.0.weight"] = np.zeros((256, 31), np.float32)
    with pytest.raises(UserError, match=r"layers.layers.0.weight.*256, 31.*256, 30"):
        edm.DiffusionModel(weights, 3, 11)


def test_a_missing_array_is_named():
    weights = action_model()
    del weights["embed.3.bias"]
    with pytest.raises(UserError, match="embed.3.bias.*missing"):
        edm.DiffusionModel(weights, 3, 11)
