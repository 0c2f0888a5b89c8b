"""Ways of a real run: every start played again and again, one and all candidates."""

import numpy as np
import pandas as pd
import pytest
import torch

from dql import paths
from dql.config.project import load_project
from dql.data.pointmaze import generate
from dql.diagnostics.episodes import play_recorded
from dql.diagnostics.ways import store_ways
from dql.errors import UserError
from dql.results.ways import COLUMNS
from dql.training.finished_runs import finished_run

TASK = "local-pointmaze-twoways"
TINY = {
    "suites": {
        "local": {
            "seeds": [0],
            "settings": {"hidden_dim": 8, "num_candidates": 3},
            "training": {
                "num_gradient_steps": 3,
                "log_interval": 3,
                "evaluation_interval": 3,
                "checkpoint_interval": 3,
                "num_evaluation_episodes": 2,
            },
            "num_transitions": 300,
        }
    }
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train Diffusion-QL in the maze for three steps; return its configuration."""
    from dql.training.loop import train

    folder = tmp_path_factory.mktemp("ways")
    project = load_project(scale="twoways", overrides=TINY)
    config = project.run_config(TASK, "diffusion_ql", 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        generate(project.task(TASK))
        train([config], [paths.run_directory(TASK, "diffusion_ql", 0)])
    return config, folder


def test_repeats_begin_alike_and_go_on_by_noise_of_their_own(trained, monkeypatch):
    config, folder = trained
    monkeypatch.chdir(folder)
    torch.set_num_threads(1)
    run = finished_run(config, paths.run_directory(TASK, "diffusion_ql", 0))
    _, recorded = play_recorded(run, 4, {"num_candidates": 1}, num_repeats=2)
    starts = np.array([track[0] for track in recorded.tracks])
    np.testing.assert_array_equal(starts[0::2], starts[1::2])
    assert not np.allclose(starts[0], starts[2])
    ends = np.array([track[-1] for track in recorded.tracks])
    assert not np.allclose(ends[0], ends[1])


def test_a_row_an_episode_with_one_candidate_and_with_all(trained, monkeypatch):
    config, folder = trained
    monkeypatch.chdir(folder)
    directory = paths.run_directory(TASK, "diffusion_ql", 0)
    output = store_ways(config, directory, num_starts=2, num_repeats=2)
    assert output == paths.ways_file(TASK, "diffusion_ql", 0)
    table = pd.read_csv(output)
    assert tuple(table.columns) == COLUMNS
    assert table["num_candidates"].to_list() == [1] * 4 + [3] * 4
    assert table["as_evaluated"].to_list() == [False] * 4 + [True] * 4
    assert table["start"].to_list() == [0, 0, 1, 1] * 2
    assert set(table["way"].dropna()) <= {0, 1}
    content = output.read_bytes()
    store_ways(config, directory, num_starts=2, num_repeats=2)
    assert output.read_bytes() == content


def test_an_environment_without_ways_is_refused_by_name():
    config = load_project(scale="quick").run_config(
        "local-hopper-medium-expert", "td3_bc", 0
    )
    with pytest.raises(UserError, match="hopper has no equally.*pointmaze-twoways has"):
        store_ways(config, paths.run_directory(config.task, config.method, 0))
