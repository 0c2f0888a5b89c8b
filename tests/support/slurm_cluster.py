"""A Slurm cluster of one node on this machine, from Debian's slurm-wlm and munge.

Everything (keys, sockets, state, logs) is below one folder, ports are free ones of the
loopback address, and the daemons end with the context. The node has two pretended
GPUs: Slurm counts them and sets CUDA_VISIBLE_DEVICES, nothing is behind them.
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "sinfo")
SYSTEM_PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
START_SECONDS = 60.0
PRETENDED_GPUS = ("/dev/null", "/dev/zero")

CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
MinJobAge=3600
GresTypes=gpu
NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={node_port} \
CPUs={cpus} RealMemory=64000 Gres=gpu:2 State=UNKNOWN
PartitionName=cpu Nodes={node} Default=YES MaxTime=1440
PartitionName=gpu Nodes={node} MaxTime=2880
"""
# Processors and memory are taken from the file, not from what the machine has.
CONFIG += "SlurmdParameters=config_overrides\n"


def missing_programs() -> list[str]:
    """Return the programs of Slurm and Munge that are not installed."""
    return [name for name in PROGRAMS if not shutil.which(name, path=SYSTEM_PATH)]


@contextmanager
def slurm_cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Start the cluster below `folder`; yield the environment its clients need."""
    for name in ("state", "spool", "munge"):
        (folder / name).mkdir(parents=True, mode=0o755)
    environment = os.environ | {
        "SLURM_CONF": str(folder / "slurm.conf"),
        "PATH": os.pathsep.join([str(folder / "bin"), SYSTEM_PATH]),
    }
    node = _write_configuration(folder)
    _write_srun(folder)
    with ExitStack() as daemons:
        for command in (
            _munged(folder),
            ["slurmctld", "-D"],
            ["slurmd", "-D", "-N", node],
        ):
            daemons.enter_context(_daemon(command, folder, environment))
        _wait_for_node(folder, environment)
        yield environment


def _write_configuration(folder: Path) -> str:
    """Write slurm.conf and gres.conf; return the node's name."""
    node = "node1"
    values = {
        "folder": folder,
        "host": socket.gethostname(),
        "user": getpass.getuser(),
        "node": node,
        "cpus": 8,
        "controller_port": _free_port(),
        "node_port": _free_port(),
    }
    (folder / "slurm.conf").write_text(CONFIG.format(**values))
    gpus = (f"NodeName={node} Name=gpu File={file}\n" for file in PRETENDED_GPUS)
    (folder / "gres.conf").write_text("".join(gpus))
    return node


def _write_srun(folder: Path) -> None:
    """Put an srun before Slurm's that finds the configuration in any environment.

    The executor plugin calls it without the variables of Slurm, and this cluster's
    configuration is not where a cluster's usually is.
    """
    wrapper = folder / "bin" / "srun"
    wrapper.parent.mkdir()
    srun = shutil.which("srun", path=SYSTEM_PATH)
    conf = folder / "slurm.conf"
    wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={conf} exec {srun} "$@"\n')
    wrapper.chmod(0o755)


def _munged(folder: Path) -> list[str]:
    """Return the command of an authentication daemon with a key of its own."""
    key = folder / "munge" / "key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    (folder / "munge").chmod(0o700)
    return [
        "munged",
        "--foreground",
        "--force",
        f"--key-file={key}",
        f"--socket={folder}/munge.socket",
        *(f"--{name}-file={folder}/munge/{name}" for name in ("pid", "log", "seed")),
    ]


@contextmanager
def _daemon(
    command: list[str], folder: Path, environment: dict[str, str]
) -> Iterator[None]:
    """Run a daemon in the foreground of a process of its own, and end it."""
    program = shutil.which(command[0], path=SYSTEM_PATH)
    with (folder / f"{command[0]}.log").open("wb") as log:
        process = subprocess.Popen(
            [program, *command[1:]],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_node(folder: Path, environment: dict[str, str]) -> None:
    """Return when the node takes jobs; raise with the logs if it never does."""
    deadline = time.monotonic() + START_SECONDS
    state = ""
    while time.monotonic() < deadline:
        asked = subprocess.run(
            ["sinfo", "-h", "-p", "cpu", "-o", "%t"],
            env=environment,
            capture_output=True,
            text=True,
        )
        state = asked.stdout.strip() or asked.stderr.strip()
        if state == "idle":
            return
        time.sleep(0.5)
    logs = "\n".join(
        f"{log.name}:\n{log.read_text(errors='replace')[-1500:]}"
        for log in folder.glob("*.log")
    )
    raise RuntimeError(f"Slurm did not start, node is {state!r}\n{logs}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
