"""The configuration: what is resolved from it, and how its faults read."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import yaml

from dql.agents.registry import SETTINGS
from dql.config.project import load_project
from dql.config.schema import json_schema
from dql.config.validation import parse_changes
from dql.errors import UserError
from dql.paths import CONFIG, minari_id
from dql.tables.resolved_settings import resolved_settings

SHARED = Path(__file__).parents[3] / "shared"
SCALES = ("smoke", "quick", "paper")


@pytest.fixture(scope="module", params=SCALES)
def project(request):
    return load_project(scale=request.param)


def test_every_run_of_every_scale_resolves(project):
    runs = project.runs()
    assert runs
    assert len(set(runs)) == len(runs)
    for run in runs:
        config = project.run_config(*run)
        assert (config.task, config.method, config.seed) == run
        assert config.agent in SETTINGS
        assert config.training.num_gradient_steps > 0


def test_json_schema_file_is_current():
    stored = json.loads((CONFIG / "config.schema.json").read_text())
    assert stored == json_schema()


def test_precedence_of_settings():
    project = load_project(scale="paper")
    umaze = project.settings("antmaze-umaze-v0", "diffusion_ql")
    assert umaze["hidden_dim"] == 256  # the agent's default
    assert umaze["q_coefficient"] == 0.5  # the method's task
    bandit = project.settings("bandit-axes", "diffusion_ql")
    assert bandit["hidden_dim"] == 128  # the method's suite
    assert bandit["q_coefficient"] == 2.5
    variant = project.settings("bandit-axes", "diffusion_ql@eta=0,N=7")
    assert variant["q_coefficient"] == 0.0
    assert variant["num_denoising_steps"] == 7


def test_alias_and_setting_name_mean_the_same():
    project = load_project()
    short, full = "bc_diffusion@N=2", "bc_diffusion@num_denoising_steps=2"
    settings = project.settings("bandit-axes", short)
    assert settings == project.settings("bandit-axes", full)


def test_label_shows_the_variant():
    assert load_project().label("diffusion_ql@eta=0") == "Diffusion-QL (eta = 0)"


@pytest.mark.parametrize(
    ("call", "named", "suggested"),
    [
        (lambda p: p.task("hoper-medium-v2"), "hoper-medium-v2", "hopper-medium-v2"),
        (lambda p: p.method("difusion_ql"), "difusion_ql", "diffusion_ql"),
        (lambda p: p.settings("bandit-axes", "bcq@etaa=1"), "etaa", "eta"),
        (lambda p: p.suite("antmase"), "antmase", "antmaze"),
        (lambda p: p.table_suites("d4r"), "d4r", "d4rl"),
        (lambda p: p.run_config("bandit-axes", "bcq", 17), "17", "nearest is 2"),
        (
            lambda p: p.settings("bandit-axes", "bc_diffusion@beta_schedule=cosin"),
            "cosin",
            "cosine",
        ),
    ],
)
def test_unknown_names_are_named_with_the_nearest(call, named, suggested):
    with pytest.raises(UserError) as error:
        call(load_project())
    assert f"'{named}'" in str(error.value) or named in str(error.value)
    assert suggested in str(error.value)


def test_an_unknown_setting_names_method_key_and_every_valid_key():
    project = load_project()
    with pytest.raises(UserError) as error:
        project.settings("bandit-axes", "cql@zzz=3")
    message = str(error.value)
    for word in ("'zzz'", "'cql@zzz=3'", *project.settings("bandit-axes", "cql")):
        assert word in message
    assert "Did you mean" not in message


def test_a_method_is_refused_on_a_task_it_does_not_serve():
    project = load_project(scale="paper")
    assert project.settings("bandit-axes", "bcq_as_released")
    with pytest.raises(UserError) as error:
        project.run_config("hopper-medium-v2", "bcq_as_released", 0)
    for word in ("bcq_as_released", "hopper-medium-v2", "'gym'", "bandit"):
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scale": "papr"}, ["papr", "paper"]),
        ({"scael": "paper"}, ["scael", "scale"]),
        ({"physics": "d4r"}, ["physics", "d4r", "d4rl"]),
        ({"selection_rule": "txt"}, ["selection_rule", "txt", "text"]),
        ({"suites": {"lokal": {}}}, ["lokal", "local"]),
        ({"suites": {"local": {"sedes": [0]}}}, ["local", "sedes", "seeds"]),
        ({"suites": {"local": {"seeds": ["x"]}}}, ["suites.local.seeds", "integer"]),
        ({"suites": {"local": {"seeds": [-1]}}}, ["seeds", "greater"]),
        ({"suites": {"local": {"seeds": [True]}}}, ["seeds", "integer, not True"]),
        ({"suites": {"local": {"seeds": [2**32]}}}, ["seeds", "less than"]),
        ({"suites": {"local": {"seeds": [0, 1, 0]}}}, ["seeds: 0 stands twice"]),
        ({"suites": {"local": {"methods": ["bcq", "bcq"]}}}, ["bcq stands twice"]),
        ({"suites": {"local": {"tasks": ["a", "a"]}}}, ["tasks: a stands twice"]),
        ({"suites": {"local": {"tasks": "al"}}}, ["tasks", "'al'", "all"]),
        ({"tables": {"local": ["local", "local"]}}, ["local stands twice"]),
        (
            {"suites": {"local": {"training": {"num_gradient_steps": True}}}},
            ["num_gradient_steps: should be a valid integer, not True"],
        ),
        ({"suites": {"local": {"methods": ["td3bc"]}}}, ["td3bc", "td3_bc"]),
        ({"suites": {"local": {"tasks": ["bandit-axes"]}}}, ["bandit-axes", "local"]),
        ({"suites": {"local": {"methods": ["td3_bc@eta"]}}}, ["eta", "key=value"]),
        ({"suites": {"local": {"task_methods": {"lokal": []}}}}, ["lokal", "local-"]),
        (
            {"suites": {"local": {"task_methods": {"bandit-axes": []}}}},
            ["bandit-axes", "local"],
        ),
        (
            {"suites": {"bandit": {"task_methods": {"bandit-axes": ["bqc"]}}}},
            ["bqc", "bcq"],
        ),
    ],
)
def test_faults_are_found_at_load(changes, words):
    with pytest.raises(UserError) as error:
        load_project(overrides=changes)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("fisher_brc", "cloning_steps"),
        ("doser", "pretraining_steps + survey_steps"),
        ("morel", "model_steps + survey_steps"),
        ("dtql", "num_pretraining_steps"),
    ],
)
def test_a_run_that_ends_before_its_policy_is_trained_is_refused(method, names):
    suite = {"tasks": ["remade-hopper-medium"], "methods": [method], "stages": []}
    short = {"suites": {"remade": suite | {"seeds": [0], "training": {}}}}
    short["suites"]["remade"]["training"]["num_gradient_steps"] = 10_000
    with pytest.raises(UserError) as error:
        load_project(scale="evidence", overrides=short)
    for word in ("scales/evidence.yaml", method, f"({names})", "the run has 10000"):
        assert word in str(error.value)
    # A run that no scale names, too.
    del suite["methods"]
    project = load_project(scale="evidence", overrides={"suites": {"remade": suite}})
    name = names.partition(" ")[0]
    assert project.training("remade-hopper-medium", f"{method}@{name}=95000")
    with pytest.raises(UserError, match="the run has 100000"):
        project.training("remade-hopper-medium", f"{method}@{name}=100000")


def test_faults_in_the_files_name_the_file(tmp_path):
    for file in CONFIG.rglob("*.yaml"):
        copy = tmp_path / file.relative_to(CONFIG)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(file.read_text())
    methods = yaml.safe_load((tmp_path / "methods.yaml").read_text())
    methods["methods"]["bcq"]["agent"] = "bqc"
    (tmp_path / "methods.yaml").write_text(yaml.safe_dump(methods))
    with pytest.raises(UserError, match=r"methods\.yaml: bcq.*'bqc'.*'bcq'"):
        load_project(tmp_path)
    methods["methods"]["bcq"]["agent"] = "bcq"
    methods["methods"]["iql"]["reward_transforms"] = {"gym": "iql_locomotive"}
    (tmp_path / "methods.yaml").write_text(yaml.safe_dump(methods))
    with pytest.raises(UserError, match=r"methods\.yaml.*iql.*reward_transforms.*gym"):
        load_project(tmp_path)
    (tmp_path / "tasks.yaml").write_text("tasks: [")
    with pytest.raises(UserError, match=r"tasks\.yaml"):
        load_project(tmp_path)


def test_a_suite_without_runs_says_which_scale_has_them():
    with pytest.raises(UserError, match="--scale paper"):
        load_project(scale="quick").run_config("hopper-medium-v2", "diffusion_ql", 0)


def test_smoke_cuts_evaluation_but_not_the_task():
    project = load_project(scale="smoke")
    run = project.run_config("local-hopper-medium-expert", "td3_bc", 0)
    assert run.environment.horizon == 100
    assert project.task("local-hopper-medium-expert").horizon == 1000


def test_a_task_may_have_methods_of_its_own():
    changes = {
        "tasks": ["bandit-axes", "bandit-corners"],
        "methods": ["bcq"],
        "task_methods": {"bandit-axes": [], "bandit-corners": ["bc_mle", "bcq"]},
    }
    project = load_project(overrides={"suites": {"bandit": changes}})
    cells = [
        ("bandit-axes", "bcq"),
        ("bandit-corners", "bcq"),
        ("bandit-corners", "bc_mle"),
    ]
    assert project.cells(["bandit"]) == cells
    runs = [run for run in project.runs() if run.task.startswith("bandit")]
    assert list(dict.fromkeys((task, method) for task, method, _ in runs)) == cells


def test_changes_of_the_command_line_nest():
    changes = parse_changes(["suites.local.seeds=[4]", "suites.local.seeds_per_job=1"])
    assert changes == {"suites": {"local": {"seeds": [4], "seeds_per_job": 1}}}
    assert load_project(overrides=changes).suite("local").seeds == [4]
    with pytest.raises(UserError, match="KEY=VALUE"):
        parse_changes(["suites"])


@pytest.mark.parametrize(
    "changes",
    [
        ["scale=smoke", "scale=paper"],
        ["suites.local.seeds=[0]", "suites.local.seeds=[0]"],
        ["suites={local: {seeds: [0]}}", "suites.local.seeds=[1]"],
        ["suites.local=null", "suites.local.seeds=[1]"],
    ],
)
def test_what_two_changes_decide_is_refused(changes):
    with pytest.raises(UserError, match="both decide") as caught:
        parse_changes(changes)
    assert all(f"--set {change}" in str(caught.value) for change in changes)


@pytest.mark.parametrize(
    ("file", "after", "again"),
    [
        ("methods.yaml", "methods:\n", "  td3_bc: {agent: bcq, label: X}\n"),
        ("scales/smoke.yaml", "    seeds_per_job: 3\n", "    seeds: [7]\n"),
        ("tasks.yaml", "tasks:\n", "  pen-cloned-v1: {}\n"),
        ("config.yaml", "scale: quick\n", "scale: paper\n"),
    ],
)
def test_a_second_key_is_refused_with_file_and_line(tmp_path, file, after, again):
    shutil.copytree(CONFIG, tmp_path / "config")
    path = tmp_path / "config" / file
    path.write_text(path.read_text().replace(after, after + again, 1))
    key = again.strip().partition(":")[0]
    expected = rf"{file} is not valid YAML: line \d+: the key '{key}' stands twice"
    with pytest.raises(UserError, match=expected):
        load_project(tmp_path / "config", scale="smoke")


def test_a_seed_twice_is_refused():
    with pytest.raises(UserError, match="Seed 0 stands twice"):
        load_project().run_configs("bandit-axes", "bcq", [0, 1, 0])


def test_minari_ids_have_a_version():
    assert minari_id("hopper-medium-v2") == "hopper-medium-v2"
    assert minari_id("local-hopper-medium") == "local-hopper-medium-v0"


def test_paper_scale_is_the_papers_protocol():
    path = SHARED / "paper" / "hyperparameters.csv"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    project = load_project(scale="paper")
    rows = list(csv.DictReader(path.open()))
    assert len(rows) == 20
    transforms = {"no": "none"}
    for row in rows:
        run = project.run_config(row["task"], "diffusion_ql", 5)
        settings, task = run.settings, run.environment
        assert settings["learning_rate"] == float(row["lr_actor"])
        assert settings["critic_learning_rate"] == float(row["lr_critic"])
        assert settings["q_coefficient"] == float(row["eta"])
        assert settings["max_q_backup"] == (row["max_q_backup"] == "True")
        assert settings["max_gradient_norm"] == float(row["grad_norm_clip"])
        assert settings["num_denoising_steps"] == 5
        assert settings["num_candidates"] == 50
        transform = transforms.get(row["reward_tune"], row["reward_tune"])
        assert task.reward_transform == transform
        assert task.offline_selection_rank == int(row["top_k_offline_selection"])
        assert run.training.batch_size == 256
        assert run.training.num_gradient_steps == 1000 * int(row["num_epochs"])
        assert run.training.evaluation_interval == 1000 * int(row["eval_freq_epochs"])
        assert run.training.num_evaluation_episodes == int(row["eval_episodes"])
        clone = project.settings(row["task"], "bc_diffusion")
        assert clone["learning_rate"] == float(row["lr_actor"])
        assert clone["max_gradient_norm"] is None


def test_the_clone_learns_at_diffusion_qls_rate_on_every_d4rl_task():
    project = load_project(scale="paper")
    rates = {}
    for task, config in project.tasks.items():
        if config.dataset.source == "d4rl":
            rates[task], guided = (
                project.settings(task, method)["learning_rate"]
                for method in ("bc_diffusion", "diffusion_ql")
            )
            assert rates[task] == guided
    others = {task: rate for task, rate in rates.items() if rate != 3e-4}
    assert len(rates) == 20
    assert others == {
        "antmaze-medium-play-v0": 1e-3,
        "pen-human-v1": 3e-5,
        "pen-cloned-v1": 3e-5,
    }


def test_iql_learns_from_its_authors_rewards():
    paper, evidence = load_project(scale="paper"), load_project(scale="evidence")
    own = {
        "hopper-medium-v2": "iql_locomotion",
        "antmaze-umaze-v0": "iql_antmaze",
        "pen-human-v1": "none",
        "kitchen-complete-v0": "none",
    }
    for task, transform in own.items():
        assert (
            paper.run_config(task, "iql", 0).environment.reward_transform == transform
        )
        run = paper.run_config(task, "diffusion_ql", 0)
        assert run.environment == paper.task(task)
        assert resolved_settings(paper, task, "iql")["reward_transform"] == transform
    for task, transform in (
        ("remade-hopper-medium", "iql_locomotion"),
        ("remade-antmaze-umaze", "iql_antmaze"),
    ):
        run = evidence.run_config(task, "iql", 0)
        assert run.environment.reward_transform == transform
        assert run.environment.suite == "remade"


def test_tasks_have_d4rls_reference_scores_and_files():
    path = SHARED / "paper" / "reference_scores.csv"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    tasks = load_project(scale="paper").tasks
    reference = json.loads((SHARED / "d4rl" / "d4rl_reference.json").read_text())
    files = {name.split()[0]: v for name, v in reference["official_files"].items()}
    for row in csv.DictReader(path.open()):
        task = tasks[row["task"]]
        assert task.suite == row["suite"]
        assert task.horizon == int(row["max_episode_steps"])
        assert task.reference_min_score == float(row["ref_min_score"])
        assert task.reference_max_score == float(row["ref_max_score"])
        assert task.dataset.url == row["dataset_url"]
        size, sha256 = files.get(task.dataset.url.rpartition("/")[2], (None, None))
        assert (task.dataset.num_bytes, task.dataset.sha256) == (size, sha256)


def test_stages_stand_in_for_a_suites_default_runs(tmp_path):
    config = tmp_path / "config"
    shutil.copytree(CONFIG, config)
    stage = {"tasks": ["local-hopper-medium-expert"], "methods": ["iql"], "seeds": [3]}
    scale = {"description": "A campaign.", "suites": {"local": {"stages": [stage]}}}
    (config / "scales" / "campaign.yaml").write_text(yaml.safe_dump(scale))
    project = load_project(config, scale="campaign")
    assert project.runs() == [("local-hopper-medium-expert", "iql", 3)]
