"""The bundle: code at the commit and results in one zip, described as an RO-Crate."""

import json
import subprocess
import time
import tomllib
import zipfile
from datetime import UTC, date, datetime

import pytest
from results_folder import RUN, write_finished_run, write_results
from rocrate.rocrate import ROCrate

from dql import paths
from dql.config.project import load_project
from dql.config.yaml_text import read_yaml
from dql.errors import UserError
from dql.publication.bundle import write_bundle
from dql.publication.crate import METADATA, PROFILES
from dql.publication.page import write_page

MAX_BYTES = 30_000_000
PROJECT = load_project(scale="quick")
CODE = (
    "CITATION.cff",
    "LICENSE",
    "README.md",
    "Snakefile",
    "requirements.lock",
    "workflow/claims.yaml",
    "workflow/config/config.yaml",
    "dql/__init__.py",
)


def git(folder, *words):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def make_source(folder):
    """Make a repository with the parts of this one that a bundle names."""
    for name in CODE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((paths.SOURCE / name).read_bytes())
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "start")
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return make_source(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("a folder")
    write_page(write_results(root), root)
    run = root / paths.run_directory(*RUN)
    (run / "checkpoint").mkdir()
    (run / "checkpoint" / "policy.safetensors").write_bytes(b"large")
    (root / paths.TABLES / ".lock.tmp").write_text("")
    return root


@pytest.fixture(scope="module")
def bundle(root, source):
    return write_bundle(PROJECT, root, source)


@pytest.fixture(scope="module")
def crate(bundle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(bundle) as content:
        content.extractall(folder)
    return ROCrate(folder)


def test_it_holds_code_results_and_metrics_and_nothing_large(bundle, root):
    with zipfile.ZipFile(bundle) as content:
        names = content.namelist()
        assert content.testzip() is None
        page = content.read("results/index.html")
    assert bundle.name == "dql-0.1.0-quick.zip"
    assert names == sorted(names) and set(CODE) <= set(names)
    run = paths.run_directory(*RUN).as_posix()
    assert {name.rpartition("/")[2] for name in names if name.startswith(run)} == {
        "config.json", "metrics.csv", "evaluations.csv", "provenance.json"
    }  # fmt: skip
    assert page == (root / paths.PAGE).read_bytes()
    assert "figures/bandit/bandit_axes.pdf" in names
    assert not [name for name in names if "/." in name or "checkpoint" in name]


def test_the_same_results_give_the_same_bytes(bundle, root, source):
    first = bundle.read_bytes()
    bundle.unlink()
    assert write_bundle(PROJECT, root, source).read_bytes() == first


def test_files_have_the_time_of_the_commit(bundle, source):
    seconds = int(git(source, "show", "--no-patch", "--format=%ct"))
    expected = datetime.fromtimestamp(seconds, UTC)
    with zipfile.ZipFile(bundle) as content:
        times = {entry.date_time for entry in content.infolist()}
    (only,) = times
    # A zip keeps even seconds.
    assert abs(datetime(*only, tzinfo=UTC) - expected).total_seconds() < 2


def test_the_crate_is_of_the_workflow_run_profile(crate):
    """What the profile says a crate MUST have, version 0.5."""
    root = crate.root_dataset
    assert {profile.id for profile in root["conformsTo"]} == set(PROFILES)
    for word in ("name", "description", "license", "datePublished"):
        assert root[word]
    workflow = crate.mainEntity
    assert workflow.id == "Snakefile"
    assert set(workflow.type) == {"File", "SoftwareSourceCode", "ComputationalWorkflow"}
    assert workflow["programmingLanguage"]["name"] == "Snakemake"
    (action,) = crate.get_by_type("CreateAction")
    assert root["mentions"] is action
    assert action["instrument"] is workflow
    assert action["object"] and action["result"]
    (descriptor,) = [
        entity for entity in crate.metadata.generate()["@graph"]
        if entity["@id"] == METADATA
    ]  # fmt: skip
    assert {"@id": "https://w3id.org/ro/crate/1.1"} in descriptor["conformsTo"]


def test_the_crate_names_only_what_is_there_and_everything_once(crate, bundle):
    with zipfile.ZipFile(bundle) as content:
        names = content.namelist()
        graph = json.loads(content.read(METADATA))["@graph"]
    ids = [entity["@id"] for entity in graph]
    assert len(ids) == len(set(ids))
    for entity in crate.data_entities:
        there = [name for name in names if name.startswith(entity.id)]
        assert there if entity.id.endswith("/") else entity.id in names
    parts = {entity.id for entity in crate.root_dataset["hasPart"]}
    assert {"results/index.html", "results/claims.json", "results/tables/"} <= parts
    assert {"dql/", "workflow/config/", "requirements.lock"} <= parts


def test_the_run_has_its_times_versions_and_commit(crate, source):
    (action,) = crate.get_by_type("CreateAction")
    assert action["endTime"] == "2026-11-20T10:00:00+00:00"
    assert action["startTime"] == "2026-11-20T09:59:58+00:00"
    assert "torch 2.13.0" in action["description"]
    commit = git(source, "rev-parse", "HEAD").strip()
    assert commit in crate.root_dataset["description"]


def test_locks_may_be_newer_than_the_commit_and_nothing_else(root, tmp_path):
    source = make_source(tmp_path)
    (source / "dvc.lock").write_text("schema: '2.0'\n")
    git(source, "add", "--all")
    git(source, "commit", "--quiet", "--message", "lock")
    (source / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    with zipfile.ZipFile(write_bundle(PROJECT, root, source)) as content:
        assert b"stages" in content.read("dvc.lock")
    (source / "Snakefile").write_text("# changed\n")
    with pytest.raises(UserError, match="1 files differ.*Snakefile.*git commit"):
        write_bundle(PROJECT, root, source)


def test_before_anything_was_made_it_says_what_to_do(tmp_path, source):
    with pytest.raises(UserError, match="results/runs is not there; run: make"):
        write_bundle(PROJECT, tmp_path, source)
    write_finished_run(tmp_path)
    with pytest.raises(UserError, match=r"index\.html is not there; run: make"):
        write_bundle(PROJECT, tmp_path, source)
    assert not list(tmp_path.rglob("*.zip"))


def test_without_a_commit_it_says_what_to_do(root, tmp_path):
    with pytest.raises(UserError, match="no git repository"):
        write_bundle(PROJECT, root, tmp_path)


@pytest.mark.skipif(not (paths.SOURCE / ".git").exists(), reason="not a git checkout")
def test_the_whole_repository_makes_a_small_bundle_in_seconds(root, tmp_path):
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--no-hardlinks", str(paths.SOURCE), str(clone))
    start = time.perf_counter()
    bundle = write_bundle(PROJECT, root, clone)
    assert time.perf_counter() - start < 60
    assert bundle.stat().st_size < MAX_BYTES
    with zipfile.ZipFile(bundle) as content:
        assert "results/kept/quick/runs.csv" in content.namelist()


def test_the_citation_names_this_version_and_a_date():
    citation = read_yaml(paths.SOURCE / "CITATION.cff")
    project = tomllib.loads((paths.SOURCE / "pyproject.toml").read_text())["project"]
    assert citation["version"] == project["version"]
    assert isinstance(citation["date-released"], date | str)
    assert date.fromisoformat(str(citation["date-released"])) >= date(2026, 1, 1)
