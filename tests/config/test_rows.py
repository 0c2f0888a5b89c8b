"""Rows of the configuration: what they take from defaults and from each other."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from dql.config.project import Project, load_project
from dql.config.rows import MethodsFile, TasksFile, fill_methods, fill_tasks
from dql.config.validation import merge
from dql.errors import UserError
from dql.paths import CONFIG

TASKS = {
    "environments": {
        "hopper": {
            "horizon": 1000,
            "reference_min_score": -20.0,
            "reference_max_score": 3000.0,
        }
    },
    "suites": {
        "gym": {"dataset": {"source": "d4rl"}, "settings": {"learning_rate": 0.2}},
        "local": {
            "dataset": {"source": "local", "seed": 3},
            "reference_min_score": None,
            "reference_max_score": None,
        },
        "remade": {"dataset": {"source": "remade"}},
    },
    "tasks": {
        "paper": {
            "suite": "gym",
            "environment": "hopper",
            "offline_selection_rank": 2,
            "settings": {"max_gradient_norm": 9.0},
        },
        "made": {
            "suite": "local",
            "environment": "hopper",
            "horizon": 5,
            "dataset": {"quality": "medium"},
        },
        "again": {
            "suite": "remade",
            "environment": "hopper",
            "namesake": "paper",
            "dataset": {"parts": [{"policy": "clone", "share": 1}]},
        },
    },
}


def project_with(folder: Path, name: str, changes: dict[str, Any]) -> Project:
    """Load the configuration with changes to one of its files."""
    shutil.copytree(CONFIG, folder / "config")
    values = merge(yaml.safe_load((CONFIG / name).read_text()), changes)
    (folder / "config" / name).write_text(yaml.safe_dump(values))
    return load_project(folder / "config", scale="paper")


def test_a_row_wins_over_its_suite_and_that_over_its_environment() -> None:
    rows = fill_tasks(TasksFile(**TASKS))
    assert rows["paper"].reference_min_score == -20.0
    assert rows["paper"].horizon == 1000
    assert rows["made"].reference_min_score is None
    assert rows["made"].horizon == 5
    dataset = rows["made"].dataset
    assert (dataset.source, dataset.quality, dataset.seed) == ("local", "medium", 3)


def test_a_namesake_brings_its_settings_and_its_rank_and_nothing_else() -> None:
    row = fill_tasks(TasksFile(**TASKS))["again"]
    assert row.settings == {"learning_rate": 0.2, "max_gradient_norm": 9.0}
    assert row.offline_selection_rank == 2
    assert row.dataset.source == "remade"
    assert row.horizon == 1000


def test_methods_take_from_a_namesake_what_is_set_for_it_and_for_its_suite(
    tmp_path: Path,
) -> None:
    row = {
        "environment": "antmaze-umaze",
        "suite": "remade",
        "namesake": "antmaze-large-play-v0",
        "dataset": {
            "parts": [{"policy": "clone", "share": 1}],
            "multistart": False,
            "multigoal": False,
        },
    }
    own = {"q_coefficient": 7.0}
    changes = {"remade-maze": row, "remade-other": row | {"settings": own}}
    project = project_with(tmp_path, "tasks.yaml", {"tasks": changes})
    for method in ("diffusion_ql", "iql", "bc_diffusion"):
        own = project.settings("antmaze-large-play-v0", method)
        assert project.settings("remade-maze", method) == own, method
    fql = project.settings("remade-maze", "fql")
    assert fql["distillation_coefficient"] == 3.0  # of the namesake
    assert fql["q_normalizer"] == "none"  # which gym and local change
    diffusion_ql = project.settings("remade-other", "diffusion_ql")
    assert (diffusion_ql["q_coefficient"], diffusion_ql["max_q_backup"]) == (7.0, True)
    task = project.task("remade-maze")
    assert (task.offline_selection_rank, task.num_gradient_steps) == (2, 1000000)


def test_a_method_takes_from_the_task_only_what_it_lists() -> None:
    project = load_project(scale="paper")
    row = project.rows["pen-human-v1"]
    for name, method in project.methods.items():
        if method.serves and "adroit" not in method.serves:
            continue
        settings = project.settings("pen-human-v1", name)
        for key in set(method.from_task) & set(row.settings):
            assert settings[key] == row.settings[key], (name, key)
    edp, bc = (project.settings("pen-human-v1", m) for m in ("edp", "bc_mle"))
    assert edp["max_gradient_norm"] == 7.0
    assert edp["q_coefficient"] != row.settings["q_coefficient"]
    assert bc["learning_rate"] != row.settings["learning_rate"]


def test_a_configuration_written_to_a_run_holds_no_row() -> None:
    run = load_project(scale="paper").run_config("pen-human-v1", "diffusion_ql", 0)
    assert not {"settings", "namesake"} & set(run.environment.model_dump())


def test_shared_values_reach_the_agents_that_have_them_and_yield_to_the_method() -> (
    None
):
    methods = fill_methods(
        MethodsFile(
            suites={"bandit": {"hidden_dim": 8, "critic_learning_rate": 0.5}},
            methods={
                "bc_mle": {"label": "A"},
                "b": {"agent": "td3_bc", "label": "B", "settings": {"hidden_dim": 4}},
                "td3_bc": {"label": "C", "suites": {"bandit": {"hidden_dim": 2}}},
            },
        )
    )
    assert methods["bc_mle"].agent == "bc_mle"
    assert methods["bc_mle"].suites["bandit"] == {"hidden_dim": 8}
    assert methods["b"].suites["bandit"] == {"critic_learning_rate": 0.5}
    both = {"hidden_dim": 2, "critic_learning_rate": 0.5}
    assert methods["td3_bc"].suites["bandit"] == both


def test_a_scale_without_a_suite_runs_nothing_of_it(tmp_path: Path) -> None:
    shutil.copytree(CONFIG, tmp_path / "config")
    scale = tmp_path / "config" / "scales" / "smoke.yaml"
    values = yaml.safe_load(scale.read_text())
    del values["suites"]["local"]
    scale.write_text(yaml.safe_dump(values))
    project = load_project(tmp_path / "config", scale="smoke")
    assert project.suite("local").tasks == []
    assert {run.task for run in project.runs()} == {"bandit-axes", "bandit-corners"}
    assert list(project.scale.suites) == list(load_project(scale="paper").scale.suites)


HOPPER = "hopper-medium-v2"


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        (
            "tasks.yaml",
            {"tasks": {HOPPER: {"environment": "hoper"}}},
            [HOPPER, "hoper", "horizon"],
        ),
        (
            "tasks.yaml",
            {"environments": {"hopper": {"horizn": 3}}},
            ["environment 'hopper'", "horizn", "'horizon'"],
        ),
        ("tasks.yaml", {"suites": {"gim": {}}}, ["suites.gim", "'gym'"]),
        (
            "tasks.yaml",
            {"suites": {"gym": {"dataset": {"source": "d4lr"}}}},
            ["suite 'gym'", "dataset.source", "'d4rl'"],
        ),
        ("tasks.yaml", {"tasks": {HOPPER: {"suite": ["gym"]}}}, [HOPPER, "suite"]),
        (
            "tasks.yaml",
            {"tasks": {HOPPER: {"namesake": "hopper-medium-v3"}}},
            [HOPPER, "namesake", "hopper-medium-v3", "Did you mean"],
        ),
        ("tasks.yaml", {"tasks": {HOPPER: {"namesake": HOPPER}}}, [HOPPER]),
        (
            "tasks.yaml",
            {"tasks": {HOPPER: {"settings": {"learning_rat": 1.0}}}},
            [HOPPER, "learning_rat", "from_task", "'learning_rate'"],
        ),
        (
            "tasks.yaml",
            {"tasks": {HOPPER: {"settings": {"max_gradient_norm": "x"}}}},
            [HOPPER, "max_gradient_norm"],
        ),
        (
            "methods.yaml",
            {"methods": {"edp": {"from_task": ["max_gradient_nrom"]}}},
            ["edp", "max_gradient_nrom", "'max_gradient_norm'"],
        ),
        (
            "methods.yaml",
            {"suites": {"bandit": {"hiden_dim": 3}}},
            ["suites.bandit", "hiden_dim", "hidden_dim"],
        ),
        ("methods.yaml", {"methods": {"bqc": {"label": "B"}}}, ["bqc", "'bcq'"]),
        ("suites.yaml", {"suites": {"gym": {"sedes": []}}}, ["gym", "'seeds'"]),
    ],
)
def test_faults_of_rows_and_defaults_name_file_row_and_key(
    tmp_path: Path, name: str, changes: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(UserError) as error:
        project_with(tmp_path, name, changes)
    for word in (name, *words):
        assert word in str(error.value)
