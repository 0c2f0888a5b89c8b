"""A re-run stands beside the stored results and is judged against them."""

import sys
import types

import pytest
from rich.console import Console
from stored_results import make_config, write_run

from dql.config.schema import RunConfig
from dql.diagnostics import cell_comparison, cell_rerun
from dql.errors import UserError
from dql.results.cells import aggregate_cell


@pytest.fixture
def stored(tmp_path):
    """Return the directories of a stored and of a repeated run, and a cell file."""
    return tmp_path / "runs", tmp_path / "rerun", tmp_path / "cell.json"


def run_config(task="local-hopper-medium-expert", **options):
    return RunConfig.model_validate(make_config(task, **options))


def write(directory, run, *arguments, **options):
    return write_run(directory, run.model_dump(mode="json"), *arguments, **options)


def test_the_same_evaluations_are_the_same_bit_for_bit(stored):
    run = run_config()
    write(stored[0], run)
    write(stored[1], run)
    comparison = cell_comparison.compare_cell(run, *stored)
    assert comparison.sameness == cell_comparison.BIT_FOR_BIT
    assert comparison.verdict is None
    assert comparison.rerun.mean == pytest.approx(20.0)


def test_a_difference_within_the_noise_of_the_episodes(stored):
    """Both evaluations have a standard error of 1 point, so 2.8 points are noise."""
    run = run_config()
    write(stored[0], run, (100.0, 300.0, 200.0))
    write(stored[1], run, (100.0, 300.0, 220.0), provenance={"device": "other"})
    comparison = cell_comparison.compare_cell(run, *stored)
    assert comparison.sameness == cell_comparison.WITHIN_NOISE
    assert "device: stored cpu, now other" in comparison.reasons


def test_a_difference_beyond_the_noise(stored):
    run = run_config()
    write(stored[0], run, (100.0, 300.0, 200.0))
    write(stored[1], run, (100.0, 300.0, 240.0))
    comparison = cell_comparison.compare_cell(run, *stored)
    assert comparison.sameness == cell_comparison.DIFFERENT


def test_another_configuration_is_not_comparable(stored):
    run = run_config()
    write(stored[0], run_config(training={"num_gradient_steps": 600}), (1.0,) * 6)
    write(stored[1], run)
    comparison = cell_comparison.compare_cell(run, *stored)
    assert comparison.sameness == cell_comparison.INCOMPARABLE
    assert "training.num_gradient_steps is 600" in comparison.reasons[0]


def test_without_a_stored_run_the_published_value_is_still_shown(stored):
    run = run_config("hopper-medium-v2", suite="gym")
    write(stored[1], run)
    comparison = cell_comparison.compare_cell(run, *stored)
    assert comparison.stored is None and comparison.cell is None
    assert comparison.sameness == cell_comparison.NO_STORED
    assert comparison.published.score == 90.5
    assert comparison.verdict.verdict == "inconclusive"
    console = Console(record=True, width=100)
    cell_rerun.print_comparison(comparison, console)
    text = console.export_text()
    assert "90.50 ± 4.60 (5 seeds)" in text and "-70.50" in text
    assert "gradient steps: 300, the paper's 2,000,000" in text


def test_a_diverged_rerun_is_an_error(stored):
    run = run_config()
    diverged = {"step": 7, "term": "critic/loss"}
    write(stored[1], run, (1.0,), provenance={"diverged": diverged})
    with pytest.raises(UserError, match="diverged at gradient step 7 in critic/loss"):
        cell_comparison.compare_cell(run, *stored)


def fake_training(monkeypatch, train):
    """Stand in for the training module, which loads torch."""
    module = types.ModuleType("dql.training.loop")
    module.train = train
    monkeypatch.setitem(sys.modules, "dql.training.loop", module)
    monkeypatch.setattr("dql.training.loop", module, raising=False)


def test_rerun_trains_afresh_beside_the_stored_run(stored, monkeypatch):
    run = run_config()
    write(stored[0], run)
    aggregate_cell([run.model_dump(mode="json")], [stored[0]], stored[2])
    before = (stored[0] / "evaluations.csv").read_bytes()
    write(stored[1], run, (0.0, 0.0, 0.0))
    seen = []

    def train(configs, directories, *, foreign_checkpoint):
        seen.append((directories[0].exists(), foreign_checkpoint))
        write(directories[0], configs[0])

    fake_training(monkeypatch, train)
    console = Console(record=True, width=100)
    comparison = cell_rerun.rerun_cell(
        run, stored=stored[0], rerun=stored[1], cell=stored[2], console=console
    )
    assert seen == [(False, "discard")]
    assert comparison.sameness == cell_comparison.BIT_FOR_BIT
    assert (stored[0] / "evaluations.csv").read_bytes() == before
    text = console.export_text()
    assert "same bit for bit" in text and "no published number" in text
    assert "gradient steps 300" in text and "wall seconds 2.0" in text


def test_rerun_refuses_to_write_over_the_stored_run(tmp_path):
    with pytest.raises(UserError, match="may not write over"):
        cell_rerun.rerun_cell(run_config(), stored=tmp_path, rerun=tmp_path)
