"""D4RL files in every known shape: rows as D4RL's own function gives them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from d4rl_arrays import Arrays, make_arrays, make_task, reference_rows, write_file

from dql.data import d4rl, d4rl_rows, datasets
from dql.errors import UserError

CASES = {
    "timeouts and terminals": (
        "hopper",
        {"terminals": [3, 9, 19], "timeouts": [6, 14]},
        {},
    ),
    "a row that is both": ("hopper", {"terminals": [4, 8], "timeouts": [8, 12]}, {}),
    "an open tail": ("hopper", {"terminals": [3], "timeouts": [9]}, {}),
    "a terminal tail": ("hopper", {"terminals": [19], "timeouts": [9]}, {}),
    "a timeout tail": ("hopper", {"terminals": [5], "timeouts": [19]}, {}),
    "neither": ("hopper", {"timeouts": []}, {}),
    "goals within an ant's episode": (
        "antmaze-umaze",
        {"terminals": [2, 3, 4, 12], "timeouts": [6, 13]},
        {},
    ),
    "an ant whose timeouts are missing": (
        "antmaze-umaze",
        {"terminals": [2, 3], "timeouts": []},
        {},
    ),
    "a kitchen without timeouts": ("kitchen-complete", {"terminals": [3, 10, 17]}, {}),
    "long kitchen demonstrations": ("kitchen-mixed", {"terminals": [12]}, {}),
    "the pen": ("pen", {"terminals": [7], "timeouts": [3, 11]}, {}),
    "columns for vectors": ("pen", {"terminals": [7], "timeouts": [11]}, {"column": 1}),
    "recorded next observations": (
        "hopper",
        {"terminals": [3], "timeouts": [9]},
        {"next": 1},
    ),
}


@pytest.mark.parametrize("block_rows", [3, 50_000])
@pytest.mark.parametrize("case", list(CASES))
def test_rows_equal_qlearning_dataset(
    tmp_path: Path, monkeypatch, case: str, block_rows: int
) -> None:
    environment, flags, options = CASES[case]
    arrays = make_arrays(environment, 20, **flags)
    if options.get("next"):
        arrays["next_observations"] = arrays["observations"] + 100
    expected = reference_rows(arrays, max_episode_steps=5)
    if options.get("column"):
        for name in ("rewards", "terminals"):
            arrays[name] = arrays[name][:, None]
    monkeypatch.setattr(d4rl_rows, "BLOCK_ROWS", block_rows)
    write_file(tmp_path / "file.hdf5", arrays)
    task = make_task(environment)
    manifest = d4rl.convert(task, tmp_path / "file.hdf5", "digest", tmp_path)
    dataset = datasets.load_dataset(task, tmp_path)
    for name in datasets.ARRAYS:
        np.testing.assert_array_equal(getattr(dataset, name), expected[name], name)
    assert manifest["num_transitions"] == 20
    assert manifest["num_training_transitions"] == len(expected["rewards"])


def test_a_counted_timeout_comes_one_row_early_after_a_terminal() -> None:
    terminals = np.zeros(12, dtype=bool)
    terminals[2] = True
    timeouts, _ = d4rl_rows.counted_timeouts(terminals, 5, 0)
    # After the terminal at 2 the count is 1, so row 6 rather than 7 is the fifth.
    assert np.flatnonzero(timeouts).tolist() == [6, 11]


def read_episodes(tmp_path: Path, environment: str, arrays: Arrays) -> list:
    """Split a file into episodes."""
    write_file(tmp_path / "file.hdf5", arrays)
    with h5py.File(tmp_path / "file.hdf5") as file:
        num_rows = len(arrays["rewards"])
        return list(d4rl_rows.episodes(file, make_task(environment), num_rows))


@pytest.mark.parametrize("block_rows", [3, 50_000])
def test_ants_are_split_at_leaps_but_not_at_goals(
    tmp_path: Path, monkeypatch, block_rows: int
) -> None:
    monkeypatch.setattr(d4rl_rows, "BLOCK_ROWS", block_rows)
    arrays = make_arrays("antmaze-umaze", 12, terminals=[4, 5], timeouts=[9])
    arrays["observations"][:, :2] = 0
    arrays["observations"][6:, 0] = 8
    episodes = read_episodes(tmp_path, "antmaze-umaze", arrays)
    assert [len(episode.rewards) for episode in episodes] == [6, 4, 2]
    assert not episodes[0].truncations.any()
    assert episodes[0].terminations.tolist() == [False] * 4 + [True] * 2
    assert [episode.is_cut for episode in episodes] == [False, False, True]


def test_final_observations_are_the_recorded_ones(tmp_path: Path) -> None:
    arrays = make_arrays("hopper", 8, terminals=[3], timeouts=[7])
    arrays["next_observations"] = arrays["observations"] + 1
    first, second = read_episodes(tmp_path, "hopper", arrays)
    np.testing.assert_array_equal(first.observations[4], arrays["observations"][3] + 1)
    del arrays["next_observations"]
    _, second = read_episodes(tmp_path, "hopper", arrays)
    np.testing.assert_array_equal(second.observations[4], arrays["observations"][7])


def test_fewer_transitions_are_the_first_ones(tmp_path: Path) -> None:
    arrays = make_arrays("hopper", 20, terminals=[3], timeouts=[9])
    write_file(tmp_path / "file.hdf5", arrays)
    task = make_task(dataset={"num_transitions": 8})
    d4rl.convert(task, tmp_path / "file.hdf5", "digest", tmp_path)
    expected = reference_rows({k: v[:8] for k, v in arrays.items()}, 5)
    dataset = datasets.load_dataset(task, tmp_path)
    np.testing.assert_array_equal(dataset.observations, expected["observations"])


def flags(**rows: int) -> np.ndarray:
    """Return twenty zeros with a value that is no flag in a row."""
    array = np.zeros(20, dtype=np.float32)
    for name, row in rows.items():
        array[row] = {"nan": np.nan, "half": 0.5, "minus": -1.0}[name]
    return array


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, np.float64])
def test_flags_of_any_type_of_number_are_read(tmp_path: Path, dtype: type) -> None:
    arrays = make_arrays("hopper", 20, terminals=[3], timeouts=[9])
    expected = reference_rows(arrays, 5)
    for name in ("terminals", "timeouts"):
        arrays[name] = arrays[name].astype(dtype)
    write_file(tmp_path / "file.hdf5", arrays)
    d4rl.convert(make_task(), tmp_path / "file.hdf5", "digest", tmp_path)
    found = datasets.load_dataset(make_task(), tmp_path).terminations
    np.testing.assert_array_equal(found, expected["terminations"])


def test_one_row_is_too_few(tmp_path: Path) -> None:
    arrays = {name: array[:1] for name, array in make_arrays("hopper", 20).items()}
    write_file(tmp_path / "file.hdf5", arrays)
    with pytest.raises(UserError, match="none of the 1 rows can be trained on"):
        d4rl.convert(make_task(), tmp_path / "file.hdf5", "digest", tmp_path / "root")
    assert not list((tmp_path / "root").glob("hopper*"))


def test_an_ants_last_row_before_a_leap_is_d4rls(tmp_path: Path) -> None:
    """Its successor is the next start, which D4RL trains on and Minari would not."""
    arrays = make_arrays("antmaze-umaze", 12, timeouts=[9])
    arrays["observations"][:, :2] = 0
    arrays["observations"][6:, 0] = 8
    first, *_ = read_episodes(tmp_path, "antmaze-umaze", arrays)
    np.testing.assert_array_equal(first.observations[6], arrays["observations"][6])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actions": np.zeros((20, 2))}, r"actions has shape \(20, 2\).*\(20, 3\)"),
        ({"timeouts": np.zeros(19)}, r"timeouts has shape \(19,\)"),
        ({"actions": np.full((20, 3), 2.0)}, "actions has 2 at row 0, outside"),
        ({"rewards": np.full(20, np.nan)}, "rewards is not finite at row 0"),
        ({"rewards": np.full(20, 1e39)}, "rewards is not finite in float32 at row 0"),
        ({"rewards": np.full(20, b"1.0")}, r"rewards holds no numbers but \|S3"),
        ({"rewards": np.float32(0)}, r"observations has shape \(20, 11\).*\(0, 11\)"),
        ({"rewards": np.zeros(20, "c8")}, "rewards holds no numbers but complex64"),
        ({"terminals": flags(nan=4)}, "terminals is nan at row 4, neither 0 nor 1"),
        ({"terminals": flags(half=5)}, "terminals is 0.5 at row 5, neither 0 nor 1"),
        ({"terminals": flags(minus=6)}, "terminals is -1.0 at row 6, neither 0 nor"),
        ({"timeouts": flags(half=7)}, "timeouts is 0.5 at row 7, neither 0 nor 1"),
        ({"terminals": np.full(20, b"False")}, "terminals holds no numbers but"),
        ({"timeouts": np.ones(20)}, "none of the 20 rows can be trained on"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, changes: Arrays, message: str) -> None:
    arrays = make_arrays("hopper", 20, terminals=[3], timeouts=[9]) | changes
    write_file(tmp_path / "file.hdf5", arrays)
    with pytest.raises(UserError, match=message):
        d4rl.convert(make_task(), tmp_path / "file.hdf5", "digest", tmp_path / "root")
    assert not list((tmp_path / "root").glob("hopper*"))


def test_missing_arrays_are_named(tmp_path: Path) -> None:
    arrays = make_arrays("hopper", 20)
    del arrays["actions"], arrays["terminals"]
    write_file(tmp_path / "file.hdf5", arrays)
    with pytest.raises(UserError, match="lacks the array.*actions, terminals"):
        d4rl.convert(make_task(), tmp_path / "file.hdf5", "digest", tmp_path)
