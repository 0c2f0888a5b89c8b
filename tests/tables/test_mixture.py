"""TD3+BC-GM against Diffusion-QL: bandit, D4RL and local, no unsourced number."""

import csv

import pandas as pd
from stored_results import make_cell, outputs

from dql.config.project import load_project
from dql.results.bandit_summary import COLUMNS
from dql.tables.mixture import write_mixture_table


def write_summary(path):
    rows = [
        ("corners", "ql_mdn", 0, 1, 0.5, 0.4, 0.2, 3.0),
        ("corners", "ql_mdn", 1, 3, 0.7, 0.6, 0.4, 5.0),
        ("corners", "ql_mdn", 2, None, None, None, None, None),
        ("corners", "ql_mdn@num_components=4", 0, 4, 1.0, 0.9, 0.1, 4.5),
        ("corners", "bcq", 0, 1, 1.0, 1.0, 0.1, 4.9),
        ("axes", "td3_bc", 0, 1, 1.0, 1.0, 0.1, 4.9),
    ]
    table = pd.DataFrame(rows, columns=COLUMNS[:8])
    table.assign(num_gradient_steps=60, num_denoising_steps=None).to_csv(
        path, index=False
    )
    return path


def test_bandit_rows_are_means_over_seeds(tmp_path):
    summary = write_summary(tmp_path / "summary.csv")
    label = load_project().label
    write_mixture_table([], outputs(tmp_path, "t"), label, summary)
    text = (tmp_path / "t.md").read_text()
    row = next(line for line in text.splitlines() if "(1 diverged)" in line)
    assert row == (
        "| TD3+BC-GM | 2 (1 diverged) | 2.00 ± 1.41 | 60.0 ± 14.1 | 50.0 ± 14.1 "
        "| 0.30 ± 0.14 | 4.00 ± 1.41 |"
    )
    assert "| TD3+BC-GM (num_components = 4) | 1 | 4.00 |" in text
    assert "| TD3+BC | 0 | not run |" in text and "BCQ" not in text


def test_the_papers_mixture_numbers_are_not_printed(tmp_path):
    task = {"suite": "gym", "task": "hopper-medium-expert-v2"}
    cell = make_cell(tmp_path, "ql_mdn", [900.0, 1000.0], **task)
    write_mixture_table([cell], outputs(tmp_path, "t"), str)
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    mixture = [row for row in rows if row["method"] == "ql_mdn"]
    assert all(not row["published"] for row in mixture)
    assert [row["verdict"] for row in mixture].count("no published number") == 1
    others = [row for row in rows if row["method"] != "ql_mdn"]
    assert all(row["published_status"] == "primary" for row in others)
    assert "no source at hand" in (tmp_path / "t.md").read_text()
