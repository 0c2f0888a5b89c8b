"""What Minari publishes is fetched by id, checked, and kept apart from D4RL's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from dql.config.project import load_project
from dql.config.schema import DatasetConfig, TaskConfig
from dql.config.validation import validate
from dql.data import checks, datasets, minari_files, minari_remote
from dql.errors import UserError

MINARI_ID = "mujoco/hopper/tiny-v0"
SCORES = {"ref_min_score": 1.0, "ref_max_score": 5.0}


def make_task(**changes) -> TaskConfig:
    """Make a task of a dataset that Minari could publish."""
    values = {
        "name": "minari-hopper-tiny-v0",
        "suite": "minari",
        "environment": "hopper",
        "horizon": 1000,
        "dataset": DatasetConfig(source="minari", id=MINARI_ID),
    }
    return TaskConfig(**(values | changes))


def make_episode(
    length: int = 5, dimensions: tuple[int, int] = (11, 3), *, ends: bool = True
) -> minari_files.Episode:
    """Make an episode that its last row truncates, or that simply ends."""
    generator = np.random.default_rng(length)
    return minari_files.Episode(
        generator.standard_normal((length + 1, dimensions[0])),
        generator.uniform(-1, 1, (length, dimensions[1])),
        np.arange(float(length)),
        np.zeros(length, dtype=bool),
        np.arange(length) == (length - 1 if ends else length),
    )


def publish(
    folder: Path,
    dimensions: tuple[int, int] = (11, 3),
    episodes: list[minari_files.Episode] | None = None,
    metadata: dict | None = None,
) -> Path:
    """Put a dataset where Minari would download it to; one episode unless given."""
    data = folder / MINARI_ID / "data"
    data.parent.mkdir(parents=True)
    minari_files.write_minari(
        data,
        MINARI_ID,
        episodes or [make_episode(dimensions=dimensions)],
        dimensions=dimensions,
        environment_spec=None,
        metadata=SCORES if metadata is None else metadata,
    )
    return data


def test_a_published_dataset_becomes_the_tasks(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", "elsewhere")
    episode = make_episode()
    publish(tmp_path / "downloads" / minari_remote.FOLDER)
    manifest = minari_remote.fetch(make_task(), tmp_path, tmp_path / "downloads")
    assert os.environ["MINARI_DATASETS_PATH"] == "elsewhere"
    assert manifest["source"] == "minari" and manifest["minari_id"] == MINARI_ID
    assert "not D4RL's" in manifest["description"]
    assert manifest["reference_scores"]["max"] == 5.0
    dataset = datasets.load_dataset(make_task(), tmp_path)
    np.testing.assert_allclose(dataset.observations, episode.observations[:4], 1e-6)
    np.testing.assert_array_equal(dataset.rewards, np.arange(4))


def fetch(root: Path, **changes) -> datasets.Dataset:
    """Fetch what is published below the root, verify it and load it."""
    task = make_task(**changes)
    minari_remote.fetch(task, root, root)
    checks.verify(task, root)
    return datasets.load_dataset(task, root)


def test_an_episode_that_ends_without_a_flag_is_followed_by_its_own_last_state(
    tmp_path: Path,
) -> None:
    """By the next episode's first state before, as if one led to the other."""
    first, second = make_episode(4, ends=False), make_episode(3, ends=False)
    publish(tmp_path / minari_remote.FOLDER, episodes=[first, second])
    dataset = fetch(tmp_path)
    expected = np.concatenate((first.observations[1:], second.observations[1:3]))
    np.testing.assert_allclose(dataset.next_observations, expected, rtol=1e-6)
    expected = np.concatenate((first.observations[:4], second.observations[:2]))
    np.testing.assert_allclose(dataset.observations, expected, rtol=1e-6)
    assert not dataset.terminations.any()


def test_an_episode_that_goes_on_behind_a_truncation_is_refused(
    tmp_path: Path,
) -> None:
    episode = make_episode()
    episode.truncations[1] = True
    publish(tmp_path / minari_remote.FOLDER, episodes=[make_episode(3), episode])
    with pytest.raises(UserError, match="truncations is set at row 4, but"):
        fetch(tmp_path)
    assert not list(tmp_path.glob("minari-hopper*"))


def test_flags_are_zero_or_one(tmp_path: Path) -> None:
    data = publish(tmp_path / minari_remote.FOLDER)
    with h5py.File(data / "main_data.hdf5", "r+") as file:
        del file["episode_0/terminations"]
        file["episode_0/terminations"] = np.array([0, 0, np.nan, 0, 0])
    with pytest.raises(UserError, match="terminations is nan at row 2, neither 0 nor"):
        fetch(tmp_path)


def test_a_dataset_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    data = publish(tmp_path / minari_remote.FOLDER)
    with h5py.File(data / "main_data.hdf5", "r+") as file:
        del file["episode_0/rewards"]
    with pytest.raises(UserError, match=rf"'{MINARI_ID}' is damaged.*fetch it anew"):
        fetch(tmp_path)


def test_as_many_rows_as_the_scale_asks_for(tmp_path: Path) -> None:
    episodes = [make_episode(length) for length in (3, 5, 4)]
    publish(tmp_path / minari_remote.FOLDER, episodes=episodes)
    source = DatasetConfig(source="minari", id=MINARI_ID, num_transitions=6)
    dataset = fetch(tmp_path, dataset=source)
    assert dataset.manifest["num_transitions"] == 6
    assert dataset.manifest["num_published_transitions"] == 12
    np.testing.assert_array_equal(dataset.rewards, [0, 1, 0, 1])
    with pytest.raises(UserError, match="num_transitions is 6, .* has 12"):
        datasets.load_dataset(make_task(), tmp_path)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"ref_min_score": 1.0}, "one reference score of two"),
        ({"ref_max_score": 1.0}, "one reference score of two"),
        ({"ref_min_score": 5.0, "ref_max_score": 5.0}, "from 5.0 to 5.0"),
        ({"ref_min_score": 5.0, "ref_max_score": 1.0}, "from 5.0 to 1.0"),
        ({"ref_min_score": np.nan, "ref_max_score": 1.0}, "from nan to 1.0"),
        ({"ref_min_score": 0.0, "ref_max_score": np.inf}, "from 0.0 to inf"),
        ({"ref_min_score": "0", "ref_max_score": 1.0}, "min: .*valid number"),
    ],
)
def test_reference_scores_are_two_that_can_be_used_or_none(
    tmp_path: Path, metadata: dict, message: str
) -> None:
    publish(tmp_path / minari_remote.FOLDER, metadata=metadata)
    with pytest.raises(UserError, match=message) as caught:
        fetch(tmp_path)
    assert "reference_min_score" in str(caught.value)  # what to set instead
    assert not list(tmp_path.glob("minari-hopper*"))
    own = {"reference_min_score": 2.0, "reference_max_score": 3.0}
    dataset = fetch(tmp_path, **own)
    assert dataset.manifest["reference_scores"]["max"] == 3.0


def test_data_without_reference_scores_have_none(tmp_path: Path) -> None:
    publish(tmp_path / minari_remote.FOLDER, metadata={})
    assert fetch(tmp_path).manifest["reference_scores"] is None


def test_a_dataset_of_another_environment_is_refused(tmp_path: Path) -> None:
    publish(tmp_path / minari_remote.FOLDER, dimensions=(17, 6))
    with pytest.raises(UserError, match=r"observations has shape \(6, 17\)"):
        minari_remote.fetch(make_task(), tmp_path / "datasets", tmp_path)
    assert not (tmp_path / "datasets" / "minari-hopper-tiny-v0.json").exists()


def test_offline_and_without_the_client_say_what_to_do(
    tmp_path: Path, monkeypatch
) -> None:
    import minari

    def offline(name: str) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(minari, "download_dataset", offline)
    with pytest.raises(UserError) as caught:
        minari_remote.fetch(make_task(), tmp_path, tmp_path)
    for part in (
        "minari-hopper-tiny-v0",
        MINARI_ID,
        "no route to host",
        str(tmp_path / minari_remote.FOLDER / MINARI_ID),
        "dql data generate local-",
    ):
        assert part in str(caught.value)
    monkeypatch.undo()
    # Whether or not it is installed here: importing it fails.
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.delitem(
        sys.modules, "minari.storage.remotes.huggingface", raising=False
    )
    monkeypatch.delenv("MINARI_REMOTE", raising=False)
    with pytest.raises(UserError, match=r"pip install 'minari\[hf\]'"):
        minari_remote.fetch(make_task(), tmp_path, tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"suite": "gym"},
        {"dataset": DatasetConfig(source="minari")},
        {"dataset": DatasetConfig(source="d4rl")},
        {"suite": "gym", "dataset": DatasetConfig(source="d4rl", id=MINARI_ID)},
    ],
)
def test_minari_and_d4rl_cannot_be_mixed(changes: dict) -> None:
    values = make_task().model_dump() | changes
    with pytest.raises(UserError, match="tasks.yaml: .*minari"):
        validate(TaskConfig, values, "tasks.yaml")


def test_the_rows_of_tasks_yaml_stand_in_no_table_and_in_stock_physics() -> None:
    project = load_project(scale="paper")
    tasks = [t for t in project.tasks.values() if t.dataset.source == "minari"]
    assert tasks and {task.physics for task in tasks} == {"stock"}
    assert {task.reference_min_score for task in tasks} == {None}
    in_tables = {suite for suites in project.config.tables.values() for suite in suites}
    assert "minari" not in in_tables
