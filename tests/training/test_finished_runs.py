"""A finished run is asked by the code it was trained by, or by one that acts alike."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from tiny import TINY_BANDIT

from dql import paths
from dql.config.project import load_project
from dql.errors import UserError
from dql.files import file_sha256
from dql.training.checkpoint import checkpoint_file
from dql.training.finished_runs import finished_run
from dql.training.loop import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    project = load_project(scale="smoke", overrides=TINY_BANDIT)
    config = project.run_config("bandit-axes", "td3_bc", 0)
    folder = tmp_path_factory.mktemp("run") / "seed0"
    train([config], [folder])
    return config, folder


@pytest.fixture
def older(trained, tmp_path, monkeypatch):
    """The run as code of another fingerprint would have left it."""
    config, folder = trained
    copy = tmp_path / "seed0"
    shutil.copytree(folder, copy)
    path = copy / paths.PROVENANCE_FILE
    now = json.loads(path.read_text())["code_fingerprint"]
    change_code(monkeypatch)
    return config, copy, now


def change_code(monkeypatch):
    """Let today's code have another fingerprint than the run's."""
    module = "dql.training.runs"
    monkeypatch.setattr(f"{module}.code_of_run", lambda _: "today")


def test_a_run_of_code_that_acts_alike_is_taken_with_its_own_code(older):
    config, folder, code = older
    run = finished_run(config, folder)
    assert run.identity["code"] == code != "today"
    assert run.step == 3


def test_a_run_that_todays_code_does_not_repeat_is_refused(older):
    config, folder, _ = older
    path = folder / paths.EVALUATIONS_FILE
    table = pd.read_csv(path)
    table["episode_return"] += np.where(table["episode"] == 7, 1e-3, 0.0)
    table.to_csv(path, index=False)
    record = json.loads((folder / paths.PROVENANCE_FILE).read_text())
    record["files"][paths.EVALUATIONS_FILE] = file_sha256(path)
    (folder / paths.PROVENANCE_FILE).write_text(json.dumps(record))
    with pytest.raises(UserError, match="other code than today's: its last evaluation"):
        finished_run(config, folder)


def test_a_run_of_other_settings_or_without_a_checkpoint_is_none(trained, tmp_path):
    config, folder = trained
    other = config.model_copy(update={"settings": config.settings | {"hidden_dim": 9}})
    with pytest.raises(UserError, match="no finished run of this configuration"):
        finished_run(other, folder)
    copy = tmp_path / "seed0"
    shutil.copytree(folder, copy)
    checkpoint_file(copy).unlink()
    with pytest.raises(UserError, match="no finished run"):
        finished_run(config, copy)
