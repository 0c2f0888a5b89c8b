"""The rules for the bandit's claims: what decides them from numbers over seeds.

A rule reads a table with the columns `method`, `seed` and the numbers, one row per
seed. It names the methods it needs, says itself in words, and is only asked to judge
where every method has enough seeds.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Protocol

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field

from dql.config.fields import Strict

Rows = Mapping[str, pd.DataFrame]
"""A method's rows, one per seed, by method."""

OPERATORS = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
CONDITION = re.compile(r"(?P<column>\w+) (?P<operator><=|>=|=|<|>) (?P<value>[\d.]+)")


def _is_condition(text: str) -> str:
    """Return a condition such as `modes_covered = 4` if it can be read."""
    if not CONDITION.fullmatch(text):
        raise ValueError(f"{text!r} is not `column = number` (or <, <=, >, >=)")
    return text


Condition = Annotated[str, AfterValidator(_is_condition)]


class Rule(Protocol):
    """What a claim needs to know of a rule, whichever it is."""

    def words(self) -> str:
        """Return the rule as a reader's sentence."""

    def methods_needed(self, table: pd.DataFrame) -> list[str]:
        """Return the methods that the rule compares."""

    def columns_needed(self) -> list[str]:
        """Return the numbers that the rule reads."""

    def judge(self, rows: Rows) -> bool:
        """Return whether the rule is satisfied."""


def _satisfied(rows: pd.DataFrame, conditions: Sequence[str]) -> pd.Series:
    """Return, per seed, whether all conditions hold."""
    result = pd.Series(True, index=rows.index)
    for condition in conditions:
        column, symbol, value = CONDITION.fullmatch(condition).groups()
        result &= OPERATORS[symbol](rows[column], float(value))
    return result


def _columns(conditions: Sequence[str]) -> list[str]:
    """Return the columns that conditions read."""
    return [CONDITION.fullmatch(text)["column"] for text in conditions]


class EverySeed(Strict):
    """All conditions hold in every seed of every listed method."""

    every_seed: list[Condition] = Field(min_length=1)
    methods: list[str] = Field(min_length=1)

    def words(self) -> str:
        """Return the rule as a reader's sentence."""
        return (
            f"every seed of {_listing(self.methods)}: {' and '.join(self.every_seed)}"
        )

    def methods_needed(self, table: pd.DataFrame) -> list[str]:
        """Return the methods that the rule compares."""
        return self.methods

    def columns_needed(self) -> list[str]:
        """Return the numbers that the rule reads."""
        return _columns(self.every_seed)

    def judge(self, rows: Rows) -> bool:
        """Return whether the rule is satisfied."""
        return all(
            _satisfied(rows[method], self.every_seed).all() for method in self.methods
        )


class NoSeed(Strict):
    """In no seed of any listed method do all conditions hold together."""

    no_seed: list[Condition] = Field(min_length=1)
    methods: list[str] = Field(min_length=1)

    def words(self) -> str:
        """Return the rule as a reader's sentence."""
        return f"no seed of {_listing(self.methods)}: {' and '.join(self.no_seed)}"

    def methods_needed(self, table: pd.DataFrame) -> list[str]:
        """Return the methods that the rule compares."""
        return self.methods

    def columns_needed(self) -> list[str]:
        """Return the numbers that the rule reads."""
        return _columns(self.no_seed)

    def judge(self, rows: Rows) -> bool:
        """Return whether the rule is satisfied."""
        return not any(
            _satisfied(rows[method], self.no_seed).any() for method in self.methods
        )


class Below(Strict):
    """Every seed of the lower methods lies below every seed of the higher ones."""

    below: list[str] = Field(min_length=1)
    lower: list[str] = Field(min_length=1)
    higher: list[str] = Field(min_length=1)

    def words(self) -> str:
        """Return the rule as a reader's sentence."""
        return (
            f"{' and '.join(self.below)}: every seed of {_listing(self.lower)} "
            f"below every seed of {_listing(self.higher)}"
        )

    def methods_needed(self, table: pd.DataFrame) -> list[str]:
        """Return the methods that the rule compares."""
        return [*self.lower, *self.higher]

    def columns_needed(self) -> list[str]:
        """Return the numbers that the rule reads."""
        return self.below

    def judge(self, rows: Rows) -> bool:
        """Return whether the rule is satisfied."""
        return all(
            rows[lower][column].max() < rows[higher][column].min()
            for column in self.below
            for lower in self.lower
            for higher in self.higher
        )


class Near(Strict):
    """The means of two methods differ by at most a tolerance."""

    near: list[str] = Field(min_length=1)
    methods: tuple[str, str]
    tolerance: float = Field(gt=0)

    def words(self) -> str:
        """Return the rule as a reader's sentence."""
        return (
            f"means of {' and '.join(self.near)} of {_listing(self.methods)} "
            f"within {self.tolerance:g}"
        )

    def methods_needed(self, table: pd.DataFrame) -> list[str]:
        """Return the methods that the rule compares."""
        return list(self.methods)

    def columns_needed(self) -> list[str]:
        """Return the numbers that the rule reads."""
        return self.near

    def judge(self, rows: Rows) -> bool:
        """Return whether the rule is satisfied."""
        first, second = (rows[method] for method in self.methods)
        gaps = [abs(first[name].mean() - second[name].mean()) for name in self.near]
        return max(gaps) <= self.tolerance


class Rises(Strict):
    """Means rise over a method's values of a setting, clearly, without a real drop.

    Clearly: the gain exceeds two standard errors of the difference between the ends.
    """

    rises: list[str] = Field(min_length=1)
    method: str
    over: Literal["num_denoising_steps"]
    slack: float = Field(ge=0)

    def words(self) -> str:
        """Return the rule as a reader's sentence."""
        return (
            f"mean {' and '.join(self.rises)} of {self.method} rises over {self.over} "
            f"by more than two standard errors, no drop above {self.slack:g}"
        )

    def methods_needed(self, table: pd.DataFrame) -> list[str]:
        """Return the method's variants by ascending value; two of them at least.

        Where fewer are listed, the one missing is named by a value of the paper's.
        """
        family = table[table["method"].str.fullmatch(rf"{self.method}(@N=\d+)?")]
        values = family.groupby("method")[self.over].first().sort_values()
        found = list(values.index)
        return found if len(found) > 1 else [self.method, f"{self.method}@N=2"]

    def columns_needed(self) -> list[str]:
        """Return the numbers that the rule reads."""
        return self.rises

    def judge(self, rows: Rows) -> bool:
        """Return whether the rule is satisfied; rows come in ascending order."""
        groups = list(rows.values())
        return all(
            self._rises([group[name] for group in groups]) for name in self.rises
        )

    def _rises(self, groups: Sequence[pd.Series]) -> bool:
        """Return whether one number rises over the ordered groups of seeds."""
        means = np.array([group.mean() for group in groups])
        variance = sum(
            group.var(ddof=1) / len(group) for group in groups[:: len(groups) - 1]
        )
        clearly = means[-1] - means[0] > 2.0 * np.sqrt(variance)
        return bool(clearly and (np.diff(means) >= -self.slack).all())


AnyRule = EverySeed | NoSeed | Below | Near | Rises
RULES = (EverySeed, NoSeed, Below, Near, Rises)


def _listing(methods: Sequence[str]) -> str:
    """Return names joined for a sentence."""
    return ", ".join(methods)
