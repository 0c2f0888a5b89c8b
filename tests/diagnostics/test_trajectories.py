"""Trajectories: the states of the very chain that acts, stored from a checkpoint."""

import logging

import numpy as np
import pytest
import torch
from core import make_agent

from dql import paths
from dql.cli.main import main
from dql.config.project import load_project
from dql.core.noise import Draw, NoiseStreams
from dql.diagnostics.trajectories import reverse_states, store_trajectories
from dql.errors import UserError

TINY = {
    "suites": {
        "bandit": {
            "seeds": [0],
            "training": {
                "num_gradient_steps": 3,
                "log_interval": 1,
                "evaluation_interval": 3,
                "checkpoint_interval": 3,
                "num_evaluation_episodes": 8,
            },
            "num_transitions": 100,
        }
    }
}


@pytest.mark.parametrize("prediction", ["noise", "action"])
def test_the_last_state_is_what_the_policy_does(prediction):
    each = [{"prediction": prediction}] * 2
    agent, _ = make_agent("bc_diffusion", settings=each)
    observations = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))
    shape = (agent.settings.num_denoising_steps, 7, 3)
    noise = NoiseStreams((0, 1), {"chain": Draw(shape)}, "test").at(0)["chain"]
    states = reverse_states(agent.actor, observations, noise)
    assert states.shape == (2, shape[0] + 1, 7, 3)
    assert torch.equal(states[:, 0], noise[:, 0])
    with torch.no_grad():
        actions = agent.actor.sample(observations, noise)
    torch.testing.assert_close(states[:, -1], actions, atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train Diffusion-QL on the bandit for three steps."""
    from dql.training.loop import train

    config = load_project(scale="smoke", overrides=TINY).run_config(
        "bandit-axes", "diffusion_ql@N=4", 0
    )
    folder = tmp_path_factory.mktemp("run") / "seed0"
    train([config], [folder])
    return config, folder


def test_trajectories_of_a_run_are_stored_beside_it(trained):
    config, folder = trained
    output = store_trajectories(config, folder, num_trajectories=20)
    assert output == folder / paths.TRAJECTORIES_FILE
    first = output.read_bytes()
    with np.load(output) as stored:
        states = stored["states"]
    assert states.shape == (20, 5, 2) and states.dtype == np.float32
    assert np.abs(states[:, -1]).max() <= 1.0
    assert np.abs(states[:, 0]).max() > 1.0
    store_trajectories(config, folder, num_trajectories=20)
    assert output.read_bytes() == first


def test_a_run_that_is_not_there_or_another_one_is_refused(trained, tmp_path):
    config, folder = trained
    with pytest.raises(UserError, match="dql train bandit-axes diffusion_ql@N=4"):
        store_trajectories(config, tmp_path)
    other = config.model_copy(update={"settings": config.settings | {"hidden_dim": 9}})
    with pytest.raises(UserError, match="no finished run of this configuration"):
        store_trajectories(other, folder)


def test_methods_and_tasks_without_such_a_chain_are_refused(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for task, method, words in (
        ("bandit-axes", "td3_bc", "no reverse diffusion chain"),
        ("local-hopper-medium-expert", "diffusion_ql", "bandit-axes or bandit-corners"),
    ):
        with pytest.raises(SystemExit):
            main(["bandit", "trajectories", task, method, "--scale", "smoke"])
        assert words in capsys.readouterr().err
    logging.getLogger().handlers.clear()


def test_a_diverged_run_has_no_trajectory(trained, tmp_path):
    import json
    import shutil

    config, folder = trained
    copy = tmp_path / "seed0"
    shutil.copytree(folder, copy)
    path = copy / paths.PROVENANCE_FILE
    made = json.loads(path.read_text()) | {"diverged": {"step": 1, "term": "loss"}}
    path.write_text(json.dumps(made))
    with np.load(store_trajectories(config, copy)) as stored:
        assert stored["states"].shape == (0, 5, 2)
