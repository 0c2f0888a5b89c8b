"""The code fingerprint: what it covers, and what leaves it alone."""

import ast
import shutil

import pytest

from dql.config.project import load_project
from dql.results import fingerprint
from dql.results.fingerprint import (
    code_fingerprint,
    code_of_run,
    import_closure,
    run_parameters,
    training_fingerprint,
)


@pytest.fixture
def edit(tmp_path, monkeypatch):
    """Return a function that edits a copy of the package and forgets what was read."""
    package = tmp_path / "dql"
    shutil.copytree(
        fingerprint.PACKAGE, package, ignore=shutil.ignore_patterns("*.pyc")
    )
    monkeypatch.setattr(fingerprint, "PACKAGE", package)

    def change(name, transform):
        path = package / name
        path.write_text(transform(path.read_text()))
        forget()

    def forget():
        for name in ("_fingerprint", "_tree", "_imports", "_meaning"):
            getattr(fingerprint, name).cache_clear()

    forget()
    yield change
    monkeypatch.undo()
    forget()


def test_a_fingerprint_covers_training_and_its_agent_only():
    modules = import_closure(["dql.training.loop", "dql.agents.td3_bc"])
    assert {"dql.training.loop", "dql.core.networks", "dql.agents.td3_bc"} <= modules
    assert "dql.agents.diffusion_ql" not in modules
    assert not any(name.startswith("dql.figures") for name in modules)


def test_layout_comments_and_docstrings_do_not_count(edit):
    before = training_fingerprint("bcq")
    edit("training/loop.py", lambda text: ast.unparse(ast.parse(text)))
    edit("agents/bcq.py", lambda text: f'{text}\n"""Words."""  # and more\n')
    assert training_fingerprint("bcq") == before


@pytest.mark.parametrize(
    "name", ["training/loop.py", "core/networks.py", "agents/bcq.py"]
)
def test_what_a_run_does_counts(edit, name):
    before = training_fingerprint("bcq")
    edit(name, lambda text: f"{text}\nEXTRA = 1\n")
    assert training_fingerprint("bcq") != before


@pytest.mark.parametrize(
    "name",
    ["agents/td3_bc.py", "agents/registry.py", "results/cells.py", "cli/main.py"],
)
def test_what_a_run_does_not_execute_does_not_count(edit, name):
    before = training_fingerprint("bcq")
    edit(name, lambda text: f"{text}\nEXTRA = 1\n")
    assert training_fingerprint("bcq") == before


def test_other_environment_families_do_not_count(edit):
    before = {name: training_fingerprint("bcq", name) for name in ("bandit", "hopper")}
    edit("environments/locomotion.py", lambda text: f"{text}\nEXTRA = 1\n")
    assert training_fingerprint("bcq", "bandit") == before["bandit"]
    assert training_fingerprint("bcq", "hopper") != before["hopper"]


def test_native_sources_count(edit):
    before = code_fingerprint("dql.core.kernels")
    edit("core/kernels/mish.c", lambda text: f"{text}\n/* other */\n")
    assert code_fingerprint("dql.core.kernels") != before


def test_run_parameters_tell_settings_apart_but_not_seeds_and_labels():
    project = load_project(scale="quick")
    run = project.run_config("bandit-axes", "diffusion_ql", 0)
    other_seed = project.run_config("bandit-axes", "diffusion_ql", 1)
    assert run_parameters(run) == run_parameters(other_seed)
    renamed = run.model_copy(update={"label": "Another name", "scale": "paper"})
    assert run_parameters(run) == run_parameters(renamed)
    settings = run.settings | {"q_coefficient": 0.7}
    changed = run.model_copy(update={"settings": settings})
    assert run_parameters(run) != run_parameters(changed)


def test_modules_of_the_configuration_do_not_count_the_resolved_run_does():
    modules = import_closure(["dql.training.loop", "dql.agents.diffusion_ql"])
    assert not {name for name in modules if name.startswith("dql.config.")}


def test_the_code_of_variants_counts_for_runs_on_variants_alone(edit):
    project = load_project(scale="quick")
    name = "local-hopper-medium-expert"
    runs = [
        project.run_config(task, "td3_bc", 0).model_dump(mode="json")
        for task in (name, f"{name}@episode_share=0.1")
    ]
    before = [code_of_run(run) for run in runs]
    edit("data/variants.py", lambda text: f"{text}\nCHANGED = 1\n")
    after = [code_of_run(run) for run in runs]
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_the_code_of_interaction_counts_for_online_runs_alone(edit):
    before = [training_fingerprint("sac", "hopper", online=on) for on in (False, True)]
    edit("training/interaction.py", lambda text: f"{text}\nCHANGED = 1\n")
    after = [training_fingerprint("sac", "hopper", online=on) for on in (False, True)]
    assert before[0] == after[0]
    assert before[1] != after[1]
