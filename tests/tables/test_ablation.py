"""Table 2: six variants, withheld columns, local data apart from published numbers."""

import csv

import pytest
from stored_results import make_cell, outputs

from dql.config.project import load_project
from dql.tables.ablation import TASKS, VARIANTS, write_ablation_table

GYM = {"suite": "gym", "task": "walker2d-medium-expert-v2"}


@pytest.fixture
def made(tmp_path):
    cells = [
        make_cell(tmp_path, "bc_diffusion", [1031.0, 1030.0, 1032.0], **GYM),
        make_cell(tmp_path, "diffusion_ql", [1112.0, 1111.0, 1113.0], **GYM),
        make_cell(tmp_path, "cvae_ql", [400.0, 500.0]),
    ]
    write_ablation_table(cells, outputs(tmp_path, "t"))
    return tmp_path


def rows_of(folder):
    return list(csv.DictReader((folder / "t.csv").open()))


def test_every_variant_of_every_task_has_a_row(made):
    rows = [row for row in rows_of(made) if row["task"] in TASKS]
    assert len(rows) == len(TASKS) * len(VARIANTS) == 18
    verdicts = {(r["task"], r["method"]): r["verdict"] for r in rows}
    assert verdicts["walker2d-medium-expert-v2", "diffusion_ql"] == "reproduced"
    assert verdicts["hopper-medium-expert-v2", "diffusion_ql"] == "not run"


def test_diffusion_ql_is_compared_with_table_twos_number(made):
    row = next(r for r in rows_of(made) if r["method"] == "diffusion_ql" and r["ours"])
    assert float(row["published"]) == 111.2
    assert row["ours_selection"] == row["published_selection"] == "online"


def test_columns_that_are_inferred_are_withheld(made):
    rows = [row for row in rows_of(made) if row["method"] in ("bcq", "bc_cvae")]
    assert rows and all(not row["published"] for row in rows)
    text = (made / "t.md").read_text()
    assert "withheld: hopper-medium-expert-v2, CVAE-QL" in text
    for number in ("96.1", "108.5", "110.7", "109.2"):
        assert number not in text


def test_the_best_is_bold_though_others_are_withheld(made):
    text = (made / "t.md").read_text()
    assert "| – | **114.0 ± 0.5** | – | 111.2 ± 0.9 |" in text
    assert "| average | – | 85.9 | – | 106.0 | – | **106.9** |" in text


def test_local_cells_have_a_block_of_their_own(made):
    published, _, local = (made / "t.md").read_text().partition("## Local data")
    assert "45.0 ± 5.0 (2 seeds)" in local and "45.0" not in published


def test_the_variants_are_methods():
    assert set(VARIANTS.values()) <= set(load_project().methods)
