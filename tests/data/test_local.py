"""Local data are their policies' episodes, in the shares that the quality has."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from dql.behavior.policies import load_behavior, save_behavior
from dql.behavior.rollout import Disturbance, RandomActions, roll_out
from dql.behavior.snapshots import ByMean
from dql.config.project import load_project
from dql.config.schema import DatasetConfig, TaskConfig
from dql.data import datasets, local
from dql.data.episode_rows import cut, split
from dql.data.policy_rows import roll_out_parts
from dql.environments.locomotion import LocomotionEnvironment
from dql.errors import UserError
from dql.results.manifests import check_asked_for
from tests.support.small_behavior import BUDGET, make_behavior, policy_weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_behavior(tmp_path_factory.mktemp("behavior") / "hopper")


def make_task(quality, num_transitions=500, **dataset):
    """Make a local hopper task."""
    return TaskConfig(
        name=f"local-hopper-{quality}",
        suite="local",
        environment="hopper",
        horizon=1000,
        dataset=DatasetConfig(
            source="local", quality=quality, num_transitions=num_transitions, **dataset
        ),
    )


def episodes_of(task, root):
    return [*datasets.stored_episodes(datasets.existing_data_file(task, root))]


@pytest.mark.parametrize("quality", local.QUALITIES)
def test_data_have_the_asked_size_and_are_reproducible(folder, tmp_path, quality):
    task = make_task(quality, 150)
    first, again = (local.generate(task, folder, tmp_path / name) for name in "ab")
    assert first == again
    assert first["num_transitions"] == 150
    assert first["reference_scores"]["max"] == 400.0
    other = local.generate(make_task(quality, 150, seed=1), folder, tmp_path / "c")
    assert other["digest"] != first["digest"]
    dataset = datasets.load_dataset(task, tmp_path / "a")
    assert len(dataset) == first["num_training_transitions"] <= 150
    assert np.abs(dataset.actions).max() <= 1.0


@pytest.mark.parametrize("environment", ["walker2d", "halfcheetah"])
@pytest.mark.parametrize("quality", local.QUALITIES)
def test_the_other_environments_have_every_quality(tmp_path, environment, quality):
    folder = make_behavior(tmp_path / environment, environment)
    task = load_project(scale="smoke").task(f"local-{environment}-{quality}")
    dataset = task.dataset.model_copy(update={"num_transitions": 50})
    task = task.model_copy(update={"dataset": dataset, "behavior": BUDGET})
    manifest = local.generate(task, folder, tmp_path / "datasets")
    assert manifest["num_transitions"] == 50
    assert manifest["generator"]["quality"] == quality


@pytest.mark.parametrize(
    ("quality", "expected"),
    [
        ("medium", {"sac-200": 400}),
        ("medium-expert", {"sac-200": 200, "sac-400": 200}),
    ],
)
def test_qualities_are_mixed_of_their_policies(folder, tmp_path, quality, expected):
    task = make_task(quality, 400)
    manifest = local.generate(task, folder, tmp_path)
    made = {p["policy"]: p["num_transitions"] for p in manifest["generator"]["parts"]}
    assert made == expected
    mixture = local.mix(task, load_behavior(folder, "hopper"))
    assert [part.policy for part in mixture.parts] == [*expected]


def test_rows_are_the_policies_own_in_that_order(folder):
    """The policy that acted is found again by its mean action of each state."""
    loaded = load_behavior(folder, "hopper")
    task = make_task("medium-expert", 400)
    parts, policies = local.mix(task, loaded)
    assert policies == [loaded.policies[200], loaded.policies[400]]
    found = Counter()
    order = []
    for episode in roll_out_parts(task, parts, [ByMean(p) for p in policies], 400):
        errors = {
            step: np.abs(
                policy.mean_actions(episode.observations[:-1]) - episode.actions
            ).max()
            for step, policy in loaded.policies.items()
        }
        step = min(errors, key=errors.get)
        assert errors[step] < 1e-3
        found[step] += len(episode.rewards)
        order.append(step)
    assert found == {200: 200, 400: 200}
    assert order == sorted(order)


def test_the_recorded_buffer_is_written_as_it_was(folder, tmp_path, caplog):
    """All of it though more is asked for; where it stopped, the episode is cut."""
    recording = load_behavior(folder, "hopper").recording
    task = make_task("medium-replay")
    caplog.set_level("INFO")
    manifest = local.generate(task, folder, tmp_path)
    assert "all 200 recorded transitions; 500 were asked for" in caplog.text
    assert "other than recorded" not in caplog.text
    assert manifest["num_episodes_other_than_recorded"] == 0
    assert manifest["num_transitions"] == manifest["num_recorded_transitions"] == 200
    assert manifest["num_episodes"] == len(recording.lengths)
    written = episodes_of(task, tmp_path)
    for episode, length in zip(written, recording.lengths, strict=True):
        assert len(episode["rewards"]) == length
    actions = np.concatenate([episode["actions"] for episode in written])
    assert np.array_equal(actions, recording.actions)
    # Episodes of 20 steps were stopped, as was the last: none of them had fallen.
    stopped = [not episode["terminations"][-1] for episode in written]
    assert stopped[-1] and any(recording.lengths[stopped] == 20)
    assert manifest["num_cut_episodes"] == sum(stopped) < len(written)
    # As in D4RL, no transition is learned from whose successor is not known.
    assert len(datasets.load_dataset(task, tmp_path)) == 200 - sum(stopped)


def test_fewer_rows_are_episodes_of_the_whole_recording(folder, tmp_path):
    recording = load_behavior(folder, "hopper").recording
    manifest = local.generate(make_task("medium-replay", 60), folder, tmp_path)
    assert manifest["num_transitions"] == 60
    assert manifest["num_recorded_transitions"] == 200
    written = episodes_of(make_task("medium-replay"), tmp_path)
    bounds = np.cumsum(recording.lengths) - recording.lengths
    begun = recording.actions[bounds]
    firsts = [int((begun == e["actions"][0]).all(1).argmax()) for e in written]
    assert firsts == sorted(firsts) and firsts != [*range(len(firsts))]


def test_another_machines_physics_is_told(folder, tmp_path, caplog):
    """A recording whose actions do something else here: a stand-in for rounding."""
    loaded = load_behavior(folder, "hopper")
    actions = loaded.recording.actions * np.float32(0.9999)
    other = replace(loaded.recording, actions=actions)
    save_behavior(
        tmp_path / "other",
        loaded.summary,
        {step: policy_weights("hopper", step) for step in loaded.policies},
        other,
    )
    task = make_task("medium-replay")
    manifest = local.generate(task, tmp_path / "other", tmp_path)
    count = manifest["num_episodes_other_than_recorded"]
    assert count > len(other.lengths) / 2
    assert f"{count} of {len(other.lengths)} episodes came out other" in caplog.text
    # Episodes that fall earlier are no reason to call the data others.
    check_asked_for(task, manifest | {"num_transitions": 190})
    with pytest.raises(UserError, match="num_transitions is 200"):
        check_asked_for(make_task("medium-replay", 100), manifest)


def test_transitions_are_the_environments_own(folder):
    task = make_task("medium")
    mixture = local.mix(task, load_behavior(folder, "hopper"))
    episode = next(roll_out_parts(task, *mixture, 400))
    environment, first = LocomotionEnvironment("hopper", 1), episode.observations[0]
    position = np.concatenate(([0.0], first[:5]))
    environment._simulations.place(0, position, first[5:])
    observation, reward, _, _ = environment.step(episode.actions[:1], np.array([True]))
    np.testing.assert_allclose(observation[0], episode.observations[1], atol=1e-5)
    assert reward[0] == pytest.approx(episode.rewards[0], abs=1e-5)


def test_episodes_end_as_the_environment_says():
    environment = LocomotionEnvironment("hopper", 2, horizon=4)
    generator = np.random.default_rng(0)
    episodes = roll_out(environment, RandomActions(3), Disturbance.none(2), generator)
    first = next(split(episodes))
    assert first.truncations.tolist() == [False, False, False, True]
    assert not first.terminations.any()
    shortened = cut(first, 2)
    assert shortened.is_cut and shortened.truncations.tolist() == [False, True]
    assert len(shortened.observations) == 3
    assert cut(first, 4) is first


def test_errors_name_the_remedy(folder, tmp_path):
    with pytest.raises(UserError, match="dql data behavior hopper"):
        local.generate(make_task("medium"), tmp_path / "hopper", tmp_path)
    longer = BUDGET.model_copy(update={"num_environment_steps": 800})
    other = make_task("medium").model_copy(update={"behavior": longer})
    with pytest.raises(UserError, match="another budget.*dql data behavior hopper"):
        local.generate(other, folder, tmp_path)
    stock = make_task("medium").model_copy(update={"physics": "stock"})
    with pytest.raises(UserError, match="wants physics 'stock'.*dql data behavior"):
        local.generate(stock, folder, tmp_path)
    d4rl = DatasetConfig(source="d4rl")
    remote = make_task("medium").model_copy(update={"dataset": d4rl})
    with pytest.raises(UserError, match="dql data fetch"):
        local.generate(remote, folder, tmp_path)
    assert not list(tmp_path.glob("local-*"))
