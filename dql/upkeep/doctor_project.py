"""What `dql doctor` looks at in the checkout: space, versions kept, locks, data."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dql import paths
from dql.upkeep.doctor_machine import INSTALL
from dql.upkeep.findings import Finding, ok, problem, warning
from dql.upkeep.locks import has_snakemake_lock, is_locked, running_snakemakes

if TYPE_CHECKING:
    from dql.config.project import Project

RUN_BYTES = {"bandit": 4e6}
"""Space of a run: twice the largest checkpoint (1.6 MB), which is written anew."""
OTHER_RUN_BYTES = 20e6
"""The same for the other suites, whose largest checkpoint has 7.4 MB (pen)."""
D4RL_BYTES = 500e6
"""Assumed of a D4RL file whose size is not on record; the largest known has 0.3 GB."""
TRANSITION_BYTES = 250
"""Of a local dataset; 219 measured of a hopper's, at scale smoke."""


def check_configuration() -> Iterator[Finding]:
    """Load and validate the configuration."""
    from dql.config.project import load_project

    project = load_project()
    found = f"scale {project.config.scale}, {len(project.runs())} runs"
    yield ok("configuration", found)


def check_disk() -> Iterator[Finding]:
    """Compare free space with what the unfinished part of the scale will take."""
    from dql.config.project import load_project

    place = next(p for p in (paths.RESULTS, Path()) if p.is_dir())
    if not os.access(place, os.W_OK):
        remedy = "change its owner or permissions, or use snakemake --directory"
        yield problem("disk", f"{place.resolve()} is not writable", remedy)
        return
    free = shutil.disk_usage(place).free
    needed = missing_bytes(load_project())
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
    needed, tasks = 0.0, set()
    for task, method, seed in project.runs():
        folder = paths.run_directory(task, method, seed)
        if not (folder / paths.PROVENANCE_FILE).is_file():
            suite = project.task(task).suite
            needed += RUN_BYTES.get(suite, OTHER_RUN_BYTES)
        tasks.add(task)
    for task in tasks:
        dataset = project.task(task).dataset
        if dataset.source == "bandit" or paths.dataset_manifest(task).is_file():
            continue
        if dataset.source == "d4rl":  # the file as fetched, and converted
            needed += 2 * (dataset.num_bytes or D4RL_BYTES)
        else:
            needed += TRANSITION_BYTES * (dataset.num_transitions or 1e6)
    return needed


def check_snakemake() -> Iterator[Finding]:
    """Find out which `snakemake` command a shell would run."""
    version = importlib.metadata.version("snakemake")
    program = Path(sys.executable).with_name("snakemake")
    first = shutil.which("snakemake")
    if first is None or Path(first).resolve() != program.resolve():
        remedy = f"source {program.parent / 'activate'}"
        yield warning("snakemake", f"{version}; the PATH leads to {first}", remedy)
    elif b"dql.snakemake_launcher" not in program.read_bytes():
        remedy = f"{INSTALL}; until then no target may follow --resources"
        yield warning("snakemake", f"{version}, without the launcher", remedy)
    else:
        yield ok("snakemake", f"{version}, with the launcher")


def check_d4rl_files() -> Iterator[Finding]:
    """Say which D4RL datasets are here, and whether the scale trains on others."""
    from dql.config.project import load_project

    project = load_project()
    tasks = [n for n, task in project.tasks.items() if task.dataset.source == "d4rl"]
    here = {n for n in tasks if paths.dataset_manifest(n).is_file()}
    trained = {task for task, _, _ in project.runs()}
    absent = [name for name in tasks if name in trained - here]
    text = f"{len(here)} of {len(tasks)} datasets here"
    if absent:
        remedy = f"snakemake fetches them; by hand: dql data fetch {absent[0]}"
        yield warning("d4rl", f"{text}; to train on: {', '.join(absent)}", remedy)
    else:
        yield ok("d4rl", f"{text}; this scale needs no other")


def check_dvc() -> Iterator[Finding]:
    """Look whether DVC's default remote can be reached and written to."""
    version = importlib.metadata.version("dvc")
    from dvc.exceptions import DvcException

    from dql.upkeep.versioned import default_remote

    try:
        remote = default_remote()
    except DvcException as error:
        yield warning("dvc", f"{version}: {error}", "git init, then dvc init")
        return
    if remote is None:
        remedy = "dvc remote add --default NAME URL"
        yield warning("dvc", f"{version}, no remote: nothing is kept elsewhere", remedy)
    elif reason := remote.unusable():
        remedy = f"make {remote.url} reachable, or choose another: dvc remote modify"
        yield warning("dvc", f"{version}, remote {remote.name}: {reason}", remedy)
    else:
        yield ok("dvc", f"{version}, remote {remote.name} at {remote.url}")


def check_locks() -> Iterator[Finding]:
    """Look for Snakemake's lock, and for runs and data that a process is writing."""
    if has_snakemake_lock():
        if running := running_snakemakes():
            yield ok("snakemake's lock", f"held by process {running[0]}")
        else:
            remedy = "a killed Snakemake left it: snakemake --unlock"
            yield problem("snakemake's lock", "held, and no Snakemake runs", remedy)
    else:
        yield ok("snakemake's lock", "free")
    held = [file for file in paths.RESULTS.glob("**/.*.lock") if is_locked(file)]
    yield ok("locks of files", f"{len(held)} held by running processes")


def check_records() -> Iterator[Finding]:
    """Notice results that DVC brought and Snakemake has no records of."""
    from dql.upkeep.adoption import LOCK, METADATA

    if LOCK.is_file() and paths.RUNS.is_dir() and not METADATA.is_dir():
        remedy = "dql adopt; without it Snakemake would make them again"
        yield warning("records", "results that Snakemake has not made here", remedy)


def check_code_of_runs() -> Iterator[Finding]:
    """Count the finished runs whose code has changed, or moved, since."""
    folders = sorted(paths.RUNS.glob("*/*/seed*"))
    finished = [f for f in folders if (f / paths.PROVENANCE_FILE).is_file()]
    changed = [folder for folder in finished if was_made_by_other_code(folder)]
    cells = dict.fromkeys(f"{f.parts[-3]}/{f.parts[-2]}" for f in changed)
    found = f"{len(changed)} of {len(finished)} runs are of code that changed or moved"
    if changed:
        some = ", ".join([*cells][:3]) + (", ..." if len(cells) > 3 else "")
        remedy = (
            "they stay readable; Snakemake makes again what the scale asks for "
            "(snakemake -n lists it). First keep what was published: dql keep NAME"
        )
        yield warning("code of runs", f"{found}: {some}", remedy)
    elif finished:
        yield ok("code of runs", f"all {len(finished)} runs are of today's code")


def was_made_by_other_code(folder: Path) -> bool:
    """Tell whether a run's code fingerprint is another than today's code has."""
    from dql.agents.registry import SETTINGS
    from dql.results.files import UnusableRunError, read_json
    from dql.results.fingerprint import training_fingerprint

    try:
        config = read_json(folder / paths.CONFIG_FILE)
        made = read_json(folder / paths.PROVENANCE_FILE)
        agent, environment = config["agent"], config["environment"]["environment"]
        made_by = made["code_fingerprint"]
    except (UnusableRunError, KeyError, TypeError):
        return True
    return agent not in SETTINGS or made_by != training_fingerprint(agent, environment)


def check_gpu_leases() -> Iterator[Finding]:
    """Count the leases of GPUs; those of dead processes are free by themselves."""
    from dql.training.gpus import LEASES, VISIBLE, available_gpus

    files = sorted(LEASES.glob("*.lock"))
    foreign = [file for file in files if not os.access(file, os.W_OK)]
    held = [file for file in files if file not in foreign and is_locked(file)]
    gpus = available_gpus()
    gone = [file for file in held if file.stem.rpartition(".")[0] not in gpus.values()]
    if foreign:
        remedy = f"its owner may chmod 666 {foreign[0]}"
        yield problem("gpu leases", f"{foreign[0]} is another user's", remedy)
    elif gone and VISIBLE not in os.environ:
        remedy = "end the process that trains on a GPU which the driver does not list"
        yield warning("gpu leases", f"{gone[0].stem} is held", remedy)
    else:
        yield ok("gpu leases", f"{len(held)} held on {len(gpus)} GPUs")


PROJECT_CHECKS = (
    check_configuration,
    check_disk,
    check_dvc,
    check_snakemake,
    check_locks,
    check_records,
    check_code_of_runs,
    check_gpu_leases,
    check_d4rl_files,
)
