"""The cost of a cell: a process's time counts once, foreign runs do not count."""

import csv

import pytest
from stored_results import make_config, outputs, write_run

from dql.tables.compute import CellRuns, write_compute_table


@pytest.fixture
def made(tmp_path):
    """Two runs of one process, one of another, one foreign, one missing."""
    config = make_config(method="td3_bc")
    folders = {seed: tmp_path / str(seed) for seed in range(5)}
    for seed, seconds in ((0, 3600.0), (1, 3600.0), (2, 1800.0)):
        record = {
            "wall_seconds": seconds,
            "gpu_seconds": seconds / 2,
            "steps_per_second": 100.0 + seed,
            "peak_memory_bytes": 10**9 * (seed + 1),
            "device": "cpu" if seed else "NVIDIA H100",
            "num_gradient_steps": 100 if seed == 2 else 300,
        }
        write_run(folders[seed], {**config, "seed": seed}, provenance=record)
    write_run(
        folders[3], make_config(method="td3_bc", seed=3, training={"batch_size": 1})
    )
    other = make_config("local-other", "td3_bc")
    cells = [CellRuns(config, folders), CellRuns(other, {0: tmp_path / "none"})]
    write_compute_table(cells, outputs(tmp_path, "t"))
    return tmp_path


def test_sums_and_means(made):
    row = next(csv.DictReader((made / "t.csv").open()))
    assert (row["num_runs"], row["num_expected"]) == ("3", "5")
    assert float(row["wall_hours"]) == 1.5
    assert float(row["gpu_seconds"]) == 2700.0
    assert float(row["steps_per_second"]) == 101.0
    assert float(row["peak_memory_bytes"]) == 3e9
    assert row["device"] == "NVIDIA H100, cpu"


def test_markdown_names_what_is_not_counted(made):
    text = (made / "t.md").read_text()
    assert "| 3 of 5 | 300 | 1.5 | 2,700 | 101.0 | 3.00 | NVIDIA H100, cpu |" in text
    assert "| local-other | td3_bc | 0 | – | not run |" in text
    assert "seed 3: other configuration: training.batch_size is 1" in text
    assert "seed 4" in text and "no such file" in text
    assert (
        "stopped early: local-hopper-medium-expert, td3_bc, seed 2: at step 100" in text
    )
    assert "| total | – | 3 | – | 1.5 | 2,700 |" in text
    assert "idle or loaded" in text
