"""Policies that come with the source are taken where they are asked for."""

import numpy as np
import pytest

from dql import paths
from dql.behavior.kept import FILES, POLICIES_FILE, SUMMARY_FILE, kept_folder
from dql.behavior.policies import load_behavior
from dql.behavior.quality import returns
from dql.behavior.recorded import play_again
from dql.behavior.snapshots import ByMean
from dql.cli.main import main
from dql.config.project import load_project
from dql.environments.locomotion import LocomotionEnvironment
from tests.support.checkout import tree_files
from tests.support.small_behavior import BUDGET, make_behavior

KEPT = sorted(file.parent.name for file in paths.KEPT_BEHAVIOR.glob("*/policies.json"))
COMES_WITH_THE_SOURCE = {"hopper", "walker2d", "halfcheetah"}
"""Environments whose policies nobody has to wait for."""
MOST_BYTES = 6e6
OPTIONS = [
    "--scale",
    "quick",
    *(
        word
        for key, value in BUDGET.model_dump().items()
        for word in ("--set", f"suites.local.behavior.{key}={value}")
    ),
]


def config(**changes):
    """Return config.yaml with some keys changed."""
    return load_project(scale="quick", overrides=changes).config


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A source with policies of hopper, and a working directory without."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setattr(paths, "KEPT_BEHAVIOR", tmp_path / "kept")
    return make_behavior(tmp_path / "kept" / "hopper")


def test_another_budget_physics_or_settings_is_trained(kept, monkeypatch):
    assert kept_folder("hopper", config(), BUDGET) == kept
    assert kept_folder("hopper", config(physics="stock"), BUDGET) is None
    assert kept_folder("hopper", config(behavior_policies="trained"), BUDGET) is None
    assert kept_folder("walker2d", config(), BUDGET) is None
    for changes in ({"num_environment_steps": 800}, {"seed": 1}, {"start_steps": 10}):
        asked = BUDGET.model_copy(update=changes)
        assert kept_folder("hopper", config(), asked) is None
    monkeypatch.setattr("dql.behavior.kept.BATCH_SIZE", 64)
    assert kept_folder("hopper", config(), BUDGET) is None


def call(*words):
    with pytest.raises(SystemExit) as stop:
        main(["data", "behavior", *words])
    return stop.value.code


def test_the_command_copies_kept_policies(kept, caplog):
    caplog.set_level("INFO")
    assert not call("hopper", *OPTIONS)
    for name in FILES:
        made = paths.behavior_directory("hopper") / name
        assert made.read_bytes() == (kept / name).read_bytes()
    assert "behavior_policies=trained" in caplog.text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (SUMMARY_FILE, "{"),
        (SUMMARY_FILE, "[]"),
        (SUMMARY_FILE, '{"physics": "d4rl"}'),
        (POLICIES_FILE, "PK"),
        (POLICIES_FILE, None),
    ],
)
def test_damaged_kept_policies_are_named_and_not_copied(kept, name, content, capsys):
    (kept / name).unlink()
    if content is not None:
        (kept / name).write_text(content)
    assert call("hopper", *OPTIONS) == 2
    told = capsys.readouterr().err
    assert "git checkout -- workflow/behavior" in told and str(kept) in told
    assert "dql data behavior" not in told
    assert not paths.behavior_directory("hopper").exists()


def test_policies_are_trained_when_asked_for(kept, monkeypatch):
    asked = []
    monkeypatch.setattr("dql.training.behavior.train", lambda *args: asked.append(args))
    assert not call("hopper", *OPTIONS, "--set", "behavior_policies=trained")
    folder = paths.behavior_directory("hopper")
    assert asked == [("hopper", "d4rl", BUDGET, folder, "cpu")]


@pytest.mark.parametrize("environment", KEPT)
def test_kept_policies_are_what_today_would_be_trained(environment):
    project = load_project(scale="quick")
    budget = project.suite("local").behavior
    folder = kept_folder(environment, project.config, budget)
    assert folder == paths.KEPT_BEHAVIOR / environment
    found = load_behavior(folder, environment)
    assert found.serving("expert") == budget.num_environment_steps


@pytest.mark.parametrize("environment", KEPT)
def test_a_kept_expert_still_acts_well(environment):
    """A few episodes: far above random actions, whatever the processor rounds."""
    found = load_behavior(paths.KEPT_BEHAVIOR / environment, environment)
    step = found.serving("expert")
    batch = LocomotionEnvironment(environment, 3)
    scores = found.summary["reference_scores"]
    mean = returns(ByMean(found.policies[step]), batch, 0, "kept").mean()
    assert mean > (scores["min"] + scores["max"]) / 2


@pytest.mark.parametrize("environment", KEPT)
def test_a_kept_recording_plays_again(environment):
    """Its actions give what it holds, on any processor most of it."""
    folder = paths.KEPT_BEHAVIOR / environment
    recording = load_behavior(folder, environment).recording
    chosen = np.arange(0, len(recording.lengths), 50)
    batch = LocomotionEnvironment(environment, len(chosen))
    played = play_again(recording, chosen, batch)
    assert played.as_recorded.mean() > 0.5


def test_policies_are_kept_by_name():
    assert set(KEPT) == COMES_WITH_THE_SOURCE


def test_nothing_else_is_kept_beside_them():
    """No lock either, which whoever reads them rewrites: the tree would be changed."""
    load_behavior(paths.KEPT_BEHAVIOR / "hopper", "hopper")
    kept = {f"workflow/behavior/{name}/{file}" for name in KEPT for file in FILES}
    found = {name for name in tree_files() if name.startswith("workflow/behavior/")}
    assert found == kept | {"workflow/behavior/README.md"}


def test_kept_policies_are_small():
    files = [file for file in paths.KEPT_BEHAVIOR.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < MOST_BYTES
