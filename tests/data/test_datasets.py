"""Datasets: rows as D4RL gives them, digests, checks, and files that appear whole."""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.pool
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_dataset import make_episode, make_task, three_episodes, write

from dql import files
from dql.config.schema import DatasetConfig, TaskConfig
from dql.data import datasets, minari_files
from dql.data.minari_files import Episode
from dql.errors import UserError


def test_rows_are_those_of_qlearning_dataset(tmp_path: Path) -> None:
    manifest = write(tmp_path)
    dataset = datasets.load_dataset(make_task(), tmp_path)
    # 9 rows are stored; the truncated one and the last of all are not trained on.
    expected = [10, 11, 12, 20, 30, 31, 32]
    np.testing.assert_array_equal(dataset.observations[:, 0], expected)
    # A terminal row is followed by the next episode's first observation.
    next_expected = [11, 12, 20, 21, 31, 32, 33]
    np.testing.assert_array_equal(dataset.next_observations[:, 0], next_expected)
    np.testing.assert_array_equal(dataset.terminations, [0, 0, 1, 0, 0, 0, 0])
    np.testing.assert_allclose(dataset.rewards, np.array(expected) / 10, rtol=1e-6)
    assert {getattr(dataset, name).dtype for name in datasets.ARRAYS} == {
        np.dtype("float32")
    }
    assert len(dataset) == manifest["num_training_transitions"] == 7
    assert dataset.manifest["digest"] == manifest["digest"] == datasets.digest(dataset)


def test_relative_folders_work(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("results"))
    assert len(datasets.load_dataset(make_task(), Path("results"))) == 7


def test_the_manifest_counts(tmp_path: Path) -> None:
    episodes = [*three_episodes(), make_episode(2, "truncation")]
    episodes[-1] = minari_files.Episode(**(vars(episodes[-1]) | {"is_cut": True}))
    manifest = write(tmp_path, episodes)
    assert json.loads((tmp_path / "local-test.json").read_text()) == manifest
    assert manifest["num_transitions"] == 11
    assert manifest["num_episodes"] == 4
    assert manifest["num_cut_episodes"] == 1
    returns = np.array([1.0 + 1.1 + 1.2, 2.0 + 2.1, 3.0 + 3.1 + 3.2 + 3.3])
    assert manifest["episode_return"]["mean"] == pytest.approx(returns.mean())
    assert manifest["episode_return"]["std"] == pytest.approx(returns.std())
    assert manifest["episode_length"] == {"mean": 11 / 4, "min": 2, "max": 4}


def test_the_digest_is_of_contents_only(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a"), write(tmp_path / "b", name="other")
    assert first["digest"] == second["digest"]
    changed = list(three_episodes())
    changed[0].rewards[0] += 1e-3
    assert write(tmp_path / "c", changed)["digest"] != first["digest"]


def test_minari_reads_the_dataset(tmp_path: Path, monkeypatch) -> None:
    minari = pytest.importorskip("minari")
    write(tmp_path)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    loaded = minari.load_dataset("local-test-v0")
    assert (loaded.total_episodes, loaded.total_steps) == (3, 9)
    assert loaded[0].terminations[-1] and not loaded[0].truncations.any()
    assert loaded[0].observations.shape == (4, 3)
    scores = minari.get_normalized_score(loaded, np.array([1.0, 2.0]))
    np.testing.assert_allclose(scores, [0.0, 1.0])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("observations", np.nan, r"observations is not finite at row 3"),
        ("rewards", np.inf, r"rewards is not finite at row 3"),
        ("actions", 1.5, r"actions has 1.5 at row 3, outside \[-1, 1\]"),
    ],
)
def test_bad_rows_are_named_and_nothing_is_left(
    tmp_path: Path, field: str, value: float, message: str
) -> None:
    episodes = list(three_episodes())
    getattr(episodes[1], field)[0] = value
    with pytest.raises(UserError, match=f"local-test: {message}"):
        write(tmp_path, episodes)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


def test_bad_shapes_are_named(tmp_path: Path) -> None:
    episode = make_episode(2, "termination")
    short = Episode(**(vars(episode) | {"observations": episode.observations[:2]}))
    with pytest.raises(UserError, match=r"shape \(2, 3\).*row 0, expected \(3, 3\)"):
        write(tmp_path, [short])
    with pytest.raises(UserError, match="no transitions"):
        write(tmp_path, [])


def test_a_failed_rewrite_keeps_the_dataset(tmp_path: Path) -> None:
    before = write(tmp_path)["digest"]

    def failing() -> Iterator[Episode]:
        yield make_episode(2, "termination")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, failing())
    dataset = datasets.load_dataset(make_task(), tmp_path)
    assert datasets.digest(dataset) == before
    # A rewrite that succeeds replaces it.
    assert write(tmp_path, [make_episode(4, "truncation")])["digest"] != before
    task = make_task(num_transitions=4)
    assert len(datasets.load_dataset(task, tmp_path)) == 3


def test_missing_and_foreign_data_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no data yet.*dql data generate local-test"):
        datasets.load_dataset(make_task(), tmp_path)
    write(tmp_path)
    (tmp_path / "local-test.json").write_text("{")
    with pytest.raises(UserError, match="manifest.*cannot be used"):
        datasets.load_dataset(make_task(), tmp_path)
    write(tmp_path)
    path = tmp_path / "local-test-v0" / "data" / "main_data.hdf5"
    with h5py.File(path, "r+") as file:
        file["episode_1/rewards"][0] = 9.0
    with pytest.raises(UserError, match="not those its manifest describes"):
        datasets.load_dataset(make_task(), tmp_path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UserError, match="is damaged"):
        datasets.load_dataset(make_task(), tmp_path)
    path.unlink()
    with pytest.raises(UserError, match="main_data.hdf5 is missing"):
        datasets.load_dataset(make_task(), tmp_path)


def _hold_lock(folder: Path, held: object, release: object) -> None:
    with files.locked(folder):
        held.set()
        release.wait(10)


def test_a_reader_waits_for_a_writer(tmp_path: Path, caplog) -> None:
    write(tmp_path)
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    folder = tmp_path / "local-test-v0"
    writer = context.Process(target=_hold_lock, args=(folder, held, release))
    writer.start()
    assert held.wait(10)
    timer = multiprocessing.pool.ThreadPool(1)
    with caplog.at_level("INFO"):
        reading = timer.apply_async(datasets.load_dataset, (make_task(), tmp_path))
        with pytest.raises(multiprocessing.TimeoutError):
            reading.get(timeout=0.3)
        release.set()
        assert len(reading.get(timeout=10)) == 7
    assert "waiting for another process" in caplog.text
    writer.join()
    timer.terminate()


def test_a_second_load_reads_one_flat_file(tmp_path: Path, monkeypatch) -> None:
    manifest = write(tmp_path)
    first = datasets.load_dataset(make_task(), tmp_path)
    flat = tmp_path / "local-test-v0" / datasets.FLAT_FILE
    assert flat.is_file()
    with monkeypatch.context() as patch:
        patch.setattr(datasets, "stored_episodes", None)
        again = datasets.load_dataset(make_task(), tmp_path)
    for name in datasets.ARRAYS:
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert again.manifest == manifest
    # It goes with the dataset it was made from.
    write(tmp_path, [make_episode(4, "truncation")])
    assert not flat.exists()


@pytest.mark.parametrize("fault", ["content", "cut", "foreign", "names"])
def test_a_flat_file_that_is_not_the_manifests_is_made_anew(
    tmp_path: Path, fault: str
) -> None:
    write(tmp_path)
    expected = datasets.load_dataset(make_task(), tmp_path)
    flat = tmp_path / "local-test-v0" / datasets.FLAT_FILE
    good = flat.read_bytes()
    bad = {
        "content": good[:-4] + b"\x00\x00\x80\x3f",
        "cut": good[:-8],
        "foreign": b"something else altogether",
        "names": good.replace(b"rewards", b"rewardz"),
    }
    assert bad[fault] != good
    flat.write_bytes(bad[fault])
    found = datasets.load_dataset(make_task(), tmp_path)
    np.testing.assert_array_equal(found.rewards, expected.rewards)
    assert flat.read_bytes() == good


def test_where_nothing_can_be_written_data_are_loaded_all_the_same(
    tmp_path: Path, monkeypatch
) -> None:
    write(tmp_path)

    def refuse(path: Path, content: bytes) -> None:
        raise PermissionError(f"{path} is not yours")

    monkeypatch.setattr(datasets, "write_bytes", refuse)
    assert len(datasets.load_dataset(make_task(), tmp_path)) == 7
    assert not (tmp_path / "local-test-v0" / datasets.FLAT_FILE).exists()


def test_a_file_without_episodes_is_damaged(tmp_path: Path) -> None:
    write(tmp_path)
    with h5py.File(tmp_path / "local-test-v0" / datasets.DATA_FILE, "r+") as file:
        for name in list(file):
            del file[name]
    with pytest.raises(UserError, match="is damaged.*no episode"):
        datasets.load_dataset(make_task(), tmp_path)


def test_bandit_data_are_one_step_episodes() -> None:
    config = DatasetConfig(source="bandit", seed=3, num_transitions=40)
    task = TaskConfig(
        name="bandit-axes",
        suite="bandit",
        environment="bandit",
        layout="axes",
        horizon=1,
        dataset=config,
    )
    dataset = datasets.load_dataset(task)
    assert dataset.actions.shape == (40, 2)
    assert dataset.terminations.all() and not dataset.observations.any()
    assert dataset.manifest["digest"] == datasets.digest(datasets.load_dataset(task))


def test_what_hdf5_remembers_of_arrays_it_has_read_is_bounded(
    tmp_path: Path, monkeypatch
) -> None:
    write(tmp_path, [make_episode(2, "truncation")] * 400)
    path = tmp_path / "local-test-v0" / datasets.DATA_FILE

    def largest_cache() -> int:
        with h5py.File(path, "r") as file, monkeypatch.context() as patch:
            patch.setattr(h5py, "File", lambda *_: nullcontext(file))
            rows = datasets.stored_episodes(path)
            sizes = [file.id.get_mdc_size()[2] for _ in rows]
        return max(sizes)

    # What is in use stays, so a little more than the bound.
    assert largest_cache() < 1.5 * datasets.METADATA_BYTES
    monkeypatch.setattr(datasets, "bound_metadata", lambda file: None)
    assert largest_cache() > 1.5 * datasets.METADATA_BYTES
