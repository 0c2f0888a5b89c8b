"""Known answers for the statistics over several tasks."""

import numpy as np
import pytest

from dql.errors import UserError
from dql.results.suite_statistics import performance_profile, probability_of_improvement


def test_profile_by_hand():
    """Task 1: two of two above 5, one above 15; task 2: one of four above 5."""
    scores = [np.array([10.0, 20.0]), np.array([0.0, 1.0, 5.0, 6.0])]
    profile = performance_profile(scores, np.array([-1.0, 5.0, 15.0, 20.0]))
    assert profile.shares == pytest.approx([1.0, (1.0 + 0.25) / 2, 0.25, 0.0])
    assert (profile.low <= profile.shares).all()
    assert (profile.shares <= profile.high).all()
    assert profile.low[0] == profile.high[0] == 1.0
    assert profile.low[-1] == profile.high[-1] == 0.0


def test_profile_bands_have_the_binomial_width():
    scores = [np.random.default_rng(0).uniform(size=400)]
    profile = performance_profile(scores, np.array([0.5]))
    share = profile.shares[0]
    half_width = 1.96 * np.sqrt(share * (1.0 - share) / 400)
    assert profile.high[0] - share == pytest.approx(half_width, abs=0.006)
    assert share - profile.low[0] == pytest.approx(half_width, abs=0.006)


def test_profiles_resample_within_tasks():
    """Each task's runs are alike, so resampling within tasks changes nothing."""
    scores = [np.full(3, 0.0), np.full(5, 100.0)]
    profile = performance_profile(scores, np.array([50.0]))
    assert profile.low[0] == profile.shares[0] == profile.high[0] == 0.5


def test_probability_of_improvement_by_hand():
    """Pairs: 3 > 1, 3 > 2, 2 > 1, and a tie of 2 and 2: 3.5 of 4; then 0 of 1."""
    ours = [np.array([3.0, 2.0]), np.array([0.0])]
    theirs = [np.array([1.0, 2.0]), np.array([1.0])]
    found = probability_of_improvement(ours, theirs)
    assert found.value == pytest.approx((3.5 / 4 + 0.0) / 2)
    assert found.interval_95[0] <= found.value <= found.interval_95[1]


def test_probabilities_of_the_two_directions_add_up_to_one():
    generator = np.random.default_rng(0)
    ours = [generator.integers(5, size=6).astype(float) for _ in range(3)]
    theirs = [generator.integers(5, size=4).astype(float) for _ in range(3)]
    there = probability_of_improvement(ours, theirs).value
    assert there + probability_of_improvement(theirs, ours).value == pytest.approx(1)


def test_a_method_that_always_wins_wins_surely():
    found = probability_of_improvement([np.arange(5) + 10.0], [np.arange(5.0)])
    assert found.value == 1.0 and found.interval_95 == (1.0, 1.0)


def test_the_interval_of_equal_laws_has_the_width_of_mann_whitney():
    """Var U / (n m)^2 = (n + m + 1) / (12 n m) for equal laws."""
    generator = np.random.default_rng(1)
    ours, theirs = generator.normal(size=(2, 100))
    found = probability_of_improvement([ours], [theirs])
    width = 2 * 1.96 * np.sqrt(201 / (12 * 100**2))
    low, high = found.interval_95
    assert high - low == pytest.approx(width, rel=0.1)


def test_the_seed_decides():
    scores = [np.random.default_rng(0).normal(size=5)]
    ones = [probability_of_improvement(scores, scores, seed=seed) for seed in (1, 1, 2)]
    assert ones[0] == ones[1] and ones[0] != ones[2]


def test_what_has_no_runs_is_refused():
    with pytest.raises(UserError, match="at least one run of every task"):
        performance_profile([np.array([1.0]), np.array([])], np.zeros(1))
    with pytest.raises(UserError, match="same tasks"):
        probability_of_improvement([np.zeros(2)], [np.zeros(2)] * 2)
