"""Faults of disk, memory, device and files: one message, nothing lost, then it goes on.

Each fault is provoked for real where a test may, and the next start must complete.
"""

import errno
import json
import logging
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import time

import crashes
import numpy as np
import pytest
import torch

from dql import files
from dql.errors import UserError
from dql.results.files import UnusableRunError
from dql.results.runs import read_run
from dql.training import loop as training
from dql.training import process
from dql.training.checkpoint import checkpoint_file, load_checkpoint
from dql.training.gradient_steps import EagerSteps
from dql.training.loop import train


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run: its configuration, its folder's content, its results."""
    root = tmp_path_factory.mktemp("finished")
    configs = crashes.make_configs(seeds=(0,))
    train(configs, crashes.folders(root, configs))
    return configs, root, crashes.results(root, configs)


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished run to damage, and what must come back."""
    configs, root, expected = finished
    folder = tmp_path / "seed0"
    for path in (root / "seed0").rglob("*.*"):
        target = folder / path.relative_to(root / "seed0")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return configs, folder, expected


def flip(path, generator):
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    path.write_bytes(bytes(content))


def check_completes(configs, root, expected):
    train(configs, crashes.folders(root, configs))
    assert crashes.results(root, configs) == expected
    assert crashes.leftovers(root) == []


# The disk.


def _train_with_small_files(configs, root, limit, messages):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        train(configs, crashes.folders(root, configs))
    except UserError as error:
        messages.put(str(error))
    else:
        messages.put("no error")


def test_files_larger_than_allowed(finished, tmp_path):
    configs, _, expected = finished
    context = multiprocessing.get_context("spawn")
    messages = context.SimpleQueue()
    arguments = (configs, tmp_path, 2000, messages)
    child = context.Process(target=_train_with_small_files, args=arguments)
    child.start()
    child.join()
    message = messages.get()
    assert "next.safetensors: File too large" in message
    assert "raise the limit on file sizes" in message
    check_completes(configs, tmp_path, expected)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "No space left on device.*free some space"),
        (errno.EROFS, "Read-only file system.*another folder"),
        (errno.EACCES, "Permission denied.*make the folder writable"),
    ],
)
@pytest.mark.parametrize("at", [1, 5])
def test_a_disk_that_refuses(finished, tmp_path, monkeypatch, number, words, at):
    configs, _, expected = finished
    calls, sync = [], os.fsync

    def refuse(handle):
        calls.append(handle)
        if len(calls) >= at:
            raise OSError(number, os.strerror(number))
        return sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(UserError, match=f"cannot write .*{words}.*then start"):
            train(configs, crashes.folders(tmp_path, configs))
    check_completes(configs, tmp_path, expected)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_writable(finished, tmp_path):
    configs, _, expected = finished
    (tmp_path / "seed0").mkdir()
    (tmp_path / "seed0").chmod(0o500)
    with pytest.raises(UserError, match="make the folder writable"):
        train(configs, crashes.folders(tmp_path, configs))
    (tmp_path / "seed0").chmod(0o700)
    check_completes(configs, tmp_path, expected)


def test_a_file_in_the_place_of_the_results(finished, tmp_path):
    configs, _, _ = finished
    (tmp_path / "results").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        train(configs, crashes.folders(tmp_path / "results" / "runs", configs))


def test_a_rewrite_that_fails_keeps_the_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    files.write_bytes(path, b"before")
    monkeypatch.setattr(os, "fsync", lambda handle: os.write(handle, b"x") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        files.write_bytes(path, b"after")
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208


# Checkpoints.


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped"])
def test_a_damaged_checkpoint_is_set_aside(copy, damage):
    configs, folder, expected = copy
    path = checkpoint_file(folder)
    content = path.read_bytes()
    if damage == "flipped":
        flip(path, random.Random(1))
    else:
        path.write_bytes(content[: {"truncated": 700, "empty": 0}[damage]])
    (folder / "provenance.json").unlink()
    with pytest.raises(UserError, match=r"safetensors is damaged .* start again"):
        train(configs, [folder])
    assert path.with_name("state.safetensors.damaged").exists()
    assert not path.exists()
    check_completes(configs, folder.parent, expected)


def test_the_workflow_goes_on_without_a_damaged_checkpoint(copy, caplog):
    configs, folder, expected = copy
    flip(checkpoint_file(folder), random.Random(2))
    (folder / "provenance.json").unlink()
    train(configs, [folder], foreign_checkpoint="discard")
    assert "is damaged" in caplog.text
    assert crashes.results(folder.parent, configs) == expected


def test_every_flipped_bit_of_a_checkpoint_is_noticed(copy):
    _, folder, _ = copy
    path = checkpoint_file(folder)
    content = path.read_bytes()
    generator = random.Random(3)
    length = int.from_bytes(content[:8], "little")
    # The header, what it describes, and the padding between them (blanks).
    blanks = len(content[: 8 + length]) - len(content[: 8 + length].rstrip())
    places = [*range(64), *(generator.randrange(len(content)) for _ in range(150))]
    noticed = 0
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << generator.randrange(8)
        path.write_bytes(bytes(damaged))
        try:
            load_checkpoint(path, {})
        except UserError as error:
            noticed += "damaged" in str(error)
    assert len(places) - noticed <= blanks


# Data and stored results.


@pytest.mark.parametrize("name", ["config.json", "metrics.csv", "evaluations.csv"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing"])
def test_a_damaged_result_is_named_then_restored(copy, name, damage):
    configs, folder, expected = copy
    path = folder / name
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        flip(path, random.Random(4))
    if (name, damage) != ("metrics.csv", "missing"):  # which not every reader needs
        with pytest.raises(UnusableRunError, match=name):
            read_run(folder)
    check_completes(configs, folder.parent, expected)
    read_run(folder)


def test_a_truncated_provenance_is_named_then_restored(copy):
    configs, folder, expected = copy
    path = folder / "provenance.json"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnusableRunError, match=r"provenance\.json: not JSON"):
        read_run(folder)
    check_completes(configs, folder.parent, expected)


def test_data_that_are_not_finite_are_refused_by_name_and_row(tmp_path, monkeypatch):
    from small_dataset import make_task, write

    from dql.data import datasets

    write(tmp_path)
    read = datasets.read_transitions

    def poisoned(path, task, manifest):
        dataset = read(path, task, manifest)
        dataset.actions[3, 1] = np.nan
        manifest["digest"] = datasets.digest(dataset)
        return dataset

    monkeypatch.setattr(datasets, "read_transitions", poisoned)
    message = "local-test: actions is not finite at training row 3"
    with pytest.raises(UserError, match=message):
        datasets.load_dataset(make_task(), tmp_path)


def test_every_damage_to_a_dataset_is_one_message(tmp_path):
    from small_dataset import make_task, write

    from dql.data import datasets

    write(tmp_path)
    path = tmp_path / "local-test-v0" / "data" / "main_data.hdf5"
    content, sound = path.read_bytes(), datasets.load_dataset(make_task(), tmp_path)
    flat = path.parents[1] / datasets.FLAT_FILE
    generator = random.Random(5)
    num_noticed = 0
    for _ in range(60):
        if generator.random() < 0.2:
            path.write_bytes(content[: generator.randrange(len(content))])
        else:
            path.write_bytes(content)
            flip(path, generator)
        if flat.exists() and generator.random() < 0.2:
            flip(flat, generator)  # read anew
        else:
            flat.unlink(missing_ok=True)
        try:
            found = datasets.load_dataset(make_task(), tmp_path)
        except UserError:
            num_noticed += 1
        else:  # a byte that no row depends on
            for name in datasets.ARRAYS:
                np.testing.assert_array_equal(
                    getattr(found, name), getattr(sound, name)
                )
    assert num_noticed > 10


# Memory and device.


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried 9 GiB"), "fewer seeds"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "fewer jobs"),
        (MemoryError(), "another experiment"),
        (torch.AcceleratorError("CUDA error: unspecified"), "CUDA_VISIBLE_DEVICES"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"), "the GPU failed"),
        (
            torch.AcceleratorError("CUDA error: no kernel image is available for this"),
            "is not built for this GPU",
        ),
    ],
)
def test_a_lack_of_memory_names_the_remedy(
    finished, tmp_path, monkeypatch, error, words
):
    configs, _, expected = finished
    take = EagerSteps.take

    def failing(self, step, noise):
        if step == 4:
            raise error
        return take(self, step, noise)

    with monkeypatch.context() as patch:
        patch.setattr(EagerSteps, "take", failing)
        with pytest.raises(UserError, match="resumes from the last check") as raised:
            train(configs, crashes.folders(tmp_path, configs))
    assert words in str(raised.value)
    assert load_checkpoint_step(tmp_path / "seed0") == 3
    check_completes(configs, tmp_path, expected)


def load_checkpoint_step(folder):
    from safetensors import safe_open

    with safe_open(checkpoint_file(folder), framework="np") as file:
        return json.loads(file.metadata()["header"])["step"]


def test_other_errors_keep_their_traceback():
    with (
        pytest.raises(RuntimeError, match="a mistake"),
        process.readable_device_errors(1, 1),
    ):
        raise RuntimeError("a mistake")


def test_a_gpu_that_cannot_be_used_is_reported(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(process.Path, "glob", lambda path, pattern: iter([path]))
    assert process.choose_device("auto").type == "cpu"
    assert "has an NVIDIA GPU that PyTorch" in caplog.text
    caplog.clear()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # left out on purpose
    assert process.choose_device("auto").type == "cpu"
    assert not caplog.text


# Signals and company.


def test_a_signal_while_saving_stops_at_the_next_step(finished, tmp_path, monkeypatch):
    """It must not claim a checkpoint that was not written."""
    configs, _, expected = finished
    save = training.Block._save

    def interrupted(self, step):
        save(self, step)
        if step == 3:
            signals.received = process.STOP_SIGNALS[1]

    entered = training.StopSignals.__enter__

    def remembered(self):
        nonlocal signals
        signals = self
        return entered(self)

    signals = None
    with monkeypatch.context() as patch:
        patch.setattr(training.Block, "_save", interrupted)
        patch.setattr(training.StopSignals, "__enter__", remembered)
        with pytest.raises(SystemExit):
            train(configs, crashes.folders(tmp_path, configs))
    assert load_checkpoint_step(tmp_path / "seed0") == 4
    check_completes(configs, tmp_path, expected)


HOLDER = (
    "import pathlib, sys\n"
    "from dql.files import locked\n"
    "with locked(pathlib.Path(sys.argv[1])):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.readline()\n"
)


def test_two_processes_never_train_one_run(finished, tmp_path, caplog, monkeypatch):
    """The second waits, names the first, and finds the run finished."""
    configs, _, expected = finished
    (folder,) = crashes.folders(tmp_path, configs)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], **pipes)
    assert holder.stdout.readline() == "held\n"
    prepare = training.prepare_runs

    def prepared(*arguments):
        assert holder.stdin.closed
        return prepare(*arguments)

    class Release(logging.Handler):
        """Lets the first process go on once the second has said that it waits."""

        def emit(self, record):
            if "waiting" in record.getMessage():
                holder.stdin.close()

    monkeypatch.setattr(training, "prepare_runs", prepared)
    handler = Release()
    logging.getLogger("dql.files").addHandler(handler)
    with caplog.at_level("INFO"):
        train(configs, [folder])
    logging.getLogger("dql.files").removeHandler(handler)
    holder.wait()
    holder.stdout.close()
    assert f"uses {folder}: process {holder.pid} on " in caplog.text
    assert crashes.results(tmp_path, configs) == expected


SNAKEFILE = """
rule all:
    output: "done"
    shell: "touch started; while [ ! -e go ]; do sleep 0.1; done; touch {output}"
"""


@pytest.mark.slow
def test_a_second_snakemake_in_one_folder_is_refused_by_name(tmp_path):
    """Snakemake's own lock; a killed Snakemake's is taken away by --unlock."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    command = [sys.executable, "-m", "snakemake", "--cores", "1"]
    first = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    while not (tmp_path / "started").exists():
        assert first.poll() is None
        time.sleep(0.1)
    second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert second.returncode != 0
    assert "Directory cannot be locked" in second.stdout + second.stderr
    assert "--unlock" in second.stdout + second.stderr
    (tmp_path / "go").touch()
    assert first.wait() == 0
    assert (tmp_path / "done").exists()
