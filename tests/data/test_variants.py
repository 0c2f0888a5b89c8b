"""Variants of a task's data: which rows they have, and how little of them is stored."""

import json
from dataclasses import replace

import numpy as np
import pytest

from dql import paths
from dql.cli.main import main
from dql.config.data_schema import DatasetConfig, DataVariant
from dql.config.project import load_project
from dql.data import random_actions, variants
from dql.data.checks import verify
from dql.data.datasets import ARRAYS, Dataset, load_dataset
from dql.data.description import describe
from dql.data.episodes import episode_starts
from dql.data.random_actions import roll_out_random
from dql.data.variants import deviations, returns_and_lengths, vary
from dql.errors import UserError
from tests.support.small_dataset import make_task, write


def dataset_of(lengths, *, terminal=(), width=2, first=0.0):
    """Return episodes whose observations count up, each from another hundred."""
    parts = {name: [] for name in ARRAYS}
    for index, length in enumerate(lengths):
        counts = first + 100.0 * index + np.arange(length + 1)
        rows = np.repeat(counts[:, None], width, axis=1)
        ends = np.zeros(length)
        ends[-1] = index in terminal
        values = (rows[:-1], np.tanh(rows[:-1] / 1e4), counts[:-1], rows[1:], ends)
        for name, value in zip(ARRAYS, values, strict=True):
            parts[name].append(value.astype(np.float32))
    return Dataset(**{name: np.concatenate(parts[name]) for name in ARRAYS})


@pytest.fixture(scope="module")
def many():
    """Return two hundred episodes of three to nine rows."""
    return dataset_of(np.random.default_rng(1).integers(3, 10, size=200))


def same(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ARRAYS
    )


def test_an_episode_begins_after_a_terminal_row_and_where_rows_do_not_join():
    dataset = dataset_of([3, 2, 4], terminal=[0])
    # As D4RL's rows do: a terminal row leads to the next episode's first observation.
    following = dataset.next_observations.copy()
    following[2] = dataset.observations[3]
    joined = replace(dataset, next_observations=following)
    expected = [True, False, False, True, False, True, False, False, False]
    assert episode_starts(dataset).tolist() == expected
    assert episode_starts(joined).tolist() == expected


def test_an_ant_goes_on_at_its_goal_and_its_episodes_stay_whole(many):
    """AntMaze's rows at the goal are terminal, one after another, in mid-episode."""
    generator = np.random.default_rng(2)
    at_goal = (generator.random(len(many)) < 0.5).astype(np.float32)
    ants = replace(many, terminations=at_goal)
    expected = episode_starts(replace(many, terminations=np.zeros_like(at_goal)))
    assert episode_starts(ants, is_antmaze=True).tolist() == expected.tolist()
    variant = DataVariant(episode_share=0.1, observation_noise=0.1)
    kept = vary(ants, variant, None, is_antmaze=True)
    assert episode_starts(kept, is_antmaze=True).sum() == 20
    whole = vary(many, DataVariant(episode_share=0.1), None)
    assert np.array_equal(kept.rewards, whole.rewards)


@pytest.mark.parametrize(("share", "count"), [(0.01, 2), (0.1, 20), (0.3, 60)])
def test_a_share_of_the_episodes_is_kept_whole_and_in_order(many, share, count):
    kept = vary(many, DataVariant(episode_share=share), None)
    assert episode_starts(kept).sum() == count
    starts = np.flatnonzero(episode_starts(many))
    lengths = dict(
        zip(
            many.observations[starts, 0], np.diff(starts, append=len(many)), strict=True
        )
    )
    found = np.flatnonzero(episode_starts(kept))
    for start, length in zip(found, np.diff(found, append=len(kept)), strict=True):
        assert lengths[kept.observations[start, 0]] == length
    assert (np.diff(kept.observations[:, 0]) > 0).all()


def test_rows_of_random_actions_are_the_first_of_any_larger_number():
    task = load_project(scale="smoke").task("local-hopper-random")
    few, more = (
        np.concatenate([one.observations[:-1] for one in roll_out_random(task, size)])
        for size in (300, 4000)
    )
    assert np.array_equal(more[: len(few)][:200], few[:200])


def test_the_smallest_share_is_one_episode(many):
    assert episode_starts(vary(many, DataVariant(episode_share=1e-6), None)).sum() == 1


def test_a_smaller_share_is_a_part_of_a_larger_one_and_a_seed_another_draw(many):
    few, more, other = (
        {*vary(many, DataVariant(episode_share=share, seed=seed), None).rewards}
        for share, seed in ((0.1, 0), (0.3, 0), (0.1, 1))
    )
    assert few < more
    assert few != other


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_random_actions_replace_a_share_of_the_rows(many, share):
    random = dataset_of([7] * 200, first=1e5)
    made = vary(many, DataVariant(random_share=share), random)
    num_random = round(share * len(many))
    is_random = made.rewards >= 1e5
    assert len(made) == len(many)
    assert is_random.sum() == num_random
    assert is_random[-num_random:].all()
    assert np.array_equal(made.rewards[-num_random:], random.rewards[:num_random])
    assert len(np.unique(made.rewards[-num_random:])) == num_random
    kept = made.rewards[:-num_random]
    assert np.isin(kept, many.rewards).all()
    assert len(np.unique(kept)) == len(kept)
    # All episodes are whole but one, which is cut at its end.
    rest = replace(made, **{name: getattr(made, name)[: len(kept)] for name in ARRAYS})
    firsts = many.rewards[episode_starts(many)]
    assert np.isin(rest.rewards[episode_starts(rest)], firsts).all()
    ends = many.rewards[np.append(np.flatnonzero(episode_starts(many))[1:] - 1, -1)]
    last = np.append(np.flatnonzero(episode_starts(rest))[1:] - 1, -1)
    assert (~np.isin(rest.rewards[last], ends)).sum() <= 1 if len(rest) else True


def test_no_row_of_random_actions_is_taken_twice(many):
    exactly = dataset_of([round(0.5 * len(many))], first=1e5)
    assert len(vary(many, DataVariant(random_share=0.5), exactly)) == len(many)
    fewer = Dataset(**{name: getattr(exactly, name)[1:] for name in ARRAYS})
    fault = f"0.5 asks for {len(exactly)} rows .* there are {len(fewer)}"
    with pytest.raises(UserError, match=fault):
        vary(many, DataVariant(random_share=0.5), fewer)


def test_action_noise_is_a_label_and_is_clipped(many):
    noisy = vary(many, DataVariant(action_noise=0.5), None)
    assert same(replace(noisy, actions=many.actions), many)
    assert np.abs(noisy.actions).max() == 1.0
    small = vary(many, DataVariant(action_noise=0.01), None).actions - many.actions
    assert small.std() == pytest.approx(0.01, rel=0.1)
    # Levels of one kind share their draws.
    double = vary(many, DataVariant(action_noise=0.02), None).actions - many.actions
    inside = np.abs(many.actions) < 0.8
    np.testing.assert_allclose(double[inside], 2 * small[inside], atol=1e-6)


def test_reward_noise_is_in_deviations_of_the_rewards(many):
    noisy = vary(many, DataVariant(reward_noise=0.5), None)
    assert same(replace(noisy, rewards=many.rewards), many)
    added = noisy.rewards - many.rewards
    assert added.std() == pytest.approx(0.5 * many.rewards.std(), rel=0.1)


def test_an_observation_that_two_rows_share_stays_one(many):
    noisy = vary(many, DataVariant(observation_noise=0.1), None)
    assert np.array_equal(episode_starts(noisy), episode_starts(many))
    added = noisy.observations - many.observations
    scale = 0.1 * many.observations.std(axis=0)
    np.testing.assert_allclose(added.std(axis=0), scale, rtol=0.1)
    last = ~episode_starts(many)[1:]
    ends = np.append(~last, True)
    after = (noisy.next_observations - many.next_observations)[ends]
    assert (np.abs(after) > 0).all()
    unchanged = {"observations": many.observations}
    unchanged["next_observations"] = many.next_observations
    assert same(replace(noisy, **unchanged), many)


def test_a_deviation_has_few_digits():
    assert deviations(np.array([0.0, 1 / 3], dtype=np.float32)).tolist() == [0.166667]


def test_the_draws_are_those_of_the_address():
    """A known answer: another NumPy or processor should make these rows, too."""
    made = vary(dataset_of([3, 2, 4]), DataVariant(action_noise=0.1), None)
    found = (made.actions - dataset_of([3, 2, 4]).actions) / 0.1
    expected = [[0.452867, 0.214218], [-0.254806, -0.053044], [0.107605, 1.161126]]
    np.testing.assert_allclose(found[:3], expected, atol=1e-5)


def variant_task(name="local-test", **changes):
    task = make_task(name)
    dataset = task.dataset.model_copy(update={"variant": DataVariant(**changes)})
    text = ",".join(f"{key}={value}" for key, value in changes.items())
    update = {"name": f"{name}@{text}", "dataset": dataset}
    return task.model_copy(update=update)


def test_a_variant_is_a_manifest_and_no_row(tmp_path):
    write(tmp_path)
    task = variant_task(action_noise=0.1, reward_noise=0.2)
    before = {path for path in tmp_path.rglob("*") if "flat" not in path.name}
    manifest = variants.generate(task, tmp_path)
    after = {path for path in tmp_path.rglob("*") if "flat" not in path.name}
    assert {path.name for path in after - before} == {f"{task.name}.json"}
    base = load_dataset(make_task(), tmp_path)
    loaded = variants.load_variant(task, tmp_path)
    assert same(loaded, vary(base, task.dataset.variant, None))
    assert loaded.manifest == manifest
    assert manifest["digest"] != base.manifest["digest"]
    assert manifest["made_from"] == {"local-test": base.manifest["digest"]}
    assert manifest["reference_scores"] == base.manifest["reference_scores"]
    assert manifest["num_transitions"] == len(base)
    returns, lengths = returns_and_lengths(loaded)
    assert len(returns) == manifest["num_episodes"] and lengths.sum() == len(base)
    assert returns.sum() == pytest.approx(loaded.rewards.sum(dtype=np.float64))
    found = manifest["episode_return"]
    expected = returns.mean(), returns.std(), returns.min(), returns.max()
    assert [*found.values()] == pytest.approx(expected)


def test_a_variant_of_other_levels_or_of_other_rows_is_refused(tmp_path):
    write(tmp_path)
    task = variant_task(action_noise=0.1)
    with pytest.raises(UserError, match="no data yet .*dql data generate local-test@"):
        variants.load_variant(task, tmp_path)
    variants.generate(task, tmp_path)
    other = DataVariant(action_noise=0.2)
    dataset = task.dataset.model_copy(update={"variant": other})
    with pytest.raises(UserError, match="variant is .*'action_noise': 0.1"):
        variants.load_variant(task.model_copy(update={"dataset": dataset}), tmp_path)
    manifest = tmp_path / f"{task.name}.json"
    text = manifest.read_text()
    digest = variants.read_manifest(task, tmp_path)["digest"]
    manifest.write_text(text.replace(digest, 64 * "0"))
    with pytest.raises(UserError, match="make them again with: dql data generate"):
        variants.load_variant(task, tmp_path)


def test_a_variant_without_its_base_names_the_base(tmp_path):
    with pytest.raises(UserError, match="'local-test' has no data yet"):
        variants.generate(variant_task(action_noise=0.1), tmp_path)


def test_a_variant_is_verified_and_described_as_it_is_trained_on(tmp_path):
    write(tmp_path)
    task = variant_task(reward_noise=0.5)
    manifest = variants.generate(task, tmp_path)
    assert verify(task, tmp_path) == manifest
    described = describe(task, tmp_path)
    rows = variants.load_variant(task, tmp_path)
    assert described.lengths.sum() == len(rows) == 7  # a truncated row is left out
    assert described.lengths.tolist() == [3, 1, 3]
    assert described.returns.sum() == pytest.approx(rows.rewards.sum(), rel=1e-5)


@pytest.mark.parametrize(
    "verb", ["again {}", "fetch {}", "fetch {} --dry-run", "compare {}"]
)
def test_verbs_of_stored_rows_refuse_a_variant(verb, capsys):
    name = "remade-hopper-medium@random_share=0.1"
    words = verb.format(name).split()
    with pytest.raises(SystemExit, match="2"):
        main(["data", *words, "--scale", "evidence"])
    found = " ".join(capsys.readouterr().err.split())
    assert f"dql data {words[0]}: '{name}' is a variant, of which no row" in found


def test_a_variant_that_is_made_says_how_much_it_has(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    maze, size = "local-pointmaze-umaze", "suites.local.num_transitions=500"
    tasks = f"suites.local.tasks=[{maze}]"
    for task in (maze, f"{maze}@episode_share=0.3"):
        words = ["data", "generate", task, "--scale", "smoke"]
        with caplog.at_level("INFO"), pytest.raises(SystemExit, match="0"):
            main([*words, "--set", size, "--set", tasks])
    made = json.loads((paths.DATASETS / f"{task}.json").read_text())
    words = f"{made['num_transitions']} transitions in {made['num_episodes']} episodes"
    assert 0 < made["num_transitions"] < 500
    assert f"{task}: {words}, mean return" in caplog.text


def random_task(num_transitions=60, environment="hopper"):
    dataset = DatasetConfig(
        source="local", quality="random", num_transitions=num_transitions
    )
    name, changes = f"local-{environment}-random", {"horizon": 50, "dataset": dataset}
    changes["environment"] = environment
    return make_task(name).model_copy(update=changes)


def test_random_actions_are_rolled_out_and_mixed_in(tmp_path):
    manifest = random_actions.generate(random_task(), tmp_path)
    assert manifest["num_transitions"] == 60
    rows = load_dataset(random_task(), tmp_path)
    assert rows.actions.min() < -0.9 and rows.actions.max() > 0.9
    assert abs(rows.actions.mean()) < 0.2
    made_of = {}
    for share in (0.5, 0.8):
        base = random_task(100).model_copy(update={"name": "local-base"})
        dataset = base.dataset.model_copy(update={"seed": 1})
        base = base.model_copy(update={"dataset": dataset})
        if share == 0.5:
            random_actions.generate(base, tmp_path)
        variant = DataVariant(random_share=share)
        dataset = dataset.model_copy(update={"variant": variant})
        name = f"local-base@random_share={share}"
        made_of[share] = base.model_copy(update={"name": name, "dataset": dataset})
    made = variants.generate(made_of[0.5], tmp_path)
    assert set(made["made_from"]) == {"local-base", "local-hopper-random"}
    loaded = variants.load_variant(made_of[0.5], tmp_path)
    num_random = round(0.5 * len(loaded))
    assert np.array_equal(loaded.actions[-num_random:], rows.actions[:num_random])
    remedy = "larger suites.local.num_transitions, make more: .*local-hopper-random"
    with pytest.raises(UserError, match=f"'{made_of[0.8].name}': .*{remedy}"):
        variants.generate(made_of[0.8], tmp_path)
    assert not (tmp_path / f"{made_of[0.8].name}.json").exists()


def test_random_actions_are_of_one_source_and_of_locomotion(tmp_path):
    with pytest.raises(UserError, match="rolled out in .*hopper.* alone, not in 'pen'"):
        random_actions.generate(random_task(environment="pen"), tmp_path)
    with pytest.raises(UserError, match="has no data for task 'local-test'"):
        random_actions.generate(make_task(), tmp_path)
    assert not [*tmp_path.iterdir()]
