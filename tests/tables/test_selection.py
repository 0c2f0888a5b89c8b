"""Offline against online selection: each is compared with its own published number."""

import csv

import pytest
from stored_results import make_cell, make_config, outputs, write_run

from dql.results.cells import aggregate_cell
from dql.tables.selection import write_selection_table

TASK = "hopper-medium-v2"
REFERENCE = {"reference_min_score": 0.0, "reference_max_score": 1000.0}


@pytest.fixture
def made(tmp_path):
    """Write the table of a cell whose last evaluation is neither rule's."""
    configs = [
        make_config(TASK, "diffusion_ql", seed, suite="gym", environment=REFERENCE)
        for seed in range(3)
    ]
    folders = [tmp_path / str(seed) for seed in range(3)]
    for config, folder in zip(configs, folders, strict=True):
        write_run(folder, config, (905.0, 966.0, 100.0), losses=(0.2, 0.1, 0.3))
    aggregate_cell(configs, folders, tmp_path / "cell.json")
    local = make_cell(tmp_path, "diffusion_ql", [400.0, 500.0])
    write_selection_table([tmp_path / "cell.json", local], outputs(tmp_path, "t"))
    return tmp_path


def test_both_rules_meet_their_own_number(made):
    rows = list(csv.DictReader((made / "t.csv").open()))
    ours = {row["ours_selection"]: row for row in rows if row["task"] == TASK}
    assert float(ours["offline"]["published"]) == 90.5
    assert float(ours["online"]["published"]) == 96.6
    for row in ours.values():
        assert float(row["difference"]) == pytest.approx(0.0, abs=1e-3)
        assert row["num_seeds"] == "3"


def test_the_gap_and_the_papers_average(made):
    text = (made / "t.md").read_text()
    assert "| hopper-medium-v2 | 90.5 ± 0.0 | **96.6 ± 0.0** | 6.1 |" in text
    assert "| average | 87.9 | **89.4** | 1.5 |" in text
    assert "| walker2d-medium-v2 | not run | not run | – |" in text


def test_local_data_stand_apart(made):
    text = (made / "t.md").read_text()
    published, _, local = text.partition("## Local data, made here: not D4RL's")
    assert "local-hopper-medium-expert" in local
    assert "local-hopper-medium-expert" not in published
    rows = list(csv.DictReader((made / "t.csv").open()))
    local = [row for row in rows if row["task"].startswith("local-")]
    assert len(local) == 2 and all(not row["published"] for row in local)
