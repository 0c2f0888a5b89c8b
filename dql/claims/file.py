"""Read a section of `workflow/claims.yaml`; a mistake is named by claim, rule and key.

A rule's kind is the first key of its class (`every_seed`, `average_above`, ...).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field

from dql import paths
from dql.config.fields import Strict
from dql.config.validation import validate
from dql.config.yaml_text import read_yaml
from dql.errors import UserError, nearest

CLAIMS = paths.CLAIMS
HOLDS, FAILS, UNTESTED = "holds", "does not hold", "not tested here"
TOO_FEW = "too few seeds"
VERDICTS = (HOLDS, FAILS, TOO_FEW, UNTESTED)
SECTIONS = ("bandit", "d4rl", "settings", "ways")
METHOD_KEYS = (
    "method", "methods", "lower", "higher", "others", "step_time_rises", "scores_below",
)  # fmt: skip
"""Keys of rules that hold names of methods."""

Section = TypeVar("Section", bound=Strict)


class BaseClaim(Strict):
    """What every claim states, whatever decides it."""

    name: str
    statement: str
    source: str
    origin: Literal["paper", "circulating"] = Field(
        "paper", description="circulating: said about the paper, not by it"
    )
    leading: bool = Field(
        False, description="named in the first sentences of the results page"
    )
    rules: list[Any] = Field(min_length=1)

    @property
    def all_rules(self) -> list[Any]:
        """Return the rules of every ground on which the claim is judged."""
        return self.rules


def load_section(
    name: str,
    section_model: type[Section],
    claim_model: type[BaseClaim],
    rules: Sequence[type[Strict]],
    *,
    quoted_methods: Iterable[str] = (),
    path: Path = CLAIMS,
) -> Section:
    """Return a section with its claims and rules as models; a mistake raises.

    Methods are those of methods.yaml, with or without variant, and `quoted_methods`:
    names that only a published table has.
    """
    content = read_yaml(path)
    for key in content:
        if key not in SECTIONS:
            raise UserError(f"{path}: unknown section '{key}'{nearest(key, SECTIONS)}")
    if name not in content:
        raise UserError(f"{path}: no section '{name}'")
    section = content[name]
    where = f"{path.name}: {name}"
    if not isinstance(section, dict) or not isinstance(section.get("claims"), list):
        raise UserError(f"{where}: needs a list under the key 'claims'")
    kinds = {next(iter(rule.model_fields)): rule for rule in rules}
    claims: list[BaseClaim] = []
    for raw in section["claims"]:
        claim = _claim(raw, claim_model, kinds, where)
        if claim.name in {other.name for other in claims}:
            raise UserError(f"{where}: claim '{claim.name}' is there twice")
        _check_methods(claim, [*known_methods(), *quoted_methods], where)
        claims.append(claim)
    return validate(section_model, {**section, "claims": claims}, where)


def _claim(
    raw: Any,
    model: type[BaseClaim],
    kinds: Mapping[str, type[Strict]],
    where: str,
) -> BaseClaim:
    """Return one claim with its rules as models."""
    if not isinstance(raw, dict) or "name" not in raw:
        raise UserError(f"{where}: a claim lacks the key 'name': {raw!r:.80}")
    where = f"{where}: claim '{raw['name']}'"
    raw = _with_rules(raw, kinds, where)
    if isinstance(raw.get("remade"), dict):
        raw["remade"] = _with_rules(raw["remade"], kinds, f"{where}: remade")
    return validate(model, raw, where)


def _with_rules(
    raw: Mapping[str, Any], kinds: Mapping[str, type[Strict]], where: str
) -> dict[str, Any]:
    """Return what holds a list of rules with them as models."""
    rules = raw.get("rules")
    if not isinstance(rules, list):
        return dict(raw)
    return {**raw, "rules": [_rule(rule, kinds, where) for rule in rules]}


def _rule(raw: Any, kinds: Mapping[str, type[Strict]], where: str) -> Strict:
    """Return one rule; its kind is told by a key."""
    keys = list(raw) if isinstance(raw, dict) else [raw]
    kind = next((key for key in keys if key in kinds), None)
    if kind is None or not isinstance(raw, dict):
        first = keys[0] if keys else raw
        raise UserError(f"{where}: unknown rule kind '{first}'{nearest(first, kinds)}")
    return validate(kinds[kind], raw, f"{where}: rule {kind}")


@cache
def known_methods() -> tuple[str, ...]:
    """List the methods of methods.yaml."""
    return tuple(read_yaml(paths.CONFIG / "methods.yaml")["methods"])


def _check_methods(claim: BaseClaim, known: Sequence[str], where: str) -> None:
    """Raise for a method that does not exist, with claim, key and nearest name."""
    for rule in claim.all_rules:
        for key in METHOD_KEYS:
            names = getattr(rule, key, ())
            for name in [names] if isinstance(names, str) else names:
                if name.partition("@")[0] not in known:
                    raise UserError(
                        f"{where}: claim '{claim.name}': {key}: unknown method "
                        f"'{name}'{nearest(name.partition('@')[0], known)}"
                    )
