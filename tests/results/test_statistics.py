"""Known answers for every statistic, and the verdict's boundary cases."""

import numpy as np
import pytest

from dql.results import statistics
from dql.results.statistics import PublishedMean, compare

SCORES = np.array([1.0, 2.0, 3.0, 4.0, 10.0])


def test_spread_by_hand():
    assert statistics.standard_deviation(SCORES) == pytest.approx(np.sqrt(12.5))
    assert statistics.standard_error(SCORES) == pytest.approx(np.sqrt(2.5))


def test_one_score_has_no_spread():
    assert np.isnan(statistics.standard_error(np.array([3.0])))
    summary = statistics.summarize(np.array([3.0]))
    assert summary["mean"] == 3.0
    assert summary["standard_error"] is None
    assert summary["interval_95"] is None


def test_interquartile_mean_drops_a_quarter_at_each_end():
    assert statistics.interquartile_mean(SCORES) == 3.0
    assert statistics.interquartile_mean(np.arange(8.0)) == 3.5
    assert statistics.interquartile_mean(np.array([1.0, 5.0])) == 3.0


def test_bootstrap_interval_has_the_normal_width():
    scores = np.random.default_rng(1).normal(50.0, 10.0, size=400)
    low, high = statistics.bootstrap_interval(scores)
    half_width = 1.96 * statistics.standard_error(scores)
    assert low == pytest.approx(scores.mean() - half_width, abs=0.05)
    assert high == pytest.approx(scores.mean() + half_width, abs=0.05)


def test_the_seed_decides_the_interval():
    scores = np.random.default_rng(0).normal(size=(5, 3))
    first = statistics.bootstrap_interval(scores, num_resamples=200, seed=3)
    assert first == statistics.bootstrap_interval(scores, num_resamples=200, seed=3)
    assert first != statistics.bootstrap_interval(scores, num_resamples=200, seed=4)


def test_bootstrap_resamples_within_tasks():
    """Constant tasks give a degenerate interval however far apart they lie."""
    scores = np.tile([0.0, 100.0], (4, 1))
    assert statistics.bootstrap_interval(scores, num_resamples=50) == (50.0, 50.0)


def test_bootstrap_takes_another_statistic():
    interval = statistics.bootstrap_interval(
        SCORES, statistics.interquartile_mean, num_resamples=100
    )
    assert interval[0] >= 1.0 and interval[1] <= 10.0


@pytest.mark.parametrize(
    ("scores", "verdict"),
    [
        ([90.1, 90.6, 90.4, 90.2, 91.0], "reproduced"),
        ([60.0, 61.0, 59.0, 60.5, 62.0], "worse"),
        ([120.0, 121.0, 119.0, 122.0, 120.5], "better"),
        ([60.0, 110.0, 75.0], "inconclusive"),
        ([90.0], "inconclusive"),
        ([], "not run"),
    ],
)
def test_verdicts(scores, verdict):
    published = PublishedMean(90.5, 0.6, 5)
    assert compare(np.array(scores), published).verdict == verdict


def test_comparison_matches_welch_by_hand():
    """Ours 10, 12, 14 (error 2/sqrt 3), published 10 +- 1 over 5: df 4.78."""
    comparison = compare(np.array([10.0, 12.0, 14.0]), PublishedMean(10.0, 1.0, 5))
    error = np.sqrt(4.0 / 3.0 + 1.0)
    degrees = (4.0 / 3.0 + 1.0) ** 2 / ((4.0 / 3.0) ** 2 / 2.0 + 1.0 / 4.0)
    assert comparison.difference == pytest.approx(2.0)
    assert degrees == pytest.approx(4.7805, abs=1e-3)
    assert comparison.interval_95[1] == pytest.approx(2.0 + 2.607 * error, abs=0.01)
    assert comparison.verdict == "inconclusive"


def test_a_tiny_significant_difference_is_still_reproduced():
    comparison = compare(np.array([91.0, 91.1, 91.05]), PublishedMean(90.5, 0.01, 5))
    assert comparison.interval_95[0] > 0
    assert comparison.verdict == "reproduced"


def test_missing_published_error_is_said():
    comparison = compare(np.array([10.0, 11.0, 12.0]), PublishedMean(11.0, None, 5))
    assert "no published error" in comparison.reason


def test_no_spread_anywhere():
    comparison = compare(np.array([7.0, 7.0]), PublishedMean(7.0, 0.0, 5))
    assert comparison.interval_95 == (0.0, 0.0)
    assert comparison.verdict == "reproduced"
