"""Remade AntMaze data: D4RL's rules of starts, goals, ways, rewards and ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from dql.behavior.snapshots import Snapshot
from dql.behavior.waypoints import WaypointWalker
from dql.config.project import load_project
from dql.config.schema import TaskConfig
from dql.data import antmaze, maze_comparison
from dql.data.checks import verify
from dql.data.datasets import load_dataset
from dql.data.minari_files import Episode
from dql.data.policy_weights import store_weights
from dql.environments.antmaze import AntMazeEnvironment, draw_goal
from dql.environments.antmaze_maps import (
    HAND_PICKED_GOALS,
    cells_at,
    centers,
    free_cells,
    lagging_cells,
    next_cells,
)
from dql.errors import UserError
from dql.figures.remade_mazes import draw, draw_comparison
from dql.tables.remade_data import comparison_table
from tests.support.synthetic_weights import publish, snapshot

TASKS = [
    f"remade-antmaze-{name}"
    for name in (
        "umaze", "umaze-diverse", "medium-play", "medium-diverse", "large-play",
        "large-diverse",
    )
]  # fmt: skip
PROJECT = load_project(scale="evidence")
SHARED = Path(__file__).parents[3] / "shared" / "d4rl" / "policies"


def sized(name: str, num_transitions: int, seed: int = 0) -> TaskConfig:
    """Return a remade task of another size."""
    task = PROJECT.task(name)
    changes = {"num_transitions": num_transitions, "seed": seed}
    return task.model_copy(update={"dataset": task.dataset.model_copy(update=changes)})


@pytest.fixture
def policies(tmp_path, monkeypatch):
    """Store an ant that walks, and one that does not, below the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(antmaze, "EPISODE_ROWS", 12)
    monkeypatch.setattr(antmaze, "BATCH_SIZE", 3)
    named = {
        "ant_goal_policy": ("goal_policy", snapshot(dims=(29, 8))),
        "other": ("dapg_policy", snapshot(dims=(29, 8))),
    }
    publish(monkeypatch, tmp_path / "published", named, "antmaze")
    for name in named:
        store_weights(name)


# The walk.


class Still(Snapshot):
    """A policy that remembers what it was shown."""

    def __init__(self):
        self.seen = []

    def actions(self, observations, generator):
        self.seen.append(observations)
        return np.zeros((len(observations), 8), np.float32)


def test_an_ant_is_shown_its_body_and_a_direction_of_one_length():
    policy, goals = Still(), np.array([[0.5, 9.0], [30.0, 0.0]])
    walker = WaypointWalker(policy, "antmaze-umaze", goals[:1])
    observation = np.arange(29.0)[None]
    observation[:, :2] = 0.5, 8.2  # in the goal's cell: straight to it
    walker.actions(observation, np.random.default_rng(0))
    (seen,) = policy.seen
    np.testing.assert_array_equal(seen[0, :27], np.arange(2.0, 29.0))
    np.testing.assert_allclose(seen[0, 27:], [0.0, 10.0])


def test_waypoints_lie_in_the_next_cell_and_change_at_every_step():
    goals = np.tile([0.5, 8.5], (200, 1))
    walker = WaypointWalker(Still(), "antmaze-umaze", goals)
    generator = np.random.default_rng(0)
    drawn = walker.waypoints(np.zeros((200, 2)), generator)
    assert (drawn >= [4, 0]).all() and (drawn <= [5, 1]).all()
    assert len(np.unique(drawn[:, 0])) == 200
    assert not np.array_equal(drawn, walker.waypoints(np.zeros((200, 2)), generator))


def test_d4rl_takes_an_ant_to_be_in_a_cell_until_it_is_past_the_next_ones_centre():
    positions = np.array([[3.9, 0.0], [4.0, 0.0], [-1.5, -1.5], [7.9, 4.1]])
    found = lagging_cells("antmaze-umaze", positions)
    assert found.tolist() == [[1, 1], [1, 2], [1, 1], [2, 2]]
    # The last is on its way down at x = 8, and counts as in the wall beside it.
    assert cells_at("antmaze-umaze", positions).tolist()[3] == [2, 3]
    assert next_cells("antmaze-umaze")[3, 1, 2, 2].tolist() in ([3, 2], [1, 2], [2, 3])


# Starts and goals.


@pytest.mark.parametrize("name", TASKS)
def test_starts_and_goals_are_as_the_names_of_the_files_say(name):
    task = PROJECT.task(name)
    maze, dataset = task.environment, task.dataset
    assert dataset.multistart == (name != "remade-antmaze-umaze")
    assert dataset.multigoal == name.endswith("diverse")
    plans = [antmaze.plan(task, batch) for batch in range(20)]
    goals = np.concatenate([found.goals for found in plans])
    seen = {tuple(cell) for cell in lagging_cells(maze, goals)}
    free = {tuple(cell) for cell in free_cells(maze)}
    marked = set(HAND_PICKED_GOALS[maze])
    assert seen == (free if dataset.multigoal else marked)
    offsets = goals - centers(maze, lagging_cells(maze, goals))
    assert 1.3 < offsets.max() <= 1.5 and offsets.min() >= 0
    if not dataset.multistart:
        assert all(found.starts is None for found in plans)
        return
    starts = np.concatenate([found.starts for found in plans])
    seen = {tuple(cell) for cell in lagging_cells(maze, starts)}
    assert seen == (free if dataset.multigoal else free - marked)
    offsets = starts - centers(maze, lagging_cells(maze, starts))
    assert 0.9 < offsets.max() <= 1.0 and offsets.min() >= 0


def test_ants_start_where_they_are_told():
    environment = AntMazeEnvironment("antmaze-umaze", 2, horizon=5)
    starts = np.array([[8.5, 4.5], [0.0, 8.0]])
    observations = environment.reset([0, 1], starts=starts)
    np.testing.assert_array_equal(observations[:, :2], starts)
    at_the_start = environment.reset([0, 1])
    np.testing.assert_array_equal(observations[:, 2:], at_the_start[:, 2:])


# Rewards, terminals and ends.


def test_rewards_and_terminals_are_at_the_sets_goal_and_the_ant_walks_on():
    observations = np.zeros((6, 29), np.float32)
    observations[:, 0] = 0, 1, 2, 3, 2.4, 0
    episode = antmaze.labelled(observations, np.zeros((5, 8)), np.array([2.0, 0.2]))
    assert episode.rewards.tolist() == [0, 1, 0, 1, 0]  # of the next position
    assert episode.terminations.tolist() == [False, True, False, True, False]
    assert episode.truncations.tolist() == [False, False, False, False, True]


def test_data_are_whole_described_and_verified(policies):
    task = sized("remade-antmaze-umaze", 50)
    manifest = antmaze.generate(task)
    assert manifest["num_transitions"] == 50
    assert (manifest["num_episodes"], manifest["num_cut_episodes"]) == (5, 1)
    assert manifest["episode_length"]["max"] == 12
    assert "remade, not D4RL's file" in manifest["description"]
    goal = draw_goal("antmaze-umaze", 0)
    assert manifest["generator"]["goal"] == goal.tolist()
    assert verify(task) == manifest
    dataset = load_dataset(task)
    assert dataset.observations.shape == (45, 29)  # without five ends
    steps = np.linalg.norm(
        dataset.next_observations[:, :2] - dataset.observations[:, :2], axis=1
    )
    assert steps.max() < 1  # no row leads from one episode to the next
    near = np.linalg.norm(dataset.next_observations[:, :2] - goal, axis=1) <= 0.5
    np.testing.assert_array_equal(dataset.rewards, near)


def test_actions_have_the_generators_noise_and_are_clipped(policies):
    task = sized("remade-antmaze-large-diverse", 36)
    antmaze.generate(task)
    actions = load_dataset(task).actions
    assert np.abs(actions).max() <= 1
    # The synthetic policy draws tanh(noise), of deviation 0.63.
    assert actions.std() == pytest.approx((0.63**2 + 0.2**2) ** 0.5, abs=0.08)


@pytest.mark.parametrize("name", ["remade-antmaze-umaze", "remade-antmaze-medium-play"])
def test_the_seed_decides_everything(policies, name):
    digests = [antmaze.generate(sized(name, 24, seed))["digest"] for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]


# Bad input.


def test_other_policies_do_not_walk(policies):
    task = sized("remade-antmaze-umaze", 24)
    part = task.dataset.parts[0].model_copy(update={"policy": "other"})
    dataset = task.dataset.model_copy(update={"parts": [part]})
    with pytest.raises(UserError, match="'other' is a dapg policy: it does not walk"):
        antmaze.generate(task.model_copy(update={"dataset": dataset}))


def test_other_tasks_are_not_walked():
    for name in ("antmaze-umaze-v0", "remade-hopper-medium"):
        with pytest.raises(UserError, match="no data for task"):
            antmaze.generate(PROJECT.task(name))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"multistart": None}, "remade AntMaze data, and no other, need multistart"),
        ({"multigoal": None}, "remade AntMaze data, and no other, need multigoal"),
        ({"parts": 2 * [{"policy": "ant_goal_policy", "share": 1}]}, "one part"),
    ],
)
def test_a_task_says_how_ants_walk(changes, words):
    values = PROJECT.task("remade-antmaze-umaze").model_dump()
    values["dataset"] |= changes
    with pytest.raises(ValidationError, match=words):
        TaskConfig(**values)


def test_data_of_other_starts_are_refused(policies):
    antmaze.generate(sized("remade-antmaze-umaze", 24))
    task = sized("remade-antmaze-umaze", 24)
    dataset = task.dataset.model_copy(update={"multigoal": True})
    with pytest.raises(UserError, match="multigoal is False, the configuration has T"):
        load_dataset(task.model_copy(update={"dataset": dataset}))


# How near.


def counted(maze: str = "antmaze-umaze") -> maze_comparison.MazeComparison:
    return maze_comparison.MazeComparison(
        f"remade-{maze}", f"{maze}-v0", maze, np.zeros((20, 20), int)
    )


def stored(positions, rewards) -> dict[str, np.ndarray]:
    """Return an episode as it is stored, with the ant at given positions."""
    observations = np.zeros((len(positions), 29), np.float32)
    observations[:, :2] = positions
    rewards = np.array(rewards, np.float32)
    ends = np.zeros(len(rewards), bool)
    ends[-1] = True
    actions = np.ones((len(rewards), 8), np.float32)
    episode = Episode(observations, actions, rewards, rewards > 0, ends)
    return vars(episode)


def test_arrivals_visits_and_pieces_are_counted():
    found = counted()
    goal = np.array([8.0, 0.0])
    found.add(stored([[0, 0], [4, 0], [8, 0.3], [8, 4]], [0, 1, 0]), goal)
    found.add(stored([[0, 0], [0, 0], [1, 0]], [0, 0]), goal)
    content = found.content()
    assert found.steps_to_goal == [2, None]
    assert content["arrived_share"] == content["rewarded_share"] == 0.5
    assert content["median_steps_to_goal"] == 2
    assert content["num_pieces"] == 3  # one terminal, two ends
    assert (content["num_transitions"], content["return_mean"]) == (5, 0.5)
    shares = np.array(content["cell_shares"])
    assert shares.shape == (5, 5)
    assert shares[1].tolist() == [0, 0.6, 0.2, 0.2, 0]
    assert content["at_bound_share"] == 1.0
    lengths = [4, np.hypot(4, 0.3), 3.7, 0, 1]
    assert content["step_mean"] == pytest.approx(np.mean(lengths))
    assert content["step_std"] == pytest.approx(np.std(lengths))


def test_comparison_table_and_figure_say_remade(policies, tmp_path):
    task = sized("remade-antmaze-medium-diverse", 50)
    antmaze.generate(task)
    found = maze_comparison.compare(task)
    assert len(found.rewards) == 5 and found.visits.sum() == 50
    table = comparison_table([found.content()])
    assert [block.title for block in table.blocks] == ["AntMaze"]
    assert table.blocks[0].cells["of D4RL"].tolist() == ["2,924"]
    assert table.long["d4rl_num_pieces"].tolist() == [2924]
    draw_comparison(found, [tmp_path / "figure.png"])
    assert (tmp_path / "figure.png").stat().st_size > 1000
    found.steps_to_goal = [100, 101, 102, None, None]
    figure = draw(found)
    assert all(tick == int(tick) for tick in figure.axes[1].get_yticks())
    words = figure.texts[-1].get_text()
    assert "3 arrive where they walk to" in words and "walls grey" in words


def test_goals_are_those_that_were_walked_to(policies, monkeypatch):
    task = sized("remade-antmaze-umaze-diverse", 60)
    walked = []
    walker = antmaze.WaypointWalker

    def noted(policy, maze, goals):
        walked.append(goals)
        return walker(policy, maze, goals)

    monkeypatch.setattr(antmaze, "WaypointWalker", noted)
    antmaze.generate(task)
    goals = maze_comparison._goals(task)
    measured = [goal for _, goal in zip(range(5), goals, strict=False)]
    np.testing.assert_array_equal(measured, np.concatenate(walked)[:5])


def test_every_set_has_published_facts_and_a_way_to_be_compared():
    for name in TASKS:
        task = PROJECT.task(name)
        assert maze_comparison.maze_facts()[task.namesake].num_transitions == 1_000_000
    with pytest.raises(UserError, match="is not remade AntMaze data"):
        maze_comparison.compare(PROJECT.task("remade-hopper-medium"))


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/d4rl/policies")
def test_d4rls_ant_arrives(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store_weights("ant_goal_policy", SHARED)
    task = sized("remade-antmaze-umaze", 20 * 1001)
    manifest = antmaze.generate(task)
    content = maze_comparison.compare(task).content()
    assert manifest["num_episodes"] == 20
    assert content["arrived_share"] >= 0.5
    assert 100 < content["median_steps_to_goal"] < 350
