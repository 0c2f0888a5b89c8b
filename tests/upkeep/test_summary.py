"""The closing summary prints what there is and stays silent about what is not."""

import json
import os
import subprocess
import sys

import pytest
from rich.console import Console
from stored_results import make_config, write_bandit_run, write_manifest, write_run

from dql import paths
from dql.claims.bandit import write_claims
from dql.claims.file import FAILS
from dql.claims.page import write_claims as write_all_claims
from dql.environments import bandit
from dql.paths import SOURCE
from dql.results.bandit_summary import write_summary
from dql.results.cells import aggregate_cell
from dql.results.files import read_json
from dql.upkeep.summary import print_summary


def printed(root, width=120):
    console = Console(record=True, width=width)
    print_summary(console, root)
    return console.export_text()


def test_an_empty_folder_says_what_to_run(tmp_path):
    assert printed(tmp_path).strip() == "Nothing made yet; run: make"


def test_a_folder_with_data_only_has_a_summary(tmp_path):
    manifest = tmp_path / paths.dataset_manifest("local-hopper-medium-expert")
    write_manifest(manifest)
    text = printed(tmp_path)
    assert "1 dataset (results/datasets/)" in text
    assert "Bandit" not in text and "claims:" not in text


@pytest.fixture
def root(tmp_path):
    """Write bandit runs, a local cell, a figure and the claims."""
    runs = [
        write_bandit_run(
            tmp_path / paths.RUNS, "axes", "bc_diffusion", seed,
            *bandit.sample_data("axes", 200, seed), 50,
        )
        for seed in range(3)
    ]  # fmt: skip
    write_summary(runs, tmp_path / paths.BANDIT_SUMMARY)
    claims = tmp_path / paths.BANDIT_CLAIMS
    write_claims(tmp_path / paths.BANDIT_SUMMARY, [claims, claims.with_suffix(".md")])
    write_all_claims(tmp_path)
    config = make_config()
    run = paths.run_directory(config["task"], config["method"], 0)
    write_run(tmp_path / run, config)
    cell = tmp_path / paths.cell_file(config["task"], config["method"])
    manifest = write_manifest(tmp_path / paths.dataset_manifest(config["task"]))
    aggregate_cell([config], [tmp_path / run], cell, manifest=manifest)
    figure = tmp_path / paths.figure_file("bandit_axes", "pdf")
    figure.parent.mkdir(parents=True)
    figure.write_bytes(b"%PDF")
    return tmp_path


def test_an_output_without_the_signs_gets_question_marks(root):
    """`±`, and the frames of tables, in a terminal that knows ASCII only."""
    command = [sys.executable, "-m", "dql", "summary"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert b"score ? standard error" in b" ".join(done.stdout.split())


def test_summary_prints_numbers_and_places(root):
    text = printed(root)
    assert "1 figure (figures/), 1 cell (results/cells/), 4 runs" in text
    assert "means over 3 seeds after 1,000 gradient steps" in text
    row = next(line for line in text.splitlines() if "BC-Diffusion" in line)
    assert row.split()[:2] == ["BC-Diffusion", "4.0"]
    assert "20.0 (1 seed)" in text and "50.0" in text
    assert "0 hold, 0 do not hold, 28 are not tested here" in text
    assert "2 not tested here: needs 3,000 gradient steps, has 1,000" in text
    assert "not tested here for other reasons" in text
    assert "All claims: 16 hold, 10 do not hold, " in text
    assert "bandit: gradient steps: 1,000, the paper's 2,000,000" in text
    assert "transitions: 200, the paper's 10,000" in text
    assert "local: gradient steps: 300, the paper's 2,000,000" in text
    assert "seeds: 1, the paper's 5" in text


def test_claims_that_fail_are_named_and_cells_beyond_the_first_counted(root):
    claims = read_json(root / paths.BANDIT_CLAIMS)
    for claim in claims["claims"]:
        claim["verdict"] = FAILS
    claims["counts"] = dict.fromkeys(claims["counts"], 1)
    (root / paths.BANDIT_CLAIMS).write_text(json.dumps(claims))
    (cell,) = (root / paths.CELLS).glob("local-*/*.json")
    content = read_json(cell)
    for index in range(11):
        content["method"] = f"idql@N={index + 1}"
        content["label"] = f"IDQL {index}"
        content["scores"][content["headline"]]["mean"] = float(index)
        cell.with_name(f"idql{index}.json").write_text(json.dumps(content))
    text = printed(root, width=80)
    assert "1 holds, 1 does not hold, 1 is not tested here" in text
    statement = claims["claims"][0]["statement"]
    assert f"  does not hold [axes, corners]: {statement}"[:78] in text
    assert "IDQL 10 " in text and "IDQL 5 " not in text
    assert "7 more in results/tables/local.md" in text
    # One screen, also where much went wrong.
    assert len(text.splitlines()) <= 40


def test_a_screen_of_80_columns_cuts_no_number(root):
    assert "…" not in printed(root, width=80)
