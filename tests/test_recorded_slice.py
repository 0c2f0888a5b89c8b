"""Every method learns from recorded transitions of D4RL: slow, some minutes in all."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dql.config.project import load_project
from dql.errors import UserError

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))

from recorded_slice import (  # noqa: E402
    evaluations_of,
    kept_rows,
    methods_of,
    random_return,
    read_slice,
    summarize,
)

RECORDING = ROOT.parent / "shared" / "d4rl" / "hopper-expert-v2-slice.npz"
PROJECT = load_project(scale="ablations")
NUM_STEPS = 3000
CPU = torch.device("cpu")
needs_recording = pytest.mark.skipif(
    not RECORDING.is_file(), reason="needs ../shared/d4rl/hopper-expert-v2-slice.npz"
)


@pytest.mark.slow
@needs_recording
@pytest.mark.parametrize("method", methods_of(PROJECT))
def test_every_method_beats_random_actions(method, tmp_path):
    dataset, _ = read_slice(RECORDING)
    table = evaluations_of(PROJECT, dataset, method, NUM_STEPS, tmp_path, CPU)
    row = summarize(PROJECT, method, table)
    assert row["mean_return"] > 1.5 * random_return(PROJECT)


@needs_recording
def test_the_data_score_as_published():
    dataset, mean_return = read_slice(RECORDING)
    assert len(dataset) == 24_132
    assert mean_return == pytest.approx(3490, abs=1)


def test_episodes_are_told_apart_and_rows_of_timeouts_dropped(tmp_path):
    rows = {
        "observations": np.arange(10.0).reshape(5, 2),
        "next_observations": np.arange(10.0).reshape(5, 2) + 1,
        "actions": np.zeros((5, 1)),
        "rewards": np.array([1.0, 2.0, 3.0, 4.0, 5.0]),
        "terminals": np.array([0, 1, 0, 0, 0]),
        "timeouts": np.array([0, 0, 0, 0, 1]),
    }
    np.savez(tmp_path / "rows.npz", **rows)
    dataset, mean_return = read_slice(tmp_path / "rows.npz")
    assert dataset.rewards.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert mean_return == (3.0 + 12.0) / 2


def test_a_file_of_something_else_is_named(tmp_path):
    np.savez(tmp_path / "other.npz", actions=np.zeros(3))
    with pytest.raises(UserError, match=r"other\.npz: no file of transitions"):
        read_slice(tmp_path / "other.npz")


def test_rows_of_other_methods_stay_where_the_sizes_are_the_same(tmp_path):
    output, sizes = tmp_path / "slice.json", {"num_gradient_steps": 5}
    assert kept_rows(output, sizes, {"iql"}) == []
    rows = [{"method": "iql"}, {"method": "bcq"}]
    output.write_text(json.dumps({"methods": rows, "sizes": sizes}))
    assert kept_rows(output, sizes, {"iql"}) == [{"method": "bcq"}]
    assert kept_rows(output, {"num_gradient_steps": 6}, {"iql"}) == []
