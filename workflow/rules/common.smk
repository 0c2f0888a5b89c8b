"""Configuration, checked before anything runs, and the helpers of all rules."""

import hashlib
import json
import os
import re
import shlex
import sys
from pathlib import Path

# The tree's own dql, installed or not, in this process and in every job.
sys.path.insert(0, str(workflow.basedir))
os.environ.update(
    PATH=os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    ),
    PYTHONPATH=os.pathsep.join(
        [str(workflow.basedir), *filter(None, [os.environ.get("PYTHONPATH")])]
    ),
)

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

try:
    from dql import figures, paths, provenance, tables
    from dql.config import load_project
    from dql.errors import UserError
    from dql.validation import read_yaml
except ModuleNotFoundError as error:
    raise WorkflowError(
        f"Snakemake's Python has no '{error.name}'; run make setup, then "
        "source .venv/bin/activate"
    )

try:
    PROJECT = load_project(overrides=config)
    for table in PROJECT.config.tables:
        tables.check_name(PROJECT, table)
except UserError as error:
    raise WorkflowError(str(error))

DEFAULTS = read_yaml(paths.CONFIG / "config.yaml")
CHANGES = {
    key: value
    for key, value in config.items()
    if key != "scale" and value != DEFAULTS.get(key)
}
SCALE_OPTIONS = " ".join(
    [f"--scale {shlex.quote(PROJECT.config.scale)}"]
    + [f"--set {shlex.quote(f'{k}={json.dumps(v)}')}" for k, v in CHANGES.items()]
)
validate(config, "../config/config.schema.json")

RUN_FILES = [
    paths.CONFIG_FILE,
    paths.METRICS_FILE,
    paths.EVALUATIONS_FILE,
    paths.PROVENANCE_FILE,
]


wildcard_constraints:
    task=r"[^/]+",
    method=r"[^/]+",
    environment=r"[^/]+",


def scale_options(wildcards, output):
    """Return the options that repeat this workflow's configuration to `dql`.

    Taking `output` makes Snakemake see a derived parameter: what really decides a
    result is in other parameters, so adding a seed does not rerun the others.
    """
    return SCALE_OPTIONS


def seed_options(seeds):
    """Return a parameter function that lists a job's seeds for `dql train`."""

    def options(wildcards, output):
        return " ".join(f"--seed {seed}" for seed in seeds)

    return options


def any_of(names):
    """Return the regular expression that matches exactly these names."""
    return "|".join(map(re.escape, names)) or "(?!)"


def suite_names(source):
    """Return the names of the tasks whose data come from `source`."""
    return [
        name for name, task in PROJECT.tasks.items() if task.dataset.source == source
    ]


def run_files(cells):
    """Return the files of every run of the (task, method) pairs."""
    files = []
    for task, method in cells:
        suite = PROJECT.task(task).suite
        for seed in PROJECT.suite(suite).seeds:
            folder = paths.run_directory(task, method, seed)
            files += [str(folder / file) for file in SUITE_RUN_FILES[suite]]
    return files


def digest(*values):
    """Return a short digest of JSON values, as one parameter Snakemake compares."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def labels(cells):
    """Return what tables and figures call the methods of the cells."""
    return digest({method: PROJECT.label(method) for _, method in cells})


# Data.


def behavior_policies(wildcards):
    """Return the policies that a local task's data are rolled out with, if any."""
    environment = PROJECT.task(wildcards.task).environment
    if environment.startswith("pointmaze"):
        return []
    folder = paths.behavior_directory(environment)
    return [str(folder / name) for name in ("policies.npz", "policies.json")]


def behavior_parameters(wildcards):
    """Return what decides an environment's behavior policies: code and budget."""
    budget = PROJECT.suite("local").behavior.model_dump()
    others = provenance.other_families(wildcards.environment)
    code = provenance.code_fingerprint("dql.behavior", without=others)
    return f"{code}-{digest(budget, PROJECT.config.physics)}"


def dataset_parameters(wildcards):
    """Return what decides a task's dataset besides its policies: code and sizes."""
    task = PROJECT.task(wildcards.task)
    maker = {
        "local": "dql.local_data",
        "d4rl": "dql.d4rl",
        "minari": "dql.minari_remote",
    }[task.dataset.source]
    if task.environment.startswith("pointmaze"):
        maker = "dql.pointmaze_data"
    decided = digest(task.dataset.model_dump(), task.environment, task.physics)
    others = provenance.other_families(task.environment)
    return f"{provenance.code_fingerprint(maker, without=others)}-{decided}"


def data_figure_parameters(wildcards):
    """Return what decides the figure of a dataset besides its rows: code and style."""
    code = provenance.code_fingerprint("dql.figures.dataset")
    return f"{code}-{digest(paths.STYLE.read_text())}"


DATA_FIGURE_TARGETS = [
    str(paths.figure_file(paths.data_figure(task), extension))
    for task in PROJECT.suite("local").tasks
    for extension in ("pdf", "png")
]

# Training.

SUITE_RUN_FILES = {
    suite: RUN_FILES + ([paths.SAMPLES_FILE] if suite == "bandit" else [])
    for suite in PROJECT.scale.suites
}


def seed_blocks():
    """Yield each suite with the seeds that one job trains together, and their name."""
    for suite, sizes in PROJECT.scale.suites.items():
        for start in range(0, len(sizes.seeds), sizes.seeds_per_job):
            seeds = sizes.seeds[start : start + sizes.seeds_per_job]
            yield suite, seeds, "_".join(map(str, seeds))


def training_manifest(wildcards):
    """Return the manifest of a task's dataset; the bandit's is drawn by each run."""
    task = PROJECT.task(wildcards.task)
    return [] if task.suite == "bandit" else str(paths.dataset_manifest(task.name))


def training_data(wildcards):
    """Return a task's big data file, which must exist but whose date means nothing."""
    task = PROJECT.task(wildcards.task)
    return [] if task.suite == "bandit" else ancient(str(paths.dataset_file(task.name)))


# What a cluster is asked for. Measured peaks on CPUs are below 0.7 GB (`runs.csv` of
# results/kept: three bandit runs in a process, or one on 100,000 transitions); a D4RL
# file holds up to twenty times as many, and a CUDA context takes gigabytes of its own.
TRAINING_MEMORY_MB = {"bandit": 4000}
OTHER_TRAINING_MEMORY_MB = 12000
# Three times the 18 to 31 ms a step of one Diffusion-QL run takes on one CPU core
# (results/benchmarks/gradient_steps.json, `runs.csv`); its evaluations are in there.
SECONDS_PER_STEP = 0.09
# A job that is cut resumes when it is submitted again, and partitions have limits.
MAX_MINUTES = 24 * 60


def grows_by_attempt(megabytes):
    """Return a resource function: more memory whenever a job is tried again."""

    def memory(wildcards, attempt):
        return megabytes * attempt

    return memory


def training_memory(suite):
    """Return the resource function for the memory of a suite's training jobs, MB."""
    return grows_by_attempt(TRAINING_MEMORY_MB.get(suite, OTHER_TRAINING_MEMORY_MB))


def training_minutes(suite, seeds):
    """Return the resource function for the time limit of a block of seeds."""

    def minutes(wildcards):
        steps = PROJECT.suite(suite).training.num_gradient_steps
        if steps == "from_task":
            steps = PROJECT.task(wildcards.task).num_gradient_steps
        needed = 30 + steps * len(seeds) * SECONDS_PER_STEP / 60
        return min(round(needed), MAX_MINUTES)

    return minutes


def run_parameters(wildcards):
    """Return what decides a run besides its data and seed: code and settings."""
    try:
        return provenance.run_parameters(
            PROJECT.run_config(
                wildcards.task,
                wildcards.method,
                PROJECT.suite(PROJECT.task(wildcards.task).suite).seeds[0],
            )
        )
    except UserError as error:
        raise WorkflowError(str(error))


# Bandit.


def bandit_claims_parameters(wildcards):
    """Return what decides the verdicts besides the summary: code and the claims."""
    code = provenance.code_fingerprint("dql.bandit_claims")
    return f"{code}-{digest(paths.CLAIMS.read_text())}"


BANDIT_CELLS = PROJECT.cells(["bandit"])


# Figures.

BANDIT_FIGURES = [
    name for name in figures.FIGURES if figures.figure_cells(name, BANDIT_CELLS)
]
SUITES_WITH_CELLS = [
    suite
    for suite in PROJECT.scale.suites
    if suite != "bandit" and PROJECT.cells([suite])
]
SUITES_WITH_ETAS = [
    suite for suite in SUITES_WITH_CELLS if figures.eta_cells(PROJECT.cells([suite]))
]


def figure_files(name):
    """Return a figure's files."""
    return [str(paths.figure_file(name, extension)) for extension in ("pdf", "png")]


def suite_figure_files(suites):
    """Return the files of all figures of these suites."""
    names = [
        figures.suite_figure(suite, kind)
        for suite in suites
        for kind in figures.SUITE_FIGURES
    ]
    names += [
        figures.suite_figure(suite, figures.ACTION_MODES)
        for suite in suites
        if suite in SUITES_WITH_ETAS
    ]
    return [file for name in names for file in figure_files(name)]


# The report sorts by these; the numbers give the order of reading.
FIGURE_TITLES = {
    "bandit_axes": "1 modes on the axes, all methods",
    "bandit_corners": "2 modes in the corners, all methods",
    "bandit_denoising_steps": "3 number of denoising steps N",
    "bandit_eta": "4 weight eta of the Q term",
    "bandit_modes": "5 modes kept as eta grows",
    "bandit_trajectories": "6 reverse chains",
    "bandit_as_released": "7 supplement: panels as released",
    "learning_curves": "1 learning curves",
    "loss_against_score": "2 denoising loss against score",
    "selection_gap": "3 what choosing the best evaluation gains",
    "performance_profiles": "4 performance profiles",
    "action_modes": "5 modes kept as eta grows",
}
BANDIT_TARGETS = (
    [str(paths.BANDIT_SUMMARY), str(paths.BANDIT_CLAIMS)]
    + [file for name in BANDIT_FIGURES for file in figure_files(name)]
    if BANDIT_CELLS
    else []
)
FIGURE_TARGETS = suite_figure_files(SUITES_WITH_CELLS)


def bandit_trajectories():
    """Return the trajectories that are drawn: of the lowest seed, as samples are."""
    name = "bandit_trajectories"
    if name not in BANDIT_FIGURES:
        return []
    seed = min(PROJECT.suite("bandit").seeds)
    return [
        str(paths.run_directory(*cell, seed) / paths.TRAJECTORIES_FILE)
        for cell in figures.figure_cells(name, BANDIT_CELLS)
    ]


def bandit_figure_files(name):
    """Return the files of the runs that a figure of the bandit shows."""
    files = run_files(figures.figure_cells(name, BANDIT_CELLS))
    return files + (bandit_trajectories() if name == "bandit_trajectories" else [])


def trajectory_run_files(wildcards):
    """Return the files of the run whose trajectories are sampled."""
    folder = paths.run_directory(wildcards.task, wildcards.method, wildcards.seed)
    return [str(folder / file) for file in SUITE_RUN_FILES["bandit"]]


def trajectory_parameters(wildcards):
    """Return what decides trajectories besides their run: code."""
    others = provenance.other_families("bandit")
    return provenance.code_fingerprint("dql.trajectories", without=others)


def figure_parameters(module, cells):
    """Return what decides a figure besides its data: code, style and names."""
    code = provenance.code_fingerprint("dql.figures", f"dql.figures.{module}")
    return f"{code}-{digest(paths.STYLE.read_text())}-{labels(cells)}"


def bandit_figure_parameters(name):
    """Return what decides a figure of the bandit besides its runs."""
    return figure_parameters(figures.figure_content(name).module, BANDIT_CELLS)


def suite_figure_parameters(kind):
    """Return a function: what decides a suite's figure besides its cells."""

    def parameters(wildcards):
        return figure_parameters(kind, PROJECT.cells([wildcards.suite]))

    return parameters


def action_sample_files(wildcards):
    """Return the action samples of a suite's sweep of eta."""
    cells = figures.eta_cells(PROJECT.cells([wildcards.suite]))
    return [str(paths.action_samples_file(*cell)) for cell in cells]


def action_sample_parameters(wildcards):
    """Return what decides action samples besides their runs: code."""
    environment = PROJECT.task(wildcards.task).environment
    others = provenance.other_families(environment)
    return provenance.code_fingerprint("dql.action_samples", without=others)


def suite_cells(wildcards):
    """Return the files of a suite's cells."""
    return [str(paths.cell_file(*cell)) for cell in PROJECT.cells([wildcards.suite])]


# Tables.

TABLE_TITLES = {
    "local": "data made here (not D4RL)",
    "d4rl": "D4RL, Table 1: published and ours",
    "selection": "online against offline selection (Table 4)",
    "ablation": "policies and regularisers (Table 2)",
    "mixture": "mixture policy",
    "hyperparameters": "hyperparameters, ours and the paper's",
    "compute": "compute by task and method",
}
TABLES = list(PROJECT.config.tables)
TABLE_TARGETS = [
    str(paths.table_file(name, extension))
    for name in TABLES
    for extension in tables.EXTENSIONS
]


def cell_run_files(wildcards):
    """Return the files of a cell's runs."""
    return run_files([(wildcards.task, wildcards.method)])


def cell_parameters(wildcards):
    """Return what decides a cell besides its runs: code, name, references, selection."""
    task = PROJECT.task(wildcards.task).model_dump(mode="json")
    names = labels([(wildcards.task, wildcards.method)])
    code = provenance.code_fingerprint("dql.cells")
    return f"{code}-{digest(task)}-{names}-{PROJECT.config.selection_rule}"


def table_inputs(name):
    """Return the cells, runs and summaries of this scale that a table reads."""
    cells = [paths.cell_file(*cell) for cell in tables.table_cells(PROJECT, name)]
    runs = run_files(tables.table_runs(PROJECT, name))
    summary = [paths.BANDIT_SUMMARY] if tables.reads_bandit(PROJECT, name) else []
    return [str(path) for path in cells + summary] + runs


def table_parameters(name):
    """Return what decides a table besides its inputs: code, settings, published scores."""
    published = [file.read_text() for file in sorted(paths.PUBLISHED.glob("*.csv"))]
    code = provenance.code_fingerprint("dql.tables")
    settings = tables.table_settings(PROJECT, name)
    return f"{code}-{digest(published, settings)}"


# Claims and provenance.

D4RL_SUITES = [name for name in PROJECT.scale.suites if name not in ("bandit", "local")]
CLAIM_CELLS = [str(paths.cell_file(*cell)) for cell in PROJECT.cells(D4RL_SUITES)]
CLAIM_TARGETS = [
    str(paths.ALL_CLAIMS.with_suffix(suffix)) for suffix in (".json", ".md", ".html")
]
PROVENANCE_TARGETS = [str(paths.run_table(extension)) for extension in ("csv", "html")]


def claims_parameters(wildcards):
    """Return what decides the verdicts besides the inputs: code, claims, settings.

    Cells that this scale does not train count by their content where they are there.
    """
    others = {
        str(path): path.read_text()
        for task in PROJECT.tasks.values()
        if task.suite in D4RL_SUITES
        for path in sorted((paths.CELLS / task.name).glob("*.json"))
        if str(path) not in CLAIM_CELLS
    }
    files = [
        paths.CLAIMS,
        *paths.PUBLISHED.glob("*.csv"),
        *paths.CONFIG.rglob("*.yaml"),
    ]
    texts = [file.read_text() for file in sorted(files)]
    return f"{provenance.code_fingerprint('dql.claims_page')}-{digest(texts, others)}"


def provenance_files(wildcards):
    """Return the provenance of every run of this scale."""
    return [
        str(paths.run_directory(*run) / paths.PROVENANCE_FILE) for run in PROJECT.runs()
    ]
