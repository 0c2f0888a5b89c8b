"""Named arrays held against the shapes that a network has."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dql.errors import UserError


def check_shapes(
    weights: Mapping[str, np.ndarray], expected: Mapping[str, tuple[int, ...]]
) -> None:
    """Raise unless exactly the expected arrays are there; name the first at fault."""
    for name in sorted({*weights, *expected}):
        found = weights[name].shape if name in weights else None
        if found != expected.get(name):
            raise UserError(
                f"array '{name}' has shape {found or 'none, it is missing'}, expected "
                f"{expected.get(name, 'no such array')}"
            )
