"""Data behind a restored manifest, made again: the same, a sibling's, or refused."""

import json
from functools import partial

import pytest
from small_dataset import make_task, three_episodes, write

from dql import paths
from dql.data.again import make_again
from dql.data.datasets import load_dataset
from dql.data.minari_files import Episode
from dql.errors import UserError

TASK = make_task()


def make(task, root, *, change=0.0, bonus=0.0):
    """Make the task's data as their generator does, some numbers changed."""
    episodes = [
        Episode(e.observations + change, e.actions, e.rewards + bonus,
                e.terminations, e.truncations)
        for e in three_episodes()
    ]  # fmt: skip
    return write(root, episodes, task.name)


@pytest.fixture
def restored(tmp_path):
    """A manifest that came back without its data."""
    manifest = write(tmp_path / "elsewhere")
    for path in (f"{TASK.name}.json", f"restored/{TASK.name}.json"):
        file = tmp_path / "here" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(manifest))
    return tmp_path / "here"


def test_the_same_data_leave_the_manifest_as_it_was(restored):
    path = restored / f"{TASK.name}.json"
    before = path.read_bytes(), path.stat().st_mtime_ns
    make_again(TASK, make, restored)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert len(load_dataset(TASK, restored)) > 0
    assert (restored / paths.minari_id(TASK.name) / "data" / "main_data.hdf5").is_file()


def test_data_rounded_otherwise_get_a_manifest_of_their_own(restored):
    before = json.loads((restored / f"{TASK.name}.json").read_text())
    make_again(TASK, partial(make, change=1e-3), restored)
    after = json.loads((restored / f"{TASK.name}.json").read_text())
    assert after["digest"] != before["digest"]
    assert load_dataset(TASK, restored).manifest["digest"] == after["digest"]


@pytest.mark.parametrize(
    ("maker", "word"),
    [
        (partial(make, bonus=100.0), "mean return"),
        (lambda task, root: make(task, root, change=1.0) | {"horizon": 7}, "horizon"),
    ],
)
def test_other_data_are_refused_and_nothing_stays(restored, maker, word):
    before = sorted(restored.rglob("*"))
    with pytest.raises(UserError, match=f"{word}.*remove the kept runs"):
        make_again(TASK, maker, restored)
    assert sorted(restored.rglob("*")) == before
