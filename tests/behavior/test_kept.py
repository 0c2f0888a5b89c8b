"""Behavior policies that come with the source: taken where they fit, else searched."""

import math
from dataclasses import asdict
from pathlib import Path

import pytest
from dql.behavior.search import SEARCH_SETTINGS

from dql import paths
from dql.behavior.kept import FILES, kept_folder
from dql.behavior.policies import load_behavior
from dql.cli.main import main
from dql.config.project import load_project
from dql.config.schema import BehaviorConfig

KEPT = sorted(folder.name for folder in paths.KEPT_BEHAVIOR.iterdir())
BUDGET = BehaviorConfig(num_iterations=150)


def config(**changes):
    """Return config.yaml with some keys changed."""
    return load_project(scale="quick", overrides=changes).config


@pytest.mark.parametrize("environment", KEPT)
def test_kept_policies_are_what_todays_search_would_be_asked_for(environment, tmp_path):
    folder = kept_folder(environment, config(), BUDGET)
    for name in FILES:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    kept = load_behavior(tmp_path)
    assert kept.summary["environment"] == environment
    for name, value in asdict(SEARCH_SETTINGS[environment]).items():
        stored = None if value == math.inf else value
        assert kept.summary["settings"][name] == stored, name
    qualities = [entry["quality"] for entry in kept.summary["policies"]]
    assert qualities.count("medium") > 1 and "expert" in qualities


def test_another_budget_or_physics_is_searched():
    assert kept_folder("hopper", config(), BUDGET) is not None
    assert kept_folder("hopper", config(physics="stock"), BUDGET) is None
    assert kept_folder("hopper", config(behavior_policies="searched"), BUDGET) is None
    assert kept_folder("swimmer", config(), BUDGET) is None
    for changes in ({"num_iterations": 4}, {"seed": 1}):
        assert (
            kept_folder("hopper", config(), BUDGET.model_copy(update=changes)) is None
        )


def test_the_command_copies_kept_policies(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO")
    with pytest.raises(SystemExit) as stop:
        main(["data", "behavior", "hopper", "--scale", "quick"])
    assert not stop.value.code
    for name in FILES:
        made = Path("results/behavior/hopper", name).read_bytes()
        assert made == (paths.KEPT_BEHAVIOR / "hopper" / name).read_bytes()
    assert "behavior_policies=searched" in caplog.text


def test_policies_are_searched_when_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(
        "dql.behavior.policies.train", lambda *args, **_: asked.append(args)
    )
    options = ["--scale", "quick", "--set", "behavior_policies=searched"]
    with pytest.raises(SystemExit) as stop:
        main(["data", "behavior", "hopper", *options])
    assert not stop.value.code
    assert [args[0] for args in asked] == ["hopper"]
