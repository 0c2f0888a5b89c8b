"""The offline selection rule, as the paper's text says and as its code does."""

import numpy as np
import pytest

from dql.errors import UserError
from dql.results.selection import mean_losses, select_offline, stop_index


def test_losses_are_averaged_over_each_evaluation_interval():
    steps = np.array([50, 100, 150, 200])
    means = mean_losses(steps, np.array([4.0, 2.0, 1.0, 3.0]), np.array([100, 200]))
    assert means.tolist() == [3.0, 2.0]


def test_an_interval_without_log_rows_has_no_loss():
    means = mean_losses(np.array([150]), np.array([1.0]), np.array([100, 200]))
    assert np.isnan(means[0]) and means[1] == 1.0


def test_training_stops_at_the_first_rise():
    assert stop_index(np.array([5.0, 4.0, 4.5, 1.0])) == 2
    assert stop_index(np.array([5.0, 4.0, 3.0])) == 2


def test_the_two_rules_differ_where_the_released_index_is_wrong():
    """Losses 3, 1, 2 rise at the third: the second lowest is index 2, not index 0."""
    losses = np.array([3.0, 1.0, 2.0])
    assert select_offline(losses, rank=1, rule="text") == 2
    assert select_offline(losses, rank=1, rule="as-released") == 0


def test_checkpoints_after_the_stop_are_not_considered():
    losses = np.array([5.0, 4.0, 4.5, 0.1, 0.2])
    assert select_offline(losses, rank=1) == 2


def test_too_few_evaluations_select_nothing():
    assert select_offline(np.array([1.0]), rank=1) is None


def test_an_unknown_rule_is_refused():
    with pytest.raises(UserError, match="as-released"):
        select_offline(np.array([1.0, 2.0]), rule="as-relesed")
