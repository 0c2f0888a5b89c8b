"""A re-run stands beside the stored results and is judged against them."""

import json

import pytest
from rich.console import Console
from stored_results import make_config, write_run

from dql.config.project import RunKey
from dql.config.schema import RunConfig
from dql.diagnostics.cell_comparison import (
    ALIKE,
    BIT_FOR_BIT,
    DIFFERENT,
    WITHIN_TOLERANCE,
    compare_cell,
)
from dql.diagnostics.cell_report import as_json, print_comparison
from dql.diagnostics.differences import with_steps
from dql.results.cells import aggregate_cell
from dql.results.stored_runs import Address, read_recorded

TASK = "local-hopper-medium-expert"
CRITIC = {"step": 200, "term": "critic/loss"}


def run_config(task=TASK, **options):
    return RunConfig.model_validate(make_config(task, **options))


@pytest.fixture
def compare(tmp_path):
    """Return a function that compares a run of some returns with a stored one."""

    def compared(
        again,
        before=(100.0, 300.0, 200.0),
        *,
        run=None,
        steps=300,
        losses=(0.3, 0.2, 0.1),
        then=None,
        now=None,
        **options,
    ):
        run = run or run_config()
        short = with_steps(run, steps)
        key = RunKey(run.task, run.method, run.seed)
        address = Address(key, tmp_path, tmp_path / "runs" / "stored")
        configs = [one.model_dump(mode="json") for one in (run, short)]
        write_run(address.path, configs[0], before, provenance=then)
        rerun = tmp_path / "rerun"
        write_run(rerun, configs[1], again, losses=losses, provenance=now)
        recorded = read_recorded(address.path), read_recorded(rerun)
        return compare_cell(short, recorded[0], address, recorded[1], **options)

    return compared


def text_of(comparison):
    console = Console(record=True, width=120, highlight=False)
    print_comparison(comparison, console)
    return console.export_text()


def test_the_same_curves_are_the_same_bit_for_bit(compare):
    comparison = compare((100.0, 300.0, 200.0))
    assert comparison.sameness == BIT_FOR_BIT
    assert comparison.is_same and comparison.is_whole
    assert comparison.rerun.mean == pytest.approx(20.0)
    assert "no published number" in text_of(comparison)


def test_a_difference_within_the_noise_of_the_episodes(compare):
    comparison = compare((100.0, 300.0, 220.0), made_otherwise=["device: other"])
    assert comparison.sameness == WITHIN_TOLERANCE
    text = text_of(comparison)
    assert "metrics within" in text and "device: other" in text


def test_a_difference_beyond_the_noise_names_curve_and_step(compare):
    comparison = compare((100.0, 340.0, 240.0))
    assert comparison.sameness == DIFFERENT and not comparison.is_same
    (reason,) = comparison.reasons
    assert "normalized score at gradient step 200: stored 30, now 34" in reason
    assert "first digit differs at step 200" in reason


def test_a_metric_alone_tells_runs_apart(compare):
    losses = (0.3, 0.2, 0.15)
    comparison = compare((100.0, 300.0, 200.0), losses=losses)
    assert comparison.sameness == DIFFERENT
    assert "actor/bc_loss at gradient step 300" in comparison.reasons[0]
    other_noise = compare((100.0, 300.0, 200.0), losses=losses, same_draws=False)
    assert other_noise.sameness == ALIKE


def test_a_first_part_has_no_verdict_and_no_cell(compare, tmp_path):
    run = run_config("hopper-medium-v2", suite="gym")
    comparison = compare((100.0, 300.0), run=run, steps=200, losses=(0.3, 0.2))
    assert comparison.sameness == BIT_FOR_BIT and not comparison.is_whole
    assert comparison.published is None and comparison.verdict is None
    assert "first 200 of 300 gradient steps: same bit for bit" in text_of(comparison)


def test_without_an_evaluation_in_common_metrics_are_compared(compare):
    """Its own last evaluation, which the stored run lacks, does not count."""
    comparison = compare((), steps=250, losses=(0.3, 0.2))
    assert comparison.scores is None and comparison.rerun is None
    assert comparison.sameness == BIT_FOR_BIT
    assert "metrics only" in text_of(comparison)


def test_a_whole_run_stands_beside_cell_and_paper(compare, tmp_path):
    run = run_config("hopper-medium-v2", suite="gym")
    config = run.model_dump(mode="json")
    write_run(tmp_path / "runs" / "stored", config)
    cell = tmp_path / "cells" / "hopper-medium-v2" / "diffusion_ql.json"
    aggregate_cell([config], [tmp_path / "runs" / "stored"], cell)
    comparison = compare((100.0, 300.0, 200.0), run=run)
    assert comparison.cell.mean == pytest.approx(20.0)
    assert comparison.published.score == 90.5
    assert comparison.verdict.verdict == "inconclusive"
    text = text_of(comparison)
    assert "90.50 ± 4.60 (5 seeds)" in text and "-70.50" in text
    assert "gradient steps: 300, the paper's 2,000,000" in text
    assert "wall seconds 2.0" in text


@pytest.mark.parametrize(
    ("then", "now", "sameness"),
    [
        (None, CRITIC, DIFFERENT),
        (CRITIC, None, DIFFERENT),
        ({"step": 200, "term": "actor/loss"}, CRITIC, DIFFERENT),
        (CRITIC, CRITIC, BIT_FOR_BIT),
    ],
)
def test_a_run_that_diverged_is_one_that_diverged_there(compare, then, now, sameness):
    comparison = compare(
        (100.0,),
        (100.0,),
        then={"diverged": then},
        now={"diverged": now},
    )
    assert comparison.sameness == sameness
    named = "diverged: stored" in text_of(comparison)
    assert named == (sameness == DIFFERENT)


def test_a_divergence_beyond_the_first_part_does_not_count(compare):
    then = {"diverged": {"step": 300, "term": "critic/loss"}}
    now = {"diverged": {"step": 240, "term": "critic/loss"}}  # its own last step
    comparison = compare(
        (100.0, 300.0), steps=240, losses=(0.3, 0.2), then=then, now=now
    )
    assert comparison.sameness == BIT_FOR_BIT


def test_a_metric_that_one_run_logged_is_named(compare, tmp_path):
    compare((100.0, 300.0, 200.0))
    stored = read_recorded(tmp_path / "runs" / "stored")
    again = read_recorded(tmp_path / "rerun")
    again.metrics["critic/new"] = 1.0
    address = Address(RunKey(TASK, "diffusion_ql", 0), tmp_path, tmp_path / "runs")
    found = compare_cell(run_config(), stored, address, again)
    assert "critic/new: logged by the re-run only" in found.reasons


def test_json_has_no_nan_and_no_paths(compare):
    comparison = compare((100.0, 300.0, 200.0), losses=(0.3, 0.2, float("nan")))
    content = json.loads(json.dumps(as_json(comparison), allow_nan=False))
    assert content["is_same"] is False
    assert content["metrics"][0]["rerun"][2] is None
    assert content["scores"]["steps"] == [100, 200, 300]
    assert content["stored_in"].endswith("stored")
