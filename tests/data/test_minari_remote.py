"""What Minari publishes is fetched by id, checked, and kept apart from D4RL's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from dql.config.project import load_project
from dql.config.schema import DatasetConfig, TaskConfig
from dql.config.validation import validate
from dql.data import datasets, minari_files, minari_remote
from dql.errors import UserError

MINARI_ID = "mujoco/hopper/tiny-v0"


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


def publish(
    folder: Path, dimensions: tuple[int, int] = (11, 3)
) -> minari_files.Episode:
    """Put a dataset of one episode where Minari would download it to."""
    generator = np.random.default_rng(0)
    episode = minari_files.Episode(
        generator.standard_normal((6, dimensions[0])),
        generator.uniform(-1, 1, (5, dimensions[1])),
        np.arange(5.0),
        np.zeros(5, dtype=bool),
        np.arange(5) == 4,
    )
    data = folder / MINARI_ID / "data"
    data.parent.mkdir(parents=True)
    minari_files.write_minari(
        data,
        MINARI_ID,
        [episode],
        dimensions=dimensions,
        environment_spec=None,
        metadata={"ref_min_score": 1.0, "ref_max_score": 5.0},
    )
    return episode


def test_a_published_dataset_becomes_the_tasks(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", "elsewhere")
    episode = publish(tmp_path / "downloads" / minari_remote.FOLDER)
    manifest = minari_remote.fetch(make_task(), tmp_path, tmp_path / "downloads")
    assert os.environ["MINARI_DATASETS_PATH"] == "elsewhere"
    assert manifest["source"] == "minari" and manifest["minari_id"] == MINARI_ID
    assert "not D4RL's" in manifest["description"]
    assert manifest["reference_scores"]["max"] == 5.0
    dataset = datasets.load_dataset(make_task(), tmp_path)
    np.testing.assert_allclose(dataset.observations, episode.observations[:4], 1e-6)
    np.testing.assert_array_equal(dataset.rewards, np.arange(4))


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
        "dql data generate local-hopper-medium-expert",
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
