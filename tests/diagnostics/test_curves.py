"""Curves of two runs meet at the steps that both recorded, and nowhere else."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from stored_results import make_config, write_run

from dql.diagnostics.curves import (
    FIRST_TOLERANCE,
    METRIC_TOLERANCE,
    common_steps,
    metric_curves,
    score_curve,
)
from dql.results.stored_runs import read_recorded


def record(directory, returns, losses=(0.3, 0.2, 0.1), **options):
    return read_recorded(
        write_run(directory, make_config(**options), returns, losses=list(losses))
    )


def test_scores_are_compared_where_both_were_evaluated(tmp_path):
    """Episodes stand 10 above and below the mean: its standard error is 1 point."""
    long = record(tmp_path / "long", (100.0, 300.0, 200.0))
    short = record(tmp_path / "short", (100.0, 310.0))
    curve = score_curve(long.run, short.run, 300)
    assert curve.steps == [100, 200]
    assert curve.stored == pytest.approx([10.0, 30.0])
    assert curve.rerun == pytest.approx([10.0, 31.0])
    width = norm.ppf(1 - 0.025 / 2) * 2**0.5  # 95% for two evaluations together
    assert curve.tolerances == pytest.approx([width, width])
    assert curve.is_within_tolerance and not curve.is_identical
    assert curve.first_difference == 200


def test_what_lies_beyond_the_first_part_does_not_count(tmp_path):
    long = record(tmp_path / "long", (100.0, 300.0, 200.0))
    short = record(tmp_path / "short", (100.0, 999.0))
    assert score_curve(long.run, short.run, 150).is_identical
    assert score_curve(long.run, short.run, 50) is None
    assert not score_curve(long.run, short.run, 200).is_within_tolerance


def test_the_same_mean_of_other_episodes_is_not_identical(tmp_path):
    first = record(tmp_path / "first", (100.0,))
    second = record(tmp_path / "second", (100.0,))
    second.run.evaluations["episode_return"] = [80.0, 120.0]
    curve = score_curve(first.run, second.run, 100)
    assert curve.differences == pytest.approx([0.0])
    assert not curve.is_identical


@pytest.mark.parametrize("share", [0.9, 1.1])
def test_at_first_a_metric_may_differ_by_rounding_only(tmp_path, share):
    gap = share * FIRST_TOLERANCE * 3.0
    first = record(tmp_path / "first", (1.0, 1.0), (3.0, 4.0))
    second = record(tmp_path / "second", (1.0, 1.0), (3.0 + gap, 4.0))
    (curve,) = metric_curves(first, second, 200)
    assert curve.is_within_tolerance == (share < 1)


@pytest.mark.parametrize("share", [0.9, 1.1])
def test_later_a_metric_may_differ_by_a_share_of_its_size(tmp_path, share):
    losses = (3.0, 4.0)
    gap = share * METRIC_TOLERANCE * np.sqrt((3.0**2 + 4.0**2) / 2)
    first = record(tmp_path / "first", (1.0, 1.0), losses)
    second = record(tmp_path / "second", (1.0, 1.0), (3.0, 4.0 + gap))
    (curve,) = metric_curves(first, second, 200)
    assert curve.name == "actor/bc_loss"
    assert curve.is_within_tolerance == (share < 1)
    assert curve.first_difference == 200


def test_the_last_digit_counts(tmp_path):
    first = record(tmp_path / "first", (1.0,), (0.1,))
    second = record(tmp_path / "second", (1.0,), (np.nextafter(0.1, 1),))
    (curve,) = metric_curves(first, second, 100)
    assert not curve.is_identical


def test_a_metric_that_is_not_logged_at_every_step(tmp_path):
    first = record(tmp_path / "first", (1.0, 1.0), (0.3, np.nan))
    same = record(tmp_path / "same", (1.0, 1.0), (0.3, np.nan))
    more = record(tmp_path / "more", (1.0, 1.0), (0.3, 0.2))
    (curve,) = metric_curves(first, same, 200)
    assert curve.steps == [100] and curve.is_identical
    (curve,) = metric_curves(first, more, 200)
    assert curve.steps == [100, 200] and not curve.is_within_tolerance


def test_common_steps_of_runs_that_recorded_at_other_intervals():
    tables = [pd.DataFrame({"gradient_step": steps}) for steps in ([2, 4, 6], [3, 6])]
    assert common_steps(*tables, 6) == [6]
    assert common_steps(*tables, 5) == []
