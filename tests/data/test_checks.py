"""What is on disk is told, and a fault in it is found and named by file and row."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from dql import paths
from dql.cli.main import main
from dql.config.schema import BehaviorConfig, DatasetConfig, TaskConfig
from dql.data import checks as dataset_checks
from dql.data import datasets, minari_files
from dql.data.datasets import DATA_FILE
from dql.errors import UserError
from dql.results.manifests import check_asked_for

URL = "http://127.0.0.1:9/file.hdf5"


def make_task(source: str = "local", **dataset) -> TaskConfig:
    """Make a hopper task of twelve rows unless told."""
    if source == "local":
        dataset = {"num_transitions": 12} | dataset
    return TaskConfig(
        name=f"{source}-hopper",
        suite="bandit" if source == "bandit" else "local",
        environment="bandit" if source == "bandit" else "hopper",
        layout="axes",
        horizon=5,
        dataset=DatasetConfig(source=source, **dataset),
    )


def make_episode(length: int) -> minari_files.Episode:
    """Make an episode that is truncated at its end."""
    generator = np.random.default_rng(length)
    return minari_files.Episode(
        generator.standard_normal((length + 1, 11)),
        generator.uniform(-1, 1, (length, 3)),
        generator.standard_normal(length),
        np.zeros(length, dtype=bool),
        np.arange(length) == length - 1,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write a dataset of three episodes, 12 rows."""
    minari_files.write_dataset(
        "local-hopper",
        [make_episode(length) for length in (3, 4, 5)],
        root=tmp_path,
        dimensions=(11, 3),
        description={"source": "local", "licence": "ours"},
    )
    return tmp_path


def data_file(root: Path) -> Path:
    return root / "local-hopper-v0" / DATA_FILE


def state(task: TaskConfig, root: Path) -> str:
    return dataset_checks.dataset_state(task, root, root / "downloads").state


def test_the_state_follows_what_is_on_disk(root: Path, tmp_path: Path) -> None:
    task = make_task()
    found = dataset_checks.dataset_state(task, root)
    assert (found.state, found.num_transitions) == ("generated", 12)
    assert found.licence == "ours"
    assert found.num_bytes == data_file(root).stat().st_size
    assert state(task, tmp_path / "elsewhere") == "absent"
    assert state(make_task("bandit"), root) == "generated"
    data_file(root).unlink()
    assert state(task, root) == "partial"
    (root / "local-hopper.json").unlink()
    assert state(task, root) == "partial"


def test_a_download_that_was_cut_is_partial(tmp_path: Path) -> None:
    task = make_task("d4rl", url=URL, num_bytes=7)
    assert state(task, tmp_path) == "absent"
    assert dataset_checks.dataset_state(task, tmp_path).num_bytes == 7
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "file.hdf5.part").write_bytes(b"abc")
    assert state(task, tmp_path) == "partial"


def test_a_good_dataset_passes(root: Path) -> None:
    manifest = dataset_checks.verify(make_task(), root)
    assert manifest == json.loads((root / "local-hopper.json").read_text())


@pytest.mark.parametrize(
    ("array", "row", "value", "message"),
    [
        ("episode_1/rewards", 2, np.nan, "rewards is not finite at row 5;"),
        ("episode_2/actions", 1, 3.0, "actions has 3 at row 8, outside"),
        ("episode_2/truncations", 0, True, "truncations is set at row 7"),
        ("episode_0/observations", 1, 0.5, "digest is .* its manifest says"),
    ],
)
def test_faults_are_named_with_file_and_row(
    root: Path, array: str, row: int, value: object, message: str
) -> None:
    with h5py.File(data_file(root), "r+") as file:
        file[array][row] = value
    with pytest.raises(UserError, match=f"main_data.hdf5: {message}") as caught:
        dataset_checks.verify(make_task(), root)
    assert "dql data generate local-hopper" in str(caught.value)


def test_missing_and_damaged_files_are_named(root: Path) -> None:
    with h5py.File(data_file(root), "r+") as file:
        del file["episode_1/actions"]
    with pytest.raises(UserError, match="main_data.hdf5 is damaged"):
        dataset_checks.verify(make_task(), root)
    data_file(root).write_bytes(data_file(root).read_bytes()[:100])
    with pytest.raises(UserError, match="main_data.hdf5 is damaged"):
        dataset_checks.verify(make_task(), root)
    data_file(root).unlink()
    with pytest.raises(UserError, match="main_data.hdf5 is missing"):
        dataset_checks.verify(make_task(), root)
    with pytest.raises(UserError, match="no data yet"):
        dataset_checks.verify(make_task("d4rl"), root)
    with pytest.raises(UserError, match="no file to verify"):
        dataset_checks.verify(make_task("bandit"), root)


def test_a_foreign_manifest_is_found_out(root: Path) -> None:
    path = root / "local-hopper.json"
    manifest = json.loads(path.read_text()) | {"num_episodes": 4}
    path.write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="num_episodes is 3, its manifest says 4"):
        dataset_checks.verify(make_task(), root)


def call(*arguments: str) -> int:
    """Run the command line in this process and return its exit code."""
    try:
        main(list(arguments))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture
def project(tmp_path: Path, monkeypatch) -> Path:
    """Stand in a folder that has the data of one real task."""
    monkeypatch.chdir(tmp_path)
    minari_files.write_dataset(
        "local-hopper-medium-expert",
        [make_episode(length) for length in (3, 4)],
        root=paths.DATASETS,
        dimensions=(11, 3),
        description={"source": "local", "reference_scores": {"min": 0, "max": 10}},
    )
    return tmp_path


def test_the_verbs_list_verify_and_describe(project: Path, capsys) -> None:
    sizes = ("--set", "suites.local.num_transitions=7")
    assert call("data", "list", "--json", *sizes) == 0
    rows = {row["task"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["local-hopper-medium-expert"]["state"] == "generated"
    assert rows["hopper-medium-v2"]["state"] == "absent"
    assert rows["hopper-medium-v2"]["num_bytes"] == 152756557
    assert call("data", "list") == 0
    listed = capsys.readouterr().out
    assert "local-halfcheetah-medium-expert" in listed
    assert "…" not in listed  # a pipe has no width to cut at
    assert call("data", "verify", "hopper-medium-v2", *sizes) == 2
    assert "has no data yet" in capsys.readouterr().err
    assert call("data", "verify", *sizes) == 0
    assert "7 transitions as in the manifest" in capsys.readouterr().out
    assert call("data", "describe", "local-hopper-medium-expert", "--figure") == 0
    assert "7 transitions in 2 episodes" in capsys.readouterr().out
    drawn = project / "figures/data/data_local-hopper-medium-expert.png"
    assert drawn.read_bytes().startswith(b"\x89PNG")
    with h5py.File(paths.dataset_file("local-hopper-medium-expert"), "r+") as file:
        file["episode_0/rewards"][1] = np.inf
    assert call("data", "verify", *sizes) == 1
    assert "rewards is not finite at row 1" in capsys.readouterr().err


ASKED = [
    ({"dataset": {"num_transitions": 100}}, "num_transitions is 12, .* has 100"),
    ({"dataset": {"num_transitions": None}}, "num_transitions is 12, .* 1000000"),
    ({"dataset": {"quality": "medium"}}, "quality is 'medium-expert', .* 'medium'"),
    ({"dataset": {"seed": 1}}, "seed is 0, .* has 1"),
    ({"physics": "stock"}, "physics is 'd4rl', .* has 'stock'"),
    ({"environment": "walker2d"}, "environment is 'hopper', .* 'walker2d'"),
    ({"horizon": 1000}, "horizon is 5, .* has 1000"),
    ({"behavior": {"num_environment_steps": 90_000}}, "behavior is .*_steps': 30000"),
]


@pytest.fixture
def described(tmp_path: Path) -> TaskConfig:
    """Write twelve rows with a manifest as full as a real one; return their task."""
    task = make_task(quality="medium-expert", seed=0)
    budget = BehaviorConfig(num_environment_steps=30_000)
    task = task.model_copy(update={"behavior": budget})
    minari_files.write_dataset(
        task.name,
        [make_episode(length) for length in (3, 4, 5)],
        root=tmp_path,
        dimensions=(11, 3),
        description={
            "source": "local",
            "environment": "hopper",
            "horizon": 5,
            "physics": "d4rl",
            "generator": {
                "quality": "medium-expert",
                "seed": 0,
                "budget": budget.model_dump(),
            },
        },
    )
    return task


@pytest.mark.parametrize(("changes", "message"), ASKED)
def test_data_made_for_another_configuration_are_refused(
    described: TaskConfig, tmp_path: Path, changes: dict, message: str
) -> None:
    assert len(datasets.load_dataset(described, tmp_path)) == 9
    assert state(described, tmp_path) == "generated"
    assert dataset_checks.verify(described, tmp_path)
    values = described.model_dump()
    for key, value in changes.items():
        inner = {**values[key], **value} if key == "dataset" else value
        values[key] = inner
    other = TaskConfig(**values)
    for read in (datasets.load_dataset, dataset_checks.verify):
        with pytest.raises(UserError, match=f"others than those.*{message}") as caught:
            read(other, tmp_path)
        assert "dql data generate local-hopper" in str(caught.value)
    assert state(other, tmp_path) == "other"


def test_an_evaluation_cut_shorter_takes_the_same_data(
    described: TaskConfig, tmp_path: Path
) -> None:
    shorter = described.model_copy(update={"horizon": 2})
    assert len(datasets.load_dataset(shorter, tmp_path)) == 9


def test_data_of_another_scale_are_not_trained_on(project: Path, capsys) -> None:
    """Seven rows are there; the scale asks for 3,000."""
    task = "local-hopper-medium-expert"
    run = ("train", task, "td3_bc", "--seed", "0", "--scale", "smoke")
    assert call(*run) == 2
    said = capsys.readouterr().err.replace("\n", " ")
    assert "num_transitions is 7, the configuration has 3000" in said
    assert not paths.run_directory(task, "td3_bc", 0).joinpath("config.json").exists()


def test_remade_data_of_other_policies_are_refused(tmp_path: Path) -> None:
    from dql.config.project import load_project
    from dql.data.remade import _describe

    task = load_project(scale="smoke").task("remade-hopper-medium")
    rows = task.dataset.num_transitions
    manifest = json.loads(json.dumps({**_describe(task), "num_transitions": rows}))
    check_asked_for(task, manifest)
    (part,) = task.dataset.parts
    other = part.model_copy(update={"noise_std": (0.0, 0.5)})
    dataset = task.dataset.model_copy(update={"parts": [other]})
    with pytest.raises(UserError, match=r"parts is .*0\.5"):
        check_asked_for(task.model_copy(update={"dataset": dataset}), manifest)
