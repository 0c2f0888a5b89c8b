"""The code that a result was made with, as a fingerprint.

It covers the modules that a run executes: an edit of what it does reruns it; a comment,
a docstring, another agent's file or a table's layout does not.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dql.config.schema import RunConfig

PACKAGE = Path(__file__).parents[1]

RESOLVED_ELSEWHERE = frozenset(
    {
        "dql",
        "dql.agents.registry",
        "dql.agents.advantage_settings",
        "dql.agents.diffusion_settings",
        "dql.agents.generative_settings",
        "dql.agents.model_settings",
        "dql.agents.ranges",
        "dql.agents.regularized_settings",
        "dql.agents.sequence_settings",
        "dql.agents.settings",
        "dql.cli.main",
        "dql.config.consistency",
        "dql.config.data_schema",
        "dql.config.fields",
        "dql.config.online",
        "dql.config.project",
        "dql.config.rows",
        "dql.config.scale_schema",
        "dql.errors",
        "dql.paths",
        "dql.results.fingerprint",
        "dql.results.provenance",
        "dql.config.resolution",
        "dql.config.schema",
        "dql.config.validation",
        "dql.config.yaml_text",
    }
)
"""Modules outside the fingerprint: the resolved configuration holds all they decide."""
PRINT_ONLY = frozenset({"dql.bars", "dql.training.progress"})

NATIVE_SOURCES = frozenset({".c", ".cc", ".cpp", ".cu", ".h", ".cuh"})
SHARED_RUN_KEYS = frozenset({"label", "scale", "seed"})
"""Keys of a run that do not decide it, or that its folder already tells apart."""

ENVIRONMENT_MODULES = {
    "antmaze": "dql.environments.antmaze",
    "bandit": "dql.environments.bandit",
    "kitchen": "dql.environments.robotics",
    "pen": "dql.environments.robotics",
    "pointmaze": "dql.environments.pointmaze",
}
"""Modules of the environment families, by an environment's first word."""
ONLINE_MODULES = frozenset(
    {
        "dql.core.replay",
        "dql.training.finished_runs",
        "dql.training.interaction",
        "dql.training.online_start",
    }
)
"""Modules that only an online continuation executes."""
VARIED_MODULES = frozenset({"dql.data.variants"})
"""Modules that only a run on a variant of a task's data executes."""
LOCOMOTION_MODULE = "dql.environments.locomotion"


def code_fingerprint(*modules: str, without: Collection[str] = ()) -> str:
    """Return the sha256 over the meaning of `modules` and all of dql they import.

    Docstrings, comments and layout do not count; native sources beside a package do.
    Modules in `without`, and what only they import, do not count either.
    """
    return _fingerprint(frozenset(modules), frozenset(without))


@cache  # the workflow asks for the same few again, once for every job
def _fingerprint(modules: frozenset[str], without: frozenset[str]) -> str:
    digest = hashlib.sha256()
    for module in sorted(import_closure(modules, without)):
        digest.update(f"{module}\n{_meaning(module)}\n".encode())
    return digest.hexdigest()[:16]


def training_fingerprint(
    agent: str,
    environment: str | None = None,
    *,
    online: bool = False,
    varied: bool = False,
) -> str:
    """Return the code fingerprint of a run of `agent`.

    With the environment named, the code of other environment families does not count,
    without `online` that of online continuation, without `varied` that of variants of
    data.
    """
    others = other_families(environment) if environment else set()
    others |= set() if online else ONLINE_MODULES
    others |= set() if varied else VARIED_MODULES
    return code_fingerprint("dql.training.loop", f"dql.agents.{agent}", without=others)


def code_of_run(config: Mapping[str, Any]) -> str:
    """Return the code fingerprint of a run today, from what its config.json holds."""
    environment = config["environment"]
    return training_fingerprint(
        config["agent"],
        environment["environment"],
        online=config.get("online") is not None,
        varied=(environment.get("dataset") or {}).get("variant") is not None,
    )


def other_families(environment: str) -> set[str]:
    """Return the modules that simulate other families than the environment's."""
    own = ENVIRONMENT_MODULES.get(environment.partition("-")[0], LOCOMOTION_MODULE)
    return {*ENVIRONMENT_MODULES.values(), LOCOMOTION_MODULE} - {own}


def run_parameters(run: RunConfig) -> str:
    """Return what decides a run besides data and seed: digests of code, settings."""
    values = run.model_dump(mode="json", exclude=set(SHARED_RUN_KEYS))
    settings = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    return f"{code_of_run(values)}-{settings.hexdigest()[:16]}"


def import_closure(modules: Iterable[str], without: Collection[str] = ()) -> set[str]:
    """Return `modules` and every module of dql they import, at any depth."""
    left_out = RESOLVED_ELSEWHERE.union(PRINT_ONLY, without)
    closure: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module in closure or module in left_out:
            continue
        closure.add(module)
        waiting += _imports(module)
    return closure


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(source_file(module).read_text(encoding="utf-8"))


def source_file(module: str) -> Path:
    """Return the file of a module of dql."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _imports(module: str) -> tuple[str, ...]:
    """List the modules of dql that a module imports, inside functions too."""
    names: set[str] = set()
    for node in _executed_nodes(_tree(module)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    ours = (name for name in names if name.split(".")[0] == "dql")
    return tuple(sorted(name for name in ours if source_file(name).is_file()))


def _executed_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk the tree without the branches that only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from _executed_nodes(node)


@cache
def _meaning(module: str) -> str:
    """Return the module's syntax tree without docstrings, and its native sources."""
    tree = ast.parse(source_file(module).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [child for child in body if not _is_bare_string(child)]
    parts = [_dump(tree)]
    path = source_file(module)
    if path.name == "__init__.py":
        native = (
            file for file in path.parent.iterdir() if file.suffix in NATIVE_SOURCES
        )
        parts += [file.read_text(encoding="utf-8") for file in sorted(native)]
    return "\n".join(parts)


def _dump(node: object) -> str:
    """Write a syntax tree, alike in every Python: fields left empty are left out."""
    if isinstance(node, list):
        return f"[{','.join(map(_dump, node))}]"
    if isinstance(node, ast.AST):
        fields = (
            f"{name}={_dump(value)}"
            for name, value in ast.iter_fields(node)
            if value not in (None, []) or isinstance(node, ast.Constant)
        )
        return f"{type(node).__name__}({','.join(fields)})"
    return repr(node)


def _is_bare_string(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
