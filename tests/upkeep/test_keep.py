import json

import pandas as pd
import pytest

from dql import paths
from dql.errors import UserError
from dql.upkeep.keep import keep


def make_run(root, task, seed):
    folder = root / paths.run_directory(task, "td3_bc", seed)
    folder.mkdir(parents=True)
    config = {
        "task": task,
        "method": "td3_bc",
        "seed": seed,
        "scale": "quick",
        "training": {"num_gradient_steps": 9},
    }
    made = {
        "steps_per_second": 2.0,
        "wall_seconds": 4.5,
        "peak_memory_bytes": 100,
        "device": "cpu",
        "code_fingerprint": "abc",
        "dataset": {"digest": "d" * 64},
        "finished_at": "2026-01-01T00:00:00+00:00",
        "machine": {"num_cpus": 2},
        "versions": {"torch": "2.13.0"},
    }
    (folder / paths.CONFIG_FILE).write_text(json.dumps(config))
    (folder / paths.PROVENANCE_FILE).write_text(json.dumps(made))


def test_figures_numbers_and_provenance_are_kept(tmp_path):
    for seed in (0, 1):
        make_run(tmp_path, "bandit-axes", seed)
    (tmp_path / paths.FIGURES).mkdir()
    (tmp_path / paths.FIGURES / "bandit_axes.png").write_bytes(b"picture")
    (tmp_path / paths.BANDIT).mkdir(parents=True)
    (tmp_path / paths.BANDIT / "summary.csv").write_text("layout\n")
    (tmp_path / paths.BANDIT / "claims.html").write_text("for the report only")
    (tmp_path / paths.ALL_CLAIMS).write_text("{}")
    folder = keep("quick", root=tmp_path, kept=tmp_path / "kept")
    assert (folder / "claims.json").read_text() == "{}"
    assert (folder / "figures" / "bandit_axes.png").read_bytes() == b"picture"
    assert [file.name for file in (folder / "bandit").iterdir()] == ["summary.csv"]
    runs = pd.read_csv(folder / "runs.csv")
    assert runs["seed"].tolist() == [0, 1]
    assert (runs["wall_seconds"] == 4.5).all()
    made_with = json.loads((folder / "made_with.json").read_text())
    assert made_with["environments"] == [
        {"machine": {"num_cpus": 2}, "versions": {"torch": "2.13.0"}}
    ]


def test_keeping_again_replaces_the_folder(tmp_path):
    make_run(tmp_path, "bandit-axes", 0)
    folder = keep("quick", root=tmp_path, kept=tmp_path / "kept")
    (folder / "stale.txt").write_text("")
    keep("quick", root=tmp_path, kept=tmp_path / "kept")
    assert sorted(path.name for path in folder.iterdir()) == [
        "made_with.json",
        "runs.csv",
    ]


def test_nothing_to_keep_says_what_to_run(tmp_path):
    with pytest.raises(UserError, match="run: make"):
        keep("quick", root=tmp_path, kept=tmp_path / "kept")
