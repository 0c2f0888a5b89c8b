import numpy as np
import pytest
import torch

from dql.core import kernels
from dql.core.kernels import build, mish
from dql.core.networks import MLP, StackedLinear, TwinCritic
from dql.core.noise import seeded_generator


def generators(num_runs):
    return [seeded_generator(seed, "weights") for seed in range(num_runs)]


@pytest.fixture(params=["C", "torch"])
def backend(request, monkeypatch):
    if request.param == "torch":
        monkeypatch.setattr(kernels, "library", lambda: None)
    elif build.library() is None:
        pytest.skip("no C compiler on this machine")
    return request.param


@pytest.mark.parametrize("with_full", [False, True])
def test_mish_and_its_gradients_equal_pytorch_in_double(backend, with_full):
    generator = torch.Generator().manual_seed(0)
    inputs = 8 * torch.randn(3, 50, 24, generator=generator)
    row = torch.randn(3, 1, 24, generator=generator)
    full = torch.randn(3, 50, 24, generator=generator) if with_full else None
    upstream = torch.randn(3, 50, 24, generator=generator)
    ours = [t.clone().requires_grad_() for t in (inputs, row, full) if t is not None]
    mish(*ours).backward(upstream)
    exact = [
        t.double().clone().requires_grad_()
        for t in (inputs, row, full)
        if t is not None
    ]
    expected = torch.nn.functional.mish(sum(exact))
    expected.backward(upstream.double())
    torch.testing.assert_close(mish(*ours), expected.float(), atol=2e-6, rtol=2e-6)
    for mine, theirs in zip(ours, exact, strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad.float(), atol=2e-5, rtol=1e-5)


def test_mish_is_exact_over_the_whole_range(backend):
    inputs = torch.linspace(-120, 120, 24000).view(1, 1000, 24)
    zero = torch.zeros(1, 1, 24)
    expected = torch.nn.functional.mish(inputs.double()).float()
    torch.testing.assert_close(mish(inputs, zero), expected, atol=1e-6, rtol=4e-7)


def test_mish_keeps_nan(backend):
    inputs = torch.zeros(1, 1, 40)
    inputs[0, 0, 7] = torch.nan
    outputs = mish(inputs, torch.zeros(1, 1, 40))
    assert outputs.isnan().nonzero().tolist() == [[0, 0, 7]]


def test_mish_falls_back_on_what_the_kernel_cannot_read():
    inputs = torch.randn(2, 6, 5).transpose(1, 2)
    expected = torch.nn.functional.mish(inputs)
    torch.testing.assert_close(mish(inputs, torch.zeros(2, 1, 6)), expected)


def test_missing_compiler_is_said_once(monkeypatch, caplog, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.delenv("DQL_KERNELS", raising=False)
    build.library.cache_clear()
    try:
        assert build.library() is None
        assert build.library() is None
    finally:
        build.library.cache_clear()
    assert len(caplog.records) == 1
    assert "no C compiler" in caplog.text


def kernels_or_skip():
    if build.library() is None:
        pytest.skip("no C compiler on this machine")


def gradients_of(network, inputs, upstream, *, frozen=False):
    """Return the output, and the gradients of inputs and parameters."""
    inputs = inputs.clone().requires_grad_()
    wanted = [inputs] if frozen else [inputs, *network.parameters()]
    outputs = network(inputs, frozen=frozen)
    return [outputs, *torch.autograd.grad((outputs * upstream).sum(), wanted)]


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("activation", ["mish", "relu"])
@pytest.mark.parametrize(
    ("dims", "num_rows"),
    [([4, 8, 4], 5), ([2, 128, 128, 1], 300), ([9, 40, 33, 50, 24], 13), ([40] * 3, 1)],
)
def test_mlp_in_c_equals_double_precision(activation, dims, num_rows, members):
    kernels_or_skip()
    options = {"activation": activation, "members": members}
    single = MLP(dims, generators(3), **options)
    double = MLP(dims, generators(3), **options).double()
    generator = torch.Generator().manual_seed(0)
    options = {"generator": generator, "dtype": torch.float64}
    inputs = torch.randn(3, num_rows, dims[0], **options)
    upstream = torch.randn(3 * members, num_rows, dims[-1], **options)
    ours = gradients_of(single, inputs.float(), upstream.float())
    expected = gradients_of(double, inputs, upstream)
    assert type(ours[0].grad_fn).__name__ == "_FusedMLPBackward"
    for mine, exact in zip(ours, expected, strict=True):
        torch.testing.assert_close(mine.double(), exact, atol=2e-5, rtol=2e-5)
    with torch.no_grad():
        silent = single(inputs.float())
    torch.testing.assert_close(silent, ours[0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("changed", ["weight", "inputs"])
def test_mlp_in_c_goes_back_at_the_values_it_went_forward_at(changed):
    kernels_or_skip()
    network = MLP([3, 16, 2], generators(2), activation="mish")
    inputs = torch.randn(2, 5, 3, requires_grad=True)
    loss = network(inputs).sum()
    with torch.no_grad():
        {"weight": network.layers[0].weight, "inputs": inputs}[changed].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, [inputs])


def test_frozen_mlp_gives_the_inputs_gradient_alone():
    kernels_or_skip()
    network = MLP([3, 16, 2], generators(2), activation="mish")
    inputs, upstream = torch.randn(2, 5, 3), torch.randn(2, 5, 2)
    _, whole, *_ = gradients_of(network, inputs, upstream)
    _, alone = gradients_of(network, inputs, upstream, frozen=True)
    assert torch.equal(alone, whole)
    for required in (False, True):
        outputs = network(inputs.detach().requires_grad_(required), frozen=True)
        assert outputs.requires_grad == required
        with pytest.raises(RuntimeError):
            torch.autograd.grad(outputs.sum(), list(network.parameters()))


@pytest.mark.parametrize("upstream", [0.0, torch.nan])
def test_a_frozen_stack_without_gradient_is_passed_over(upstream):
    """As the critic that the actor's coin did not choose; a NaN is a gradient."""
    network = MLP([6, 40, 40, 1], generators(2), activation="mish")
    inputs = torch.randn(2, 9, 6, requires_grad=True)
    gradient = torch.randn(2, 9, 1)
    network(inputs, frozen=True).backward(gradient)
    both = inputs.grad.clone()
    inputs.grad, gradient[1] = None, upstream
    network(inputs, frozen=True).backward(gradient)
    assert torch.equal(inputs.grad[0], both[0])
    expected = torch.full((9, 6), upstream)
    assert torch.equal(inputs.grad[1].nan_to_num(7), expected.nan_to_num(7))


@pytest.mark.parametrize("activation", ["mish", "relu"])
def test_mlp_in_c_passes_nan_on(activation):
    kernels_or_skip()
    network = MLP([3, 40, 40, 2], generators(2), activation=activation)
    inputs = torch.randn(2, 11, 3)
    inputs[1, 9, 0] = torch.nan
    assert network(inputs).isnan().any(dim=2).nonzero().tolist() == [[1, 9]]
    inputs[1, 9, 0] = -torch.nan
    assert network(inputs).isnan().any(dim=2).nonzero().tolist() == [[1, 9]]


def test_stacked_layer_equals_separate_layers():
    layer = StackedLinear(5, 4, generators(3), members=2)
    inputs = torch.randn(6, 7, 5)
    outputs = layer(inputs)
    for row in range(6):
        expected = inputs[row] @ layer.weight[row] + layer.bias[row]
        torch.testing.assert_close(outputs[row], expected)


def test_initial_weights_are_pytorchs_law_and_depend_on_the_seed_alone():
    layer = StackedLinear(100, 200, generators(2))
    alone = StackedLinear(100, 200, generators(2)[1:])
    assert torch.equal(layer.weight[1], alone.weight[0])
    assert not torch.equal(layer.weight[0], layer.weight[1])
    # nn.Linear draws uniformly within 1 / sqrt(inputs).
    assert layer.weight.abs().max() <= 0.1
    np.testing.assert_allclose(layer.weight.std().item(), 0.1 / 3**0.5, rtol=0.01)


def test_gradients_do_not_cross_runs():
    network = MLP([5, 8, 2], generators(3), activation="mish")
    outputs = network(torch.randn(3, 4, 5))
    outputs[1].sum().backward()
    for parameter in network.parameters():
        assert parameter.grad[[0, 2]].abs().max() == 0
        assert parameter.grad[1].abs().max() > 0


def test_twin_critic_keeps_runs_and_members_apart():
    critic = TwinCritic(
        3,
        2,
        generators(2),
        hidden_dim=8,
        num_hidden_layers=2,
        activation="relu",
    )
    observations, actions = torch.randn(2, 5, 3), torch.randn(2, 5, 2)
    q_values = critic(observations, actions)
    assert q_values.shape == (2, 2, 5)
    changed = observations.clone()
    changed[0] += 1
    again = critic(changed, actions)
    assert torch.equal(again[1], q_values[1])
    assert not torch.equal(again[0], q_values[0])
    assert not torch.allclose(q_values[:, 0], q_values[:, 1])


def test_layer_norm_and_gelu_are_pytorchs():
    mlp = MLP(
        [3, 8, 8, 2], generators(2), activation="gelu", members=2, layer_norm=True
    )
    generator = torch.Generator().manual_seed(0)
    for norm in mlp.norms:
        norm.gain.data = torch.randn(norm.gain.shape, generator=generator)
        norm.offset.data = torch.randn(norm.offset.shape, generator=generator)
    inputs = torch.randn(2, 5, 3, generator=generator)
    outputs = mlp(inputs)
    for stack in range(4):
        hidden = inputs[stack // 2]  # the members of a run share them
        for layer, norm in zip(mlp.layers, mlp.norms, strict=False):
            hidden = hidden @ layer.weight[stack] + layer.bias[stack]
            hidden = torch.nn.functional.gelu(hidden, approximate="tanh")
            reference = torch.nn.LayerNorm(8)
            reference.weight.data = norm.gain.data[stack, 0]
            reference.bias.data = norm.offset.data[stack, 0]
            hidden = reference(hidden)
        last = mlp.layers[-1]
        expected = hidden @ last.weight[stack] + last.bias[stack]
        torch.testing.assert_close(outputs[stack], expected)


def test_plain_networks_have_no_layer_norm():
    critic = TwinCritic(
        3, 2, generators(1), hidden_dim=8, num_hidden_layers=2, activation="relu"
    )
    assert not any("norm" in name for name, _ in critic.named_parameters())
