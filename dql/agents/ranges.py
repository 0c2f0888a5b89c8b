"""The ranges of settings, as types: a field's annotation says all there is.

Every numeric field of the modules beside this one has one of these types. They refuse
`true` for a number, what is not finite, and what float32 cannot hold.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

LARGEST = 3e38  # just below float32's largest number


def _check_number(value: Any) -> Any:
    """Raise for what pydantic would take for a float and float32 cannot hold."""
    if isinstance(value, bool):
        raise ValueError(f"should be a number, not {value}")
    try:
        is_held = abs(float(value)) <= LARGEST
    except OverflowError:
        is_held = False
    except (TypeError, ValueError):
        return value  # no number: pydantic says so
    if not is_held:
        raise ValueError(f"should be a finite number within float32, not {value}")
    return value


FINITE = BeforeValidator(_check_number)

Flag = Annotated[bool, Field(strict=True)]
Size = Annotated[int, Field(strict=True, ge=1, le=10_000)]
"""How many units, layers, samples, components or denoising steps."""
EmbeddingDim = Annotated[int, Field(strict=True, ge=4, le=10_000, multiple_of=2)]
"""As many sines as cosines, two rates at least."""
Channels = Annotated[int, Field(strict=True, ge=16, le=10_000, multiple_of=16)]
"""Half of them are still groups of four (`temporal_unet.py`)."""
Length = Annotated[int, Field(strict=True, ge=2, le=10_000)]
"""How many steps of an episode in a row."""
Steps = Annotated[int, Field(strict=True, ge=0, le=10**12)]
Interval = Annotated[int, Field(strict=True, ge=1, le=10**12)]

Number = Annotated[float, FINITE]
NonNegative = Annotated[float, Field(ge=0), FINITE]
Positive = Annotated[float, Field(gt=0), FINITE]
StepSize = Annotated[float, Field(gt=0, le=1), FINITE]
"""Of an optimiser or of a Polyak average."""
Probability = Annotated[float, Field(ge=0, le=1), FINITE]
BoundedDiscount = Annotated[float, Field(ge=0, lt=1), FINITE]
"""With 1 a sum of rewards has no bound."""
Rate = Annotated[float, Field(ge=0, lt=1), FINITE]
"""Of dropout: what is kept is divided by the share that is."""
Expectile = Annotated[float, Field(gt=0, lt=1), FINITE]
LogScale = Annotated[float, Field(ge=-40, le=40), FINITE]
"""The logarithm of a deviation whose square, and its reciprocal, float32 holds."""
