"""The functions that the workflow's rules ask, without Snakemake around them."""

from pathlib import Path
from types import SimpleNamespace

from dql import paths
from dql.config.project import load_project
from dql.training.gpus import is_gpu_here

FOLDER = Path(__file__).parents[2] / "workflow" / "helpers"


def workflow_helpers(name: str, scale: str, **others) -> SimpleNamespace:
    """Return what a file of helpers defines at a scale, given the rules' names."""
    file = FOLDER / f"{name}.smk"
    names = {"PROJECT": load_project(scale=scale), "paths": paths, **others}
    names |= {"SimpleNamespace": SimpleNamespace, "is_gpu_here": is_gpu_here}
    exec(compile(file.read_text(), file, "exec"), names)
    return SimpleNamespace(**names)
