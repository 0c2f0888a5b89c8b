"""Small results of scale quick: a bandit, its claims, figures, a table, a run."""

from pathlib import Path

from bandit_summaries import paper_like_table
from PIL import Image
from stored_results import make_config, write_run

from dql import paths
from dql.claims.page import write_claims
from dql.config.project import Project, load_project
from dql.tables.hyperparameters import write_hyperparameter_table
from dql.tables.registry import EXTENSIONS

FIGURES = ("bandit_axes", "bandit_corners", "local_learning_curves")
RUN = ("local-hopper-medium-expert", "td3_bc", 0)
MACHINE = {
    "system": "Linux",
    "processor": "Some processor",
    "num_cpus": 2,
    "memory_bytes": 4_000_000_000,
}
VERSIONS = {"python": "3.11.2", "torch": "2.13.0"}


def write_results(root: Path) -> Project:
    """Write results below `root` and return their configuration."""
    project = load_project(scale="quick")
    summary = root / paths.BANDIT_SUMMARY
    summary.parent.mkdir(parents=True)
    table = paper_like_table()
    below = (table["method"] == "bcq") & (table["layout"] == "axes")
    table.loc[below, ["share_best_mode", "mean_reward"]] = (1.0, 5.0)
    table.to_csv(summary, index=False)
    for name in FIGURES:
        write_figure(root, name)
    outputs = [root / paths.table_file("hyperparameters", end) for end in EXTENSIONS]
    write_hyperparameter_table(project, outputs)
    write_finished_run(root)
    write_claims(root)
    return project


def write_figure(root: Path, name: str) -> Path:
    """Write a figure's files: a blank picture, and as pdf no more than a name."""
    path = root / paths.figure_file(name, "png")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (300, 120), "white").save(path)
    path.with_suffix(".pdf").write_bytes(b"%PDF-1.4\n")
    return path


def write_finished_run(root: Path) -> Path:
    """Write a run with all that the table of runs reads."""
    task, method, seed = RUN
    provenance = {
        "machine": MACHINE,
        "versions": VERSIONS,
        "code_fingerprint": "0123456789abcdef",
        "peak_memory_bytes": 1,
        "finished_at": "2026-11-20T10:00:00+00:00",
    }
    folder = root / paths.run_directory(task, method, seed)
    return write_run(folder, make_config(task, method, seed), provenance=provenance)
