"""What follows a loss: clipping run by run, a step of Adam, moving averages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from dql.core.kernels.adam import Numbers, adam_step
from dql.core.kernels.pointers import kernels_apply

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Adam (Kingma and Ba, 2015) with the default constants of `torch.optim.Adam`.

    A weight decay is apart from the gradient (AdamW; Loshchilov and Hutter, 2019).

    It is elementwise, so stacked runs do not meet in it. On the CPU one call of C clips
    and steps; elsewhere the arithmetic is PyTorch's fused kernel. PyTorch's optimiser
    class around that takes longer in Python than the kernel on networks this small, and
    loads the compiler for two seconds first. On a GPU rate and count are tensors, which
    a recorded step reads anew each time.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        learning_rate: float,
        weight_decay: float = 0.0,
    ) -> None:
        self.parameters = list(parameters)
        self.weight_decay = weight_decay
        for index, parameter in enumerate(self.parameters):
            if not parameter.is_contiguous():
                raise ValueError(f"parameter {index} of Adam is not contiguous")
        self.first_moments = [torch.zeros_like(p) for p in self.parameters]
        self.second_moments = [torch.zeros_like(p) for p in self.parameters]
        device = self.parameters[0].device
        self.count = torch.zeros((), device=device)
        self.initial_learning_rate = learning_rate
        self.learning_rate: float | Tensor = learning_rate
        if self.count.is_cuda:
            self.learning_rate = torch.tensor(learning_rate, device=device)

    def scale_learning_rate(self, factor: float) -> None:
        """Set the learning rate to a multiple of what it was made with."""
        rate = self.initial_learning_rate * factor
        if isinstance(self.learning_rate, Tensor):
            self.learning_rate.fill_(rate)
        else:
            self.learning_rate = rate

    @torch.no_grad()
    def step(
        self,
        gradients: Sequence[Tensor],
        num_runs: int = 1,
        max_norms: Tensor | None = None,
    ) -> Tensor | None:
        """Move every parameter by its gradient, in the parameters' order.

        With `max_norms` (R,) each run's gradients are clipped first; returns their
        norms before that, (R,).
        A loss made of the parameters before is one of other weights now: PyTorch raises
        where its gradient is asked for.
        """
        self.count += 1
        # PyTorch's kernel takes memory in its order, whatever the strides say.
        gradients = [gradient.contiguous() for gradient in gradients]
        # Neither kernel tells automatic differentiation what it writes to.
        increment_version(self.parameters)
        if self.weight_decay:
            shrinkage = 1 - self.learning_rate * self.weight_decay
            torch._foreach_mul_(self.parameters, shrinkage)
        if kernels_apply(*self.parameters, *gradients):
            numbers = self._numbers(int(self.count))
            moments = self.first_moments, self.second_moments
            return adam_step(
                self.parameters, gradients, *moments, numbers, num_runs, max_norms
            )
        norms = None
        if max_norms is not None:
            norms = clip_gradients(gradients, num_runs, max_norms)
        torch._fused_adam_(
            self.parameters,
            gradients,
            self.first_moments,
            self.second_moments,
            [],
            [self.count] * len(self.parameters),
            lr=self.learning_rate,
            beta1=BETA1,
            beta2=BETA2,
            weight_decay=0.0,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )
        return norms

    def _numbers(self, count: int) -> Numbers:
        """Return the step's numbers; both moments begin at 0, which it corrects."""
        step_size = self.learning_rate / (1 - BETA1**count)
        second_scale = 1 / math.sqrt(1 - BETA2**count)
        weights = 1 - BETA1, 1 - BETA2
        return Numbers(step_size, second_scale, BETA2, *weights, EPSILON)

    def state(self) -> dict[str, Tensor]:
        """Return both moments of every parameter by `index.name`, run axis first."""
        state = {}
        for index, moments in enumerate(self._moments()):
            state[f"{index}.exp_avg"], state[f"{index}.exp_avg_sq"] = moments
        return state

    @torch.no_grad()
    def load_state(self, state: dict[str, Tensor], count: int) -> None:
        """Restore `state` as it was after `count` steps."""
        for index, (first, second) in enumerate(self._moments()):
            first.copy_(state[f"{index}.exp_avg"])
            second.copy_(state[f"{index}.exp_avg_sq"])
        self.count.fill_(count)

    def _moments(self) -> zip[tuple[Tensor, Tensor]]:
        return zip(self.first_moments, self.second_moments, strict=True)


def clip_gradients(
    gradients: Sequence[Tensor], num_runs: int, max_norm: Tensor
) -> Tensor:
    """Scale each run's gradients to at most `max_norm` (R,), as PyTorch does for one.

    Returns the norms before clipping, (R,).
    """
    rows = [gradient.view(num_runs, -1) for gradient in gradients]
    norms = torch.linalg.vector_norm(torch.cat(rows, dim=1), dim=1)
    factors = (max_norm / (norms + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(rows, [factors[:, None]] * len(rows))
    return norms


def gradient_step(
    optimizer: Adam,
    loss: Tensor,
    num_runs: int,
    max_gradient_norm: Tensor | None = None,
) -> Tensor | None:
    """Step the optimiser on a loss summed over runs; return each run's norm, (R,).

    Gradients are taken for the optimiser's own parameters only. Without clipping no
    norm is computed.
    """
    gradients = torch.autograd.grad(loss, optimizer.parameters)
    return optimizer.step(gradients, num_runs, max_gradient_norm)


_parameters: WeakKeyDictionary[nn.Module, list[Tensor]] = WeakKeyDictionary()
"""Of the networks averaged so far, which stay in place: to walk through the modules of
twin critics takes as long as to average them."""


@torch.no_grad()
def polyak_update(online: nn.Module, target: nn.Module, step_size: float) -> None:
    """Move the target's parameters by `step_size` towards the online ones."""
    for module in (online, target):
        if module not in _parameters:
            _parameters[module] = list(module.parameters())
    torch._foreach_lerp_(_parameters[target], _parameters[online], step_size)
