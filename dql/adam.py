"""Adam for the stacked parameters of all runs, one fused call a step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Adam (Kingma and Ba, 2015) with the default constants of `torch.optim.Adam`.

    It is elementwise, so stacked runs do not meet in it. The arithmetic is PyTorch's
    fused kernel; its optimiser class around that takes longer in Python than the kernel
    on networks this small, and loads the compiler for two seconds first. On a GPU rate
    and count are tensors, which a recorded step reads anew each time.
    """

    def __init__(self, parameters: Sequence[Tensor], learning_rate: float) -> None:
        self.parameters = list(parameters)
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
    def step(self, gradients: Sequence[Tensor]) -> None:
        """Move every parameter by its gradient, in the parameters' order."""
        self.count += 1
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
