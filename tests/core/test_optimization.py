"""Adam: PyTorch's own numbers, runs that do not meet, a state that comes back."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from dql.core import optimization
from dql.core.kernels.build import library
from dql.core.optimization import Adam, polyak_update


def make_parameters(seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(2, 5, 3), (2, 1, 3)]
    return [
        torch.randn(shape, generator=generator).requires_grad_() for shape in shapes
    ]


def gradients(parameters, step):
    generator = torch.Generator().manual_seed(1000 + step)
    return [torch.randn(p.shape, generator=generator) for p in parameters]


@pytest.fixture(params=["c", "torch"])
def arithmetic(request, monkeypatch):
    """Take every test through the C kernel and through PyTorch's."""
    if request.param == "torch":
        monkeypatch.setattr(optimization, "kernels_apply", lambda *tensors: False)
    elif library() is None:
        pytest.skip("no C compiler on this machine")
    return request.param


def test_every_step_is_pytorchs_own(arithmetic):
    ours, theirs = make_parameters(), make_parameters()
    adam, torchs = Adam(ours, 3e-3), torch.optim.Adam(theirs, lr=3e-3, fused=True)
    for step in range(30):
        factor = 1 - step / 40
        adam.scale_learning_rate(factor)
        torchs.param_groups[0]["lr"] = 3e-3 * factor
        for parameter, gradient in zip(theirs, gradients(theirs, step), strict=True):
            parameter.grad = gradient
        adam.step(gradients(ours, step))
        torchs.step()
        for mine, other in zip(ours, theirs, strict=True):
            if arithmetic == "torch":
                assert torch.equal(mine, other)
            torch.testing.assert_close(mine, other, rtol=1e-5, atol=2e-7)


def float64_adam(step_gradients, rate):
    """Return the move and both moments of one parameter, written out."""
    move, first, second = (torch.zeros_like(step_gradients[0]).double() for _ in "mvp")
    for step, gradient in enumerate(step_gradients, start=1):
        gradient = gradient.double()
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        corrected = first / (1 - 0.9**step), second / (1 - 0.999**step)
        move = move - rate * corrected[0] / (corrected[1].sqrt() + 1e-8)
    return move, first, second


@pytest.mark.parametrize("num_steps", [1, 2, 50])
def test_moves_and_moments_are_those_of_double_precision(arithmetic, num_steps):
    """1 - 0.999 in float32, of a float32 0.999, would be 1.3e-5 too small."""
    parameter = torch.zeros(2, 200, requires_grad=True)
    given = [gradients([parameter], step)[0].abs() for step in range(num_steps)]
    adam = Adam([parameter], 3e-3)
    for gradient in given:
        adam.step([gradient])
    found = parameter.detach(), adam.first_moments[0], adam.second_moments[0]
    for mine, exact in zip(found, float64_adam(given, 3e-3), strict=True):
        torch.testing.assert_close(mine.double(), exact, rtol=1e-6, atol=0)


def test_a_loss_of_weights_that_have_moved_is_refused(arithmetic):
    """Its gradient would be taken at other weights than its value."""
    parameter = torch.ones(1, 3, requires_grad=True)
    loss = (parameter**2).sum()
    Adam([parameter], 0.01).step([torch.ones(1, 3)])
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, [parameter])


def test_each_run_is_clipped_as_pytorch_clips_one(arithmetic):
    """Lengths that are no multiple of the kernel's block, runs of two members."""
    shapes = [(6, 7, 11), (6, 1, 11), (6, 3)]
    stacked = [torch.randn(shape) for shape in shapes]
    limits = torch.tensor([0.5, 20.0, 1e6])
    ours = [torch.zeros(shape, requires_grad=True) for shape in shapes]
    adam = Adam(ours, 3e-3)
    for factor in (1.0, 0.3):  # the second step tells the moments' sizes apart
        given = [factor * gradient for gradient in stacked]
        norms = adam.step(given, 3, limits)
        expected = [
            torch.linalg.vector_norm(
                torch.cat(
                    [factor * g[2 * run : 2 * run + 2].flatten() for g in stacked]
                )
            )
            for run in range(3)
        ]
        torch.testing.assert_close(norms, torch.stack(expected))
    for run in range(3):
        alone = [torch.nn.Parameter(torch.zeros(2, *shape[1:])) for shape in shapes]
        torchs = torch.optim.Adam(alone, lr=3e-3)
        for factor in (1.0, 0.3):
            for parameter, gradient in zip(alone, stacked, strict=True):
                parameter.grad = factor * gradient[2 * run : 2 * run + 2]
            torch.nn.utils.clip_grad_norm_(alone, float(limits[run]))
            torchs.step()
        for one, other in zip(ours, alone, strict=True):
            found = one.detach()[2 * run : 2 * run + 2]
            torch.testing.assert_close(found, other.detach(), rtol=1e-4, atol=1e-7)


def test_a_gradient_that_is_no_number_stays_one(arithmetic):
    parameters = [torch.zeros(2, 40, requires_grad=True)]
    gradient = torch.ones(2, 40)
    gradient[1, 3] = torch.nan
    norms = Adam(parameters, 1e-3).step([gradient], 2, torch.ones(2))
    assert torch.isfinite(norms[0]) and torch.isnan(norms[1])
    moved = parameters[0].detach()
    assert torch.isfinite(moved[0]).all() and torch.isnan(moved[1]).all()


def test_gradients_may_lie_in_any_order(arithmetic):
    parameter = torch.zeros(1, 3, 2, requires_grad=True)
    gradient = torch.tensor([[[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]]]).transpose(1, 2)
    Adam([parameter], 0.01).step([gradient])
    torch.testing.assert_close(parameter.detach(), -0.01 * gradient.contiguous())


def test_a_parameter_that_is_a_transpose_is_refused():
    with pytest.raises(ValueError, match="parameter 1 of Adam is not contiguous"):
        Adam([torch.zeros(2, 2), torch.zeros(3, 2).t()], 1e-3)


def test_the_first_step_is_the_learning_rate_whatever_the_gradient(arithmetic):
    # m / sqrt(v) is the gradient's sign after the corrections of one step.
    parameter = torch.zeros(1, 3, requires_grad=True)
    Adam([parameter], 0.01).step([torch.tensor([[5.0, -2e-3, 700.0]])])
    expected = torch.tensor([[-0.01, 0.01, -0.01]])
    torch.testing.assert_close(parameter.detach(), expected, rtol=1e-4, atol=0)


def test_stacked_runs_step_as_each_alone(arithmetic):
    stacked = make_parameters()
    alone = [
        [p.detach()[run : run + 1].clone().requires_grad_() for p in stacked]
        for run in range(2)
    ]
    together, apart = Adam(stacked, 3e-3), [Adam(own, 3e-3) for own in alone]
    for step in range(10):
        together.step(gradients(stacked, step))
        for run, adam in enumerate(apart):
            adam.step([g[run : run + 1] for g in gradients(stacked, step)])
    for run, own in enumerate(alone):
        for one, other in zip(stacked, own, strict=True):
            assert torch.equal(one[run : run + 1], other)


def test_a_restored_optimiser_goes_on_bit_for_bit(arithmetic):
    whole, halves = make_parameters(), make_parameters()
    adam, first = Adam(whole, 3e-3), Adam(halves, 3e-3)
    for step in range(10):
        adam.step(gradients(whole, step))
    for step in range(4):
        first.step(gradients(halves, step))
    stored = {name: moment.clone() for name, moment in first.state().items()}
    second = Adam(halves, 3e-3)
    second.load_state(stored, int(first.count))
    for step in range(4, 10):
        second.step(gradients(halves, step))
    assert int(second.count) == 10
    for one, other in zip(whole, halves, strict=True):
        assert torch.equal(one, other)


def test_a_missing_moment_is_refused():
    adam = Adam(make_parameters(), 3e-3)
    state = adam.state()
    del state["1.exp_avg_sq"]
    with pytest.raises(KeyError, match=r"1\.exp_avg_sq"):
        adam.load_state(state, 1)


def test_making_one_does_not_load_the_compiler():
    # Two seconds of every job, for a class around one call.
    code = (
        "import sys, torch; from dql.core.optimization import Adam, polyak_update;"
        "Adam([torch.zeros(1, 2)], 1e-3).step([torch.ones(1, 2)]);"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_target_moves_by_its_share():
    online, target = nn.Linear(2, 1), nn.Linear(2, 1)
    expected = 0.75 * target.weight.detach() + 0.25 * online.weight.detach()
    polyak_update(online, target, 0.25)
    torch.testing.assert_close(target.weight.detach(), expected)


def test_weight_decay_is_pytorchs_adamw(arithmetic):
    ours, theirs = make_parameters(), make_parameters()
    adam = Adam(ours, 3e-3, weight_decay=0.2)
    torchs = torch.optim.AdamW(theirs, lr=3e-3, weight_decay=0.2, fused=True)
    for step in range(30):
        adam.scale_learning_rate(1 - step / 40)
        torchs.param_groups[0]["lr"] = 3e-3 * (1 - step / 40)
        for parameter, gradient in zip(theirs, gradients(theirs, step), strict=True):
            parameter.grad = gradient
        adam.step(gradients(ours, step))
        torchs.step()
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-5, atol=2e-7)
