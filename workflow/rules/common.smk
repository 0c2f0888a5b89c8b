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
    from dql import figures, paths, provenance
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
except UserError as error:
    raise WorkflowError(str(error))

DEFAULTS = read_yaml(paths.CONFIG / "config.yaml")
CHANGES = {
    key: value
    for key, value in config.items()
    if key != "scale" and value != DEFAULTS.get(key)
}
SCALE_OPTIONS = " ".join(
    [f"--scale {PROJECT.config.scale}"]
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


def claims_parameters(wildcards):
    """Return what decides the verdicts besides the summary: code and the claims."""
    code = provenance.code_fingerprint("dql.bandit_claims")
    return f"{code}-{digest(paths.CLAIMS.read_text())}"


BANDIT_CELLS = PROJECT.cells(["bandit"])
FIGURES = [name for name in figures.FIGURES if figures.figure_cells(name, BANDIT_CELLS)]
BANDIT_TARGETS = (
    [str(paths.BANDIT_SUMMARY), str(paths.BANDIT_CLAIMS)]
    + [
        str(paths.figure_file(name, extension))
        for name in FIGURES
        for extension in ("pdf", "png")
    ]
    if BANDIT_CELLS
    else []
)


def figure_run_files(wildcards):
    """Return the files of the runs that a figure shows."""
    return run_files(figures.figure_cells(wildcards.figure, BANDIT_CELLS))


def figure_parameters(wildcards):
    """Return what decides a figure besides its runs: code, style and names."""
    drawn_by = figures.figure_content(wildcards.figure).module
    code = provenance.code_fingerprint("dql.figures", f"dql.figures.{drawn_by}")
    return f"{code}-{digest(paths.STYLE.read_text())}-{labels(BANDIT_CELLS)}"


# Tables.

TABLE_TARGETS = [
    str(paths.table_file(name, extension))
    for name in PROJECT.config.tables
    for extension in ("csv", "md", "tex")
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


def table_cells(wildcards):
    """Return the cells of a table that this scale trains."""
    suites = PROJECT.table_suites(wildcards.table)
    return [str(paths.cell_file(*cell)) for cell in PROJECT.cells(suites)]


def table_parameters(wildcards):
    """Return what decides a table besides its cells: code, rows and published scores."""
    published = [file.read_text() for file in sorted(paths.PUBLISHED.glob("*.csv"))]
    code = provenance.code_fingerprint("dql.tables")
    return f"{code}-{digest(published)}"
