"""A D4RL file from whichever source has it: a folder, its host, a mirror."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from d4rl_arrays import Arrays, make_arrays, make_task, reference_rows, write_file
from file_server import Server

from dql.config.project import load_project
from dql.data import d4rl, d4rl_files, datasets, download, sources
from dql.errors import UserError

pytestmark = pytest.mark.usefixtures("no_files_of_the_users")


@pytest.fixture
def official(server: Server, tmp_path: Path) -> Arrays:
    """Let the server have a good hopper file."""
    arrays = make_arrays("hopper", 2000, terminals=[300], timeouts=[999, 1999])
    server.content = write_file(tmp_path / "official.hdf5", arrays)
    return arrays


def fetch(server: Server, tmp_path: Path, folder: Path | None = None, **dataset):
    """Fetch the server's file as a hopper task's; return the manifest."""
    task = make_task(dataset={"url": server.url, **dataset})
    return d4rl.fetch(task, tmp_path / "datasets", tmp_path / "downloads", folder)


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
    with pytest.raises(UserError, match="two sources disagree"):
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


def test_a_file_of_the_wrong_size_is_not_even_received(
    server: Server, official: Arrays, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="bytes, expected 12"):
        fetch(server, tmp_path, num_bytes=12)
    assert [p.name for p in (tmp_path / "downloads").iterdir()] == [".data.hdf5.lock"]


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


def digest(server: Server) -> str:
    """Return the sha256 of what a server has."""
    return hashlib.sha256(server.content).hexdigest()


def put(folder: Path, server: Server, name: str = "data.hdf5") -> Path:
    """Put the server's file into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(server.content)
    return folder / name


def test_the_manifest_says_who_served(
    server: Server, official: Arrays, tmp_path: Path
) -> None:
    assert fetch(server, tmp_path)["served_by"] == server.url
    assert fetch(server, tmp_path)["served_by"] == server.url  # remembered


@pytest.mark.parametrize("is_named", [True, False])
def test_d4rls_own_folder_comes_before_the_network(
    server: Server, official: Arrays, tmp_path: Path, monkeypatch, is_named: bool
) -> None:
    folder = tmp_path / ("data" if is_named else "home/.d4rl/datasets")
    if is_named:
        monkeypatch.setenv(d4rl_files.FOLDER_VARIABLE, str(folder))
    file = put(folder, server)
    manifest = fetch(server, tmp_path, sha256=digest(server))
    assert server.ranges == []
    shown = "~/.d4rl/datasets/data.hdf5"
    assert manifest["served_by"] == (str(file) if is_named else shown)
    # Read where it lies: no second copy.
    assert not (tmp_path / "downloads" / "data.hdf5").exists()
    assert file.read_bytes() == server.content
    task = make_task(dataset={"url": server.url})
    dataset = datasets.load_dataset(task, tmp_path / "datasets")
    expected = reference_rows(official, 1000)
    np.testing.assert_array_equal(dataset.rewards, expected["rewards"])


def test_d4rls_usual_folder_comes_after_the_one_that_is_named(
    server: Server, official: Arrays, tmp_path: Path, monkeypatch
) -> None:
    usual = put(tmp_path / "home" / ".d4rl" / "datasets", server)
    named = tmp_path / "data" / "data.hdf5"
    named.parent.mkdir()
    monkeypatch.setenv(d4rl_files.FOLDER_VARIABLE, str(named.parent))
    assert d4rl_files.find_local("data.hdf5") == (usual,)
    named.write_bytes(b"something else")
    assert d4rl_files.find_local("data.hdf5") == (named, usual)
    manifest = fetch(server, tmp_path, sha256=digest(server))
    assert manifest["served_by"] == "~/.d4rl/datasets/data.hdf5"
    assert server.ranges == []


def test_a_wrong_file_in_d4rls_folder_is_left_for_the_network(
    server: Server, official: Arrays, tmp_path: Path, caplog
) -> None:
    file = put(tmp_path / "home" / ".d4rl" / "datasets", server)
    file.write_bytes(b"something else")
    manifest = fetch(server, tmp_path, sha256=digest(server))
    assert manifest["served_by"] == server.url
    assert file.read_bytes() == b"something else"
    assert "~/.d4rl/datasets/data.hdf5: its sha256 is" in caplog.text


def test_a_named_folder_is_the_only_source(
    server: Server, official: Arrays, tmp_path: Path
) -> None:
    file = put(tmp_path / "mine", server)
    manifest = fetch(server, tmp_path, folder=tmp_path / "mine")
    assert manifest["served_by"] == str(file)
    assert server.ranges == []
    file.write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"(?s)mine/data.hdf5.*HDF5.*data fetch hopper"):
        fetch(server, tmp_path, folder=tmp_path / "mine")
    assert file.read_bytes() == b"damaged"  # not set aside, it is the user's


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "no such folder of D4RL's files"),
        (lambda folder: folder.write_text(""), "a file, no folder of D4RL's files"),
        (lambda folder: folder.mkdir(), r"mine has no file data.hdf5. task .* needs"),
    ],
)
def test_a_folder_without_the_file_is_named(tmp_path: Path, make, message: str) -> None:
    make(tmp_path / "mine")
    with pytest.raises(UserError, match=message):
        d4rl.fetch(
            make_task(), tmp_path / "datasets", tmp_path / "d", tmp_path / "mine"
        )
    assert not (tmp_path / "datasets").exists()


def test_a_variable_that_names_no_folder_is_an_error(
    server: Server, official: Arrays, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv(d4rl_files.FOLDER_VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(UserError, match=r"gone \(named by D4RL_DATASET_DIR\): no such"):
        fetch(server, tmp_path)


@pytest.mark.parametrize("where", ["folder", "file"])
def test_what_may_not_be_read_is_named(
    server: Server, official: Arrays, tmp_path: Path, monkeypatch, where: str
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    put(tmp_path / "mine", server)
    if where == "folder":
        monkeypatch.setattr(Path, "iterdir", refuse)
    else:
        monkeypatch.setattr(download, "file_sha256", refuse)
    with pytest.raises(UserError, match=r"mine.*cannot be read \(Permission denied\)"):
        fetch(server, tmp_path, folder=tmp_path / "mine")


def test_another_versions_file_is_named_with_the_right_one(tmp_path: Path) -> None:
    task = load_project().task("hopper-medium-v2")
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("hopper_medium.hdf5", "hopper-medium-v0.hdf5", "hopper_expert.hdf5"):
        (folder / name).touch()
    with pytest.raises(UserError) as caught:
        d4rl.fetch(task, tmp_path / "datasets", tmp_path / "downloads", folder)
    message = str(caught.value)
    assert "hopper-medium-v0.hdf5, hopper_medium.hdf5, another version's" in message
    assert "needs hopper_medium-v2.hdf5" in message
    assert "hopper_expert" not in message


@pytest.mark.parametrize(
    ("name", "num_rows"),
    [("walker2d-medium-v2", 999_995), ("walker2d-medium-expert-v2", 1_999_209)],
)
def test_another_versions_rows_are_told_by_their_number(
    tmp_path: Path, name: str, num_rows: int
) -> None:
    task = load_project().task(name)  # one of no known digest
    folder = tmp_path / "mine"
    folder.mkdir()
    arrays = make_arrays("walker2d", 40, terminals=[3])
    write_file(folder / d4rl_files.published_file(task).name, arrays)
    with pytest.raises(UserError, match=rf"has 40 rows, {name} has {num_rows} or"):
        d4rl.fetch(task, tmp_path / "datasets", tmp_path / "downloads", folder)


@pytest.mark.parametrize("first", ["host", "folder"])
def test_two_sources_that_disagree_are_both_named(
    server: Server, official: Arrays, tmp_path: Path, first: str
) -> None:
    if first == "host":
        fetch(server, tmp_path)
        named = server.url
    else:
        named = str(put(tmp_path / "first", server))
        fetch(server, tmp_path, folder=tmp_path / "first")
    other = tmp_path / "second" / "data.hdf5"
    other.parent.mkdir()
    write_file(other, make_arrays("hopper", 30))
    with pytest.raises(UserError, match="two sources disagree") as caught:
        fetch(server, tmp_path, folder=other.parent)
    assert f"from {named}" in str(caught.value)
    assert f"from {other}" in str(caught.value)
    record = tmp_path / "downloads" / "data.hdf5.sha256"
    assert f"to take the second, remove {record}" in str(caught.value)
    record.unlink()
    assert fetch(server, tmp_path, folder=other.parent)["num_transitions"] == 30


def test_the_record_is_one_that_sha256sum_reads(
    server: Server, official: Arrays, tmp_path: Path
) -> None:
    fetch(server, tmp_path)
    kept = tmp_path / "downloads" / "data.hdf5"
    lines = kept.with_name("data.hdf5.sha256").read_text().splitlines()
    assert lines == [f"{digest(server)}  data.hdf5", f"# from {server.url}"]
    # One of before sources were noted.
    kept.with_name("data.hdf5.sha256").write_text(f"{lines[0]}\n")
    assert sources.recorded_digest(kept) == (digest(server), "an earlier fetch")


def test_a_kept_download_that_was_damaged_is_fetched_again(
    server: Server, official: Arrays, tmp_path: Path
) -> None:
    fetch(server, tmp_path)
    kept = tmp_path / "downloads" / "data.hdf5"
    kept.write_bytes(b"damaged")
    fetch(server, tmp_path)
    assert kept.read_bytes() == server.content
    assert kept.with_name("data.hdf5.rejected").read_bytes() == b"damaged"


def test_where_a_file_came_from_is_no_part_of_a_run() -> None:
    dataset = load_project().task("hopper-medium-v2").dataset
    assert dataset.mirrors and "mirrors" not in dataset.model_dump()
    urls = d4rl_files.published_file(load_project().task("hopper-medium-v2")).urls
    assert urls[0] == dataset.url
    assert urls[1] == f"{dataset.mirrors[0]}/hopper_medium-v2.hdf5"
