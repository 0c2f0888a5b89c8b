"""The closing summary prints what there is and stays silent about what is not."""

import pytest
from rich.console import Console
from stored_results import make_config, write_bandit_run, write_manifest, write_run

from dql import paths
from dql.claims.bandit import write_claims
from dql.claims.page import write_claims as write_all_claims
from dql.environments import bandit
from dql.results.bandit_summary import write_summary
from dql.results.cells import aggregate_cell
from dql.upkeep.summary import print_summary


def printed(root):
    console = Console(record=True, width=120)
    print_summary(console, root)
    return console.export_text()


def test_an_empty_folder_says_what_to_run(tmp_path):
    assert printed(tmp_path).strip() == "Nothing made yet; run: make"


def test_a_folder_with_data_only_has_a_summary(tmp_path):
    manifest = tmp_path / paths.dataset_manifest("local-hopper-medium-expert")
    write_manifest(manifest)
    text = printed(tmp_path)
    assert "local-hopper-medium-expert.json" in text
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


def test_summary_prints_numbers_and_places(root):
    text = printed(root)
    assert "bandit_axes.pdf" in text
    row = next(line for line in text.splitlines() if "│ bc_diffusion" in line)
    assert "4.0" in row and "3" in row
    assert "20.0 (1 seed)" in text and "50.0" in text
    assert "0 holds, 0 does not hold" in text
    assert "needs 3,000 gradient steps, has 1,000" in text
    assert "not tested here" in text
    assert "All of the paper's claims: 16 holds, " in text
    assert "bandit, gradient steps: 1,000, the paper's 2,000,000" in text
    assert "bandit, transitions: 200, the paper's 10,000" in text
    assert "local, gradient steps: 300, the paper's 2,000,000" in text
    assert "local, seeds: 1, the paper's 5" in text
