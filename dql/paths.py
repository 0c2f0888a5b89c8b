"""The one place that knows where results are, relative to the working directory.

Configuration and published numbers belong to the source tree instead, so that
`snakemake --directory elsewhere` keeps its own results and shares the rest.
"""

from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]
CONFIG = SOURCE / "workflow" / "config"
PUBLISHED = SOURCE / "workflow" / "published"
CLAIMS = SOURCE / "workflow" / "claims.yaml"
KEPT_BEHAVIOR = SOURCE / "workflow" / "behavior"
REPORT = SOURCE / "workflow" / "report"
STYLE = SOURCE / "workflow" / "paper.mplstyle"

RESULTS = Path("results")
RUNS = RESULTS / "runs"
RERUN = RESULTS / "rerun"
KEPT = RESULTS / "kept"
DATASETS = RESULTS / "datasets"
DOWNLOADS = RESULTS / "downloads"
POLICIES = RESULTS / "policies"
BEHAVIOR = RESULTS / "behavior"
BEHAVIOR_RUNS = RESULTS / "behavior_runs"
CELLS = RESULTS / "cells"
COMPARISONS = RESULTS / "comparisons"
TABLES = RESULTS / "tables"
BANDIT = RESULTS / "bandit"
ACTION_SAMPLES = RESULTS / "action_samples"
STABILITY = RESULTS / "stability"
EPISODES = RESULTS / "episodes"
WAYS = RESULTS / "ways"
RESTORED_DATASETS = DATASETS / "restored"
FIGURES = Path("figures")
PROVENANCE = RESULTS / "provenance"
ALL_CLAIMS = RESULTS / "claims.json"
PAGE = RESULTS / "index.html"

BANDIT_SUMMARY = BANDIT / "summary.csv"
BANDIT_CLAIMS = BANDIT / "claims.json"

CONFIG_FILE = "config.json"
METRICS_FILE = "metrics.csv"
EVALUATIONS_FILE = "evaluations.csv"
SAMPLES_FILE = "samples.csv"
TRAJECTORIES_FILE = "trajectories.npz"
PROVENANCE_FILE = "provenance.json"
CHECKPOINT_FOLDER = "checkpoint"
RESTORED_FILE = "restored.json"
"""In the folder of a run that was not trained here but restored from kept results."""


def run_directory(task: str, method: str, seed: int, root: Path = RUNS) -> Path:
    """Return the folder of one run; `root` is RERUN for a re-run cell."""
    return root / task / method / f"seed{seed}"


def dataset_manifest(task: str) -> Path:
    """Return the small file that stands for the task's dataset in the workflow."""
    return DATASETS / f"{task}.json"


def restored_manifest(task: str) -> Path:
    """Return the manifest of the data that a task's restored runs were trained on."""
    return RESTORED_DATASETS / f"{task}.json"


def bundle(version: str, scale: str) -> Path:
    """Return the zip of code and results at a scale."""
    return RESULTS / f"dql-{version}-{scale}.zip"


def minari_id(task: str) -> str:
    """Return the Minari id of a task: its own name, with a version if it has none.

    A variant of a task, `TASK@KEY=VALUE`, reads the task's own data.
    """
    task = task.partition("@")[0]
    versioned = task.rpartition("-v")[2].isdigit()
    return task if versioned else f"{task}-v0"


def dataset_file(task: str) -> Path:
    """Return the HDF5 file of the task's Minari dataset."""
    return DATASETS / minari_id(task) / "data" / "main_data.hdf5"


def own_file(path: str) -> Path:
    """Return a user's own data file; its path is read from the source tree."""
    return SOURCE / path


def behavior_directory(environment: str) -> Path:
    """Return the folder of the behavior policies trained in an environment."""
    return BEHAVIOR / environment


def behavior_run(environment: str) -> Path:
    """Return the folder of the run that trains them, with checkpoint and snapshots."""
    return BEHAVIOR_RUNS / environment


def cell_file(task: str, method: str) -> Path:
    """Return the file that aggregates a method's runs on a task over seeds."""
    return CELLS / task / f"{method}.json"


def action_samples_file(task: str, method: str, seed: int) -> Path:
    """Return the modes that a run's policy keeps in states of a task's data."""
    return ACTION_SAMPLES / task / method / f"seed{seed}.csv"


def stability_file(task: str, method: str, seed: int) -> Path:
    """Return the episodes that the last policy of a run played after training."""
    return STABILITY / task / method / f"seed{seed}.csv"


def episode_file(task: str, method: str, seed: int) -> Path:
    """Return the recorded median episode of a run's last evaluation."""
    return EPISODES / task / method / f"seed{seed}.npz"


def ways_file(task: str, method: str, seed: int) -> Path:
    """Return which of several ways the last policy of a run takes, by episode."""
    return WAYS / task / method / f"seed{seed}.csv"


def table_file(name: str, extension: str) -> Path:
    """Return a table in one of its formats: csv, md or tex."""
    return TABLES / f"{name}.{extension}"


def run_table(extension: str) -> Path:
    """Return the table over all runs, csv or html."""
    return PROVENANCE / f"runs.{extension}"


def data_figure(task: str) -> str:
    """Return the name of the figure that shows a task's data."""
    return f"data_{task}"


def comparison_file(task: str) -> Path:
    """Return the file that holds remade data against the D4RL set of their name."""
    return COMPARISONS / f"{task}.json"


def comparison_figure(task: str) -> str:
    """Return the name of the figure that shows the same."""
    return f"remade_data_{task}"


def stills_figure(suite: str, task: str) -> str:
    """Return the name of the figure of what the policies trained on a task do."""
    return f"{suite}_stills_{task}"


def film_file(task: str) -> Path:
    """Return the animated GIF of what policies do on a task."""
    return FIGURES / "films" / f"{task}.gif"


def figure_file(name: str, extension: str) -> Path:
    """Return a figure in one of its formats, pdf or png, in the folder of its suite.

    A name starts with its suite: bandit_axes, local_learning_curves.
    """
    return FIGURES / name.partition("_")[0] / f"{name}.{extension}"
