"""All cells of a scale in one process, and what refuses does not stop the others."""

import json

import pytest
from stored_results import write_manifest, write_run

from dql import paths
from dql.cli.main import main
from dql.config.project import load_project
from dql.errors import UserError
from dql.tables.aggregation import aggregate, aggregate_all
from dql.tables.registry import table_cells

TASK = "local-hopper-medium-expert"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Write the local runs of scale smoke, two evaluations of two episodes each."""
    monkeypatch.chdir(tmp_path)
    project = load_project(scale="smoke")
    write_manifest(paths.dataset_manifest(TASK))
    for task, method in project.cells(["local"]):
        for seed in project.suite("local").seeds:
            config = project.run_config(task, method, seed).model_dump(mode="json")
            folder = paths.run_directory(task, method, seed)
            write_run(folder, config, (100.0, 200.0), losses=(0.2, 0.1))
    return project


def test_all_cells_equal_those_made_one_by_one(project):
    assert aggregate_all(project) == 3
    for task, method in project.cells(["local"]):
        together = json.loads(paths.cell_file(task, method).read_text())
        assert together["status"] == "complete"
        assert together == json.loads(json.dumps(aggregate(project, task, method)))


def test_a_refused_cell_is_named_after_the_others_are_made(project):
    paths.dataset_manifest(TASK).unlink()
    path = paths.run_directory(TASK, "bc_diffusion", 1) / "provenance.json"
    record = json.loads(path.read_text())
    record["dataset"]["digest"] = "sha256:ffff"
    path.write_text(json.dumps(record))
    with pytest.raises(
        UserError, match="1 cells refused:\n.*bc_diffusion.*mix dataset"
    ):
        aggregate_all(project)
    assert paths.cell_file(TASK, "td3_bc").is_file()
    assert not paths.cell_file(TASK, "bc_diffusion").exists()


def test_the_command_line_makes_cells_and_tables(project):
    for verb in ("aggregate", "table"):
        with pytest.raises(SystemExit) as done:
            main([verb, "--all", "--scale", "smoke"])
        assert done.value.code == 0
    made = {path.stem for path in paths.TABLES.glob("*.md")}
    assert made == set(project.tables)


@pytest.mark.parametrize("words", [[], ["--all", TASK, "td3_bc"], [TASK]])
def test_a_cell_or_all(project, words, capsys):
    with pytest.raises(SystemExit) as done:
        main(["aggregate", *words])
    assert done.value.code == 2
    assert "give TASK and METHOD, or --all" in capsys.readouterr().err


def test_an_unknown_table_names_the_nearest(project, capsys):
    with pytest.raises(SystemExit) as done:
        main(["table", "selektion", "--scale", "smoke"])
    assert done.value.code == 2
    assert "Did you mean 'selection'" in capsys.readouterr().err
    assert not paths.TABLES.exists()


def test_the_bandit_has_no_cells(project):
    for name in project.tables:
        assert not any(
            task.startswith("bandit") for task, _ in table_cells(project, name)
        )
