"""What every model of a file is made of: its base, and the types of its fields."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from dql.agents.ranges import Interval
from dql.errors import nearest

Count = Interval
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**32)]
Settings = dict[str, Any]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""A word that is safe as a folder, a file and an argument of a shell command."""
Variant = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@=,+-]*$")]
"""A method's name with the settings of a variant: `diffusion_ql@eta=0`."""


Item = TypeVar("Item")


def _refuse_repetition(items: list[Item]) -> list[Item]:
    repeated = sorted({str(item) for item in items if items.count(item) > 1})
    if repeated:
        raise ValueError(f"{', '.join(repeated)} stands twice; keep one")
    return items


Unique = Annotated[
    list[Item],
    AfterValidator(_refuse_repetition),
    Field(json_schema_extra={"uniqueItems": True}),
]
"""A list in which nothing stands twice."""


class Strict(BaseModel):
    """A frozen model that names the nearest valid key when it meets an unknown one."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _reject_unknown_keys(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for key in values:
                if key not in cls.model_fields:
                    raise ValueError(
                        f"unknown key '{key}'{nearest(key, cls.model_fields)}"
                    )
        return values


def optional(**options: Any) -> Any:
    """Return a field that is None by default, and then not in what a run stores."""
    return Field(None, exclude_if=lambda value: value is None, **options)
