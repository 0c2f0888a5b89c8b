"""The matrix products that a gradient step of Diffusion-QL cannot do without.

A layer of width a -> b on n rows is used up to three times: forward, for its weights'
gradient and for its inputs' gradient. Each use multiplies n x a by a x b or a
transpose of these, so each costs the same arithmetic and touches the same numbers.
Elementwise work and the time embedding's few rows are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

BYTES_PER_NUMBER = 4  # float32


@dataclass(frozen=True)
class Product:
    """So many uses of a layer, by one network of one run."""

    rows: int
    inputs: int
    outputs: int
    uses: int

    @property
    def flops(self) -> int:
        """Count multiplications and additions."""
        return 2 * self.rows * self.inputs * self.outputs * self.uses

    @property
    def num_bytes(self) -> int:
        """Count both operands and the result, each moved once per use."""
        numbers = self.rows * self.inputs + self.inputs * self.outputs
        numbers += self.rows * self.outputs
        return BYTES_PER_NUMBER * numbers * self.uses


def layer_products(rows: int, dims: Sequence[int], uses: int) -> list[Product]:
    """Return the same number of uses of every layer of a perceptron."""
    return [Product(rows, a, b, uses) for a, b in pairwise(dims)]


def diffusion_ql_products(
    observation_dim: int,
    action_dim: int,
    *,
    batch_size: int = 256,
    num_steps: int = 5,
    hidden_dim: int = 256,
    num_backup_samples: int = 1,
) -> list[Product]:
    """List the necessary products of one gradient step of one run.

    A first layer is applied to observation and action apart: an observation's share is
    the same for every denoising step and every backup sample of one set of weights.
    """
    rows, sample_rows = batch_size, batch_size * num_backup_samples
    of_observation, of_action = [observation_dim, hidden_dim], [action_dim, hidden_dim]
    actor_body = [hidden_dim, hidden_dim, hidden_dim, action_dim]
    critic_body = [hidden_dim, hidden_dim, hidden_dim, 1]
    critic = [observation_dim + action_dim, *critic_body]
    target = [
        *layer_products(rows, of_observation, 1),
        *layer_products(sample_rows, [*of_action, *actor_body[1:]], num_steps),
        *layer_products(rows, of_observation, 2),
        *layer_products(sample_rows, [*of_action, *critic_body[1:]], 2),
    ]
    regression = [
        *layer_products(rows, critic[:2], 2 * 2),  # the data need no gradient
        *layer_products(rows, critic_body, 2 * 3),
    ]
    cloning = [
        *layer_products(rows, of_observation, 2),  # serves the chain as well
        *layer_products(rows, of_action, 2),
        *layer_products(rows, actor_body, 3),
    ]
    chain = [
        *layer_products(rows, of_action, 3 * num_steps - 1),  # it starts from noise
        *layer_products(rows, actor_body, 3 * num_steps),
    ]
    # Both critics forward, since one divides the other; one back, and to the action.
    value = [
        *layer_products(rows, critic, 2),
        *layer_products(rows, [*of_action, *critic_body[1:]], 1),
    ]
    return [*target, *regression, *cloning, *chain, *value]
