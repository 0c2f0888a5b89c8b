"""Networks over time against PyTorch's own layers, run by run."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from dql.core.noise import seeded_generator
from dql.diffusion.noise_predictor import sinusoidal_embedding
from dql.diffusion.temporal_unet import (
    ResidualBlock,
    StackedConvolution,
    StepEmbedding,
    TemporalUnet,
    TemporalValue,
    apart,
    side_by_side,
)


def generators(num_runs=2):
    return [seeded_generator(seed, "weights") for seed in range(num_runs)]


@pytest.mark.parametrize(
    ("size", "options", "native"),
    [
        (5, {}, lambda: nn.Conv1d(3, 4, 5, padding=2)),
        (3, {"stride": 2}, lambda: nn.Conv1d(3, 4, 3, 2, 1)),
        (
            4,
            {"stride": 2, "is_transposed": True},
            lambda: nn.ConvTranspose1d(3, 4, 4, 2, 1),
        ),
    ],
)
def test_a_stacked_convolution_is_pytorchs_of_every_run(size, options, native):
    ours = StackedConvolution(3, 4, size, generators(), **options)
    values = torch.randn(6, 2, 3, 8)
    found = ours(values.flatten(1, 2)).unflatten(1, (2, 4))
    for run in range(2):
        theirs = native()
        with torch.no_grad():
            theirs.weight.copy_(ours.weight[run])
            theirs.bias.copy_(ours.bias[run])
        torch.testing.assert_close(found[:, run], theirs(values[:, run]))
    bound = (3 * size) ** -0.5
    assert 0.9 * bound < ours.weight.abs().max() <= bound


def literal_block(block, run, values, embedding):
    """Return one run's residual block, values (B, C, L), embedding (B, T)."""

    def convolved(part, inputs):
        layer, groups = part.convolution, min(8, len(part.gain[run]) // 4)
        hidden = functional.conv1d(
            inputs, layer.weight[run], layer.bias[run], padding=2
        )
        hidden = functional.group_norm(hidden, groups, part.gain[run], part.offset[run])
        return hidden * torch.tanh(functional.softplus(hidden))

    layer = block.embedding_layer
    added = embedding @ layer.weight[run] + layer.bias[run]
    hidden = convolved(block.first, values) + added[..., None]
    around = values
    if not isinstance(block.around, nn.Identity):
        weight, bias = block.around.weight[run], block.around.bias[run]
        around = functional.conv1d(values, weight, bias)
    return convolved(block.second, hidden) + around


@pytest.mark.parametrize("output_dim", [16, 32])
def test_a_residual_block_is_the_literal_one(output_dim):
    block = ResidualBlock(16, output_dim, 6, generators())
    with torch.no_grad():
        for part in (block.first, block.second):
            part.gain.uniform_(0.5, 1.5)
            part.offset.uniform_(-1, 1)
    values, embedding = torch.randn(2, 5, 16, 8), torch.randn(2, 5, 6)
    found = block(values.transpose(0, 1).flatten(1, 2), embedding)
    found = found.unflatten(1, (2, output_dim))
    for run in range(2):
        expected = literal_block(block, run, values[run], embedding[run])
        torch.testing.assert_close(found[:, run], expected, atol=1e-5, rtol=1e-4)


def test_the_denoising_step_is_embedded_by_its_index():
    steps = torch.tensor([[0, 3, 3], [1, 2, 0]])
    embedding = StepEmbedding(4, 8, generators())
    table = sinusoidal_embedding(4, 8).float()
    torch.testing.assert_close(embedding(steps), embedding.mlp(table[steps]))


def make_unet(length=8, num_runs=2, **changes):
    sizes = {"level_dims": [16, 32, 64], "num_steps": 5} | changes
    unet = TemporalUnet(3, generators(num_runs), **sizes)
    generator = torch.Generator().manual_seed(0)
    plans = torch.randn(num_runs, 4, length, 3, generator=generator)
    return unet, plans, torch.tensor([[0, 1, 2, 4]]).expand(num_runs, -1)


@pytest.mark.parametrize("length", [4, 8, 20])
def test_a_unet_keeps_the_shape_and_mixes_no_runs(length):
    unet, plans, steps = make_unet(length)
    plans.requires_grad_()
    found = unet(plans, steps)
    assert found.shape == plans.shape
    (gradient,) = torch.autograd.grad(found[0].sum(), plans)
    assert (gradient[1] == 0).all() and (gradient[0] != 0).any()
    (gradient,) = torch.autograd.grad(unet(plans, steps)[:, 1].sum(), plans)
    others = gradient[:, [0, 2, 3]]
    assert (others == 0).all() and (gradient[:, 1] != 0).all()


def test_a_unet_reads_its_step_and_its_condition():
    unet, plans, steps = make_unet(condition_dim=6)
    condition = torch.randn(2, 4, 6)
    found = unet(plans, steps, condition)
    assert not torch.allclose(found, unet(plans, (steps + 1) % 5, condition))
    assert not torch.allclose(found, unet(plans, steps, condition + 1))


@pytest.mark.parametrize("length", [4, 8, 12])
def test_a_value_is_a_number_of_the_whole_plan(length):
    value = TemporalValue(3, length, generators(), level_dims=[32, 64], num_steps=5)
    _, plans, steps = make_unet(length)
    plans.requires_grad_()
    found = value(plans, steps)
    assert found.shape == (2, 4)
    (gradient,) = torch.autograd.grad(found[0, 1], plans)
    assert (gradient[0, 1] != 0).all()
    assert (gradient[1] == 0).all() and (gradient[0, [0, 2, 3]] == 0).all()


def test_channels_lie_side_by_side_run_by_run():
    plans = torch.randn(2, 4, 5, 3)
    values = side_by_side(plans)
    assert torch.equal(values[1, 3:], plans[1, 1].T)
    assert torch.equal(apart(values, 2), plans)
