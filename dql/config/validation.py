"""Read YAML, lay changes over it, and turn every fault into one readable message."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from dql.agents.registry import SETTINGS
from dql.config.schema import Settings, Strict
from dql.errors import UserError, did_you_mean, nearest

ALIASES = {"eta": "q_coefficient", "N": "num_denoising_steps"}
"""Short names of settings in a variant such as `diffusion_ql@eta=0`."""

# libyaml's parser where PyYAML has it: several times as fast, the same language.
SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

FileModel = TypeVar("FileModel", bound=Strict)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one configuration file as a mapping."""
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read the configuration {path}: {error}") from error
    values = parse_yaml(text, str(path))
    if not isinstance(values, dict):
        raise UserError(f"{path} must hold a mapping of keys to values")
    return values


def parse_yaml(text: str, where: str) -> Any:
    """Return what a YAML text says; a text that is none names `where`.

    PyYAML's constructors raise plain Python errors for dates, numbers and tags that
    look right and are not.
    """
    try:
        return yaml.load(text, Loader=SAFE_LOADER)
    except (
        yaml.YAMLError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise UserError(f"{where} is not valid YAML: {error}") from error


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
        raise UserError(_describe(error, where)) from None


@cache
def _settings_adapter(agent: str) -> TypeAdapter:
    return TypeAdapter(SETTINGS[agent])


def setting_names(agent: str) -> list[str]:
    """List the settings an agent has."""
    return [field.name for field in dataclasses.fields(SETTINGS[agent])]


def validate_settings(agent: str, settings: Settings, where: str) -> Settings:
    """Return the agent's complete settings with `settings` laid over its defaults."""
    names = setting_names(agent)
    for key in settings:
        if key not in names:
            raise UserError(
                f"Unknown setting '{key}' of agent '{agent}' ({where})."
                f"{did_you_mean(key, [*names, *ALIASES])}"
                f" Its settings: {', '.join(names)}."
            )
    try:
        return dataclasses.asdict(_settings_adapter(agent).validate_python(settings))
    except ValidationError as error:
        raise UserError(_describe(error, where)) from None


def _describe(error: ValidationError, where: str) -> str:
    """Turn pydantic's errors into one line per fault: file, key, reason."""
    lines = []
    for fault in error.errors(include_url=False):
        key = ".".join(str(part) for part in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "literal_error":
            words = re.findall(r"'([^']*)'", fault["ctx"]["expected"])
            message = f"unknown word {fault['input']!r}{nearest(fault['input'], words)}"
        if fault["type"] == "string_pattern_mismatch":
            message = f"not of the allowed form {fault['ctx']['pattern']}"
        lines.append(f"{where}: {key + ': ' if key else ''}{message}")
    return "\n".join(lines)


def parse_changes(assignments: Iterable[str]) -> dict[str, Any]:
    """Turn `suites.local.seeds=[0]` into nested mappings; the value is YAML."""
    changes: dict[str, Any] = {}
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        if not separator:
            raise UserError(f"--set {assignment}: write KEY=VALUE")
        value = parse_yaml(text, f"--set {assignment}")
        for key in reversed(path.split(".")):
            value = {key: value}
        changes = merge(changes, value)
    return changes
