"""Imports point down, and what must start quickly does not load torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [path.relative_to(ROOT) for path in sorted((ROOT / "dql").rglob("*.py"))]
MODULES = {
    ".".join(file.with_suffix("").parts).removesuffix(".__init__"): ROOT / file
    for file in FILES
}
TORCH_FREE = [
    "dql.ablation_table",
    "dql.agents",
    "dql.aggregation",
    "dql.bandit",
    "dql.bandit_claims",
    "dql.bandit_summary",
    "dql.behavior",
    "dql.cells",
    "dql.claims",
    "dql.claims_page",
    "dql.cli",
    "dql.compute_table",
    "dql.config",
    "dql.d4rl_table",
    "dql.datasets",
    "dql.doctor",
    "dql.environments",
    "dql.figures",
    "dql.garbage",
    "dql.hyperparameter_table",
    "dql.local_data",
    "dql.local_table",
    "dql.mixture_table",
    "dql.paths",
    "dql.provenance",
    "dql.run_table",
    "dql.selection_table",
    "dql.summary",
    "dql.tables",
]
# Lower numbers know nothing of higher ones.
LAYERS = {
    "dql.errors": 0,
    "dql.statistics": 0,
    "dql.suite_statistics": 0,
    "dql.selection_gap": 0,
    "dql.losses": 0,
    "dql.updates": 0,
    "dql.batch": 0,
    "dql.noise": 0,
    "dql.networks": 1,
    "dql.noise_predictor": 1,
    "dql.diffusion": 2,
    "dql.flow": 2,
    "dql.training": 4,
    "dql.evaluation": 4,
    "dql.cli": 5,
}


def imports(path: Path) -> set[str]:
    """Return the modules a file imports, at top level or in functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def layer(module: str) -> int:
    if module.startswith("dql.agents."):
        return 3
    return LAYERS.get(module, -1)


@pytest.mark.parametrize("module", MODULES)
def test_only_the_launcher_knows_snakemake(module):
    knows = any(name.split(".")[0] == "snakemake" for name in imports(MODULES[module]))
    assert not knows or module == "dql.snakemake_launcher"


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module):
    if layer(module) < 0:
        return
    above = {name for name in imports(MODULES[module]) if layer(name) > layer(module)}
    assert not above


def test_training_knows_no_agent_by_name():
    for module in ("dql.training", "dql.evaluation"):
        known = {name for name in imports(MODULES[module]) if "dql.agents." in name}
        allowed = ("dql.agents.agent", "dql.agents.SETTINGS", "dql.agents.agent_class")
        assert all(name.startswith(allowed) for name in known)


def test_torch_is_loaded_only_where_it_computes():
    script = (
        f"import importlib, sys\nfor name in {TORCH_FREE}:\n"
        "    importlib.import_module(name)\n"
        "    assert 'torch' not in sys.modules, name\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


@pytest.mark.parametrize("module", MODULES)
def test_files_stay_readable(module):
    assert len(MODULES[module].read_text().splitlines()) <= 350
