"""Whatever stands in a file, its reader returns or raises a `UserError`, nothing else.

Texts are mutated from real ones: random bytes alone rarely get past the first check.
"""

import contextlib
import copy
import json
import shutil
import tempfile
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored_results import make_config, write_manifest, write_run

from dql import paths
from dql.config.project import load_project
from dql.config.validation import parse_changes, read_yaml
from dql.errors import UserError
from dql.results.cells import aggregate_cell
from dql.results.manifests import check_asked_for, read_manifest
from dql.results.runs import read_run

many = settings(
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=list(HealthCheck),
)
few = settings(many, max_examples=8)

PROJECT = load_project(scale="smoke")
TASK = PROJECT.task("local-hopper-medium-expert")
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["", "nan", "../x", "2001-99-99", "1e999", "\x00", "a;b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=4,
)


@contextlib.contextmanager
def only_user_errors():
    """Let a reader refuse; any other exception fails the test."""
    with contextlib.suppress(UserError):
        yield


@st.composite
def damaged(draw, content: bytes):
    """Cut, insert, replace or repeat a piece of a file."""
    start = draw(st.integers(0, len(content)))
    end = draw(st.integers(start, min(len(content), start + 12)))
    piece = draw(
        st.binary(max_size=6)
        | st.sampled_from([b"\xff\xfe", b"\x00", b"[" * 3000, b"{}", b",,", b"NaN"])
    )
    return content[:start] + piece + (content[end:] if draw(st.booleans()) else b"")


@st.composite
def changed(draw, content):
    """Replace, remove or add one value somewhere in nested mappings."""
    content = copy.deepcopy(content)
    place = content
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return content
        key = draw(st.sampled_from(keys))
        deeper = isinstance(place[key], dict | list) and place[key]
        if not deeper or draw(st.integers(0, 3)) == 0:
            break
        place = place[key]
    if draw(st.booleans()) or not isinstance(place, dict):
        place[key] = draw(VALUES)
    else:
        del place[key]
    return content


@contextlib.contextmanager
def folder():
    """A folder of its own for one example."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


TASKS_FILE = (paths.CONFIG / "tasks.yaml").read_bytes()
SCALE_FILE = (paths.CONFIG / "scales" / "smoke.yaml").read_bytes()


@many
@given(st.binary(max_size=40) | damaged(SCALE_FILE) | st.sampled_from([b"!!int ''"]))
def test_any_yaml_file(content):
    with folder() as root, only_user_errors():
        (root / "file.yaml").write_bytes(content)
        assert isinstance(read_yaml(root / "file.yaml"), dict)


@few
@given(st.data())
def test_any_configuration(data):
    name = data.draw(
        st.sampled_from(
            [
                "config.yaml",
                "methods.yaml",
                "tasks.yaml",
                "suites.yaml",
                "scales/smoke.yaml",
            ]
        )
    )
    content = yaml.safe_load((paths.CONFIG / name).read_text())
    with folder() as root:
        shutil.copytree(paths.CONFIG, root / "config")
        text = json.dumps(data.draw(changed(content)))
        (root / "config" / name).write_text(text)
        with only_user_errors():
            project = load_project(root / "config", scale="smoke")
            for task, method, seed in project.runs()[:3]:
                project.run_config(task, method, seed)


@many
@given(st.text(max_size=30) | st.from_regex(r"[a-z.]{1,9}=[-\w!.:\[{]{0,9}"))
def test_any_change_of_the_command_line(text):
    with only_user_errors():
        assert parse_changes([text])


@many
@given(st.text(max_size=12) | st.from_regex(r"\A[\w.+-]{1,11}\Z"))
def test_any_variant(value):
    with only_user_errors():
        PROJECT.run_config("bandit-axes", f"diffusion_ql@eta={value}", 0)


def check_cell(root, config, manifest=None):
    """Read a run and its cell; the cell may name the run's faults instead."""
    with only_user_errors():
        read_run(root / "run")
    with only_user_errors():
        cell = aggregate_cell(
            [config], [root / "run"], root / "cell.json", manifest=manifest
        )
        assert cell["seeds"] or cell["left_out"] or cell["diverged"]


CONFIG = make_config()


def write_all(root):
    """Write a run and return its files' contents."""
    write_run(root / "run", CONFIG)
    return {path.name: path.read_bytes() for path in (root / "run").iterdir()}


with folder() as example:
    FILES = write_all(example)
    MANIFEST = json.loads(write_manifest(example / "manifest.json").read_text())


@many
@given(st.data())
def test_any_damage_to_a_stored_run(data):
    name = data.draw(st.sampled_from(sorted(FILES)))
    with folder() as root:
        write_all(root)
        (root / "run" / name).write_bytes(data.draw(damaged(FILES[name])))
        check_cell(root, CONFIG)


@many
@given(st.data())
def test_any_value_in_a_stored_run(data):
    name = data.draw(st.sampled_from(["config.json", "provenance.json"]))
    with folder() as root:
        write_all(root)
        content = data.draw(changed(json.loads(FILES[name])))
        (root / "run" / name).write_text(json.dumps(content))
        check_cell(root, CONFIG)


FACTS = {
    "reference_scores": {"min": 0.0, "max": 1.0},
    "environment": "hopper",
    "horizon": 1000,
    "physics": "d4rl",
    "generator": {"quality": "medium", "seed": 0, "parts": [{"policy": "a"}]},
}


@many
@given(st.data())
def test_any_manifest(data):
    text = json.dumps(MANIFEST).encode()
    whole = changed(MANIFEST | FACTS)
    content = data.draw(
        damaged(text) | whole.map(lambda value: json.dumps(value).encode())
    )
    with folder() as root:
        path = root / f"{TASK.name}.json"
        path.write_bytes(content)
        with only_user_errors():
            check_asked_for(TASK, read_manifest(TASK, root))
        write_all(root)
        check_cell(root, CONFIG, manifest=path)
