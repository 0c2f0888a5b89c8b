"""GPU leases: spread evenly, freed with the process, left to a scheduler that chose."""

import collections
import os
import stat
import subprocess
import sys

import pytest

from dql.training import gpus
from dql.training.gpus import VISIBLE, leased_gpu


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Return a function that sets what nvidia-smi does on this machine."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv(VISIBLE, raising=False)

    def set_script(script):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    return set_script


def listing(*lines):
    """Return the script of an nvidia-smi that lists GPUs, and does nothing else."""
    shown = "; ".join(f"echo '{line}'" for line in lines)
    return f'[ "$*" = --list-gpus ] || exit 2; {shown}'


@pytest.fixture
def two_gpus(nvidia_smi):
    """A machine on which nvidia-smi lists two GPUs."""
    nvidia_smi(
        listing("GPU 0: NVIDIA A (UUID: GPU-a)", "GPU 1: NVIDIA A (UUID: GPU-b)")
    )


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
        "import os, pathlib, signal; from dql.training.gpus import leased_gpu\n"
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


HOLDER = (
    "import pathlib, sys\n"
    "from dql.training.gpus import leased_gpu\n"
    "with leased_gpu(pathlib.Path(sys.argv[1])) as gpu:\n"
    "    print(gpu, flush=True)\n"
    "    sys.stdin.readline()\n"
)


def test_processes_that_start_together_never_share_a_place(two_gpus, tmp_path):
    """Five processes on two GPUs: two and three, whoever comes first."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "leases")]
    holders = [subprocess.Popen(command, **pipes) for _ in range(5)]
    counts = collections.Counter(h.stdout.readline().strip() for h in holders)
    assert sorted(counts.values()) == [2, 3] and set(counts) == {"GPU-a", "GPU-b"}
    holders[0].kill()
    holders[0].wait()
    with leased_gpu(tmp_path / "leases"):
        pass  # the killed one's place is free again
    for holder in holders:
        holder.communicate()


def test_more_jobs_than_gpus_is_said(two_gpus, tmp_path, caplog, monkeypatch):
    with caplog.at_level("INFO"):
        leases = [leased_gpu(tmp_path / "leases") for _ in range(3)]
        for lease in leases:
            lease.__enter__()
            monkeypatch.delenv(VISIBLE)
    lines = [record.getMessage() for record in caplog.records]
    assert lines[:2] == ["using GPU GPU-a", "using GPU GPU-b"]
    assert "shared with 1 other process" in lines[2] and "GPUs: 2" in lines[2]
    for lease in leases:
        lease.__exit__(None, None, None)


def test_full_gpus_are_named_and_the_job_goes_on(
    two_gpus, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(gpus, "MAX_PROCESSES_PER_GPU", 1)
    leases = [leased_gpu(tmp_path / "leases") for _ in range(2)]
    for lease in leases:
        lease.__enter__()
        monkeypatch.delenv(VISIBLE)
    with leased_gpu(tmp_path / "leases") as gpu:
        assert gpu is None
    assert "all 2 GPUs have 1 training processes each" in caplog.text
    for lease in leases:
        lease.__exit__(None, None, None)


def test_one_gpu_is_leased_too(nvidia_smi, tmp_path):
    nvidia_smi(listing("GPU 0: NVIDIA A (UUID: GPU-a)"))
    with leased_gpu(tmp_path / "leases") as gpu:
        assert gpu == os.environ[VISIBLE] == "GPU-a"
    assert VISIBLE not in os.environ


def test_numbers_and_ids_of_a_gpu_are_one_lease(two_gpus, tmp_path, monkeypatch):
    """A scheduler's choice of several is kept, and met by others' leases."""
    with leased_gpu(tmp_path / "leases") as first:
        assert first == "GPU-a"
        monkeypatch.setenv(VISIBLE, "0,1")
        with leased_gpu(tmp_path / "leases") as second:
            assert second == os.environ[VISIBLE] == "1"
        assert os.environ[VISIBLE] == "0,1"
        monkeypatch.setenv(VISIBLE, first)


SLICES = (
    "GPU 0: NVIDIA A100 (UUID: GPU-a)",
    "  MIG 3g.20gb     Device  0: (UUID: MIG-1)",
    "  MIG 3g.20gb     Device  1: (UUID: MIG-GPU-a/2/0)",
    "GPU 1: NVIDIA A100 (UUID: GPU-b)",
)


def test_slices_of_a_gpu_are_leased_one_by_one(nvidia_smi, tmp_path, monkeypatch):
    """The whole GPU's id would make its first slice visible to everyone."""
    nvidia_smi(listing(*SLICES))
    held, chosen = [], []
    for _ in range(4):
        held.append(leased_gpu(tmp_path / "leases"))
        chosen.append(held[-1].__enter__())
        monkeypatch.delenv(VISIBLE)
    assert chosen == ["MIG-1", "MIG-GPU-a/2/0", "GPU-b", "MIG-1"]
    names = sorted(path.name for path in (tmp_path / "leases").iterdir())
    assert "MIG-GPU-a_2_0.0.lock" in names and len(names) == 4
    monkeypatch.setenv(VISIBLE, "0,1")  # the first slice, then the whole second GPU
    assert list(gpus.available_gpus().values()) == ["MIG-1", "GPU-b"]
    for lease in held:
        lease.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("visible", "seen"),
    [
        ("0,1", ["0", "1"]),
        ("0, 1", ["0", "1"]),
        ("1,0", ["1", "0"]),
        ("0,1,-1", ["0", "1"]),
        ("0,-1,1", ["0"]),
        ("-1,0,1", []),
        ("0,1,2", ["0", "1"]),
        ("0,,1", ["0"]),
        ("0,none,1", ["0"]),
        ("0,1,0", []),
        ("GPU-a,GPU-b,GPU-c", ["GPU-a", "GPU-b"]),
        ("GPU-a,1", ["GPU-a"]),
        ("GPU-,GPU-a", []),
        ("MIG-x,MIG-y", ["MIG-x", "MIG-y"]),
    ],
)
def test_lists_are_read_as_cuda_reads_them(two_gpus, monkeypatch, visible, seen):
    """CUDA's programming guide: what follows an entry it does not know is ignored."""
    monkeypatch.setenv(VISIBLE, visible)
    assert list(gpus.available_gpus()) == seen


def test_no_entry_that_cuda_ignores_is_leased(two_gpus, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv(VISIBLE, "0,1,-1")
    leases = [leased_gpu(tmp_path / "leases") for _ in range(3)]
    taken = []
    for lease in leases:
        taken.append(lease.__enter__())
        monkeypatch.setenv(VISIBLE, "0,1,-1")
    assert taken == ["0", "1", "0"]
    assert "CUDA_VISIBLE_DEVICES=0,1,-1: no GPU from '-1' on" in caplog.text
    for lease in leases:
        lease.__exit__(None, None, None)


def test_what_cannot_be_run_is_no_driver(tmp_path, monkeypatch, caplog):
    """As where a folder on PATH cannot be read: not a driver that does not answer."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    (tmp_path / "nvidia-smi").write_text("")
    monkeypatch.setenv("PATH", f"{closed}{os.pathsep}{tmp_path}")
    monkeypatch.delenv(VISIBLE, raising=False)
    assert gpus.list_uuids() == []
    assert not caplog.text


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'NVML: Driver/library version mismatch'; exit 18", "version mismatch"),
        ("exit 9", "9"),
        ("exec sleep 5", "timed out"),
    ],
)
def test_a_driver_that_does_not_answer_is_reported(
    nvidia_smi, tmp_path, caplog, monkeypatch, script, reason
):
    nvidia_smi(script)
    monkeypatch.setattr(gpus, "QUERY_SECONDS", 0.3 if "sleep" in script else 60)
    monkeypatch.setattr(gpus, "is_gpu_here", lambda: True)
    with leased_gpu(tmp_path / "leases") as gpu:
        assert gpu is None
    assert reason in caplog.text and "no GPU is leased" in caplog.text


def test_a_program_without_a_gpu_is_no_news(nvidia_smi, tmp_path, caplog, monkeypatch):
    """As in a container image that brings the program to machines of any kind."""
    nvidia_smi("echo 'No devices were found'; exit 6")
    monkeypatch.setattr(gpus, "is_gpu_here", lambda: False)
    with leased_gpu(tmp_path / "leases") as gpu:
        assert gpu is None
    assert not caplog.text


def test_a_folder_of_locks_that_cannot_be_made_is_reported(two_gpus, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with leased_gpu(tmp_path / "file" / "leases") as gpu:
        assert gpu is None
    assert "no GPU lease" in caplog.text


def test_every_user_of_the_machine_may_lease(two_gpus, tmp_path):
    before = os.umask(0o077)
    try:
        with leased_gpu(tmp_path / "leases"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "leases").stat().st_mode) == 0o1777
    (lock,) = (tmp_path / "leases").iterdir()
    assert stat.S_IMODE(lock.stat().st_mode) == 0o666
