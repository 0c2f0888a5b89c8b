"""GPU leases: spread evenly, freed with the process, left to a scheduler that chose."""

import os
import stat
import subprocess
import sys

import pytest

from dql.gpus import VISIBLE, leased_gpu


@pytest.fixture
def two_gpus(tmp_path, monkeypatch):
    """A machine on which nvidia-smi lists two GPUs."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nprintf 'GPU-a\\nGPU-b\\n'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv(VISIBLE, raising=False)


def test_leases_spread_over_the_gpus(two_gpus, tmp_path, monkeypatch):
    held, gpus = [], []
    for _ in range(4):
        held.append(leased_gpu(tmp_path / "leases"))
        gpus.append(held[-1].__enter__())
        assert os.environ[VISIBLE] == gpus[-1]
        monkeypatch.delenv(VISIBLE)  # as a process started elsewhere would see it
    assert gpus == ["GPU-a", "GPU-b", "GPU-a", "GPU-b"]
    held[1].__exit__(None, None, None)
    with leased_gpu(tmp_path / "leases") as gpu:
        assert gpu == "GPU-b"
    for lease in (held[0], held[2], held[3]):
        lease.__exit__(None, None, None)


def test_a_killed_process_frees_its_gpu(two_gpus, tmp_path):
    script = (
        "import os, pathlib, signal; from dql.gpus import leased_gpu\n"
        f"lease = leased_gpu(pathlib.Path({str(tmp_path / 'leases')!r}))\n"
        "print(lease.__enter__(), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True)
        assert done.stdout.split() == [b"GPU-a"]


@pytest.mark.parametrize("chosen", ["", "GPU-b", "0"])
def test_a_choice_already_made_is_kept(two_gpus, tmp_path, monkeypatch, chosen):
    monkeypatch.setenv(VISIBLE, chosen)
    with leased_gpu(tmp_path / "leases") as gpu:
        assert gpu is None
        assert os.environ[VISIBLE] == chosen


def test_without_gpus_nothing_is_leased(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(VISIBLE, raising=False)
    with leased_gpu(tmp_path / "leases") as gpu:
        assert gpu is None
        assert VISIBLE not in os.environ
