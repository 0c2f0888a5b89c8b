"""What `dql doctor` looks at in the checkout: versions kept, locks, runs, leases."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from dql import paths
from dql.upkeep.doctor_machine import INSTALL
from dql.upkeep.findings import Finding, ok, problem, warning
from dql.upkeep.locks import has_snakemake_lock, is_locked, running_snakemakes


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
    from dql.results.fingerprint import code_of_run

    try:
        config = read_json(folder / paths.CONFIG_FILE)
        made = read_json(folder / paths.PROVENANCE_FILE)
        if config["agent"] not in SETTINGS:
            return True
        return made["code_fingerprint"] != code_of_run(config)
    except (UnusableRunError, KeyError, TypeError, AttributeError):
        return True


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
    check_dvc,
    check_snakemake,
    check_locks,
    check_records,
    check_code_of_runs,
    check_gpu_leases,
)
