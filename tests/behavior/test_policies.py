"""The search, the policies it leaves, and the local data rolled out with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dql.behavior.linear import LinearPolicies, roll_out

from dql.behavior import (
    policies as behavior,
)
from dql.behavior import (
    quality as policy_quality,
)
from dql.behavior import (
    search as policy_search,
)
from dql.config.project import load_project
from dql.config.schema import BehaviorConfig, DatasetConfig, TaskConfig
from dql.data import datasets
from dql.data import local as local_data
from dql.environments.locomotion import LocomotionEnvironment
from dql.errors import UserError

TINY = replace(
    policy_search.SEARCH_SETTINGS["hopper"],
    num_candidates=3,
    num_warmup_iterations=2,
    num_searches=2,
)
BUDGET = BehaviorConfig(seed=1, num_iterations=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train poor hopper policies in a moment."""
    folder = tmp_path_factory.mktemp("behavior") / "hopper"
    behavior.train("hopper", "d4rl", BUDGET, folder, settings=TINY)
    return folder


def make_task(quality: str, num_transitions: int = 500, **dataset) -> TaskConfig:
    """Make a local hopper task."""
    config = DatasetConfig(
        source="local", quality=quality, num_transitions=num_transitions, **dataset
    )
    return TaskConfig(
        name=f"local-hopper-{quality}",
        suite="local",
        environment="hopper",
        horizon=1000,
        dataset=config,
    )


def make_policies(num_policies: int, noise_std: float = 0.0) -> LinearPolicies:
    """Make unlike policies without normalisation."""
    generator = np.random.default_rng(1)
    return LinearPolicies(
        0.1 * generator.standard_normal((num_policies, 3, 11)),
        np.zeros((num_policies, 11)),
        np.ones((num_policies, 11)),
        np.full(num_policies, noise_std),
    )


def test_a_policy_is_linear_in_normalised_observations() -> None:
    policies = LinearPolicies(
        np.array([[[0.5, 0.0], [0.0, 4.0]]]),
        np.array([[1.0, 1.0]]),
        np.array([[2.0, 1.0]]),
        np.array([0.0]),
    )
    actions = policies.actions(np.array([[3.0, 2.0]]), np.random.default_rng(0))
    np.testing.assert_array_equal(actions, [[0.5, 1.0]])


def test_an_episode_does_not_depend_on_its_company() -> None:
    policies, seeds = make_policies(3), [4, 5, 6]
    together = roll_out(
        LocomotionEnvironment("hopper", 3), policies, seeds, np.random.default_rng(0)
    )
    alone = roll_out(
        LocomotionEnvironment("hopper", 1),
        policies.select([1]),
        [5],
        np.random.default_rng(9),
    )
    assert together.lengths[1] == alone.lengths[0]
    assert together.returns[1] == pytest.approx(alone.returns[0], rel=1e-12)


def test_the_search_climbs() -> None:
    settings = policy_search.SEARCH_SETTINGS["hopper"]
    search = policy_search.start_search(0, 11, 3)
    search = policy_search.advance(search, settings, "hopper", "d4rl", 12)
    assert search.num_iterations == len(search.mean_returns) == 12
    assert np.mean(search.mean_returns[-3:]) > 2 * search.mean_returns[0]


def test_normalisation_is_that_of_all_observations_so_far() -> None:
    search = policy_search.start_search(0, 2, 1)
    seen = np.array([[1.0, 5.0], [3.0, 5.0]])
    search = replace(
        search,
        observation_count=2,
        observation_sum=seen.sum(axis=0),
        observation_square_sum=np.square(seen).sum(axis=0),
    )
    policy = policy_search.current_policy(search, 0.1)
    np.testing.assert_array_equal(policy.observation_means, [[2.0, 5.0]])
    # A constant observation is centred but not scaled.
    np.testing.assert_array_equal(policy.observation_stds, [[1.0, 1.0]])


def test_advance_leaves_its_input_alone() -> None:
    search = policy_search.start_search(3, 11, 3)
    runs = [
        policy_search.advance(search, TINY, "hopper", "d4rl", 1).mean_returns
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert search.num_iterations == 0


def test_policies_do_not_depend_on_the_number_of_processes(
    folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "hopper"
    behavior.train("hopper", "d4rl", BUDGET, other, num_processes=2, settings=TINY)
    for name in (behavior.POLICIES_FILE, behavior.SUMMARY_FILE):
        assert (folder / name).read_bytes() == (other / name).read_bytes()


def test_what_is_written_is_what_was_found(folder: Path) -> None:
    loaded = behavior.load_behavior(folder)
    entries = loaded.summary["policies"]
    assert {entry["quality"] for entry in entries} == {"medium", "expert"}
    assert len(loaded.policies) == len(entries)
    noise = [entry["noise_std"] for entry in entries]
    np.testing.assert_allclose(loaded.policies.noise_stds, noise)
    scores = loaded.summary["reference_scores"]
    best = max(entry["noise_free_return"] for entry in entries)
    assert scores["min"] < scores["max"] == best
    # The replay goes up to each search's medium policy, that one included.
    mediums = [entry for entry in entries if entry["quality"] == "medium"]
    expected = sum(entry["iteration"] + 1 for entry in mediums)
    assert len(loaded.replay) == expected


def test_a_medium_policy_is_the_first_to_reach_a_third(monkeypatch) -> None:
    # Policy i "returns" its own weight; perturbed policies return the same.
    def iterate(value: float) -> LinearPolicies:
        return replace(make_policies(1), weights=np.full((1, 3, 11), value))

    class Evaluator:
        def mean(self, policy: LinearPolicies, purpose: str) -> float:
            return float(policy.weights[0, 0, 0])

        def returns(self, policy, purpose, num_episodes) -> np.ndarray:
            return np.full(num_episodes, policy.weights[0, 0, 0])

    values = [10.0, 290.0, 320.0, 500.0, 900.0]
    search = replace(
        policy_search.start_search(5, 11, 3),
        iterates=tuple(iterate(value) for value in values),
        mean_returns=tuple(values),
        weights=np.full((3, 11), 850.0),
    )
    chosen = policy_quality.choose_policies([search], TINY, Evaluator())
    found = {entry["quality"]: entry["iteration"] for entry, _ in chosen}
    assert found == {"medium": 2, "expert": 4}
    # Noise never hurts here, so each policy gets the most there is.
    assert {entry["noise_std"] for entry, _ in chosen} == {0.3}


def test_poor_searches_give_no_experts() -> None:
    def search(seed: int, value: float) -> policy_search.Search:
        policy = replace(make_policies(1), weights=np.full((1, 3, 11), value))
        return replace(
            policy_search.start_search(seed, 11, 3),
            iterates=(policy,),
            mean_returns=(value,),
        )

    class Evaluator(policy_quality.Evaluator):
        def returns(self, policy, purpose, num_episodes) -> np.ndarray:
            return np.full(num_episodes, policy.weights[0, 0, 0])

    searches = [search(1, 1000.0), search(2, 500.0), search(3, 100.0)]
    evaluator = Evaluator("hopper", "d4rl", 0)
    chosen = policy_quality.choose_policies(searches, TINY, evaluator)
    found = [(entry["quality"], entry["search_seed"]) for entry, _ in chosen]
    assert found == [("medium", 1), ("medium", 2), ("expert", 1)]


@pytest.mark.parametrize("quality", list(local_data.QUALITIES))
def test_local_data_have_the_asked_size_and_are_reproducible(
    folder: Path, tmp_path: Path, quality: str
) -> None:
    task = make_task(quality)
    manifests = [
        local_data.generate(task, folder, tmp_path / name) for name in ("a", "b")
    ]
    assert manifests[0] == manifests[1]
    assert manifests[0]["num_transitions"] == 500
    other_seed = make_task(quality, seed=1)
    other = local_data.generate(other_seed, folder, tmp_path / "c")
    assert other["digest"] != manifests[0]["digest"]
    dataset = datasets.load_dataset(task, tmp_path / "a")
    assert len(dataset) == manifests[0]["num_training_transitions"] < 500
    assert np.abs(dataset.actions).max() <= 1.0


@pytest.mark.parametrize("environment", ["walker2d", "halfcheetah"])
def test_the_other_environments_have_every_quality(
    tmp_path: Path, monkeypatch, environment: str
) -> None:
    for name in ("RANDOM", "SELECTION", "REPORTED"):
        monkeypatch.setattr(policy_quality, f"NUM_{name}_EPISODES", 1)
    monkeypatch.setattr(local_data, "BATCH_SIZE", 2)
    settings = replace(
        policy_search.SEARCH_SETTINGS[environment],
        num_directions=1,
        num_top_directions=1,
        num_candidates=1,
        num_warmup_iterations=1,
        num_searches=1,
    )
    budget = BehaviorConfig(seed=0, num_iterations=1)
    folder = tmp_path / environment
    behavior.train(environment, "d4rl", budget, folder, settings=settings)
    tasks = load_project(scale="smoke").tasks
    for quality in local_data.QUALITIES:
        task = tasks[f"local-{environment}-{quality}"]
        size = {"num_transitions": 50}
        dataset = task.dataset.model_copy(update=size)
        task = task.model_copy(update={"dataset": dataset})
        manifest = local_data.generate(task, folder, tmp_path / "datasets")
        assert manifest["num_transitions"] == 50
        assert manifest["generator"]["quality"] == quality


def test_local_transitions_are_the_environments_own(folder: Path) -> None:
    task, loaded = make_task("medium"), behavior.load_behavior(folder)
    episode = next(local_data.roll_out_quality(task, loaded, 400))
    environment, first = LocomotionEnvironment("hopper", 1), episode.observations[0]
    position = np.concatenate(([0.0], first[:5]))
    environment._simulations.place(0, position, first[5:])
    observation, reward, _, _ = environment.step(episode.actions[:1], np.array([True]))
    np.testing.assert_allclose(observation[0], episode.observations[1], atol=1e-9)
    assert reward[0] == pytest.approx(episode.rewards[0], abs=1e-9)


def test_halves_and_policies_share_the_rows_equally(folder: Path) -> None:
    loaded = behavior.load_behavior(folder)
    parts = local_data.policy_parts("medium-expert", loaded)
    labels = [label.decode().split()[0] for label, _ in parts]
    assert labels.count("medium") == labels.count("expert")
    lengths = [
        len(episode.rewards)
        for episode in local_data.roll_out_quality(
            make_task("medium-expert"), loaded, 300
        )
    ]
    assert sum(lengths) == 300


def test_episodes_end_as_the_environment_says() -> None:
    environment = LocomotionEnvironment("hopper", 2, horizon=4)
    episodes = roll_out(environment, make_policies(2), [0, 1], np.random.default_rng(0))
    first = next(local_data.split(episodes))
    assert first.truncations.tolist() == [False, False, False, True]
    assert not first.terminations.any()
    shortened = local_data.cut(first, 2)
    assert shortened.is_cut and shortened.truncations.tolist() == [False, True]
    assert len(shortened.observations) == 3
    assert local_data.cut(first, 4) is first


def test_errors_name_the_remedy(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'hoper'.*hopper"):
        behavior.train("hoper", "d4rl", BUDGET, tmp_path)
    with pytest.raises(UserError, match="dql data behavior hopper"):
        local_data.generate(make_task("medium"), tmp_path / "hopper", tmp_path)
    stock = make_task("medium").model_copy(update={"physics": "stock"})
    with pytest.raises(UserError, match="wants physics 'stock'.*dql data behavior"):
        local_data.generate(stock, folder, tmp_path)
    d4rl = DatasetConfig(source="d4rl")
    remote = make_task("medium").model_copy(update={"dataset": d4rl})
    with pytest.raises(UserError, match="dql data fetch"):
        local_data.generate(remote, folder, tmp_path)


def test_damaged_policies_are_named(folder: Path, tmp_path: Path) -> None:
    for name in (behavior.POLICIES_FILE, behavior.SUMMARY_FILE):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / behavior.POLICIES_FILE).write_bytes(b"PK")
    with pytest.raises(UserError, match="cannot be read"):
        behavior.load_behavior(tmp_path)
