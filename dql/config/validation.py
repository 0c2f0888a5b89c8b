"""Check values, lay changes over them, turn every fault into a readable message."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError

from dql.agents.registry import SETTINGS
from dql.config.fields import Settings, Strict
from dql.config.yaml_text import parse_yaml
from dql.errors import UserError, did_you_mean, nearest

ALIASES = {"eta": "q_coefficient", "N": "num_denoising_steps"}
"""Short names of settings in a variant such as `diffusion_ql@eta=0`."""

ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=([\w.+-]+)", re.ASCII)

BRANCH = re.compile(r"\[|^constrained-")
"""What pydantic adds to a location inside a union: `list[str]`, `constrained-int`."""


class Fault(NamedTuple):
    """What is wrong with a subject, such as a method, and where it stands."""

    subject: str
    where: str
    message: str


FileModel = TypeVar("FileModel", bound=Strict)


def merge(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with `changes` laid over them, mapping by mapping."""
    merged = dict(values)
    for key, change in changes.items():
        if isinstance(change, Mapping) and isinstance(merged.get(key), Mapping):
            change = merge(merged[key], change)
        merged[key] = change
    return merged


def validate(
    model: type[FileModel], values: Mapping[str, Any], where: str
) -> FileModel:
    """Build the model, or raise one UserError that lists every fault of the file."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        lines = [f"{where}: {fault}" for fault in _describe(error)]
        raise UserError("\n".join(lines)) from None


@cache
def _settings_adapter(agent: str) -> TypeAdapter:
    return TypeAdapter(SETTINGS[agent])


def setting_names(agent: str) -> list[str]:
    """List the settings an agent has."""
    return [field.name for field in dataclasses.fields(SETTINGS[agent])]


def settings_faults(
    agent: str, settings: Settings
) -> tuple[Settings | None, list[str]]:
    """Return the agent's complete settings, or None and a line for every fault.

    Settings that do not fit together are found among those that stand in their range.
    """
    names, faults = setting_names(agent), []
    known = {key: value for key, value in settings.items() if key in names}
    for key in settings:
        if key not in names:
            faults.append(
                f"Unknown setting '{key}' of agent '{agent}'."
                f"{did_you_mean(key, [*names, *ALIASES])}"
                f" Its settings: {', '.join(names)}."
            )
    while True:
        try:
            complete = _settings_adapter(agent).validate_python(known)
            break
        except ValidationError as error:
            faults += _describe(error)
            wrong = {str(part) for fault in error.errors() for part in fault["loc"]}
        if not wrong & known.keys():
            return None, faults
        known = {key: value for key, value in known.items() if key not in wrong}
    return (None, faults) if faults else (dataclasses.asdict(complete), [])


def validate_settings(agent: str, settings: Settings, where: str) -> Settings:
    """Return the agent's complete settings with `settings` laid over its defaults."""
    complete, faults = settings_faults(agent, settings)
    if complete is None:
        raise UserError("\n".join(f"{where}: {fault}" for fault in faults))
    return complete


def check_preparation(
    agent: str, settings: Settings, num_gradient_steps: int, where: str
) -> None:
    """Raise unless a run is longer than the steps before its policy is trained."""
    names = SETTINGS[agent].PREPARATION
    num_steps = sum(settings[name] for name in names)
    if names and num_steps >= num_gradient_steps:
        raise UserError(
            f"{where}: its own policy is not trained in the first {num_steps} gradient "
            f"steps ({' + '.join(names)}), and the run has {num_gradient_steps}; set "
            "fewer, for its suite in methods.yaml or under `settings` of the scale"
        )


def _describe(error: ValidationError) -> list[str]:
    """Turn pydantic's errors into one line per fault: key, reason."""
    lines = []
    for fault in error.errors(include_url=False):
        branches = [part for part in fault["loc"] if BRANCH.search(str(part))]
        key = ".".join(str(part) for part in fault["loc"] if part not in branches)
        message, value = fault["msg"].removeprefix("Value error, "), fault["input"]
        if message.startswith("Input should"):
            message = f"{message.removeprefix('Input ')}, not {value!r:.80}"
        if fault["type"] == "literal_error":
            if branches and not isinstance(value, str):
                continue  # the union's other branch says what is wrong
            words = re.findall(r"'([^']*)'", fault["ctx"]["expected"])
            message = f"unknown word {value!r}{nearest(value, words)}"
        if fault["type"] == "string_pattern_mismatch":
            message = f"not of the allowed form {fault['ctx']['pattern']}"
        lines.append(f"{key + ': ' if key else ''}{message}")
    return lines


def parse_variant(variant: str) -> Settings:
    """Turn `eta=0,N=7` into settings, aliases resolved; one twice is refused.

    So is a number that is not written as `spelled` does: folders are named by it.
    """
    settings: Settings = {}
    for assignment in variant.split(",") if variant else []:
        match = ASSIGNMENT.fullmatch(assignment)
        if not match:
            raise UserError(f"'{assignment}' is not of the form key=value")
        key = ALIASES.get(match[1], match[1])
        if key in settings:
            raise UserError(f"the setting '{key}' stands twice; keep one of the two")
        value = settings[key] = parse_yaml(match[2], f"'{assignment}'")
        if spelled(value) not in (None, match[2]):
            raise UserError(
                f"'{assignment}': runs are stored by this name, so write the value as "
                f"{match[1]}={spelled(value)}"
            )
    return settings


def spelled(value: Any) -> str | None:
    """Return the one spelling of a number, `true`, `false` or `null`; None of others.

    A number has no digit that it does not need: 0.5, 10, 3e-5.
    """
    if isinstance(value, float) and math.isfinite(value):
        text = repr(value + 0.0).removesuffix(".0")  # of -0.0 as of 0
        return text.replace("e-0", "e-").replace("e+", "e")
    return json.dumps(value) if value is None or isinstance(value, int) else None


def parse_changes(assignments: Iterable[str], option: str = "--set") -> dict[str, Any]:
    """Turn `suites.local.seeds=[0]` into nested mappings; the value is YAML.

    What two of them decide is refused.
    """
    changes: dict[str, Any] = {}
    decided: dict[tuple[str, ...], str] = {}
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        if not separator:
            raise UserError(f"{option} {assignment}: write KEY=VALUE")
        value = parse_yaml(text, f"{option} {assignment}")
        for key in reversed(path.split(".")):
            value = {key: value}
        for leaf in _leaves(value):
            for earlier, other in decided.items():
                if all(a == b for a, b in zip(leaf, earlier, strict=False)):
                    raise UserError(
                        f"{option} {other} and {option} {assignment} both decide"
                        f" '{'.'.join(map(str, leaf))}'; keep one of the two"
                    )
        decided |= dict.fromkeys(_leaves(value), assignment)
        changes = merge(changes, value)
    return changes


def _leaves(values: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the path of every value in nested mappings."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from ((key, *rest) for rest in _leaves(value))
        else:
            yield (key,)
