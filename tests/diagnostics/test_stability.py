"""A finished run's last policy plays again: in every way it can, and as it did."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from tiny import TINY_BANDIT

from dql import paths
from dql.cli.main import main
from dql.config.project import load_project
from dql.core.noise import Draw
from dql.diagnostics.stability import (
    affordable_episodes,
    store_stability,
    variants,
)
from dql.errors import UserError
from dql.results.stability import COLUMNS
from dql.training.finished_runs import finished_run, play
from dql.training.loop import make_store, train

EVIDENCE = load_project(scale="evidence")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train Diffusion-QL on the bandit for three steps; return its configuration."""
    folder = tmp_path_factory.mktemp("stability")
    project = load_project(scale="smoke", overrides=TINY_BANDIT)
    config = project.run_config("bandit-axes", "diffusion_ql", 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train([config], [paths.run_directory(config.task, config.method, 1)])
    return config, folder


def directory(config):
    return paths.run_directory(config.task, config.method, config.seed)


def ways(method):
    found = variants(EVIDENCE.settings("remade-hopper-medium", method))
    assert sum(one.as_evaluated for one in found) == 1
    return [(one.policy, one.num_candidates) for one in found]


def test_agents_act_in_every_way_they_have_and_in_no_other():
    both = [(actor, n) for actor in ("online", "ema") for n in (1, 10, 50)]
    assert ways("diffusion_ql") == both
    assert ways("td3_bc") == ways("bc_diffusion") == [("online", 1)]
    assert ways("idql") == [(a, n) for a in ("online", "ema") for n in (1, 10, 50, 64)]
    assert ways("dtql") == [("online", n) for n in (1, 10, 50, 1024)]


def test_long_chains_and_many_candidates_play_fewer_episodes():
    def episodes(*shape):
        draws = {"chain": Draw((1, *shape, 3)), "choice": Draw((1, shape[-1]))}
        return affordable_episodes(draws, 3, 100)

    assert episodes(5, 50) == 100
    assert episodes(20, 50) == 25
    assert episodes(1, 1024) == 24
    assert episodes(1000, 1000) == 1
    assert affordable_episodes({}, 3, 100) == 100


def test_the_policy_plays_its_last_evaluation_again(trained, monkeypatch):
    config, folder = trained
    monkeypatch.chdir(folder)
    run = finished_run(config, directory(config))
    store = make_store([run], torch.device("cpu"))
    stored = pd.read_csv(directory(config) / paths.EVALUATIONS_FILE)
    played = play(run, {}, store, 12)
    np.testing.assert_array_equal(played.episode_returns, stored["episode_return"])
    actions = [
        play(run, variant.changes, store, 5).first_actions
        for variant in variants(config.settings)
    ]
    for first, second in combinations(actions, 2):
        assert not np.allclose(first, second)


def test_a_row_an_episode_every_time_the_same(trained, monkeypatch):
    config, folder = trained
    monkeypatch.chdir(folder)
    output = store_stability(config, directory(config), num_episodes=5)
    assert output == paths.stability_file("bandit-axes", "diffusion_ql", 1)
    first = output.read_bytes()
    table = pd.read_csv(output)
    assert tuple(table.columns) == COLUMNS
    sizes = table.groupby(["policy", "num_candidates"]).size()
    assert sizes.to_list() == [5] * 6
    store_stability(config, directory(config), num_episodes=5)
    assert output.read_bytes() == first


def test_a_run_that_is_not_there_is_named_with_its_remedy(
    trained, tmp_path, monkeypatch
):
    config, _ = trained
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="dql train bandit-axes diffusion_ql --seed 1"):
        store_stability(config, directory(config))
    assert list(tmp_path.iterdir()) == []


def test_a_run_or_all_that_have_finished(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for words, code in ((["--all", "--scale", "evidence"], 0), ([], 2), (["task"], 2)):
        with pytest.raises(SystemExit) as done:
            main(["stability", *words])
        assert done.value.code == code
    assert "give TASK and METHOD, or --all" in capsys.readouterr().err
    assert not paths.STABILITY.exists()
