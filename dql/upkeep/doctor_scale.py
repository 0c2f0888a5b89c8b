"""What `dql doctor` looks at for a scale: its settings, data, disk, GPUs and hours."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dql import paths
from dql.config.data_schema import base_task
from dql.upkeep.findings import Finding, ok, problem, warning

if TYPE_CHECKING:
    from dql.config.project import Project
    from dql.config.schema import RunConfig

logger = logging.getLogger(__name__)

RUN_BYTES = {"bandit": 4e6}
"""Space of a run: twice the largest checkpoint (1.6 MB), which is written anew."""
OTHER_RUN_BYTES = 20e6
"""The same for the other suites, whose largest checkpoint has 7.4 MB (pen)."""
TRANSITION_BYTES = 250
"""Of a local dataset; 219 measured of a hopper's, at scale smoke."""


def check_configuration(scale: str | None = None) -> Iterator[Finding]:
    """Load and validate the configuration."""
    from dql.config.project import load_project

    project = load_project(scale=scale)
    found = f"scale {project.config.scale}, {len(project.runs())} runs"
    yield ok("configuration", found)


def check_disk(scale: str | None = None) -> Iterator[Finding]:
    """Compare free space with what the unfinished part of the scale will take."""
    from dql.config.project import load_project
    from dql.data.fetching import free_bytes

    place = next(p for p in (paths.RESULTS, Path()) if p.is_dir())
    if not os.access(place, os.W_OK):
        remedy = "change its owner or permissions, or use snakemake --directory"
        yield problem("disk", f"{place.resolve()} is not writable", remedy)
        return
    free, needed = free_bytes(), missing_bytes(load_project(scale=scale))
    text = f"{free / 1e9:,.1f} GB free in results, about {needed / 1e9:,.1f} GB to come"
    if free < needed:
        yield problem("disk", text, "free space, or see what dql gc can delete")
    elif free < 2 * needed:
        remedy = "DVC keeps a second copy where the file system has no reflinks"
        yield warning("disk", text, remedy)
    else:
        yield ok("disk", text)


def missing_bytes(project: Project) -> float:
    """Return about how many bytes the runs and data to come will take."""
    from dql.data.fetching import assumed_bytes

    needed, tasks = 0.0, set()
    for task, method, seed in project.runs():
        folder = paths.run_directory(task, method, seed)
        if not (folder / paths.PROVENANCE_FILE).is_file():
            suite = project.task(task).suite
            needed += RUN_BYTES.get(suite, OTHER_RUN_BYTES)
        tasks.add(base_task(task))  # of a variant no row is stored
    for task in tasks:
        dataset = project.task(task).dataset
        if dataset.source == "bandit" or paths.dataset_manifest(task).is_file():
            continue
        if dataset.source == "d4rl":
            needed += assumed_bytes(project.task(task))
        else:
            needed += TRANSITION_BYTES * (dataset.num_transitions or 1e6)
    return needed


def check_d4rl_files(scale: str | None = None) -> Iterator[Finding]:
    """Say which D4RL datasets are here, and whether the scale trains on others."""
    from dql.config.project import load_project
    from dql.data.d4rl_files import published_file
    from dql.data.fetching import assumed_bytes, local_files

    project = load_project(scale=scale)
    tasks = [n for n, task in project.tasks.items() if task.dataset.source == "d4rl"]
    here = {n for n in tasks if paths.dataset_manifest(n).is_file()}
    trained = {base_task(task) for task, _, _ in project.runs()}
    absent = [project.task(name) for name in tasks if name in trained - here]
    text = f"{len(here)} of {len(tasks)} datasets here"
    if not absent:
        yield ok("d4rl", f"{text}; this scale needs no other")
        return
    num_local = sum(bool(local_files(published_file(task))) for task in absent)
    size = sum(map(assumed_bytes, absent)) / 1e9
    names = ", ".join(task.name for task in absent)
    text += f"; to train on, about {size:,.1f} GB: {names}"
    if num_local:
        text += f"; the files of {num_local} lie on this machine"
    remedy = (
        f"snakemake fetches them; beforehand: dql data fetch {_fetched_by(absent)} "
        "(--dry-run says from where, --from FOLDER takes files you have)"
    )
    yield warning("d4rl", text, remedy)


def _fetched_by(absent: list) -> str:
    """Return the arguments of `dql data fetch` that bring the tasks."""
    if len(absent) == 1:
        return absent[0].name
    suites = dict.fromkeys(task.suite for task in absent)
    return " ".join(f"--suite {suite}" for suite in suites)


def check_hours(scale: str | None = None) -> Iterator[Finding]:
    """Say which GPUs are here for the scale, and how long its training takes.

    The agents are timed as `dql plan` does, each on one kind of its runs.
    """
    import torch

    from dql.config.project import load_project
    from dql.training.gpus import available_gpus
    from dql.training.plan import make_works, totals
    from dql.training.process import choose_device, keep_freed_memory

    logger.info("timing one kind of run of each agent, which takes minutes on a CPU")
    torch.set_num_threads(1)
    keep_freed_memory()
    project = load_project(scale=scale)
    name, device = project.config.scale, choose_device("auto")
    work = totals(make_works(project, device, key=roughly))
    found = (
        f"about {work.hours:,.0f} of training, one job at a time on {device}: "
        f"{work.num_runs} runs in {_num_jobs(project)} jobs, {work.num_finished} runs "
        f"done; evaluation comes on top. Every kind: dql plan --scale {name}"
    )
    if device.type == "cpu":
        yield from _without_gpus(name, found)
        return
    num = max(len(available_gpus()), 1)
    command = f"snakemake all --cores 8 --resources gpu={num} --config scale={name}"
    yield ok("gpus for it", f"{num}: {command}")
    yield ok("hours", f"{found}; on all GPUs here about {work.hours / num:,.0f}")


def _without_gpus(name: str, found: str) -> Iterator[Finding]:
    """Yield what stands in the way of a scale where PyTorch finds no GPU."""
    from dql.training.gpus import is_gpu_here

    cause, remedy = "none", "run it where there are GPUs, or submit it to a cluster: "
    if is_gpu_here():
        cause = "none that PyTorch can use"
        remedy = "mend what the line torch names; or submit it to a cluster: "
    remedy += f"snakemake --workflow-profile profiles/slurm all --config scale={name}"
    yield warning("gpus for it", cause, remedy)
    remedy = (
        "jobs side by side divide them (--cores N); fewer tasks or methods: "
        f"workflow/config/scales/{name}.yaml"
    )
    yield warning("hours", found, remedy)


def roughly(run: RunConfig, block_size: int) -> str:
    """Name an agent's runs of like cost: the bandit's, and all others."""
    return f"{run.agent} {run.suite == 'bandit'} {block_size}"


def _num_jobs(project: Project) -> int:
    """Return how many jobs the scale's runs are trained in."""
    from dql.config.blocks import task_blocks

    blocks = Counter((task, method) for task, method, _ in project.runs())
    sizes = {task: project.suite(project.task(task).suite) for task, _ in blocks}
    together = {
        (task, method)
        for suite in project.scale.suites
        for block in task_blocks(project, suite)
        for task in block.tasks[1:]
        for method in block.methods
    }
    return sum(
        -(-num_seeds // sizes[cell[0]].seeds_per_job)
        for cell, num_seeds in blocks.items()
        if cell not in together
    )


SCALE_CHECKS = (check_configuration, check_disk, check_d4rl_files)
"""Of config.yaml's scale, unless another is named."""
NAMED_SCALE_CHECKS = (*SCALE_CHECKS, check_hours)
"""Of a scale that is named: with what takes a minute."""
