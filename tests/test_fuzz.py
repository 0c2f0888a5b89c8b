"""Whatever stands in a file, its reader returns or raises a `UserError`, nothing else.

Texts are mutated from real ones: random bytes alone rarely get past the first check.
"""

import contextlib
import copy
import json
import shutil
import tempfile
from pathlib import Path

import h5py
import numpy as np
import torch
import yaml
from core import make_agent, train_steps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored_results import make_config, write_manifest, write_run

from dql import paths
from dql.config.project import load_project
from dql.config.schema import TaskConfig
from dql.config.validation import ALIASES, parse_changes, setting_names, validate
from dql.config.yaml_text import read_words, read_yaml
from dql.core.batch import TransitionStore
from dql.data import d4rl, minari_remote
from dql.data.checks import verify
from dql.data.d4rl_rows import dimensions
from dql.data.datasets import load_dataset
from dql.data.minari_files import Episode, write_minari
from dql.errors import UserError
from dql.results.cell_scores import normalize
from dql.results.cells import aggregate_cell
from dql.results.manifests import (
    check_asked_for,
    check_reference_scores,
    read_manifest,
)
from dql.results.runs import read_run
from dql.snakemake_launcher import check, move_targets

many = settings(
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=list(HealthCheck),
)
some = settings(many, max_examples=20)
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


WORDS = st.sampled_from(
    [
        "0",
        "1",
        "2",
        "-1",
        "-3",
        "0.5",
        "1e-4",
        "5E1",
        "1e400",
        "1e39",
        "100000000000000",
    ]
    + ["010", "0x1F", "0b1", "1:30", "1_0", "+4", "-0.0", "true", "no", "null", "~"]
    + ["nan", ".nan", "inf", "-.inf", "'1'", "[]", "{}", "[0, 0]", "{a: 1, a: 2}", ""]
)
"""Scalars that YAML, Python and JSON read in different ways, or not at all."""


@st.composite
def with_a_second_key(draw, text: str):
    """Repeat one line of a YAML text, its key with some other value."""
    lines = text.splitlines()
    keyed = [i for i, line in enumerate(lines) if ": " in line or line.endswith(":")]
    index = draw(st.sampled_from(keyed)) if keyed else 0
    key = lines[index].partition(":")[0] if keyed else "key"
    return "\n".join([*lines[:index], f"{key}: {draw(WORDS)}", *lines[index:]])


def check_run(run):
    """Check that a run's configuration is stored as it is."""
    stored = run.model_dump(mode="json")
    assert json.loads(run.model_dump_json()) == stored
    assert json.dumps(stored, allow_nan=False)


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
        content = data.draw(changed(content))
        plain = json.dumps(content)
        if data.draw(st.booleans()):
            plain = data.draw(with_a_second_key(yaml.safe_dump(content)))
        (root / "config" / name).write_text(plain)
        with only_user_errors():
            project = load_project(root / "config", scale="smoke")
            for task, method, seed in project.runs()[:3]:
                check_run(project.run_config(task, method, seed))


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


@some
@given(st.data())
def test_any_settings_of_any_method(data):
    """Refused, or stored as they are, with each key once, and trained on."""
    name = data.draw(st.sampled_from(sorted(PROJECT.methods)))
    agent = PROJECT.methods[name].agent
    keys = st.sampled_from([*setting_names(agent), *ALIASES, "no_setting"])
    pairs = data.draw(st.lists(st.tuples(keys, WORDS), min_size=1, max_size=3))
    variant = ",".join(f"{key}={word}" for key, word in pairs)
    with only_user_errors():
        run = PROJECT.run_config("bandit-axes", f"{name}@{variant}", 0)
        check_run(run)
        assert len({ALIASES.get(key, key) for key, _ in pairs}) == len(pairs)
        built, store = make_agent(agent, seeds=(0,), settings=[run.settings])
        train_steps(built, store, 1)


@many
@given(st.lists(st.tuples(st.sampled_from(["scale", "suites", "physics"]), WORDS)))
def test_any_pairs_of_snakemakes_command_line(pairs):
    words = ["--config", *(f"{key}={word}" for key, word in pairs), "--cores", "2"]
    with only_user_errors():
        check(move_targets(words))
        assert len({key for key, _ in pairs}) == len(pairs)
        values = read_words({key: word for key, word in pairs if word}, "config")
        assert load_project(overrides=values).config


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


D4RL_TASK = PROJECT.task("kitchen-complete-v0")
"""Of two flags' rules: its files may lack timeouts, which are counted then."""
SPECIAL = [0.0, 1.0, -1.0, 0.5, 2.0, np.nan, np.inf, 1e30, 1e39, 1e300, 255.0]
TYPES = ["f2", "<f4", ">f4", "f8", "i1", "u1", "i8", "?", "S3", "c8"]


def sound_rows(num_rows):
    """Return a D4RL file's arrays, kitchen's widths."""
    generator = np.random.default_rng(num_rows)
    flags = np.arange(num_rows) % 5 == 4
    return {
        "observations": generator.standard_normal((num_rows, 60)).astype("f4"),
        "actions": generator.uniform(-1, 1, (num_rows, 9)).astype("f4"),
        "rewards": generator.standard_normal(num_rows).astype("f4"),
        "terminals": flags,
        "timeouts": np.roll(flags, 2),
        "next_observations": generator.standard_normal((num_rows, 60)).astype("f4"),
    }


SHAPES = {
    "scalar": lambda shape: (),
    "empty": lambda shape: (0,),
    "flat": lambda shape: shape[:-1],
    "column": lambda shape: (*shape, 1),
    "row": lambda shape: (1, *shape),
    "longer": lambda shape: (shape[0] + 1, *shape[1:]),
}
NUMBERS = st.sampled_from(SPECIAL) | st.floats()
ODDITIES = st.one_of(
    st.tuples(st.just("number"), st.integers(0, 99), NUMBERS),
    st.tuples(st.just("all"), NUMBERS),
    st.tuples(st.just("type"), st.sampled_from(TYPES)),
    st.tuples(st.just("shape"), st.sampled_from(sorted(SHAPES))),
    st.tuples(st.just("text"), st.sampled_from([b"True", b"", b"1"])),
    st.tuples(st.sampled_from(["record", "absent", "group"])),
)


def odd(array, kind, *how):
    """Change an array's values, type or shape into what some file has; None: absent."""
    with np.errstate(all="ignore"):
        if kind == "number" and array.size:
            array = array.astype("f8")
            array.flat[how[0] % array.size] = how[1]
        elif kind in ("all", "text"):
            array = np.full(array.shape, how[-1])
        elif kind == "type":
            array = array.astype(how[0])
        elif kind == "shape":
            array = np.resize(array, SHAPES[how[0]](array.shape))
        elif kind == "record":
            array = np.zeros(array.shape[:1], [("x", "f4"), ("y", "i4")])
    return array


def make_odd(data, group, arrays):
    """Write a group's arrays with none, one or two of them made odd."""
    changes = st.dictionaries(st.sampled_from(sorted(arrays)), ODDITIES, max_size=2)
    chosen = data.draw(changes)
    for name, array in arrays.items():
        kind = chosen.get(name, ("none",))
        if name in group:
            del group[name]
        if kind[0] == "group":
            group.create_group(name)
        elif kind[0] != "absent":
            group.create_dataset(name, data=odd(array, *kind))


def check_data(task, root, manifest):
    """What was accepted can be verified, loaded and trained on as it is."""
    assert verify(task, root) == json.loads((root / f"{task.name}.json").read_text())
    dataset = load_dataset(task, root)
    assert len(dataset) == manifest["num_training_transitions"] > 0
    rows = TransitionStore([dataset], [0]).rows
    assert rows.dtype == torch.float32 and torch.isfinite(rows).all()
    assert set(np.unique(dataset.terminations)) <= {0.0, 1.0}


@some
@given(st.data())
def test_any_d4rl_file(data):
    horizon = data.draw(st.integers(1, 9))
    task = D4RL_TASK.model_copy(update={"horizon": horizon})
    with folder() as root, only_user_errors():
        file = root / "file.hdf5"
        with h5py.File(file, "w") as opened:
            make_odd(data, opened, sound_rows(data.draw(st.integers(0, 9))))
        if data.draw(st.integers(0, 4)) == 0:
            file.write_bytes(data.draw(damaged(file.read_bytes())))
        manifest = d4rl.convert(task, file, task.dataset.sha256, root)
        check_data(task, root, manifest)


MINARI_TASK = next(
    task for task in PROJECT.tasks.values() if task.dataset.source == "minari"
)


def publish(root):
    """Put a Minari dataset of two episodes where it would be downloaded to."""
    generator = np.random.default_rng(0)
    widths = dimensions(MINARI_TASK.environment)
    episodes = [
        Episode(
            generator.standard_normal((5, widths[0])),
            generator.uniform(-1, 1, (4, widths[1])),
            np.arange(4.0),
            np.zeros(4, dtype=bool),
            np.arange(4) == 3,
        )
        for _ in range(2)
    ]
    folder = root / minari_remote.FOLDER / MINARI_TASK.dataset.id / "data"
    folder.parent.mkdir(parents=True)
    write_minari(
        folder,
        MINARI_TASK.dataset.id,
        episodes,
        dimensions=widths,
        environment_spec=None,
        metadata={"ref_min_score": 1.0, "ref_max_score": 5.0},
    )
    return folder


def change_minari(data, published):
    """Change an episode's arrays, the file's attributes or the metadata."""
    described = published / "metadata.json"
    if data.draw(st.booleans()):
        metadata = data.draw(changed(json.loads(described.read_text())))
        if data.draw(st.booleans()):
            key = data.draw(st.sampled_from(["ref_min_score", "ref_max_score"]))
            metadata[key] = data.draw(st.sampled_from(SPECIAL) | VALUES)
        described.write_text(json.dumps(metadata))
    with h5py.File(published / "main_data.hdf5", "r+") as file:
        group = file[f"episode_{data.draw(st.integers(0, 1))}"]
        names = ("observations", "actions", "rewards", "terminations", "truncations")
        make_odd(data, group, {name: group[name][()] for name in names})
        if data.draw(st.integers(0, 5)) == 0:
            name = data.draw(st.sampled_from(["total_steps", "id", "seed"]))
            group.attrs[name] = data.draw(
                st.integers(-9, 9) | st.text("a1-", max_size=3)
            )


@some
@given(st.data())
def test_any_minari_file(data):
    rows = data.draw(st.none() | st.integers(1, 9))
    dataset = MINARI_TASK.dataset.model_copy(update={"num_transitions": rows})
    task = MINARI_TASK.model_copy(update={"dataset": dataset})
    with folder() as root, only_user_errors():
        published = publish(root)
        change_minari(data, published)
        if data.draw(st.integers(0, 4)) == 0:
            file = data.draw(st.sampled_from(["metadata.json", "main_data.hdf5"]))
            content = (published / file).read_bytes()
            (published / file).write_bytes(data.draw(damaged(content)))
        manifest = minari_remote.fetch(task, root, root)
        assert rows is None or manifest["num_transitions"] <= rows
        check_data(task, root, manifest)


@many
@given(
    st.none() | st.floats() | st.integers(-(10**400), 10**400),
    st.none() | st.floats() | st.integers(-(10**400), 10**400),
)
def test_any_reference_scores(low, high):
    """Wherever they stand they are judged alike: tasks file, manifest, Minari's."""
    scores = {"min": low, "max": high}
    try:
        check_reference_scores(scores, "here")
        usable = True
    except UserError:
        usable = False
    values = {"reference_min_score": low, "reference_max_score": high}
    with contextlib.suppress(UserError):
        validate(TaskConfig, TASK.model_dump() | values, "tasks.yaml")
        assert usable
    if usable and low is not None:
        scaled = normalize(np.array([low, high]), values)
        assert np.allclose(scaled, [0, 100])
