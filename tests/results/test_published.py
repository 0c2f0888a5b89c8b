"""The published numbers: statuses, mapping to our methods, the paper's sizes."""

import shutil

import pytest

from dql.config.project import load_project
from dql.errors import UserError
from dql.paths import PUBLISHED
from dql.results.published import find_score, load_scores, read_rows


def test_table_one_number():
    score = find_score("hopper-medium-v2", "diffusion_ql")
    assert (score.score, score.standard_error) == (90.5, 4.6)
    assert score.status == "primary" and "Table 1" in score.source


def test_table_two_serves_where_table_one_has_no_such_method():
    score = find_score("hopper-medium-expert-v2", "bc_diffusion")
    assert score.score == 78.0 and "Table 2" in score.source


@pytest.mark.parametrize(
    ("task", "method"),
    [
        ("kitchen-complete-v0", "diffusion_ql"),
        ("hopper-medium-expert-v2", "bc_cvae"),
        ("hopper-medium-v2", "diffusion_ql@eta=0"),
        ("local-hopper-medium-expert", "diffusion_ql"),
    ],
)
def test_numbers_without_a_source_that_prints_them_are_not_published(task, method):
    assert find_score(task, method) is None


def test_published_average_of_the_nine_gym_tasks():
    scores = [
        score.score
        for score in load_scores("table1")
        if (score.suite, score.published_name) == ("gym", "Diffusion-QL")
    ]
    assert len(scores) == 9
    assert sum(scores) / 9 == pytest.approx(87.9, abs=0.05)


def test_the_papers_selection_is_kept():
    assert find_score("hopper-medium-v2", "diffusion_ql").selection == "offline"
    selections = {score.selection for score in load_scores("table4")}
    assert selections == {"offline", "online"}


def test_an_unknown_status_names_file_and_row(tmp_path):
    shutil.copytree(PUBLISHED, tmp_path, dirs_exist_ok=True)
    table = tmp_path / "table1.csv"
    table.write_text(table.read_text().replace(",primary,", ",hearsay,", 1))
    with pytest.raises(UserError, match=r"table1.csv.*halfcheetah-medium-v2.*hearsay"):
        load_scores("table1", tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="methods.csv"):
        load_scores("table1", tmp_path)


def test_every_mapped_method_exists():
    mapped = {row["method"] for row in read_rows(PUBLISHED / "methods.csv")}
    assert mapped <= set(load_project().methods)
