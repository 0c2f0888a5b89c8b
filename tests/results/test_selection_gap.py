"""The luck of a maximum, on simulated returns whose expected values are known."""

import numpy as np
import pytest

from dql.errors import UserError
from dql.results.selection_gap import held_out_means, luck_of_maximum


def simulate(expected, num_episodes=10, num_runs=60, seed=0):
    """Return runs of noisy returns (K, E), standard deviation 10, and true lucks."""
    expected = np.asarray(expected, dtype=float)
    generator = np.random.default_rng(seed)
    shape = (num_runs, len(expected), num_episodes)
    runs = list(expected[:, None] + 10.0 * generator.standard_normal(shape))
    means = [run.mean(axis=1) for run in runs]
    true = [mean.max() - expected[mean.argmax()] for mean in means]
    return runs, np.array(true)


def test_with_equal_expected_returns_all_of_the_gap_is_luck():
    runs, true = simulate(np.zeros(20))
    gap = np.mean([run.mean(axis=1).max() - run[3].mean() for run in runs])
    luck = luck_of_maximum(runs)
    assert luck.mean == pytest.approx(gap, rel=0.1)
    assert luck.mean == pytest.approx(true.mean(), rel=0.1)


def test_with_one_clearly_better_evaluation_hardly_any_is_luck():
    runs, _ = simulate([0.0, 0.0, 50.0, 0.0])
    gap = np.mean([run.mean(axis=1).max() - run[0].mean() for run in runs])
    luck = luck_of_maximum(runs)
    assert gap == pytest.approx(50.0, abs=2.0)
    assert abs(luck.mean) < 0.01 * gap


@pytest.mark.parametrize("expected", [np.zeros(10), np.linspace(0.0, 10.0, 10)])
def test_the_interval_covers_the_true_luck(expected):
    runs, true = simulate(expected, num_runs=80)
    lucks = [luck_of_maximum([run], num_resamples=200) for run in runs]
    covered = [
        luck.interval_95[0] <= value <= luck.interval_95[1]
        for luck, value in zip(lucks, true, strict=True)
    ]
    assert np.mean(covered) >= 0.95


def test_luck_shrinks_with_the_square_root_of_the_episodes():
    few, many = (
        luck_of_maximum(simulate(np.zeros(8), episodes)[0], num_resamples=300).mean
        for episodes in (10, 90)
    )
    assert few / many == pytest.approx(3.0, rel=0.15)


def test_a_single_evaluation_has_no_luck_in_its_choice():
    run = np.random.default_rng(0).normal(size=(1, 2000))
    luck = luck_of_maximum([run])
    assert luck.mean == pytest.approx(0.0, abs=0.01)


def test_two_episodes_are_scored_on_the_one_left_out():
    """The first evaluation wins on episode 0 and earns 4 there, 0 on the other."""
    returns = np.array([[4.0, 0.0], [1.0, 2.0]])
    means = held_out_means(returns, 500, (0,))
    assert set(means) == {0.0, 1.0}
    assert means.mean() == pytest.approx(0.5, abs=0.07)
    assert luck_of_maximum([returns]).mean == pytest.approx(2.0 - 0.5, abs=0.07)


def test_the_mean_over_runs_is_of_each_runs_luck():
    runs, _ = simulate(np.zeros(5), num_runs=3)
    luck = luck_of_maximum(runs)
    assert len(luck.per_run) == 3
    assert luck.mean == pytest.approx(np.mean(luck.per_run))
    assert luck.interval_95[0] < luck.mean < luck.interval_95[1]


def test_the_seed_decides():
    runs, _ = simulate(np.zeros(5), num_runs=2)
    assert luck_of_maximum(runs, seed=1) == luck_of_maximum(runs, seed=1)
    assert luck_of_maximum(runs, seed=1) != luck_of_maximum(runs, seed=2)


@pytest.mark.parametrize("runs", [[], [np.zeros((3, 1))], [np.zeros(4)]])
def test_what_cannot_be_resampled_is_refused(runs):
    with pytest.raises(UserError, match="selection bias needs"):
        luck_of_maximum(runs)
