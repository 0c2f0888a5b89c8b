"""A campaign's finished runs through a kept folder and back, on another machine."""

import json
import shutil
import zipfile

import pandas as pd
import pytest
from stored_results import DIGEST, write_manifest, write_run

from dql import paths
from dql.cli.main import main
from dql.config.online import online_method
from dql.config.project import RunKey, load_project
from dql.errors import UserError
from dql.results.fingerprint import training_fingerprint
from dql.results.restored import is_held, restored_runs
from dql.results.run_archives import (
    ARCHIVES,
    archive_file,
    archived_runs,
    pack,
)
from dql.upkeep.campaign import stages_of
from dql.upkeep.keep import keep
from dql.upkeep.restore import restore

PROJECT = load_project(scale="evidence")
RUNS = PROJECT.runs()[:3]
TASK = RUNS[0].task
MADE = {
    "machine": {"processor": "a processor", "num_cpus": 2},
    "versions": {"torch": "2.13.0"},
    "code_fingerprint": "0123456789abcdef",
    "finished_at": "2026-01-01T00:00:00+00:00",
    "peak_memory_bytes": 100,
    "wall_seconds": 7200.0,
}


def make_runs(root, runs=RUNS, returns=(100.0, 200.0), made=None, project=PROJECT):
    for run in runs:
        config = project.run_config(*run).model_dump(mode="json")
        folder = paths.run_directory(*run, root=root / paths.RUNS)
        write_run(folder, config, returns, provenance=MADE | (made or {}))
        (folder / paths.CHECKPOINT_FOLDER).mkdir(exist_ok=True)
        (folder / paths.CHECKPOINT_FOLDER / "state.safetensors").write_bytes(b"large")
        write_manifest(root / paths.dataset_manifest(run.task), run.task)
    return root


@pytest.fixture
def kept(tmp_path):
    """Return the folder of kept folders, with a campaign in it."""
    keep("campaign", root=make_runs(tmp_path / "first"), kept=tmp_path / "kept")
    return tmp_path / "kept"


@pytest.fixture
def second(kept, tmp_path, monkeypatch):
    """Restore on another machine, and work there."""
    root = tmp_path / "second"
    root.mkdir()
    monkeypatch.chdir(root)
    restore("campaign", kept=kept)
    return root


def files_of(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_runs_come_back_byte_for_byte_without_their_checkpoints(second, tmp_path):
    assert restored_runs() == set(RUNS)
    for run in RUNS:
        there, here = (
            files_of(paths.run_directory(*run, root=root / paths.RUNS))
            for root in (tmp_path / "first", second)
        )
        mark = {path for path in here if path.name == paths.RESTORED_FILE}
        assert len(mark) == 1
        names = {path.name for path in there} - {"state.safetensors"}
        assert {path.name for path in here.keys() - mark} == names
        assert all(here[path] == there[path] for path in here.keys() - mark)


def test_manifests_come_back_as_held_ones(second):
    assert is_held(TASK)
    restored = json.loads(paths.restored_manifest(TASK).read_text())
    assert restored["digest"] == DIGEST


def test_keeping_what_was_restored_changes_no_byte(kept, second):
    before = files_of(kept / "campaign")
    keep("campaign", root=second, kept=kept)
    assert files_of(kept / "campaign") == before


def test_an_archive_is_the_same_at_any_time_and_small(kept):
    archive = archive_file(kept / "campaign", RUNS[0])
    with zipfile.ZipFile(archive) as file:
        files = {name: file.read(name) for name in file.namelist()}
    assert pack(dict(reversed(files.items()))) == archive.read_bytes()
    assert archive.stat().st_size < 100_000


def test_one_more_run_adds_one_archive(kept, second):
    before = files_of(kept / "campaign" / ARCHIVES)
    more = PROJECT.runs()[3]
    make_runs(second, [more])
    keep("campaign", root=second, kept=kept)
    after = files_of(kept / "campaign" / ARCHIVES)
    assert len(after) == len(before) + 1
    assert all(after[path] == content for path, content in before.items())


def test_keeping_without_restoring_first_loses_nothing(kept, tmp_path):
    before = files_of(kept / "campaign")
    other = make_runs(tmp_path / "third", RUNS[:1])
    with pytest.raises(UserError, match="dql restore campaign --to"):
        keep("campaign", root=other, kept=kept)
    assert files_of(kept / "campaign") == before


def test_another_finished_run_is_left_alone_and_the_same_one_is(kept, tmp_path):
    root = make_runs(tmp_path / "third", RUNS[:1], returns=(300.0, 400.0))
    make_runs(root, RUNS[1:2])
    before = files_of(root / paths.RUNS)
    done = restore("campaign", root=root, kept=kept)
    assert done.written == [RUNS[2]]
    assert done.present == [RUNS[1]]
    (reason,) = done.refused
    assert RUNS[0].method in reason
    assert "another finished run" in reason
    after = files_of(root / paths.RUNS)
    assert all(after[path] == content for path, content in before.items())


def test_a_run_of_other_code_is_held_where_it_was_trained(kept, tmp_path, monkeypatch):
    """The next change of the code would otherwise train it again."""
    root = tmp_path / "first"
    current = RUNS[1]
    config = PROJECT.run_config(*current)
    code = training_fingerprint(config.agent, config.environment.environment)
    make_runs(root, [current], made={"code_fingerprint": code})
    keep("campaign", root=root, kept=kept)
    monkeypatch.chdir(root)
    done = restore("campaign", kept=kept)
    assert set(done.present) == set(RUNS)
    assert set(done.held) == restored_runs() == {RUNS[0], RUNS[2]}
    before = files_of(kept / "campaign")
    keep("campaign", root=root, kept=kept)
    assert files_of(kept / "campaign") == before


def test_an_unfinished_run_is_finished_by_the_kept_one(kept, tmp_path):
    root = make_runs(tmp_path / "third", RUNS[:1])
    folder = paths.run_directory(*RUNS[0], root=root / paths.RUNS)
    (folder / paths.PROVENANCE_FILE).unlink()
    assert RUNS[0] in restore("campaign", root=root, kept=kept).written
    assert (folder / paths.PROVENANCE_FILE).is_file()


def test_runs_on_other_data_than_the_ones_here_stay_away(kept, tmp_path):
    root = tmp_path / "third"
    path = write_manifest(root / paths.dataset_manifest(TASK), TASK)
    other = json.loads(path.read_text()) | {"digest": "other", "generator": {"seed": 1}}
    path.write_text(json.dumps(other))
    done = restore("campaign", root=root, kept=kept)
    assert not done.written
    assert len(done.refused) == len(RUNS)
    assert "generator" in done.refused[0]
    assert not (root / paths.RUNS).exists()


@pytest.mark.parametrize("fault", ["cut", "swapped"])
def test_a_bad_archive_is_named_and_nothing_is_written(kept, tmp_path, fault):
    first, second = (archive_file(kept / "campaign", run) for run in RUNS[:2])
    if fault == "cut":
        second.write_bytes(second.read_bytes()[:-30])
    else:
        shutil.copyfile(first, second)
    with pytest.raises(UserError, match=f"{second.parent.name}.*git checkout"):
        restore("campaign", root=tmp_path / "third", kept=kept)
    assert not (tmp_path / "third").exists()


def test_a_folder_without_runs_says_what_keeps_them(tmp_path):
    with pytest.raises(UserError, match="scales with stages"):
        restore("quick", root=tmp_path, kept=tmp_path)


def test_a_folder_that_snakemake_works_in_is_not_touched(kept, tmp_path):
    (tmp_path / "third" / ".snakemake" / "locks").mkdir(parents=True)
    (tmp_path / "third" / ".snakemake" / "locks" / "0.input.lock").touch()
    with pytest.raises(UserError, match="--unlock"):
        restore("campaign", root=tmp_path / "third", kept=kept)


def test_training_a_restored_run_is_refused_until_its_folder_is_gone(second, capsys):
    run = RUNS[0]
    with pytest.raises(SystemExit) as done:
        main(["train", run.task, run.method, "--seed", "0", "--scale", "evidence"])
    assert done.value.code == 2
    assert "remove" in " ".join(capsys.readouterr().err.split())
    shutil.rmtree(paths.run_directory(*run))
    assert restored_runs() == set(RUNS[1:])


def test_a_damaged_run_stays_as_it_was_kept(kept, tmp_path):
    root = tmp_path / "first"
    folder = paths.run_directory(*RUNS[0], root=root / paths.RUNS)
    made = json.loads((folder / paths.PROVENANCE_FILE).read_text())
    made["files"] = {paths.METRICS_FILE: "0" * 64}
    (folder / paths.PROVENANCE_FILE).write_text(json.dumps(made))
    before = archive_file(kept / "campaign", RUNS[0]).read_bytes()
    keep("campaign", root=root, kept=kept)
    assert archive_file(kept / "campaign", RUNS[0]).read_bytes() == before


def test_a_run_that_goes_on_is_archived_with_its_continuation(tmp_path):
    """Without a checkpoint the next machine could not start the continuation."""
    project = load_project(scale="online")
    first, last = (RunKey("local-hopper-medium", name, 0) for name in ("iql", "td3_bc"))
    of_first, of_last = (
        run._replace(method=online_method(run.method, 50_000)) for run in (first, last)
    )
    assert {first, last, of_first, of_last} <= set(project.runs())
    make_runs(tmp_path, [first, last, of_first], project=project)
    folder = keep("campaign", root=tmp_path, kept=tmp_path / "kept")
    assert archived_runs(folder).keys() == {first, of_first}
    log = (folder / "README.md").read_text()
    assert f"they go on online first: {last.task}, {last.method}, seed 0." in log
    make_runs(tmp_path, [of_last], project=project)
    folder = keep("campaign", root=tmp_path, kept=tmp_path / "kept")
    assert archived_runs(folder).keys() == {first, of_first, last, of_last}
    assert "go on online first" not in (folder / "README.md").read_text()


def test_what_was_archived_stays_when_a_continuation_is_added(tmp_path):
    """Its archive is all that is left of it; the new continuation trains it again."""
    project = load_project(scale="online")
    run = RunKey("local-hopper-medium", "iql", 0)
    of_run = run._replace(method=online_method(run.method, 50_000))
    make_runs(tmp_path, [run, of_run], project=project)
    kept = tmp_path / "kept"
    keep("campaign", root=tmp_path, kept=kept)
    shutil.rmtree(paths.run_directory(*of_run, root=tmp_path / paths.RUNS))
    archive_file(kept / "campaign", of_run).unlink()
    folder = keep("campaign", root=tmp_path, kept=kept)
    assert archived_runs(folder).keys() == {run}


def test_the_log_counts_hours_and_says_what_comes_next(kept, tmp_path):
    log = (kept / "campaign" / "README.md").read_text()
    total = len(PROJECT.runs())
    assert f"3 of {total} runs are finished, 6.0 hours" in log
    assert "a processor, one core | `0123456789abcdef` * | 3 | 6.0" in log
    task, method, seed = PROJECT.runs()[3]
    assert f"1. {task}, {method}, seed {seed}\n" in log
    assert f"| 1 | {', '.join(stages_of(PROJECT)[0].tasks)} |" in log
    assert "Of another configuration" not in log


def test_the_log_names_runs_that_the_configuration_has_otherwise(tmp_path):
    root = make_runs(tmp_path / "first")
    path = paths.run_directory(*RUNS[0], root=root / paths.RUNS) / paths.CONFIG_FILE
    config = json.loads(path.read_text())
    config["training"]["batch_size"] = 7
    path.write_text(json.dumps(config))
    folder = keep("campaign", root=root, kept=tmp_path / "kept")
    assert (
        "training.batch_size is 7, expected 256" in (folder / "README.md").read_text()
    )


def test_the_log_says_how_far_the_next_run_is(kept, tmp_path):
    root = make_runs(tmp_path / "first", [run := PROJECT.runs()[3]])
    folder = paths.run_directory(*run, root=root / paths.RUNS)
    (folder / paths.PROVENANCE_FILE).unlink()
    steps = pd.DataFrame({"gradient_step": [1000, 2000]})
    steps.to_csv(folder / paths.METRICS_FILE, index=False)
    keep("campaign", root=root, kept=kept)
    assert "at step 2,000" in (kept / "campaign" / "README.md").read_text()
