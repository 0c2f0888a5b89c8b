"""`dql gc` in a project of its own: what comes back is listed, and only that goes."""

import fcntl
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from dql import paths
from dql.cli.main import main
from dql.config.project import load_project
from dql.errors import UserError
from dql.upkeep import garbage
from dql.upkeep.garbage import delete, find_garbage
from dql.upkeep.versioned import held_twice

KNOWN = load_project(scale="quick").runs()[0]
UNKNOWN_TASK = ("maze-of-old", "td3_bc", 0)
OTHER_SEED = (KNOWN.task, KNOWN.method, 99)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty working directory with git, and no kernels compiled."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    subprocess.run(["git", "init", "-q"], check=True)
    return tmp_path


def write(path: Path, *, days: float = 100.0, text: str = "some text") -> Path:
    """Write a file that was last changed so many days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    changed = time.time() - 86400 * days
    os.utime(path, (changed, changed))
    return path


def write_run(key, *, days: float = 100.0, root: Path = paths.RUNS) -> Path:
    """Write a finished run that took two hours, with a checkpoint."""
    folder = paths.run_directory(*key, root)
    provenance = json.dumps({"wall_seconds": 7200})
    write(folder / paths.PROVENANCE_FILE, days=days, text=provenance)
    write(folder / paths.CHECKPOINT_FOLDER / "state", days=days, text=f"state of {key}")
    return folder


def version(*folders: Path) -> None:
    """Let DVC hold the folders in its cache and in a remote."""
    from dvc.repo import Repo

    with Repo.init(".") as repo:
        with repo.config.edit() as config:
            config["core"]["remote"] = "copy"
            config["remote"] = {"copy": {"url": str(Path("copy").absolute())}}
        repo.add([str(folder) for folder in folders])
        repo.push()


def listed(days: float = 30.0) -> dict[str, str]:
    return {str(item.path): item.kind for item in find_garbage(days)}


def test_an_empty_project_has_nothing_to_delete(project):
    assert listed() == {}


def test_runs_in_no_suite_go_if_they_can_be_trained_again(project):
    kept = write_run(KNOWN)
    spare = write_run(OTHER_SEED)
    lost = write_run(UNKNOWN_TASK)
    write_run((KNOWN.task, KNOWN.method, 98), days=0)  # perhaps still training
    (item,) = find_garbage()
    assert (item.path, item.kind) == (spare, "run in no suite")
    assert "2 h" in item.comes_back
    assert item.num_bytes == sum(f.stat().st_size for f in spare.rglob("*.*")) + len(
        f"state of {OTHER_SEED}"
    )
    assert delete([item]) == item.num_bytes
    assert not spare.exists() and kept.exists() and lost.exists()


def test_what_no_code_makes_any_more_goes_only_if_dvc_holds_it(project):
    lost = write_run(UNKNOWN_TASK)
    assert listed() == {}
    version(lost)
    assert listed() == {str(lost): "run in no suite"}
    state = lost / paths.CHECKPOINT_FOLDER / "state"
    write(state, text="another state")
    assert listed() == {}


def test_checkpoints_go_only_while_cache_and_remote_have_them(project):
    run = write_run(KNOWN)
    folder = run / paths.CHECKPOINT_FOLDER
    assert listed() == {}
    version(run)
    assert listed() == {str(folder): "checkpoint"}
    assert listed(days=200) == {}
    delete(find_garbage())
    assert (run / paths.PROVENANCE_FILE).is_file() and not folder.exists()
    subprocess.run(["dvc", "checkout", "-q"], check=True)
    assert (folder / "state").read_text() == f"state of {KNOWN}"
    write(folder / "state", text=f"state of {KNOWN}")
    assert listed() == {str(folder): "checkpoint"}
    copy = held_twice()[(folder / "state").absolute()]
    (project / "copy" / "files" / "md5" / copy[:2] / copy[2:]).unlink()
    assert listed() == {}


def test_an_unfinished_run_keeps_its_checkpoint(project):
    run = write_run(KNOWN)
    version(run)
    (run / paths.PROVENANCE_FILE).unlink()
    assert listed() == {}


def forbidden(path, *arguments, **options):
    raise PermissionError(13, "Permission denied", str(path))


def test_reruns_logs_and_downloads_kept_aside_are_listed(project, monkeypatch):
    rerun = write_run(KNOWN, root=paths.RERUN)
    old = write(garbage.LOGS / "train" / "a.log")
    write(garbage.LOGS / "train" / "b.log", days=1)
    part = write(paths.DOWNLOADS / "a.hdf5.part", days=0)
    rejected = write(paths.DOWNLOADS / "b.hdf5.rejected", days=0)
    write(paths.DOWNLOADS / "c.hdf5")
    assert listed() == {
        str(rerun): "re-run",
        str(old): "log",
        str(part): "download kept aside",
        str(rejected): "download kept aside",
    }
    lock = write(paths.DOWNLOADS / ".a.hdf5.lock")
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert str(part) not in listed()
    with monkeypatch.context() as another_users:
        another_users.setattr(Path, "open", forbidden)
        assert part not in [item.path for item in garbage.kept_aside_downloads()]
    delete(find_garbage())
    left = {file.name for file in garbage.files_below(paths.RESULTS)}
    assert left == {"b.log", "c.hdf5", ".a.hdf5.lock"}
    assert not paths.RERUN.exists()


def test_the_run_behind_finished_behavior_policies_is_listed(project):
    names = ("finished", "absent", "recent", "other_seed", "longer", "stopped")
    runs = {name: paths.behavior_run(name) for name in names}
    for name, run in runs.items():
        budget = {"seed": 0, "num_environment_steps": 10}
        summary = {"budget": budget, "settings": {"agent": "sac", "discount": 0.9}}
        if name != "absent":
            folder = paths.behavior_directory(name)
            write(folder / "policies.json", text=json.dumps(summary))
        config = {
            "seed": int(name == "other_seed"),
            "online": {"num_environment_steps": 20 if name == "longer" else 10},
            "settings": {"discount": 0.9},
        }
        days = 0 if name == "recent" else 1
        write(run / "config.json", text=json.dumps(config), days=days)
        if name != "stopped":
            write(run / "provenance.json", days=days, text='{"wall_seconds": 1800}')
    assert listed() == {str(runs["finished"]): "training of behavior policies"}
    (item,) = find_garbage()
    assert item.comes_back == "dql data behavior, trained, 0.5 h"
    delete([item])
    assert [name for name, run in runs.items() if not run.exists()] == ["finished"]
    assert paths.behavior_directory("finished").exists()


def test_kernels_of_other_versions_are_listed_and_this_one_is_not(project, monkeypatch):
    from dql.core.kernels.build import cache_directory

    compiler = write(project / "cc", text='#!/bin/sh\nfor last; do :; done\n>"$last"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    other = write(cache_directory() / "kernels-0123.so")
    found = listed()
    assert found == {str(other): "compiled kernels"}
    delete(find_garbage())
    assert len(list(cache_directory().glob("kernels-*.so"))) == 1


def test_what_git_tracks_and_what_is_kept_stays(project):
    tracked = write(garbage.LOGS / "a.log")
    subprocess.run(["git", "add", "-f", str(tracked)], check=True)
    assert listed() == {}
    for path in (tracked, tracked.parent, paths.KEPT / "quick", paths.RESULTS):
        item = garbage.Item(path, "log", 1, "never")
        with pytest.raises(UserError, match="kept by git"):
            delete([item])
    assert tracked.is_file()


@pytest.fixture(params=["another owner's", "broken", "no git"])
def mute_git(project, monkeypatch, request):
    """A committed log in a repository whose files git does not list any more."""
    tracked = write(garbage.LOGS / "a.log")
    subprocess.run(["git", "add", "-f", str(tracked)], check=True)
    if request.param == "another owner's":  # as git is told to see it
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        return tracked, "safe.directory"
    if request.param == "broken":
        (project / ".git" / "HEAD").unlink()
        return tracked, "not a git repository"
    monkeypatch.setenv("PATH", str(project / "nothing"))
    return tracked, "git does not start"


@pytest.mark.parametrize("where", [".", "inside"])
def test_nothing_goes_where_git_does_not_say_what_it_keeps(
    mute_git, where, capsys, monkeypatch
):
    tracked, reason = mute_git
    tracked = tracked.absolute()
    Path(where).mkdir(exist_ok=True)
    monkeypatch.chdir(where)
    monkeypatch.setattr(garbage, "LOGS", tracked.parent)
    with pytest.raises(UserError, match="Nothing is deleted: git does not say") as end:
        find_garbage()
    assert reason in str(end.value)
    with pytest.raises(UserError, match="Nothing is deleted"):
        delete([garbage.Item(tracked, "log", 1, "never")])
    with pytest.raises(SystemExit) as end:
        main(["gc", "--yes"])
    assert end.value.code
    assert "Traceback" not in capsys.readouterr().err
    assert tracked.is_file()


def test_outside_of_a_repository_git_is_not_needed(project, monkeypatch):
    shutil.rmtree(project / ".git")
    old = write(garbage.LOGS / "a.log")
    assert listed() == {str(old): "log"}
    monkeypatch.setenv("PATH", str(project / "nothing"))
    delete(find_garbage())
    assert not old.exists()


def test_names_that_are_no_text_are_git_s_as_well(project):
    tracked = write(garbage.LOGS / os.fsdecode(b"\xff.log"))
    subprocess.run(["git", "add", "-f", str(garbage.LOGS)], check=True)
    assert listed() == {}
    assert tracked.is_file()


def test_nothing_goes_under_a_lock_of_another_users_snakemake(project, monkeypatch):
    """Whose working directory the system does not tell."""
    file = write(garbage.LOGS / "a.log")
    lock = write(Path(".snakemake/locks/0.input.lock"))
    monkeypatch.setattr(garbage, "running_snakemakes", lambda: [])
    with pytest.raises(UserError, match="snakemake --unlock"):
        delete(find_garbage())
    assert file.is_file()
    lock.unlink()
    delete(find_garbage())
    assert not file.exists()


def test_nothing_goes_while_snakemake_works_here(project, monkeypatch):
    file = write(garbage.LOGS / "a.log")
    monkeypatch.setattr(garbage, "running_snakemakes", lambda: [123])
    with pytest.raises(UserError, match="123"):
        delete(find_garbage())
    assert file.is_file()


@pytest.mark.parametrize(
    ("options", "is_deleted"), [([], False), (["--dry-run"], False), (["--yes"], True)]
)
def test_it_deletes_only_when_told_to(project, capsys, options, is_deleted):
    file = write(garbage.LOGS / "a.log")
    with pytest.raises(SystemExit) as end:
        main(["gc", *options])
    assert not end.value.code
    printed = capsys.readouterr().out
    assert "log 1" in printed and "a.log" in printed.replace("\n", "")
    assert file.exists() != is_deleted
