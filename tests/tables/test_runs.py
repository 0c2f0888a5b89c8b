"""Every run in one table: how it was made, and a cost that counts a block once."""

import json

import pandas as pd
import pytest

from dql import paths
from dql.errors import UserError
from dql.tables.runs import RUN_COLUMNS, write_run_table


def write_runs(root, method, seeds, *, wall_seconds, steps=100):
    """Write runs that trained together: they record the time of their block."""
    for seed in seeds:
        folder = root / paths.run_directory("bandit-axes", method, seed)
        folder.mkdir(parents=True)
        config = {
            "task": "bandit-axes",
            "method": method,
            "seed": seed,
            "scale": "smoke",
            "training": {"num_gradient_steps": steps},
        }
        made = {
            "steps_per_second": 50.0,
            "wall_seconds": wall_seconds,
            "peak_memory_bytes": 2_000_000 + seed,
            "device": "cpu",
            "code_fingerprint": f"code-of-{method}",
            "dataset": {"digest": "d" * 64},
            "finished_at": "2026-01-01T00:00:00+00:00",
            "machine": {"num_cpus": 2},
            "versions": {"torch": "2.13.0"},
        }
        (folder / paths.CONFIG_FILE).write_text(json.dumps(config))
        (folder / paths.PROVENANCE_FILE).write_text(json.dumps(made))


@pytest.fixture
def tables(tmp_path):
    write_runs(tmp_path, "bcq", [0, 1, 2], wall_seconds=3600.0)
    write_runs(tmp_path, "bcq", [3], wall_seconds=1800.0)
    write_runs(tmp_path, "td3_bc", [0], wall_seconds=360.0, steps=1000)
    write_run_table(tmp_path)
    return tmp_path / paths.PROVENANCE


def test_every_run_tells_how_it_was_made(tables):
    runs = pd.read_csv(tables / "runs.csv")
    assert tuple(runs.columns) == RUN_COLUMNS and len(runs) == 5
    page = (tables / "runs.html").read_text()
    assert "code-of-td3_bc" in page and "2.13.0" in page and "d" * 13 not in page


def test_without_runs_there_is_nothing_to_describe(tmp_path):
    with pytest.raises(UserError, match="no finished run"):
        write_run_table(tmp_path)
