"""Where a command stands: what is in its way is named, and a folder above is found."""

import shutil
import subprocess
import sys

import pytest
from checkout import ROOT

from dql import paths
from dql.cli.main import main
from dql.files import cannot_write, in_the_way
from dql.upkeep import places
from dql.upkeep.places import check_working_directory


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def obstacles():
    """Put a link to nothing, then a file, in the place of a folder."""
    paths.RESULTS.symlink_to("/nowhere/at/all")
    yield "results is a link to /nowhere/at/all, which is not there"
    paths.RESULTS.unlink()
    paths.RESULTS.touch()
    yield "results is a file, where a folder should be"


VERBS = [
    ["summary"],
    ["provenance"],
    ["claims"],
    ["aggregate", "--all"],
    ["train", "bandit-axes", "bc_mle", "--seed", "0", "--scale", "smoke"],
    ["data", "generate", "local-pointmaze-umaze", "--scale", "smoke"],
]


def test_results_that_are_no_folder_are_one_message(folder, capsys):
    for message in obstacles():
        for verb in VERBS:
            with pytest.raises(SystemExit) as end:
                main(verb)
            assert end.value.code == 2
            assert capsys.readouterr().err == (
                f"dql: {message}; nothing can be read or made there\n"
            )
        (finding,) = places.check_folders()
        assert (finding.status, finding.found) == ("problem", message)


def test_a_link_below_results_is_named_by_whoever_writes(folder):
    paths.RESULTS.mkdir()
    paths.RUNS.symlink_to("/nowhere")
    path = paths.run_directory("task", "method", 0)
    error = cannot_write(path, FileExistsError(17, "File exists"))
    assert "results/runs is a link to /nowhere, which is not there" in str(error)
    (finding,) = places.check_folders()
    assert finding.status == "problem"
    assert in_the_way(paths.DATASETS / "x") is None


def test_snakemake_says_it_too(folder):
    paths.RESULTS.symlink_to("/nowhere")
    command = [sys.executable, "-m", "snakemake", "-n", "--config", "scale=smoke"]
    command += ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    printed = done.stdout + done.stderr
    assert "results is a link to /nowhere, which is not there" in printed
    assert "Traceback" not in printed


def test_results_on_another_disk_are_a_warning(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    paths.RESULTS.mkdir()
    assert [f.status for f in places.check_folders()] == ["ok"]
    paths.RUNS.symlink_to(elsewhere)
    (finding,) = places.check_folders()
    assert finding.status == "warning"
    assert f"results/runs is in {elsewhere}" in finding.found
    assert "dvc commit" in finding.remedy


def test_a_folder_below_the_project_says_where_that_is(folder, monkeypatch, capsys):
    for made in ("results/runs", "workflow", "docs/deep"):
        (folder / made).mkdir(parents=True)
    check_working_directory()
    monkeypatch.chdir(folder / "docs" / "deep")
    for verb in VERBS:
        with pytest.raises(SystemExit):
            main(verb)
        assert f"{folder} has: cd {folder}" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        main(["config", "runs", "--scale", "smoke"])  # needs no results
    assert not end.value.code
    with pytest.raises(SystemExit) as end:
        main(["summary", "--help"])
    assert not end.value.code


@pytest.mark.parametrize("own", [".snakemake", "results"])
def test_a_project_of_its_own_may_lie_in_another(folder, monkeypatch, own):
    for made in ("results", "workflow", f".smoke/{own}"):
        (folder / made).mkdir(parents=True)
    monkeypatch.chdir(folder / ".smoke")
    check_working_directory()


def test_results_of_something_else_above_are_no_project(folder, monkeypatch):
    for made in ("results", "mine"):
        (folder / made).mkdir()
    monkeypatch.chdir(folder / "mine")
    check_working_directory()


def test_the_cache_of_snakemake_is_tried(folder, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(folder / "home"))
    (finding,) = places.check_cache()
    assert finding.status == "ok"
    (folder / "home").touch()  # a home in which nothing can be made
    (finding,) = places.check_cache()
    assert finding.status == "problem"
    assert "XDG_CACHE_HOME" in finding.remedy
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    (finding,) = places.check_cache()
    assert finding.status == "ok"
    assert not (folder / "cache").exists()


def test_another_users_checkout_is_not_called_empty(folder, monkeypatch):
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "a"], check=True)
    monkeypatch.setenv("HOME", str(folder))  # no safe.directory of this machine
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    (finding,) = places.check_git()
    assert finding.status == "problem"
    assert finding.remedy == f"git config --global --add safe.directory {folder}"
    subprocess.run(finding.remedy.split(), check=True)
    (finding,) = places.check_git()
    assert finding.found != "no commit here"
    assert finding.status != "problem"


def test_without_git_the_doctor_says_so(folder, monkeypatch):
    monkeypatch.setenv("PATH", str(folder))
    assert shutil.which("git") is None
    (finding,) = places.check_git()
    assert (finding.status, finding.found) == ("warning", "no git on the PATH")
