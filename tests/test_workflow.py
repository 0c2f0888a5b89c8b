"""The whole workflow at scale smoke, in a copy of the tree, with Snakemake and DVC."""

import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from checkout import LOCAL_TASK, NOTHING_TO_DO, ROOT, copy_tree, run
from pages import commands

from dql import paths
from dql.agents.registry import SETTINGS
from dql.config.project import load_project
from dql.console.job_logs import last_progress
from dql.figures import registry as figures
from dql.results import fingerprint

SMOKE = load_project(scale="smoke")
KEPT_IN_GIT = {"benchmarks", "kept"}

pytestmark = pytest.mark.xdist_group("workflow")


def jobs_of(dry_run: str) -> dict[str, int]:
    """Read the table of jobs that a dry run ends with."""
    rows = re.findall(r"(?m)^(\w+) +(\d+)$", dry_run)
    return {rule: int(count) for rule, count in rows if rule != "total"}


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A copy of the tree in which nothing has run."""
    return copy_tree(tmp_path_factory.mktemp("bare") / "project")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A copy of the tree in which the workflow has run at scale smoke."""
    folder = copy_tree(tmp_path_factory.mktemp("made") / "project")
    printed = run("snakemake --cores 2 --resources gpu=2 all", folder)
    (folder.parent / "printed.txt").write_text(printed)
    return folder


@pytest.mark.parametrize(
    "command",
    [
        "snakemake -n all --cores 8 --resources gpu=2",
        "snakemake -n --cores 8 --resources gpu=2",
        "snakemake -n --cores 8 --resources gpu=2 -- all",
        "snakemake -n --cores 8 --resources gpu=2 all",
        "snakemake -n --cores 8 --resources gpu=2 all --config scale=paper",
    ],
)
def test_every_way_of_asking_for_all(bare, command):
    printed = run(command, bare)
    scale = "paper" if "paper" in command else "smoke"
    project = load_project(scale=scale)
    jobs = jobs_of(printed)
    trained = [jobs[rule] for rule in jobs if rule.startswith("train_bandit")]
    assert sum(trained) == len(project.cells(["bandit"]))
    assert "Train diffusion_ql on bandit-axes, seeds 0_1_2" in printed


def test_paper_scale_expands_task_method_and_seed(bare):
    printed = run("snakemake -n all --config scale=paper", bare)
    for task in ("hopper-medium-v2", "kitchen-mixed-v0", "pen-cloned-v1"):
        for method in ("diffusion_ql", "td3_bc", "bc_diffusion"):
            assert f"Train {method} on {task}, seeds 0_1_2_3_4_5" in printed
    assert jobs_of(printed)["fetch_dataset"] == 20


def test_evidence_trains_the_seeds_of_its_stages_on_remade_data(bare):
    printed = run("snakemake -n all --config scale=evidence", bare)
    jobs = jobs_of(printed)
    trained = {rule: jobs[rule] for rule in jobs if rule.startswith("train_")}
    runs = load_project(scale="evidence").runs()
    assert trained == {
        f"train_remade_seeds_{seed}": sum(run.seed == seed for run in runs)
        for seed in {run.seed for run in runs}
    }
    tasks = {run.task for run in runs}
    varied = {task for task in tasks if "@" in task}
    assert jobs["compare_data"] == len(tasks - varied)
    assert jobs["vary_dataset"] == len(varied)
    assert jobs["generate_dataset"] == len(tasks - varied) + 1  # random actions
    assert "fetch_dataset" not in jobs
    for name in ("actions-hopper-expert-v2", "states-walker2d-medium-replay-v2"):
        assert f"dql data policies {name} >" in printed


def test_an_online_run_waits_for_the_offline_run_it_goes_on_from(bare):
    target = "figures/local/local_online.png"
    printed = run(f"snakemake -n {target} --config scale=online", bare)
    # Two seeds of five methods, once offline and once online, and of SAC online alone.
    jobs = jobs_of(printed)
    assert jobs["train_local_seeds_0"] == jobs["train_local_seeds_1"] == 11


def test_tasks_that_are_alike_train_in_one_job(bare, tmp_path):
    target = "results/runs/bandit-corners/bc_mle/seed0/evaluations.csv"
    sizes = shlex.quote("suites={bandit: {tasks_per_job: 2}}")
    options = f"--directory {tmp_path} --config scale=smoke {sizes}"
    printed = run(f"snakemake -n -p {target} {options}", bare)
    assert "Train bc_mle on bandit-axes and bandit-corners, seeds 0_1_2" in printed
    assert "dql train bandit-axes bc_mle --also bandit-corners --seed 0" in printed
    run(f"snakemake --cores 2 {target} {options}", bare)
    for task in ("bandit-axes", "bandit-corners"):
        found = sorted((tmp_path / "results" / "runs" / task).glob("bc_mle/*/e*.csv"))
        assert [file.parent.name for file in found] == ["seed0", "seed1", "seed2"]
    assert "Nothing to be done" in run(f"snakemake -n {target} {options}", bare)


def test_variants_of_data_are_made_of_the_tasks_own_and_are_in_no_table(bare):
    target = "figures/remade/remade_noise.png"
    printed = run(f"snakemake -n {target} --config scale=evidence", bare)
    jobs = jobs_of(printed)
    assert jobs["vary_dataset"] == 6
    assert jobs["generate_dataset"] == 2  # the task's, and random actions'
    assert jobs["train_remade_seeds_0"] == jobs["train_remade_seeds_1"] == 7 * 4
    assert jobs["aggregate_cell"] == 7 * 4
    table = run("snakemake -n results/tables/remade.md --config scale=evidence", bare)
    assert jobs_of(table)["make_table_remade"] == 1
    assert "@random_share" not in table


MEASURED = """\
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print("cpu", used.ru_utime + used.ru_stime, "rss", used.ru_maxrss * 1024)
"""


@pytest.mark.slow
def test_the_whole_paper_is_planned_in_half_a_minute_and_a_gigabyte(bare):
    """20 tasks, 12 methods, 6 seeds with a job each; processor time, as load varies."""
    methods = list(load_project().methods)[:11]
    suite = {"seeds": [0, 1, 2, 3, 4, 5], "seeds_per_job": 1}
    suite["methods"] = [*methods, "diffusion_ql@eta=0"]
    suites = json.dumps(dict.fromkeys(("gym", "antmaze", "adroit", "kitchen"), suite))
    options = f"--config scale=paper {shlex.quote(f'suites={suites}')}"
    command = f"snakemake -n all --quiet host reason rules {options}"
    program = f"{sys.executable} -c {shlex.quote(MEASURED)}"
    printed = run(f"{program} {command}", bare)
    seconds, num_bytes = re.search(r"cpu (\S+) rss (\d+)", printed).groups()
    assert jobs_of(printed)["train_gym_seeds_0"] == 9 * 12
    assert float(seconds) <= 30
    assert int(num_bytes) <= 1e9


def test_lint_is_clean(bare):
    assert "good condition" in run("snakemake --lint", bare)


def test_code_and_rules_are_formatted():
    run("ruff check .", ROOT)
    run("ruff format --check .", ROOT)
    run("snakefmt --check Snakefile workflow/rules workflow/helpers", ROOT)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--config scale=papr", ["papr", "paper"]),
        ("--config scael=paper", ["scael", "scale"]),
        ('--config \'suites={"local": {"sedes": [1]}}\'', ["sedes", "seeds"]),
        ('--config \'suites={"local": {"methods": ["td4"]}}\'', ["td4", "td3_bc"]),
        ("results/cells/hoper-medium-v2/td3_bc.json", ["hoper", "hopper-medium-v2"]),
        (f"results/cells/{LOCAL_TASK}/td3bc.json", ["td3bc", "td3_bc"]),
        (
            "--config 'suites={bandit: {methods: [iql@discount=2, bcq@lmbda=1]}}'",
            ["discount", "less than or equal to 1, not 2", "'lmbda'"],
        ),
        (
            f"results/runs/{LOCAL_TASK}/td3_bc@eta=nan,actor_interval=0/seed0/config.json",
            ["q_coefficient", "actor_interval"],
        ),
        ("--config 'suites={bandit: {seeds: [0], seeds: [1]}}'", ["'seeds'", "twice"]),
        ("--cores 0", ["--cores 0", "no job could start"]),
    ],
)
def test_bad_input_stops_before_anything_runs(bare, arguments, words):
    printed = run(f"snakemake -n {arguments}", bare, fails=True)
    for word in words:
        assert word in printed
    assert {path.name for path in (bare / "results").iterdir()} == KEPT_IN_GIT


def test_braces_in_the_path_of_the_checkout_are_named(bare, tmp_path):
    folder = tmp_path / "br{a}ces"
    shutil.copytree(bare, folder, ignore=shutil.ignore_patterns(".snakemake", ".git"))
    printed = run("snakemake -n", folder, fails=True)
    assert f"this checkout is in {folder}; rename that folder" in printed
    assert "NameError" not in printed


def test_words_of_the_command_line_are_read_as_yaml(bare):
    """Snakemake hands on words: `null` is None and 0 a seed, as for `dql --set`."""
    suite = "{seeds: [1], max_evaluation_steps: null, settings: {learning_rate: 1e-4}}"
    printed = run(f"snakemake -n --config 'suites={{bandit: {suite}}}'", bare)
    assert "Train diffusion_ql on bandit-axes, seeds 1" in printed


def test_only_training_asks_for_a_gpu():
    files = [ROOT / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")]
    asking = {file.name for file in files if re.search(r"\bgpu\b", file.read_text())}
    assert asking == {"training.smk"}


def test_smoke_makes_every_target(made):
    names = {path.name for path in (made / "figures").glob("*/*")}
    cells = SMOKE.cells(["bandit"])
    drawn = [name for name in figures.FIGURES if figures.figure_cells(name, cells)]
    drawn += figures.suite_figures("local", SMOKE.cells(["local"]))
    drawn += [paths.data_figure(task) for task in SMOKE.suite("local").tasks]
    assert names == {f"{name}.{suffix}" for name in drawn for suffix in ("pdf", "png")}
    for task, method, seed in SMOKE.runs():
        folder = made / "results" / "runs" / task / method / f"seed{seed}"
        config = json.loads((folder / "config.json").read_text())
        assert (config["task"], config["method"], config["seed"]) == (
            task,
            method,
            seed,
        )
        finished = json.loads((folder / "provenance.json").read_text())
        assert finished["wall_seconds"] > 0
        assert list((folder / "checkpoint").iterdir())


def test_smoke_summary_has_a_row_per_layout_method_and_seed(made):
    summary = pd.read_csv(made / "results" / "bandit" / "summary.csv")
    expected = {
        (task.removeprefix("bandit-"), method, seed)
        for task, method, seed in SMOKE.runs()
        if task.startswith("bandit-")
    }
    found = set(zip(summary["layout"], summary["method"], summary["seed"], strict=True))
    assert found == expected


def test_smoke_tables_show_what_ran_and_what_did_not(made):
    tables = made / "results" / "tables"
    local = pd.read_csv(tables / "local.csv")
    assert set(local["method"]) == {"bc_diffusion", "td3_bc", "diffusion_ql"}
    assert (local["num_seeds"] == 2).all()
    assert "not run" in (tables / "d4rl.md").read_text()
    for name in SMOKE.tables:
        assert (tables / f"{name}.tex").stat().st_size > 0
    compute = pd.read_csv(tables / "compute.csv")
    assert (compute["num_runs"] == compute["num_expected"]).all()
    assert (compute["wall_hours"] > 0).all()


def test_a_job_says_how_far_it_is_in_its_log_and_not_among_others(made):
    log = "results/logs/train/bandit-axes/diffusion_ql/seeds_0_1_2.log"
    line = last_progress([str(made / log)])
    assert line.done == line.total == 60
    assert line.score is not None and line.rate > 0
    assert "steps/s" not in (made.parent / "printed.txt").read_text()


def test_the_papers_figure_is_drawn_before_the_other_layout_is_trained(made):
    printed = (made.parent / "printed.txt").read_text()
    before, _, after = printed.partition(": Draw figures/bandit/bandit_axes\n")
    cells = len([c for c in SMOKE.cells(["bandit"]) if c[0] == "bandit-corners"])
    others = r": Train \S+ on bandit-corners, "
    assert len(re.findall(others, before)) <= 3  # what the second core began meanwhile
    assert len(re.findall(others, after)) >= cells - 3


def test_the_first_figure_needs_four_short_trainings(bare):
    figure = "figures/bandit/bandit_as_released.png"
    printed = run(f"snakemake -n {figure} --config scale=quick", bare)
    assert jobs_of(printed) == {
        "train_bandit_seeds_0_1_2": 4,
        "draw_bandit_as_released": 1,
    }


def test_nothing_is_left_to_do(made):
    assert NOTHING_TO_DO in run("snakemake -n", made)


def test_cosmetic_edits_retrain_nothing_and_real_ones_only_their_agent(made):
    file = made / "dql" / "agents" / "diffusion_ql.py"
    original = file.read_text()
    try:
        file.write_text(original + '\n# A comment.\n"""And a docstring."""\n')
        assert NOTHING_TO_DO in run("snakemake -n", made)
        file.write_text(original + "\nUNUSED = 1\n")
        printed = run("snakemake -n", made)
    finally:
        file.write_text(original)
    trained = set(re.findall(r"Train (\S+) on", printed))
    methods = {method for _, method, _ in SMOKE.runs()}
    assert trained == {name for name in methods if name.startswith("diffusion_ql")}


def test_one_more_seed_trains_one_more_seed(made):
    suites = json.dumps({"local": {"seeds": [0, 1, 2]}})
    printed = run(f"snakemake -n --config 'suites={suites}'", made)
    trained = re.findall(r"Train (\S+) on (\S+), seeds (\S+)", printed)
    assert {(task, seeds) for _, task, seeds in trained} == {(LOCAL_TASK, "2")}


def test_a_cell_is_run_again_beside_the_stored_results(made):
    stored = made / "results" / "runs" / LOCAL_TASK / "td3_bc" / "seed0"
    before = (stored / "provenance.json").read_text()
    printed = run(f"dql cell {LOCAL_TASK} td3_bc --seed 0", made)
    for word in ("stored", "re-run", "published"):
        assert word in printed.lower()
    assert (stored / "provenance.json").read_text() == before
    again = made / "results" / "rerun" / LOCAL_TASK / "td3_bc" / "seed0"
    evaluations = (again / "evaluations.csv").read_text()
    assert evaluations == (stored / "evaluations.csv").read_text()
    assert NOTHING_TO_DO in run("snakemake -n", made)


def test_summary_says_what_was_made(made):
    printed = run("dql summary", made)
    for word in ("11 figures", "72 runs", "Diffusion-QL", "100,000"):
        assert word in printed


def test_report_is_written(made):
    """Everything is embedded and explained; nothing is loaded from elsewhere."""
    run("snakemake --report results/report.html", made)
    page = (made / "results" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|img|iframe)[^>]+src=[\"']?http|<link|@import", page)
    results = json.loads(re.search(r"(?s)var results = ({.*?});\n", page)[1])
    names = {Path(name).name for name in results}
    assert {"index.html", "d4rl.html", "bandit_axes.png", "compute.html"} <= names
    for name, result in results.items():
        assert result["caption"] and result["labels"], name
        assert result["data_uri"].startswith("data:"), name


def test_dvc_versions_what_snakemake_made(made):
    run("dvc commit --force --quiet", made)
    assert "up to date" in run("dvc status", made)
    assert NOTHING_TO_DO in run("snakemake -n", made)
    assert "up to date" in run("dvc repro", made)


def test_dvc_repro_bandit_draws_the_figures_and_reproduces_nothing_else(made):
    run("dvc commit --force --quiet", made)
    figure = made / "figures" / "bandit" / "bandit_axes.png"
    runs = made / "results" / "runs" / "bandit-axes" / "bcq" / "seed0"
    before = (runs / "provenance.json").stat().st_mtime
    figure.unlink()
    run("dvc repro bandit", made)
    assert figure.is_file()
    style = made / "workflow" / "paper.mplstyle"
    style.write_text(style.read_text() + "\nsavefig.dpi: 40\n")
    small = figure.stat().st_size
    printed = run("dvc repro bandit", made)
    assert re.findall(r"Running stage '(\w+)'", printed) == ["bandit"]
    assert figure.stat().st_size < small
    assert (runs / "provenance.json").stat().st_mtime == before
    printed = run("dvc repro", made)
    assert re.findall(r"Running stage '(\w+)'", printed) == ["local_figures", "page"]
    assert "up to date" in run("dvc repro", made)
    assert NOTHING_TO_DO in run("snakemake -n", made)


def test_offline_data_fail_by_name_and_the_rest_completes(made):
    tasks = made / "workflow" / "config" / "tasks.yaml"
    original = tasks.read_text()
    # A port that nothing listens on, whatever the network of the machine.
    tasks.write_text(
        original.replace("http://rail.eecs.berkeley.edu", "http://[::1]:9")
    )
    table = made / "results" / "tables" / "local.md"
    table.unlink()
    try:
        printed = run(
            "snakemake --keep-going --retries 0 --cores 2"
            " results/datasets/hopper-medium-v2.json results/tables/local.md",
            made,
            fails=True,
        )
    finally:
        tasks.write_text(original)
    for word in ("hopper-medium-v2", "http://[::1]:9/", "local-"):
        assert word in printed
    assert table.is_file()


def test_a_failing_run_names_itself_and_its_log(made):
    manifest = made / "results" / "datasets" / f"{LOCAL_TASK}.json"
    original = manifest.read_text()
    wrong = json.loads(original) | {"digest": "0" * 64}
    manifest.write_text(json.dumps(wrong))
    try:
        cell = f"results/cells/{LOCAL_TASK}/td3_bc.json"
        printed = run(f"snakemake --cores 2 {cell}", made, fails=True)
    finally:
        manifest.write_text(original)
    assert f"results/logs/train/{LOCAL_TASK}/td3_bc/seeds_0_1.log" in printed
    assert f"dql train {LOCAL_TASK} td3_bc" in printed


def code_files(modules: set[str]) -> set[str]:
    """Return the files of modules as dvc.yaml lists them: folders for packages."""
    files = (fingerprint.source_file(module) for module in modules)
    parts = [file.relative_to(ROOT).parts for file in files]
    return {"/".join(path[:2]) for path in parts}


def closure(*modules: str, environment: str = "bandit") -> set[str]:
    others = fingerprint.other_families(environment)
    return fingerprint.import_closure(modules, others)


@pytest.mark.parametrize(
    ("stage", "modules"),
    [
        (
            "datasets",
            closure(
                "dql.training.behavior",
                "dql.agents.sac",
                "dql.data.local",
                environment="hopper",
            ),
        ),
        (
            "bandit_runs",
            closure(
                "dql.training.loop",
                "dql.diagnostics.trajectories",
                *(f"dql.agents.{a}" for a in SETTINGS),
            ),
        ),
        (
            "local_runs",
            closure(
                "dql.training.loop",
                *(f"dql.agents.{a}" for a in SETTINGS),
                environment="hopper",
            ),
        ),
        (
            "local_episodes",
            closure(
                "dql.diagnostics.episodes",
                *(f"dql.agents.{a}" for a in SETTINGS),
                environment="hopper",
            ),
        ),
        (
            "bandit",
            closure(
                "dql.results.bandit_summary",
                "dql.claims.bandit",
                "dql.figures.registry",
            ),
        ),
        (
            "local_figures",
            closure(
                "dql.figures.dataset",
                "dql.figures.stills",
                *(f"dql.figures.{f.module}" for f in figures.SUITE_FIGURES.values()),
            ),
        ),
        ("tables", closure("dql.results.cells", "dql.tables.registry")),
        ("claims", closure("dql.claims.page")),
        ("page", closure("dql.publication.page")),
        ("provenance", closure("dql.tables.runs")),
    ],
)
def test_dvc_stages_depend_on_the_code_they_run(stage, modules):
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    listed = {name for name in stages[stage]["deps"] if name.startswith("dql/")}
    assert listed == code_files(modules)


def page_commands() -> list[str]:
    """Return the pages' commands; `test_pages.py` makes a dry run of Snakemake's."""
    return [line for line in commands() if "snakemake" not in line]


def cheaply(command: str) -> str:
    """Return a command that goes as far as the given one does at little cost."""
    program, *rest = shlex.split(command)
    if program == "make":
        return f"make --dry-run {' '.join(rest)}"
    if program == "dvc" and rest[0] == "repro":
        return f"{command} --dry"
    if rest[0] == "cell" and "--steps" in rest:  # a kept run, without its data
        return f"dql cell {rest[1]} {rest[2]}"
    is_costly = "paper" in rest or rest[0] == "online"
    is_costly |= rest[:2] in (["data", "fetch"], ["data", "roll-out"])
    if program == "dql" and not is_costly and rest[0] not in ("adopt", "cell", "keep"):
        return command
    verbs = rest[:2] if rest[0] in ("data", "bandit", "config", "remote") else rest[:1]
    return f"{program} {' '.join(verbs)} --help"


@pytest.mark.parametrize("command", page_commands())
def test_the_commands_of_the_pages_are_real(made, command):
    run(cheaply(command), made)
