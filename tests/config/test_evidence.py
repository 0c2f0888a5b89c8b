"""Remade tasks and the stages of a campaign, as the configuration resolves them."""

from types import SimpleNamespace

import pytest
from pydantic import ValidationError
from workflow_helpers import workflow_helpers

from dql import paths
from dql.config.data_schema import base_task, is_varied
from dql.config.project import load_project
from dql.config.scale_schema import SuiteScale
from dql.config.schema import TaskConfig
from dql.errors import UserError
from dql.results.fingerprint import run_parameters
from dql.tables import registry

TRAINING = {
    "num_gradient_steps": 10,
    "batch_size": 2,
    "log_interval": 5,
    "evaluation_interval": 5,
    "checkpoint_interval": 5,
    "num_evaluation_episodes": 1,
}
STAGES = [
    {"tasks": ["b", "a"], "methods": ["m"], "seeds": [0]},
    {"tasks": ["a"], "methods": ["m", "n"], "seeds": [2, 0, 1]},
]


@pytest.fixture(scope="module")
def project():
    return load_project(scale="evidence")


def remade_task(**changes):
    values = {
        "suite": "remade",
        "namesake": "hopper-medium-v2",
        "environment": "hopper",
        "horizon": 1000,
        "dataset": {
            "source": "remade",
            "num_transitions": 9,
            "parts": [{"policy": "hopper_online_0", "share": 1}],
        },
    }
    return TaskConfig(**{**values, **changes})


def test_every_run_resolves_and_names_its_twin(project):
    runs = project.runs()
    assert len(set(runs)) == len(runs)
    for run in runs:
        config = project.run_config(*run)
        version = "v0" if "antmaze" in run.task else "v2"
        twin = f"{base_task(run.task).removeprefix('remade-')}-{version}"
        assert config.environment.namesake == twin
        assert config.training.num_gradient_steps == 100_000


def test_methods_have_the_settings_of_the_namesake(project):
    for task in project.scale.suites["remade"].tasks:
        namesake = project.task(task).namesake
        for method in ("diffusion_ql", "fql", "dtql", "diffusion_ql@eta=4"):
            assert project.settings(task, method) == project.settings(namesake, method)
    assert project.settings("remade-walker2d-medium", "diffusion_ql")[
        "max_gradient_norm"
    ] == pytest.approx(1.0)


def test_scores_and_checkpoint_rank_are_the_namesakes(project):
    for task in map(project.task, project.scale.suites["remade"].tasks):
        namesake = project.task(task.namesake)
        for key in (
            "reference_min_score",
            "reference_max_score",
            "offline_selection_rank",
            "horizon",
            "environment",
        ):
            assert getattr(task, key) == getattr(namesake, key)


def test_remade_data_are_made_and_judged_in_d4rls_physics():
    project = load_project(scale="paper", overrides={"physics": "stock"})
    assert project.task("remade-hopper-medium").physics == "d4rl"
    assert project.task("hopper-medium-v2").physics == "stock"


def test_remade_data_have_d4rls_size_at_most():
    sizes = {"suites": {"remade": {"num_transitions": 300_000}}}
    project = load_project(scale="evidence", overrides=sizes)
    found = {
        quality: project.task(f"remade-halfcheetah-{quality}").dataset.num_transitions
        for quality in ("medium", "medium-replay", "medium-expert")
    }
    assert list(found.values()) == [300_000, 202_000, 300_000]


def test_keys_of_remade_data_do_not_change_other_runs(project):
    config = load_project(scale="quick").run_config("bandit-axes", "bc_mle", 0)
    stored = config.model_dump(mode="json")["environment"]
    assert "namesake" not in stored
    assert "parts" not in stored["dataset"]
    assert run_parameters(config)


def test_runs_come_stage_by_stage_each_once():
    suite = SuiteScale(stages=STAGES, training=TRAINING)
    assert suite.runs() == [
        ("b", "m", 0),
        ("a", "m", 0),
        ("a", "m", 2),
        ("a", "m", 1),
        ("a", "n", 2),
        ("a", "n", 0),
        ("a", "n", 1),
    ]
    assert suite.cells() == [("b", "m"), ("a", "m"), ("a", "n")]
    assert suite.seeds == suite.seeds_of("a", "m") == [0, 1, 2]
    assert suite.seeds_of("b", "m") == [0]
    assert suite.seeds_of("b", "n") == [0, 1, 2]  # in no stage: as a user likes


@pytest.mark.parametrize("key", ["seeds", "tasks", "methods", "task_methods"])
def test_stages_alone_say_what_runs(key):
    values = {"stages": STAGES, "training": TRAINING, key: []}
    with pytest.raises(ValidationError, match=f"stages and {key} cannot both"):
        SuiteScale(**values)


def test_a_fault_in_a_stage_is_named():
    stages = {"suites": {"remade": {"stages": [{"tasks": [], "seed": [0]}]}}}
    with pytest.raises(UserError, match="unknown key 'seed'.*seeds"):
        load_project(scale="evidence", overrides=stages)


def test_a_seed_outside_its_stage_is_refused(project):
    with pytest.raises(UserError, match=r"Unknown seed 2.*seeds are 0\."):
        project.run_config("remade-hopper-medium-expert", "cql", 2)


def test_a_scale_without_remade_data_names_the_one_that_has_them():
    with pytest.raises(UserError, match="'remade' at scale 'quick'.*--scale evidence"):
        load_project(scale="quick").run_config("remade-hopper-medium", "td3_bc", 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"namesake": None}, "lacks a namesake"),
        ({"suite": "gym"}, "lacks suite 'remade'"),
        ({"dataset": {"source": "d4rl"}}, "lacks source 'remade'"),
        ({"dataset": {"source": "remade"}}, "lacks parts"),
    ],
)
def test_remade_tasks_stay_apart_from_d4rls(changes, words):
    assert remade_task().namesake
    with pytest.raises(ValidationError, match=words):
        remade_task(**changes)


def test_runs_are_evaluated_as_often_as_in_the_paper(project):
    for task in project.scale.suites["remade"].tasks:
        config = project.run_config(task, "td3_bc", 0)
        expected = 100 if "antmaze" in task else 10
        assert config.training.num_evaluation_episodes == expected


def test_the_umaze_comes_after_one_seed_of_locomotion(project):
    stages = project.scale.suites["remade"].stages
    umaze = next(n for n, s in enumerate(stages) if "remade-antmaze-umaze" in s.tasks)
    before = {task for stage in stages[:umaze] for task in stage.tasks}
    assert len(before) == 9
    assert stages[umaze].methods == ["diffusion_ql", "bc_diffusion", "td3_bc", "iql"]
    settings = project.settings("remade-antmaze-umaze", "diffusion_ql")
    assert settings["q_coefficient"] == pytest.approx(0.5)


def test_data_of_finished_stages_wait_for_what_is_trained_next(
    project, tmp_path, monkeypatch
):
    """Data made again for a late stage would keep the next one's runs waiting."""
    monkeypatch.chdir(tmp_path)
    names = {"sources_of_variant": lambda task: [task]}
    helpers = workflow_helpers("training", "evidence", **names)
    runs = project.scale.suites["remade"].runs()
    first, later = "remade-walker2d-medium-expert", "remade-hopper-medium"

    def priority(task):
        return helpers.data_priority(SimpleNamespace(task=task))

    assert priority(first) > priority(later)
    for run in runs:
        if run[0] == first and run[2] == 0:
            folder = paths.run_directory(*run)
            folder.mkdir(parents=True)
            (folder / paths.EVALUATIONS_FILE).touch()
    assert priority(first) > priority(later)  # begun, not finished
    for folder in paths.RUNS.glob("*/*/seed0"):
        (folder / paths.PROVENANCE_FILE).touch()
    assert priority(first) < priority(later)


def test_a_variant_is_described_anew_while_it_has_a_run_to_train(project):
    """Of rows that another processor rounded, its restored manifest has no digest."""
    runs = project.runs()
    few, many, none = [task for task in project.scale.suites["remade"].tasks
                       if "random_share" in task][:3]  # fmt: skip
    trained = {run for run in runs if run.task == many}
    trained |= {run for run in runs if run.task == few and run.seed == 0}
    names = {"RESTORED": trained, "HELD_TASKS": {few, many}}
    names |= {"is_varied": is_varied, "tables": registry}
    names |= {"VARIED_TASKS": [few, many, none]}
    helpers = workflow_helpers("data", "evidence", **names)
    assert helpers.variants_to_describe() == [few, none]


def test_no_cell_belongs_to_both_suites(project):
    remade = set(project.scale.suites["remade"].tasks)
    assert not remade & {task.namesake for task in map(project.task, remade)}
    tables = project.config.tables
    assert tables["remade"] == ["remade"]
    assert "remade" not in tables["d4rl"]
