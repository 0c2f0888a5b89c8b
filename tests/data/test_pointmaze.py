"""Walks through point mazes: whole, reproducible, and by a controller that arrives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dql.config.project import load_project
from dql.config.schema import DatasetConfig, TaskConfig
from dql.data import checks as dataset_checks
from dql.data import datasets
from dql.data import pointmaze as pointmaze_data
from dql.environments.pointmaze import (
    POINT_MAZES,
    PointMazeEnvironment,
    centers,
    way_taken,
)
from dql.errors import UserError


def make_task(maze: str = "umaze", num_transitions: int = 700, **dataset) -> TaskConfig:
    """Make a local task with short episodes."""
    config = DatasetConfig(source="local", num_transitions=num_transitions, **dataset)
    return TaskConfig(
        name=f"local-pointmaze-{maze}",
        suite="local",
        environment=f"pointmaze-{maze}",
        horizon=150,
        dataset=config,
    )


@pytest.mark.parametrize(
    ("maze", "horizon"),
    [("umaze", 300), ("medium", 600), ("large", 800)],
)
def test_the_controller_arrives_from_everywhere_and_stays(
    maze: str, horizon: int
) -> None:
    name = f"pointmaze-{maze}"
    batch = PointMazeEnvironment(name, 12, horizon=horizon)
    observations = batch.reset(list(range(12)))
    targets = np.tile(POINT_MAZES[name].goal, (12, 1))
    for _ in range(horizon):
        actions = pointmaze_data.controls(name, observations, targets)
        observations, rewards, _, _ = batch.step(actions, np.ones(12, dtype=bool))
    assert rewards.all()


def test_data_are_whole_reproducible_and_described(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(pointmaze_data, "NUM_REFERENCE_EPISODES", 5)
    task = make_task()
    manifests = [pointmaze_data.generate(task, tmp_path / name) for name in ("a", "b")]
    assert manifests[0] == manifests[1]
    other = pointmaze_data.generate(make_task(seed=1), tmp_path / "c")
    assert other["digest"] != manifests[0]["digest"]
    assert manifests[0]["num_transitions"] == 700
    assert manifests[0]["num_cut_episodes"] == 1
    assert "not D4RL's" in manifests[0]["description"]
    scores = manifests[0]["reference_scores"]
    assert 0 <= scores["min"] < scores["max"] <= task.horizon
    assert dataset_checks.verify(task, tmp_path / "a") == manifests[0]
    dataset = datasets.load_dataset(task, tmp_path / "a")
    goal = centers(task.environment, np.array(POINT_MAZES[task.environment].goal))
    # A row's reward is for where its action led.
    there = np.linalg.norm(dataset.next_observations[:, :2] - goal, axis=1) <= 0.45
    np.testing.assert_array_equal(dataset.rewards == 1, there)


def test_walks_lead_all_over_the_maze() -> None:
    task = make_task(num_transitions=3000)
    visited = {
        tuple(np.round(position))
        for episode in pointmaze_data.roll_out_walks(task, 3000)
        for position in episode.observations[:, :2]
    }
    assert len(visited) >= 7


def test_where_there_are_two_ways_half_of_the_episodes_take_each_and_all_arrive() -> (
    None
):
    task = make_task("twoways", 1500)
    episodes = list(pointmaze_data.roll_out_walks(task, 1500))
    ways = [way_taken(task.environment, e.observations[:, :2]) for e in episodes]
    assert ways == [0, 1] * 5
    assert all(episode.rewards[-1] == 1 for episode in episodes)


def test_only_point_mazes_made_here_are_generated(tmp_path: Path) -> None:
    hopper = make_task().model_copy(update={"environment": "hopper"})
    with pytest.raises(UserError, match="no point maze"):
        pointmaze_data.generate(hopper, tmp_path)


def test_the_rows_of_tasks_yaml_are_in_no_scale() -> None:
    for scale in ("smoke", "quick", "paper"):
        project = load_project(scale=scale)
        names = {name for name in project.tasks if name.startswith("local-pointmaze")}
        assert len(names) == 4
        assert not names & set(project.suite("local").tasks)
