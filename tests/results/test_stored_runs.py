"""Finished runs of a cell are found in results and in what is kept, whole."""

import shutil

import pytest
from stored_results import make_config, write_manifest, write_run

from dql import paths
from dql.config.project import RunKey
from dql.errors import UserError
from dql.results.run_archives import archive_file, pack, run_files
from dql.results.stored_runs import find_runs, read_recorded, read_stored, stores

RUN = RunKey("local-hopper-medium-expert", "diffusion_ql", 0)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Work in a folder with seed 0 in results and seeds 0 and 2 in a kept campaign."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paths, "SOURCE", tmp_path)
    write_run(paths.run_directory(*RUN), make_config())
    for seed in (0, 2):
        run = RUN._replace(seed=seed)
        files = run_files(write_run(tmp_path / f"{seed}", make_config(seed=seed)))
        archive = archive_file(paths.KEPT / "campaign", run)
        archive.parent.mkdir(parents=True, exist_ok=True)
        archive.write_bytes(pack(files))
    return tmp_path


def test_results_come_before_what_is_kept(project):
    found = find_runs(RUN.task, RUN.method, stores())
    assert [(one.run.seed, one.store) for one in found] == [
        (0, paths.RESULTS),
        (0, paths.KEPT / "campaign"),
        (2, paths.KEPT / "campaign"),
    ]
    assert find_runs(RUN.task, "td3_bc", stores()) == []


@pytest.mark.parametrize("name", ["campaign", "kept/campaign", "results/kept/campaign"])
def test_a_store_may_be_named(project, name):
    found = find_runs(RUN.task, RUN.method, stores(name))
    assert [one.run.seed for one in found] == [0, 2]


def test_a_store_that_is_not_there_names_those_that_are(project):
    with pytest.raises(UserError, match="kept/campaig: .*Did you mean 'kept/campaign'"):
        stores("kept/campaig")


def test_results_without_runs_are_no_suggestion_for_themselves(project):
    shutil.rmtree(paths.RUNS)
    with pytest.raises(UserError, match=r"no such folder .*Valid: kept/campaign\."):
        stores("results")


def test_what_is_kept_is_found_from_any_folder(project, tmp_path, monkeypatch):
    """As `snakemake --directory elsewhere` has results of its own, but keeps none."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    kept = project / paths.KEPT / "campaign"
    for name in ("campaign", "kept/campaign"):
        assert stores(name) == [kept]
    assert stores() == [paths.RESULTS, kept]
    monkeypatch.chdir(project)
    assert stores() == [paths.RESULTS, paths.KEPT / "campaign"]


def test_an_archive_reads_as_the_folder_it_was_made_of(project):
    (address,) = find_runs(RUN.task, RUN.method, stores("campaign"))[1:]
    archived, folder = read_stored(address), read_recorded(project / "2")
    assert archived.metrics.equals(folder.metrics)
    assert archived.run.evaluations.equals(folder.run.evaluations)
    assert archived.run.provenance == folder.run.provenance


def test_a_fault_inside_an_archive_names_the_archive(project):
    (address,) = find_runs(RUN.task, RUN.method, stores("campaign"))[1:]
    files = run_files(project / "2") | {"metrics.csv": b"actor/bc_loss\n0.3\n"}
    address.path.write_bytes(pack(files))
    with pytest.raises(UserError, match=r"seed2.zip/metrics.csv: no column gradient"):
        read_stored(address)


def test_an_unfinished_run_is_none(project):
    (paths.run_directory(*RUN) / paths.PROVENANCE_FILE).unlink()
    found = find_runs(RUN.task, RUN.method, stores("results"))
    assert found == []


def test_the_manifest_of_restored_runs_comes_first(project):
    address = find_runs(RUN.task, RUN.method, stores())[0]
    assert address.manifest is None
    made = write_manifest(paths.dataset_manifest(RUN.task))
    assert address.manifest == made
    restored = write_manifest(paths.restored_manifest(RUN.task))
    assert address.manifest == restored
