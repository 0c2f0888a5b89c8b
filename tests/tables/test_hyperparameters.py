"""Resolved settings beside published ones: what differs is marked, nothing need run."""

import csv

import pytest
from stored_results import outputs

from dql.config.project import load_project
from dql.tables.hyperparameters import value_text, write_hyperparameter_table
from dql.tables.resolved_settings import load_settings, resolved_settings


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hyperparameters")
    write_hyperparameter_table(load_project(scale="paper"), outputs(folder, "t"))
    return folder


def test_every_setting_of_the_twenty_tasks_is_published():
    keys = {(setting.task, setting.setting) for setting in load_settings()}
    assert len({task for task, _ in keys}) == 20
    assert len(keys) == 20 * 12
    assert all(setting.source for setting in load_settings())


def test_only_what_differs_is_marked(made):
    rows = list(csv.DictReader((made / "t.csv").open()))
    differing = {
        (row["task"], row["setting"], row["origin"])
        for row in rows
        if row["differs"] == "True"
    }
    assert differing == {
        ("kitchen-complete-v0", "num_gradient_steps", "paper"),
        ("halfcheetah-medium-replay-v2", "offline_selection_rank", "released code"),
        ("halfcheetah-medium-expert-v2", "offline_selection_rank", "released code"),
        ("kitchen-mixed-v0", "offline_selection_rank", "released code"),
    }
    text = (made / "t.md").read_text()
    assert "**250,000 ≠ 1,000,000**" in text and text.count("≠") == 4 + 1
    assert "1,000,000 or 250,000‡" in text


def test_the_configuration_decides_what_is_ours():
    project = load_project(scale="smoke")
    local = resolved_settings(project, "local-hopper-medium-expert", "diffusion_ql")
    assert (local["num_gradient_steps"], local["max_gradient_norm"]) == (40, 5.0)
    changed = {"selection_rule": "as-released"}
    project = load_project(scale="paper", overrides=changed)
    task = "kitchen-mixed-v0"
    assert (
        resolved_settings(project, task, "diffusion_ql")["offline_selection_rank"] == 0
    )


def test_settings_of_other_methods_are_in_the_csv(made):
    rows = list(csv.DictReader((made / "t.csv").open()))
    found = [row for row in rows if row["method"] == "td3_bc" and not row["published"]]
    assert {"q_coefficient", "batch_size"} <= {row["setting"] for row in found}


@pytest.mark.parametrize(
    ("value", "text"),
    [(3e-4, "3e-4"), (1e-3, "1e-3"), (0.005, "0.005"), (4.5, "4.5"), (True, "yes"),
     (2_000_000, "2,000,000"), (None, "–"), ("cql_antmaze", "cql antmaze")],
)  # fmt: skip
def test_values_as_printed(value, text):
    assert value_text(value) == text
