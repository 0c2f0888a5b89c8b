"""Adam: PyTorch's own numbers, runs that do not meet, a state that comes back."""

import subprocess
import sys

import pytest
import torch

from dql.adam import Adam


def make_parameters(seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(2, 5, 3), (2, 1, 3)]
    return [
        torch.randn(shape, generator=generator).requires_grad_() for shape in shapes
    ]


def gradients(parameters, step):
    generator = torch.Generator().manual_seed(1000 + step)
    return [torch.randn(p.shape, generator=generator) for p in parameters]


def test_every_step_is_pytorchs_own():
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
            assert torch.equal(mine, other)


def test_the_first_step_is_the_learning_rate_whatever_the_gradient():
    # m / sqrt(v) is the gradient's sign after the corrections of one step.
    parameter = torch.zeros(1, 3, requires_grad=True)
    Adam([parameter], 0.01).step([torch.tensor([[5.0, -2e-3, 700.0]])])
    expected = torch.tensor([[-0.01, 0.01, -0.01]])
    torch.testing.assert_close(parameter.detach(), expected, rtol=1e-4, atol=0)


def test_stacked_runs_step_as_each_alone():
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


def test_a_restored_optimiser_goes_on_bit_for_bit():
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
        "import sys, torch; from dql.adam import Adam;"
        "Adam([torch.zeros(1, 2)], 1e-3).step([torch.ones(1, 2)]);"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
