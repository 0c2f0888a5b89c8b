"""Imports point down, and what must start quickly does not load torch.

The walls between packages are contracts of import-linter in `pyproject.toml`; here they
are run, and what a contract cannot say is tested.
"""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "dql").rglob("*.py"))
COMPUTING = ("core", "diffusion", "agents", "training", "diagnostics")
"""Packages that may load torch when they are imported."""
START_QUICKLY = ("dql.agents.registry", "dql.training.gpus")
"""Modules of such packages that the command line and the workflow load at once."""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in FILES}
TORCH_FREE = [
    name
    for name in MODULES
    if name.split(".")[1:2] not in [[package] for package in COMPUTING]
    and name != "dql.__main__"
] + list(START_QUICKLY)


def imported_names(path: Path) -> set[str]:
    """Return the names a file imports from dql, at top level or in functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_the_walls_between_packages_stand():
    # A process of its own: the tool sets up logging for the whole process.
    command = [Path(sys.executable).parent / "lint-imports", "--no-logo", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_training_knows_no_agent_by_name():
    allowed = (
        "dql.agents.agent.",
        "dql.agents.registry.SETTINGS",
        "dql.agents.registry.agent_class",
        "dql.agents.sharing.",
    )
    for name, path in MODULES.items():
        if name.startswith("dql.training"):
            agents = {n for n in imported_names(path) if n.startswith("dql.agents")}
            assert all(n.startswith(allowed) for n in agents), name


def test_torch_is_loaded_only_where_it_computes():
    script = (
        f"import importlib, sys\nfor name in {TORCH_FREE}:\n"
        "    importlib.import_module(name)\n"
        "    assert 'torch' not in sys.modules, name\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


@pytest.mark.parametrize("module", MODULES)
def test_what_functions_import_late_is_there(module):
    # Python finds out when the function runs; nothing else looks.
    missing = []
    for name in imported_names(MODULES[module]):
        owner, _, attribute = name.rpartition(".")
        if owner.partition(".")[0] == "dql":
            found = importlib.import_module(owner)
            if not hasattr(found, attribute) and name not in MODULES:
                missing.append(name)
    assert not missing


@pytest.mark.parametrize(
    "package", [m for m in MODULES if MODULES[m].stem == "__init__"]
)
def test_a_package_says_what_it_owns(package):
    assert ast.get_docstring(ast.parse(MODULES[package].read_text()))


@pytest.mark.parametrize("module", MODULES)
def test_files_stay_readable(module):
    assert len(MODULES[module].read_text().splitlines()) <= 250
