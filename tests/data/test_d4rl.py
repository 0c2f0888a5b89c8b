"""D4RL files in every known shape: rows as D4RL's own function gives them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from file_server import Server

from dql.config.schema import DatasetConfig, TaskConfig
from dql.data import d4rl, d4rl_rows, datasets, download
from dql.errors import UserError

Arrays = dict[str, np.ndarray]


def reference_rows(arrays: Arrays, max_episode_steps: int) -> Arrays:
    """Go through the flat rows one at a time, as D4RL documents `qlearning_dataset`."""
    kept: dict[str, list] = {name: [] for name in datasets.ARRAYS}
    count = 0
    for row in range(arrays["rewards"].shape[0] - 1):
        done = bool(arrays["terminals"][row])
        if "timeouts" in arrays:
            is_final = bool(arrays["timeouts"][row])
        else:
            is_final = count == max_episode_steps - 1
        if is_final:
            count = 0
            continue
        if done:
            count = 0
        kept["observations"].append(arrays["observations"][row])
        kept["next_observations"].append(arrays["observations"][row + 1])
        kept["actions"].append(arrays["actions"][row])
        kept["rewards"].append(np.ravel(arrays["rewards"])[row])
        kept["terminations"].append(done)
        count += 1
    return {name: np.array(rows, dtype=np.float32) for name, rows in kept.items()}


def make_task(environment: str = "hopper", **kwargs) -> TaskConfig:
    """Make a task with an official file; the URL leads nowhere unless given."""
    dataset = {"source": "d4rl", "url": "http://127.0.0.1:9/data.hdf5"}
    dataset |= kwargs.pop("dataset", {})
    family = environment.partition("-")[0]
    suites = {"hopper": "gym", "antmaze": "antmaze", "pen": "adroit"}
    values = {
        "name": f"{environment}-test-v2",
        "suite": suites.get(family, "kitchen"),
        "environment": environment,
        "horizon": 5,
        "reference_min_score": 0.0,
        "reference_max_score": 4.0,
        "dataset": DatasetConfig(**dataset),
    }
    return TaskConfig(**(values | kwargs))


def make_arrays(environment: str, num_rows: int, **flags: list[int]) -> Arrays:
    """Draw rows; each of `flags` lists the rows where it is set."""
    generator = np.random.default_rng(num_rows)
    observation_dim, action_dim = d4rl_rows.dimensions(environment)
    arrays = {
        "observations": generator.normal(size=(num_rows, observation_dim)),
        "actions": generator.uniform(-1, 1, (num_rows, action_dim)),
        "rewards": generator.normal(size=num_rows),
        "terminals": np.zeros(num_rows, dtype=bool),
    }
    for name, rows in flags.items():
        arrays[name] = np.isin(np.arange(num_rows), rows)
    return {
        name: array.astype(np.float32) if array.dtype == float else array
        for name, array in arrays.items()
    }


def write_file(path: Path, arrays: Arrays) -> bytes:
    """Write a D4RL file; return its content."""
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            options = {"compression": "gzip"} if np.ndim(array) else {}
            file.create_dataset(name, data=array, **options)
        file.create_dataset("infos/qpos", data=np.zeros(3))
        file.create_dataset("metadata/algorithm", data="SAC")
    return path.read_bytes()


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


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    """Serve from this machine, and let no attempt wait."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def official(server: Server, tmp_path: Path) -> Arrays:
    """Let the server have a good hopper file."""
    arrays = make_arrays("hopper", 2000, terminals=[300], timeouts=[999, 1999])
    server.content = write_file(tmp_path / "official.hdf5", arrays)
    return arrays


def fetch(server: Server, tmp_path: Path, **dataset) -> dict:
    """Fetch the server's file as a hopper task's."""
    task = make_task(dataset={"url": server.url, **dataset})
    return d4rl.fetch(task, tmp_path / "datasets", tmp_path / "downloads")


def test_fetch_downloads_once_and_converts(
    server: Server, official: Arrays, tmp_path: Path
) -> None:
    sha256 = hashlib.sha256(server.content).hexdigest()
    manifest = fetch(server, tmp_path, sha256=sha256, num_bytes=len(server.content))
    assert manifest["file_sha256"] == sha256
    assert manifest["source"] == "d4rl" and "CC BY" in manifest["licence"]
    assert manifest["reference_scores"]["max"] == 4.0
    dataset = datasets.load_dataset(
        make_task(dataset={"url": server.url}), tmp_path / "datasets"
    )
    expected = reference_rows(official, 1000)
    np.testing.assert_array_equal(dataset.rewards, expected["rewards"])
    assert fetch(server, tmp_path, sha256=sha256) == manifest
    assert len(server.ranges) == 1


def test_a_cut_connection_is_resumed(
    server: Server, official: Arrays, tmp_path: Path
) -> None:
    server.num_cuts = 2
    fetch(server, tmp_path, sha256=hashlib.sha256(server.content).hexdigest())
    size = len(server.content)
    half = size // 2
    assert server.ranges == [
        None,
        f"bytes={half}-",
        f"bytes={half + (size - half) // 2}-",
    ]
    assert sorted(path.name for path in (tmp_path / "downloads").iterdir()) == [
        ".data.hdf5.lock",
        "data.hdf5",
        "data.hdf5.sha256",
    ]


def test_a_server_without_ranges_sends_all_again(
    server: Server, official: Arrays, tmp_path: Path
) -> None:
    server.num_cuts, server.supports_ranges = 1, False
    fetch(server, tmp_path, sha256=hashlib.sha256(server.content).hexdigest())


@pytest.mark.parametrize("start", [0, 7])
def test_a_range_that_was_not_asked_for_is_not_appended(
    server: Server, official: Arrays, tmp_path: Path, start: int
) -> None:
    """206 with the whole file from byte 0, or with some other part of it."""
    server.num_cuts, server.range_start = 1, start
    manifest = fetch(server, tmp_path)  # no digest is known that could tell
    assert manifest["file_sha256"] == hashlib.sha256(server.content).hexdigest()
    half = f"bytes={len(server.content) // 2}-"
    assert server.ranges == ([None, half] if start == 0 else [None, half, None])
    kept = tmp_path / "downloads" / "data.hdf5.rejected"
    assert kept.exists() == (start != 0)


def test_a_file_that_changed_meanwhile_is_not_patched_together(
    server: Server, official: Arrays, tmp_path: Path
) -> None:
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    (downloads / "data.hdf5.part").write_bytes(b"the beginning of another version")
    (downloads / "data.hdf5.part.version").write_text('"another version"')
    manifest = fetch(server, tmp_path)
    assert manifest["file_sha256"] == hashlib.sha256(server.content).hexdigest()


def test_a_connection_that_stays_cut_keeps_what_came(
    server: Server, official: Arrays, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(download, "NUM_ATTEMPTS", 2)
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    part = downloads / "data.hdf5.part"
    part.write_bytes(server.content[:100])
    server.status = 503
    with pytest.raises(UserError, match=r"answers 503; 100 bytes are kept in .*\.part"):
        fetch(server, tmp_path)
    assert part.stat().st_size == 100
    assert not (tmp_path / "datasets").exists()
    # The server is back: the download goes on where it stopped.
    server.status = 200
    fetch(server, tmp_path)
    assert server.ranges[-1] == "bytes=100-"


def test_a_tampered_file_is_set_aside(
    server: Server, official: Arrays, tmp_path: Path
) -> None:
    sha256 = hashlib.sha256(server.content).hexdigest()
    server.content = server.content[:-1] + bytes([server.content[-1] ^ 1])
    with pytest.raises(UserError, match=rf"expected {sha256}.*data.hdf5.rejected"):
        fetch(server, tmp_path, sha256=sha256)
    left = {path.name for path in (tmp_path / "downloads").iterdir()}
    assert left == {".data.hdf5.lock", "data.hdf5.rejected"}
    assert not (tmp_path / "datasets").exists()


def test_the_first_digest_is_remembered(
    server: Server, official: Arrays, tmp_path: Path
) -> None:
    fetch(server, tmp_path)
    (tmp_path / "downloads" / "data.hdf5").unlink()
    server.content = write_file(tmp_path / "other.hdf5", make_arrays("hopper", 30))
    with pytest.raises(UserError, match="did not give the expected file"):
        fetch(server, tmp_path)


def test_a_truncated_file_is_set_aside_and_not_remembered(
    server: Server, official: Arrays, tmp_path: Path
) -> None:
    whole = server.content
    server.content = whole[: len(whole) // 2]
    with pytest.raises(
        UserError, match=r"not a readable HDF5 file.*data.hdf5.rejected"
    ):
        fetch(server, tmp_path)
    server.content = whole
    fetch(server, tmp_path)


def test_a_file_of_the_wrong_size_is_set_aside(
    server: Server, official: Arrays, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="bytes, expected 12"):
        fetch(server, tmp_path, num_bytes=12)


def test_offline_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        d4rl.fetch(make_task(), tmp_path / "datasets", tmp_path / "downloads")
    message = str(caught.value)
    for part in (
        "hopper-test-v2",
        "http://127.0.0.1:9/data.hdf5",
        str(tmp_path / "downloads" / "data.hdf5"),
        "dql data generate local-",
    ):
        assert part in message


def test_a_missing_page_fails_at_once(
    server: Server, official: Arrays, tmp_path: Path
) -> None:
    server.status = 404
    with pytest.raises(UserError, match="answers 404"):
        fetch(server, tmp_path)
    assert len(server.ranges) == 1


def test_a_file_put_there_by_hand_is_used(official: Arrays, tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "official.hdf5").rename(tmp_path / "downloads" / "data.hdf5")
    manifest = d4rl.fetch(make_task(), tmp_path / "datasets", tmp_path / "downloads")
    assert manifest["num_transitions"] == 2000


def test_local_tasks_are_not_fetched(tmp_path: Path) -> None:
    local = make_task(dataset={"source": "local", "url": None})
    with pytest.raises(UserError, match="dql data generate hopper-test-v2"):
        d4rl.fetch(local, tmp_path, tmp_path)
