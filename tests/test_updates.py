"""What follows a loss: clipping run by run, moving averages."""

import torch
from torch import nn

from dql.updates import clip_gradients, polyak_update

SHAPES = [(3, 4, 5), (3, 1, 5), (3, 2)]


def test_each_run_is_clipped_as_pytorch_clips_one():
    gradients = [torch.randn(shape) for shape in SHAPES]
    max_norm = torch.tensor([0.5, 2.0, 1e6])
    norms, clipped = [], []
    for run in range(3):
        alone = [nn.Parameter(torch.zeros(shape[1:])) for shape in SHAPES]
        for parameter, gradient in zip(alone, gradients, strict=True):
            parameter.grad = gradient[run].clone()
        norms.append(nn.utils.clip_grad_norm_(alone, float(max_norm[run])))
        clipped.append([parameter.grad for parameter in alone])
    found = clip_gradients(gradients, 3, max_norm)
    torch.testing.assert_close(found, torch.stack(norms))
    for gradient, *alone in zip(gradients, *clipped, strict=True):
        torch.testing.assert_close(gradient, torch.stack(alone))


def test_members_of_a_run_are_clipped_together():
    gradient = torch.tensor([[3.0], [4.0], [0.3], [0.4]])  # two runs of two members
    norms = clip_gradients([gradient], 2, torch.ones(2))
    torch.testing.assert_close(norms, torch.tensor([5.0, 0.5]))
    expected = torch.tensor([[0.6], [0.8], [0.3], [0.4]])
    torch.testing.assert_close(gradient, expected)


def test_a_target_moves_by_its_share():
    online, target = nn.Linear(2, 1), nn.Linear(2, 1)
    expected = 0.75 * target.weight.detach() + 0.25 * online.weight.detach()
    polyak_update(online, target, 0.25)
    torch.testing.assert_close(target.weight.detach(), expected)
