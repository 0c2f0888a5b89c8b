"""Tables: what they print, in every format, and what they never print."""

import csv
import json
import re

import pandas as pd
import pytest
from stored_results import FORMATS, make_cell, make_config, outputs, write_run

from dql import paths
from dql.config.project import load_project
from dql.errors import UserError
from dql.results.cells import aggregate_cell
from dql.tables.d4rl import write_d4rl_table
from dql.tables.files import Block, Table, escape_latex, write_table
from dql.tables.local import write_local_table
from dql.tables.registry import METHODS, make_table, table_cells, table_runs


@pytest.fixture
def local(tmp_path):
    """Write the local table of two methods, one of which lost a run."""
    cells = [
        make_cell(tmp_path, "td3_bc", [400.0, 500.0]),
        make_cell(tmp_path, "diffusion_ql", [600.0, 700.0, None]),
    ]
    write_local_table(cells, outputs(tmp_path, "local"))
    return tmp_path


def test_local_markdown(local):
    text = (local / "local.md").read_text()
    assert "| 45.0 ± 5.0 (2 seeds) | **65.0 ± 5.0 (2 of 3 seeds)** |" in text
    assert "| local-hopper-medium-expert | 50.0 |" in text
    assert "| 300 | 20,000 |" in text
    assert "left out: local-hopper-medium-expert, diffusion_ql, seed 2" in text
    assert "not D4RL's" in text


def test_local_csv(local):
    rows = list(csv.DictReader((local / "local.csv").open()))
    assert [row["method"] for row in rows] == ["td3_bc", "diffusion_ql"]
    assert rows[1]["mean"] == "65" and rows[1]["num_seeds"] == "2"
    assert rows[0]["behavior_score"] == "50"
    assert rows[0]["num_transitions"] == "20000"
    assert rows[1]["num_left_out"] == "1"


def test_local_latex(local):
    text = (local / "local.tex").read_text()
    assert r"\textbf{65.0 $\pm$ 5.0 (2 of 3 seeds)}" in text
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(rf"\{rule}") == text.count(r"\begin{tabular}") == 3
    assert r"diffusion\_ql" in text and not re.search(r"(?<!\\)_", text)


def test_tables_are_byte_stable(local):
    before = [(local / f"local.{name}").read_bytes() for name in FORMATS]
    cells = sorted(local.glob("local-hopper-*.json"), reverse=True)
    cells = [path for path in cells if "expert-" in path.name]
    write_local_table(cells, outputs(local, "local"))
    after = [(local / f"local.{name}").read_bytes() for name in FORMATS]
    assert before == after


def test_a_diverged_cell_prints_no_number(tmp_path):
    config = make_config(method="td3_bc")
    diverged = {"diverged": {"step": 9, "term": "critic/loss"}}
    write_run(tmp_path / "run", config, (1.0,), provenance=diverged)
    aggregate_cell([config], [tmp_path / "run"], tmp_path / "cell.json")
    write_local_table([tmp_path / "cell.json"], outputs(tmp_path, "local"))
    text = (tmp_path / "local.md").read_text()
    assert "| 1 diverged |" in text
    assert (
        "diverged: local-hopper-medium-expert, td3_bc, seed 0, at gradient step 9"
        in (text)
    )


def test_the_same_cell_twice_is_refused(local):
    cell = next(local.glob("*-td3_bc.json"))
    with pytest.raises(UserError, match="a second cell of td3_bc"):
        write_local_table([cell, cell], outputs(local, "local"))


def test_a_local_table_of_nothing_says_so(tmp_path):
    expected = [("local-hopper-medium-expert", "td3_bc", "TD3+BC")]
    write_local_table([], outputs(tmp_path, "local"), expected=expected)
    assert "| – | not run |" in (tmp_path / "local.md").read_text()
    rows = list(csv.DictReader((tmp_path / "local.csv").open()))
    assert [(row["method"], row["status"]) for row in rows] == [("td3_bc", "not run")]
    write_local_table([], outputs(tmp_path, "local"))
    assert "|" not in (tmp_path / "local.md").read_text()


def test_a_method_without_cell_is_a_column_of_the_local_table(tmp_path):
    cells = [make_cell(tmp_path, "td3_bc", [400.0, 500.0])]
    expected = [("local-hopper-medium-expert", m, m) for m in ("td3_bc", "iql")]
    write_local_table(cells, outputs(tmp_path, "local"), expected=expected)
    text = (tmp_path / "local.md").read_text()
    assert "| task | behaviour data | td3_bc | iql |" in text
    assert "| 50.0 | 45.0 ± 5.0 (2 seeds) | not run |" in text


def test_local_tasks_are_averaged(tmp_path):
    cells = [
        make_cell(tmp_path, "td3_bc", [mean, mean], task=f"local-{name}")
        for name, mean in (("one", 400.0), ("two", 600.0))
    ]
    write_local_table(cells, outputs(tmp_path, "local"))
    assert "| average | 50.0 | 50.0 |" in (tmp_path / "local.md").read_text()


def test_a_cell_without_any_run_is_one_note(tmp_path):
    cell = make_cell(tmp_path, "td3_bc", [None, None, None])
    write_local_table([cell], outputs(tmp_path, "local"))
    text = (tmp_path / "local.md").read_text()
    assert "left out" not in text
    assert "not run: local-hopper-medium-expert, td3_bc, seeds 0, 1, 2" in text


def test_d4rl_table_without_any_run(tmp_path):
    write_d4rl_table([], outputs(tmp_path, "d4rl"))
    text = (tmp_path / "d4rl.md").read_text()
    assert (
        "| hopper-medium-v2 | Diffusion-QL | 90.5 ± 4.6 | – | – | 0 | – | not run |"
        in (text)
    )
    assert "| 77.0 | **87.9** | – |" in text
    assert "93.4†" in text
    rows = list(csv.DictReader((tmp_path / "d4rl.csv").open()))
    assert {row["verdict"] for row in rows} == {"not run"}
    assert all(row["published_source"] for row in rows)


def test_a_number_that_no_source_prints_is_withheld(tmp_path):
    write_d4rl_table([], outputs(tmp_path, "d4rl"))
    text = (tmp_path / "d4rl.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| kitchen-complete")]
    assert len(rows) == 2
    assert all("84.0" not in row and "**" not in row for row in rows)
    assert "withheld: kitchen-complete-v0, Diffusion-QL" in text
    latex = (tmp_path / "d4rl.tex").read_text()
    rows = [line for line in latex.splitlines() if line.startswith("kitchen-complete")]
    assert all("84.0" not in row for row in rows)


def test_d4rl_table_with_a_cell(tmp_path):
    means = [2900.0, 2920.0, 2940.0]
    reference = {"reference_min_score": -20.272305, "reference_max_score": 3234.3}
    options = {"task": "hopper-medium-v2", "suite": "gym", "environment": reference}
    cells = [
        make_cell(tmp_path, "diffusion_ql", means, **options),
        make_cell(tmp_path, "bc_mmd", means, **options),
    ]
    write_d4rl_table(cells, outputs(tmp_path, "d4rl"))
    rows = list(csv.DictReader((tmp_path / "d4rl.csv").open()))
    row = next(row for row in rows if row["ours"] and row["published"])
    assert row["task"] == "hopper-medium-v2" and row["ours_selection"] == "offline"
    assert float(row["difference"]) == pytest.approx(90.34 - 90.5, abs=0.02)
    assert row["verdict"] == "inconclusive"
    assert "the paper's 2,000,000" in row["protocol_differences"]
    other = next(row for row in rows if row["method"] == "bc_mmd")
    assert other["published"] == "" and other["verdict"] == "no published number"
    text = (tmp_path / "d4rl.md").read_text()
    assert "90.3 ± 0.4 | −0.2 | 3 |" in text


def test_latex_escapes_every_special_character():
    assert escape_latex("a_b & 5 % ± {x}") == r"a\_b \& 5 \% $\pm$ \{x\}"


def test_an_unknown_format_is_refused(tmp_path):
    table = Table("t", pd.DataFrame(), [Block("", pd.DataFrame())])
    with pytest.raises(UserError, match=r"cannot write '.pdf'.*\.csv, \.md, \.tex"):
        write_table(table, [tmp_path / "table.pdf"])


def test_make_table_of_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_table(load_project(scale="smoke"), "d4rl")
    made = sorted(path.name for path in (tmp_path / "results/tables").iterdir())
    assert made == ["d4rl.csv", "d4rl.html", "d4rl.md", "d4rl.tex"]
    for wrong, right in (("locale", "local"), ("ablations", "ablation")):
        with pytest.raises(UserError, match=f"Did you mean '{right}'"):
            make_table(load_project(scale="smoke"), wrong)


def test_every_table_is_made_without_any_result(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = load_project(scale="smoke")
    assert set(project.config.tables) == set(METHODS)
    assert set(project.tables) == set(METHODS) - {"remade", "stability"}  # no such runs
    for name in project.config.tables:
        make_table(project, name)
        for path in outputs(tmp_path / "results" / "tables", name):
            assert path.stat().st_size > 0
            assert path.suffix != ".tex" or path.read_text().isascii()
        text = (tmp_path / "results" / "tables" / f"{name}.md").read_text()
        assert name == "hyperparameters" or "not run" in text


def test_a_cell_of_another_configuration_is_named_and_left_out(tmp_path, monkeypatch):
    """A cell of three seeds and 300 steps is not the smoke scale's of two and 40."""
    monkeypatch.chdir(tmp_path)
    cell = make_cell(tmp_path, "td3_bc", [400.0, 500.0, 600.0])
    path = paths.cell_file("local-hopper-medium-expert", "td3_bc")
    path.parent.mkdir(parents=True)
    path.write_text(cell.read_text())
    make_table(load_project(scale="smoke"), "local")
    text = paths.table_file("local", "md").read_text()
    assert "50.0 ±" not in text
    assert "expected_seeds [0, 1, 2], expected [0, 1]; run: dql aggregate" in text


def test_a_table_of_the_papers_size(tmp_path):
    cell = make_cell(tmp_path, "diffusion_ql", [600.0, 700.0, 800.0])
    content = json.loads(cell.read_text())
    paths = []
    for index in range(240):
        path = tmp_path / "many" / f"{index}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content | {"task": f"local-task-{index}"}))
        paths.append(path)
    write_local_table(paths, outputs(tmp_path, "local"))
    assert len((tmp_path / "local.csv").read_text().splitlines()) == 241


def test_html_is_one_page_that_loads_nothing(local):
    page = (local / "local.html").read_text()
    assert "<td><b>65.0 ± 5.0 (2 of 3 seeds)</b></td>" in page
    assert "D4RL&#x27;s" in page and 'name="viewport"' in page
    assert page.count("<table") == page.count("</table>") == 3
    assert not re.search("https?:|src=|@import", page)


def test_prose_stands_to_the_left_and_html_is_escaped(tmp_path):
    cells = pd.DataFrame([["a < b", "holds"]], columns=["claim", "verdict"])
    block = Block("", cells, frozenset({(0, 1)}), prose=True)
    table = Table("Claims & rules", cells, [block], [])
    write_table(table, [tmp_path / "t.md", tmp_path / "t.html"])
    assert "| :-- | :-- |" in (tmp_path / "t.md").read_text()
    page = (tmp_path / "t.html").read_text()
    assert "<h1>Claims &amp; rules</h1>" in page and 'class="prose"' in page
    assert '<td class="words" data-name="claim">a &lt; b</td>' in page
    assert '<td class="words" data-name="verdict"><b>holds</b></td>' in page


def test_columns_of_words_stand_to_the_left_in_every_format(tmp_path):
    cells = pd.DataFrame([["hopper", "BC", "1.0"]], columns=["task", "method", "score"])
    outputs = [tmp_path / f"t.{suffix}" for suffix in ("md", "tex", "html")]
    write_table(Table("Scores", cells, [Block("", cells)]), outputs)
    assert "| :-- | :-- | --: |" in outputs[0].read_text()
    assert r"\begin{tabular}{llr}" in outputs[1].read_text()
    assert '<td class="words">BC</td><td>1.0</td>' in outputs[2].read_text()


@pytest.mark.parametrize("name", ["remade", "mixture", "ablation", "selection"])
def test_variants_of_data_are_in_no_table(name):
    """The paper's numbers stand in tables; a variant's data are none of that name."""
    project = load_project(scale="evidence")
    assert any("@" in task for task in project.suite("remade").tasks)
    cells = [*table_cells(project, name), *table_runs(project, "stability")]
    tasks = {task for task, _ in cells}
    assert "remade-hopper-medium-expert" in tasks
    assert not any("@" in task for task in tasks)
