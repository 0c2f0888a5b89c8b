"""What follows a loss: moving averages."""

import torch
from torch import nn

from dql.core.updates import polyak_update


def test_a_target_moves_by_its_share():
    online, target = nn.Linear(2, 1), nn.Linear(2, 1)
    expected = 0.75 * target.weight.detach() + 0.25 * online.weight.detach()
    polyak_update(online, target, 0.25)
    torch.testing.assert_close(target.weight.detach(), expected)
