"""The table of remade data: Table 1's form, the paper's number and no verdict."""

import csv

import pytest
from stored_results import make_cell, outputs

from dql.config.project import load_project
from dql.tables.registry import remade_cells
from dql.tables.remade import write_remade_table
from dql.tables.remade_rows import Expected

TASK = "remade-hopper-medium"
NAMESAKE = "hopper-medium-v2"
OPTIONS = {
    "task": TASK,
    "suite": "remade",
    "environment": {
        "namesake": NAMESAKE,
        "dataset": {
            "source": "remade",
            "parts": [{"policy": "actions-hopper-medium-v2", "share": 1}],
        },
    },
}


def expect(*methods):
    """Return expected cells of the task; D4RL's own data score 44.3."""
    return [Expected(TASK, method, method, NAMESAKE, 44.3) for method in methods]


def made(folder, cells, expected, min_steps=0):
    """Return the table as Markdown and as rows."""
    files = outputs(folder, "remade")
    write_remade_table(cells, files, expected=expected, min_steps=min_steps)
    text = (folder / "remade.md").read_text()
    return text, list(csv.DictReader((folder / "remade.csv").open()))


@pytest.fixture
def half_way(tmp_path):
    """Return the table of a campaign with two of three seeds of one cell of three."""
    cells = [
        make_cell(tmp_path, "diffusion_ql", [800.0, 900.0, None], **OPTIONS),
        make_cell(tmp_path, "iql", [None], **OPTIONS),
    ]
    expected = expect("diffusion_ql", "iql", "td3_bc", "diffusion_ql@N=2")
    return made(tmp_path, cells, expected)


def test_the_title_says_whose_data_how_long_and_how_many_seeds(half_way):
    title = half_way[0].splitlines()[0]
    assert "Remade" in title and "not D4RL's files" in title
    assert "Gym" not in title and "clones" not in title  # AntMaze's are of neither
    assert "300 gradient steps, 2 seeds" in title


def test_each_selection_and_the_gap_have_a_grid_with_the_datas_score(half_way):
    grids = dict(
        part.split("\n", 1) for part in half_way[0].split("\n## ") if "\n" in part
    )
    row = f"| {TASK} | 50.0 | "
    rest = "| not run | not run |"
    assert f"{row}85.0 ± 5.0 (2 of 3 seeds) {rest}" in grids["Last evaluation"]
    offline = next(text for name, text in grids.items() if name.startswith("Offline"))
    online = next(text for name, text in grids.items() if name.startswith("Online"))
    assert f"{row}85.0 ± 5.0 (2 of 3 seeds) {rest}" in offline
    assert f"{row}85.0 ± 5.0 (2 of 3 seeds) {rest}" in online
    assert f"{row}0.0 ± 0.0 | – | – |" in grids["Selection gap (online − offline)"]
    variants = grids["Variants"].splitlines()
    assert [line.split(" | ")[1] for line in variants[3:5]] == [
        "diffusion_ql",
        "diffusion_ql@N=2",
    ]


def test_the_papers_number_stands_beside_ours_without_a_verdict(half_way):
    text, rows = half_way
    assert "| 50.0 | 44.3 | 85.0 ± 5.0 | offline | 2 of 3 | 90.5 ± 4.6 | −5.5 |" in text
    assert "| 50.0 | 44.3 | not run | – | 0 of 1 | 66.3 | – |" in text
    for word in ("reproduced", "inconclusive", "better", "worse"):
        assert word not in text
    by_method = {row["method"]: row for row in rows}
    assert float(by_method["diffusion_ql"]["difference"]) == pytest.approx(-5.5)
    assert by_method["td3_bc"]["status"] == by_method["iql"]["status"] == "not run"
    assert by_method["td3_bc"]["published"] == "59.3"
    assert by_method["diffusion_ql@N=2"]["published"] == ""


def test_runs_still_to_do_are_no_problem_to_report(half_way):
    assert "left out" not in half_way[0] and "no such file" not in half_way[0]


def test_the_best_is_bold_where_every_method_has_three_seeds(tmp_path):
    means = [800.0, 900.0, 850.0]
    cells = [
        make_cell(tmp_path, "diffusion_ql", means, **OPTIONS),
        make_cell(tmp_path, "iql", [mean - 100.0 for mean in means], **OPTIONS),
    ]
    text, _ = made(tmp_path, cells, expect("diffusion_ql", "iql"))
    assert "**85.0 ± 2.9 (3 seeds)** | 75.0 ± 2.9 (3 seeds)" in text
    text, _ = made(tmp_path, cells, expect("diffusion_ql", "iql", "td3_bc"))
    assert "**" not in text


def test_short_runs_are_called_too_short_to_rank(tmp_path):
    cells = [make_cell(tmp_path, "diffusion_ql", [800.0], **OPTIONS)]
    text, _ = made(tmp_path, cells, expect("diffusion_ql"), min_steps=301)
    assert "too short to rank, 300 gradient steps" in text.splitlines()[0]
    text, _ = made(tmp_path, cells, expect("diffusion_ql"), min_steps=300)
    assert "too short" not in text


def test_nothing_run_yet(tmp_path):
    text, rows = made(tmp_path, [], expect("diffusion_ql"))
    assert "not run yet" in text.splitlines()[0]
    assert [row["status"] for row in rows] == ["not run"]


def test_the_scale_evidence_has_the_papers_number_for_every_task():
    found = remade_cells(load_project(scale="evidence"))
    assert len({row.task for row in found}) == 10
    by_task = {row.task: row for row in found if row.method == "diffusion_ql"}
    assert by_task["remade-hopper-medium"].d4rl_score == pytest.approx(44.3, abs=0.05)
    assert by_task["remade-hopper-medium-expert"].d4rl_score is None
