"""The swing between evaluations, split into chance and policy, by hand."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stored_results import make_config, write_run

from dql.results.files import UnusableRunError
from dql.results.runs import read_run
from dql.results.stability import (
    COLUMNS,
    read_episodes,
    summarize_variants,
    swing,
)


def write_evaluations(folder: Path, returns: np.ndarray):
    """Write a run with these episode returns, (evaluations, episodes)."""
    count, episodes = returns.shape
    sizes = {"num_evaluation_episodes": episodes, "num_gradient_steps": 100 * count}
    write_run(folder, make_config(training=sizes))
    rows = [
        (100 * (i + 1), e, returns[i, e], 1000)
        for i in range(count)
        for e in range(episodes)
    ]
    columns = ["gradient_step", "episode", "episode_return", "episode_length"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "evaluations.csv", index=False)
    return read_run(folder)


def test_two_evaluations_of_two_episodes_by_hand(tmp_path):
    run = write_evaluations(tmp_path, np.array([[0.0, 2.0], [10.0, 14.0]]))
    # Means 1 and 12: variance 60.5. Variances 2 and 8 of single episodes: 5 / 2 each.
    parts = swing(run)
    assert parts["swing"] == pytest.approx(60.5**0.5)
    assert parts["noise"] == pytest.approx(2.5**0.5)
    assert parts["policy"] == pytest.approx(58.0**0.5)


def test_only_the_last_evaluations_count(tmp_path):
    first = np.array([[-900.0, 900.0]])
    rest = np.array([[0.0, 2.0], [10.0, 14.0]])
    run = write_evaluations(tmp_path, np.concatenate((first, rest)))
    assert swing(run, num_last=2)["swing"] == pytest.approx(60.5**0.5)


def test_one_policys_swing_is_chance(tmp_path):
    returns = np.random.default_rng(0).normal(1000.0, 300.0, size=(400, 10))
    parts = swing(write_evaluations(tmp_path, returns), num_last=400)
    assert parts["noise"] == pytest.approx(300 / 10**0.5, rel=0.05)
    assert parts["swing"] == pytest.approx(parts["noise"], rel=0.1)
    assert parts["policy"] < 0.5 * parts["swing"]


@pytest.mark.parametrize("shape", [(1, 5), (5, 1)])
def test_too_little_to_split_gives_nothing(tmp_path, shape):
    parts = swing(write_evaluations(tmp_path, np.ones(shape)))
    assert set(parts.values()) == {None}


def test_a_mean_and_its_error_for_each_way_to_act(tmp_path):
    rows = [
        ("t", "m", 0, "online", n, n == 50, e, e * n, 9)
        for n in (1, 50)
        for e in (1, 3)
    ]
    path = tmp_path / "seed0.csv"
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(path, index=False)
    one, fifty = summarize_variants(read_episodes(path))
    assert (one["mean_return"], fifty["mean_return"]) == (2.0, 100.0)
    assert one["standard_error"] == pytest.approx(1.0)
    assert (one["as_evaluated"], fifty["as_evaluated"]) == (False, True)
    path.write_text(json.dumps({}))
    with pytest.raises(UnusableRunError, match="no column task"):
        read_episodes(path)
