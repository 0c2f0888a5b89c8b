"""Configuration, checked before anything runs, and the helpers of all rules."""

import hashlib
import json
import os
import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

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
    from dql.figures import registry as figures
    from dql.figures.titles import TITLES as FIGURE_TITLES
    from dql import paths
    from dql.upkeep.places import check_made
    from dql.results import fingerprint
    from dql.training.gpus import is_gpu_here
    from dql.results.restored import is_held, lacks_checkpoint, restored_runs
    from dql.tables import registry as tables
    from dql.config.blocks import task_blocks
    from dql.config.data_schema import base_task, is_varied, random_task
    from dql.config.online import offline_method
    from dql.config.project import load_project
    from dql.data.d4rl_facts import STATES_FILE
    from dql.data.policy_weights import published_weights
    from dql.errors import UserError
    from dql.files import file_sha256
    from dql.behavior.kept import FILES as POLICY_FILES, agent_settings, kept_folder
    from dql.config.yaml_text import read_words, read_yaml
except ModuleNotFoundError as error:
    raise WorkflowError(
        f"Snakemake's Python has no '{error.name}'; run make setup, then "
        "source .venv/bin/activate"
    )

if {"{", "}"} & set(str(workflow.basedir)):
    raise WorkflowError(
        f"Snakemake takes braces in a path for names, and this checkout is in "
        f"{workflow.basedir}; rename that folder, or move the checkout"
    )

try:
    check_made()
    config.update(read_words(config, "config"))
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
# These are made by no job any more, like files of the source tree.
RESTORED = {run for run in restored_runs() if base_task(run.task) in PROJECT.tasks}
VARIED_TASKS = [
    task
    for suite in PROJECT.scale.suites.values()
    for task in suite.tasks
    if is_varied(task)
]
"""The variants of tasks' data that the scale trains on."""
HELD_TASKS = {task for task in [*PROJECT.tasks, *VARIED_TASKS] if is_held(task)}
SUITE_RUN_FILES = {
    suite: RUN_FILES + ([paths.SAMPLES_FILE] if suite == "bandit" else [])
    for suite in PROJECT.scale.suites
}


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


def none_of(names):
    """Return the regular expression of a folder with any name but these."""
    return rf"(?!(?:{any_of(names)})/)[^/]+"


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
        for seed in PROJECT.seeds(task, method):
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
