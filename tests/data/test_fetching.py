"""Many files at once: all but the faulty come, and what is here is left alone."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from d4rl_arrays import make_arrays, make_task, write_file
from file_server import Server

from dql import paths
from dql.cli.main import main
from dql.config.project import load_project
from dql.config.schema import TaskConfig
from dql.data import d4rl_files, download, fetching
from dql.data.fetching import fetch_all, foresee, foresee_all, published_tasks
from dql.errors import UserError

NAMES = ("one", "two", "three")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch, no_files_of_the_users) -> Path:
    """Stand in a project without data."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tasks(server: Server, tmp_path: Path) -> list[TaskConfig]:
    """Three tasks, whose files the server has under three names."""
    server.content = write_file(tmp_path / "file.hdf5", make_arrays("hopper", 30))
    return [task_of(server, name) for name in NAMES]


def task_of(server: Server, name: str, **dataset) -> TaskConfig:
    """Make a task of a file of this name."""
    url = server.url.replace("data.hdf5", f"{name}.hdf5")
    return make_task(name=f"hopper-{name}-v2", dataset={"url": url, **dataset})


def verdicts(lines: list[fetching.Fetched]) -> list[tuple[str, str]]:
    """Return the files with what became of them."""
    return [(line.file, line.verdict) for line in lines]


def test_all_are_fetched_and_the_next_call_leaves_them(
    server: Server, tasks: list[TaskConfig]
) -> None:
    lines = fetch_all(tasks)
    assert verdicts(lines) == [(f"{name}.hdf5", "fetched") for name in NAMES]
    assert [line.source for line in lines] == [task.dataset.url for task in tasks]
    assert {line.num_bytes for line in lines} == {len(server.content)}
    assert all(paths.dataset_manifest(task.name).is_file() for task in tasks)
    again = fetch_all(tasks)
    assert verdicts(again) == [(f"{name}.hdf5", "ready") for name in NAMES]
    assert [line.source for line in again] == [line.source for line in lines]
    assert len(server.ranges) == len(NAMES)


def test_several_come_at_once(server: Server, tasks: list[TaskConfig]) -> None:
    server.barrier = threading.Barrier(len(tasks))  # none is answered alone
    assert {line.verdict for line in fetch_all(tasks, num_at_once=3)} == {"fetched"}


def test_a_fault_stops_its_own_file_only(
    server: Server, tasks: list[TaskConfig]
) -> None:
    tasks[1] = task_of(server, "two", num_bytes=12)
    lines = fetch_all(tasks)
    assert [line.verdict for line in lines] == ["fetched", "failed", "fetched"]
    assert "'hopper-two-v2'" in lines[1].fault
    assert f"it has {len(server.content)} bytes, expected 12" in lines[1].fault


def go_on_when_stopped(server: Server) -> None:
    """Let the server send its second piece as soon as it is too late."""
    assert download.stopping.wait(30)
    server.goes_on.set()


def test_an_interrupted_call_is_made_again(
    server: Server, tasks: list[TaskConfig], monkeypatch
) -> None:
    server.first_piece, server.pause_seconds = 100, 30.0

    def interrupted(futures):
        threading.Thread(target=go_on_when_stopped, args=(server,)).start()
        while not server.ranges:
            time.sleep(0.01)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(download, "CHUNK_BYTES", 100)
        patch.setattr(fetching, "as_completed", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch_all(tasks, num_at_once=1)
    assert not download.stopping.is_set()
    assert len(server.ranges) == 1  # the others were not begun
    came = (paths.DOWNLOADS / "one.hdf5.part").stat().st_size
    (line, *_) = foresee_all(tasks)
    assert (line.verdict, line.missing_bytes) == (
        "to resume",
        2 * len(server.content) - came,
    )
    server.first_piece, server.ranges = None, []
    assert {line.verdict for line in fetch_all(tasks)} == {"fetched"}
    assert f"bytes={came}-" in server.ranges


def test_a_dry_run_names_each_source_and_writes_nothing(
    server: Server, tasks: list[TaskConfig], project: Path, monkeypatch
) -> None:
    size = len(server.content)
    mine = project / "home" / ".d4rl" / "datasets" / "two.hdf5"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(server.content)
    tasks[2] = task_of(server, "three", num_bytes=size + 1)
    first, second, third = foresee_all(tasks)
    assert (first.source, first.verdict) == (tasks[0].dataset.url, "to download")
    assert (first.num_bytes, first.missing_bytes) == (size, 2 * size)
    assert (second.source, second.verdict) == (
        "~/.d4rl/datasets/two.hdf5",
        "to convert",
    )
    assert second.missing_bytes == size
    assert third.verdict == "failed"
    assert f"it has {size} bytes, expected {size + 1}" in third.fault
    assert server.ranges == ["bytes=0-0"] * 2
    assert not paths.RESULTS.exists()


def test_a_dry_run_finds_the_mirror(
    server: Server, tasks: list[TaskConfig], start_server
) -> None:
    down = start_server()
    down.status = 503
    folder = server.url.rpartition("/")[0]
    task = task_of(down, "one", mirrors=[folder])
    assert foresee(task).source == f"{folder}/one.hdf5"
    server.supports_ranges = False
    assert foresee(task).num_bytes == len(server.content)
    server.status = 404
    line = foresee(task)
    assert (line.source, line.verdict) == ("", "failed")
    assert "answers 503" in line.fault and "answers 404" in line.fault
    assert "--from FOLDER" in line.fault


def test_a_kept_file_of_another_size_is_not_what_would_be_used(
    server: Server, tasks: list[TaskConfig]
) -> None:
    paths.DOWNLOADS.mkdir(parents=True)
    (paths.DOWNLOADS / "one.hdf5").write_bytes(b"cut")
    task = task_of(server, "one", num_bytes=len(server.content))
    assert foresee(task).verdict == "to download"
    assert foresee(tasks[0]).verdict == "to convert"  # nobody knows its size


@pytest.mark.parametrize("run", [fetch_all, foresee_all])
def test_a_folder_that_is_not_there_is_said_once(
    server: Server, tasks: list[TaskConfig], project: Path, run, monkeypatch
) -> None:
    with pytest.raises(UserError, match="gone: no such folder of D4RL's files"):
        run(tasks, project / "gone")
    monkeypatch.setenv(d4rl_files.FOLDER_VARIABLE, str(project / "lost"))
    with pytest.raises(UserError, match="lost .named by D4RL_DATASET_DIR"):
        run(tasks)
    assert server.ranges == []


def test_all_come_from_the_folder_that_is_named(
    server: Server, tasks: list[TaskConfig], project: Path
) -> None:
    folder = project / "mine"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.hdf5").write_bytes(server.content)
    foreseen = [line.verdict for line in foresee_all(tasks, folder)]
    assert foreseen == ["to convert", "to convert", "failed"]
    lines = fetch_all(tasks, folder)
    assert [line.verdict for line in lines] == ["fetched", "fetched", "failed"]
    assert lines[0].source == str(folder / "one.hdf5")
    assert "mine has no file three.hdf5" in lines[2].fault
    assert server.ranges == []


def test_a_disk_that_cannot_hold_them_is_said_first(
    server: Server, tasks: list[TaskConfig], monkeypatch
) -> None:
    monkeypatch.setattr(fetching, "free_bytes", lambda: 10**6)
    tasks.append(task_of(server, "four", num_bytes=10**9))
    with pytest.raises(UserError, match=r"about 2.0 GB, .* has 0.0 GB free: free"):
        fetch_all(tasks)
    assert server.ranges == []


def test_suites_are_chosen_by_name() -> None:
    project = load_project()
    names = [task.name for task in published_tasks(project, ["kitchen", "adroit"])]
    assert len(names) == 5 and set(names) >= {"pen-human-v1", "kitchen-mixed-v0"}
    assert len(published_tasks(project, None)) == 20
    with pytest.raises(UserError, match="No suite 'gim' of D4RL's.*'gym'"):
        published_tasks(project, ["gim"])
    with pytest.raises(UserError, match="No suite 'local'"):
        published_tasks(project, ["local"])


def run_command(*arguments: str) -> int:
    """Run `dql data fetch` and return its exit code."""
    try:
        main(["data", "fetch", *arguments])
    except SystemExit as stop:
        return stop.code or 0
    return 0


def test_the_table_of_a_dry_run(monkeypatch, capsys) -> None:
    monkeypatch.setattr(fetching, "ask", lambda url: 300 * 10**6)
    monkeypatch.setattr(fetching, "free_bytes", lambda: 10**10)
    assert run_command("--suite", "antmaze", "--dry-run") == 0
    heading, *rows, sentence = capsys.readouterr().out.splitlines()
    assert heading.split() == ["file", "source", "MB", "verdict"]
    assert len(rows) == 6
    assert rows[0].split()[1:] == ["rail.eecs.berkeley.edu", "300.0", "to", "download"]
    assert "about 3.6 GB" in sentence and "10.0 GB free, which holds it" in sentence
    monkeypatch.setattr(fetching, "free_bytes", lambda: 10**9)
    assert run_command("--suite", "antmaze", "--dry-run") == 2
    output = capsys.readouterr()
    assert "which does not hold it" in output.out
    assert "free space" in output.err


def test_faults_are_counted_and_the_first_ones_told(monkeypatch, capsys) -> None:
    def fail(url: str) -> None:
        raise download.UnreachableError("no route")

    monkeypatch.setattr(fetching, "ask", fail)
    assert run_command("--suite", "antmaze", "--suite", "adroit", "--dry-run") == 2
    output = capsys.readouterr()
    assert output.out.count("none") == output.out.count("failed") == 8
    assert output.err.count("no route") == 3
    assert "8 of 8 failed" in output.err and "and 5 more" in output.err


@pytest.mark.parametrize(
    "arguments", [(), ("--all", "--suite", "gym"), ("hopper-medium-v2", "--all")]
)
def test_what_to_fetch_is_said_in_one_way(arguments: tuple[str, ...], capsys) -> None:
    assert run_command(*arguments) == 2
    assert "takes one of: a task, --suite" in capsys.readouterr().err


def test_a_dry_run_of_what_is_not_fetched_says_how_it_is_made(capsys) -> None:
    assert run_command("local-hopper-medium", "--dry-run") == 2
    assert "dql data generate local-hopper-medium" in capsys.readouterr().err
