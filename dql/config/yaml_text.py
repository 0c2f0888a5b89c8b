"""The one reader of YAML: what a person could read in two ways is refused.

YAML 1.1 lets the last of two equal keys win, reads `010` as 8 and `1:30` as 90, and
takes `3e-4` for a word. Here a key stands once, integers are decimal, and a number with
an exponent is a number.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from dql.errors import UserError

DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
EXPONENT = re.compile(r"[-+]?([0-9]+|[0-9]*\.[0-9]+|[0-9]+\.)[eE][-+]?[0-9]+$")


# libyaml's parser where PyYAML has it: several times as fast, the same language.
class UniqueKeyLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Loads plain values from YAML in which every key and number is unmistakable."""

    def get_single_node(self) -> yaml.Node | None:
        """Compose the document and check its keys, before aliases are merged."""
        root = super().get_single_node()
        pending, seen = [root] if root else [], set()
        while pending:
            node = pending.pop()
            if id(node) in seen or isinstance(node, yaml.ScalarNode):
                continue
            seen.add(id(node))
            if isinstance(node, yaml.MappingNode):
                self._check_keys(node)
                pending += [part for pair in node.value for part in pair]
            else:
                pending += node.value
        return root

    def _check_keys(self, mapping: yaml.MappingNode) -> None:
        first = {}
        for key, _ in mapping.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            earlier = first.setdefault((key.tag, key.value), key)
            if earlier is not key:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key '{key.value}' stands twice, first in line "
                    f"{earlier.start_mark.line + 1}; keep one of the two",
                    problem_mark=key.start_mark,
                )

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Read a decimal integer; other notations raise."""
        if not DECIMAL.fullmatch(node.value):
            raise self._unclear_number(node)
        return super().construct_yaml_int(node)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        """Read a number; YAML's sexagesimal ones raise."""
        if ":" in node.value:
            raise self._unclear_number(node)
        return super().construct_yaml_float(node)

    def _unclear_number(self, node: yaml.ScalarNode) -> yaml.YAMLError:
        return yaml.constructor.ConstructorError(
            problem=f"'{node.value}' is not a decimal number; write it without leading "
            "zeros, or in quotes where it is a word",
            problem_mark=node.start_mark,
        )


for kind in ("int", "float"):
    UniqueKeyLoader.add_constructor(
        f"tag:yaml.org,2002:{kind}", getattr(UniqueKeyLoader, f"construct_yaml_{kind}")
    )
UniqueKeyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", EXPONENT, list("-+.0123456789")
)


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
        return yaml.load(text, Loader=UniqueKeyLoader)
    except (
        yaml.YAMLError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise UserError(f"{where} is not valid YAML: {_reason(error)}") from error


def read_words(values: Any, where: str) -> Any:
    """Return nested values with every word read as YAML reads it: `null` is None.

    `snakemake --config` hands on words only.
    """
    if isinstance(values, dict):
        return {
            key: read_words(value, f"{where}.{key}") for key, value in values.items()
        }
    if isinstance(values, list):
        return [read_words(value, where) for value in values]
    if not isinstance(values, str):
        return values
    value = parse_yaml(values, f"{where}: {values!r}")
    return values if isinstance(value, dict | list) else value


def _reason(error: Exception) -> str:
    """Return PyYAML's message; ours say a line and no text name."""
    if isinstance(error, yaml.constructor.ConstructorError) and not error.context:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return str(error)
