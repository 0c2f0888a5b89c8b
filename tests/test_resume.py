"""Kills and power losses: the next start completes, and nothing tells the difference.

The campaigns over every write and over many kills take minutes: `pytest -m slow`.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time

import crashes
import pytest

from dql.config.project import load_project
from dql.training.loop import train

KILLED = {
    "SIGKILL": -signal.SIGKILL,
    "SIGINT": 128 + signal.SIGINT,
    "SIGTERM": 128 + signal.SIGTERM,
    "SIGUSR1": 128 + signal.SIGUSR1,
}
LONGER = {
    "num_gradient_steps": 120,
    "log_interval": 5,
    "evaluation_interval": 10,
    "checkpoint_interval": 10,
}


def check_power_losses(tmp_path, share):
    configs = crashes.make_configs()
    points, failures = crashes.campaign(
        crashes.power_losses, configs, tmp_path, share, 0
    )
    assert len(points) >= 4
    assert failures == []
    return points


def check_kills(tmp_path, num_kills, method="td3_bc", **sizes):
    configs = crashes.make_configs(method, **(LONGER | sizes))
    done, failures = crashes.campaign(crashes.kills, configs, tmp_path, num_kills, 0)
    assert failures == []
    assert len(done) >= num_kills
    for phase, name, code in done:
        assert code == KILLED[name], (phase, name, code)
    return done


def test_power_lost_at_some_writes(tmp_path):
    check_power_losses(tmp_path, share=0.03)


@pytest.mark.slow
def test_power_lost_at_every_write(tmp_path):
    points = check_power_losses(tmp_path, share=1.0)
    assert len(points) >= 100


def test_a_few_kills(tmp_path):
    done = check_kills(tmp_path, 4)
    assert {"SIGKILL"} < {name for _, name, _ in done}


@pytest.mark.slow
@pytest.mark.parametrize("method", ["td3_bc", "diffusion_ql@N=2"])
def test_many_kills_in_every_phase(tmp_path, method):
    done = check_kills(tmp_path, 60, method)
    killed = [phase for phase, name, _ in done if name == "SIGKILL"]
    assert len(killed) >= 20
    assert {"training", "evaluation", "writing"} <= set(killed)
    assert {name for _, name, _ in done} == set(KILLED)


@pytest.mark.slow
def test_the_command_killed_at_any_moment(tmp_path):
    """Real processes, killed from their first import to their last write."""
    sizes = crashes.SIZES | LONGER | {"num_gradient_steps": 4000}
    training = {"suites": {"bandit": {"training": sizes}}}
    command = [sys.executable, "-c", "from dql.cli.main import main; main()", "train"]
    command += ["bandit-axes", "td3_bc", "--seed", "0", "--seed", "1"]
    command += ["--scale", "smoke", "--set", f"suites={json.dumps(training['suites'])}"]
    generator = random.Random(0)
    codes = []
    while True:
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if len(codes) < 20:
            began = time.monotonic()
            delay = generator.uniform(0, 10)
            while process.poll() is None and time.monotonic() < began + delay:
                time.sleep(0.002)
            process.kill()
        codes.append(process.wait())
        if len(codes) > 20 or codes[-1] == 0:
            break
    assert codes[-1] == 0 and codes.count(-signal.SIGKILL) >= 5
    project = load_project(scale="smoke", overrides=training)
    configs = [project.run_config("bandit-axes", "td3_bc", seed) for seed in (0, 1)]
    train(configs, crashes.folders(tmp_path / "straight", configs))
    root = tmp_path / "results" / "runs" / "bandit-axes" / "td3_bc"
    assert crashes.results(root, configs) == crashes.results(
        tmp_path / "straight", configs
    )


def test_the_first_seed_alone_does_not_wait_for_its_company(tmp_path):
    """A new checkpoint that waits for the block is good for the run alone."""
    configs = crashes.make_configs()
    directories = crashes.folders(tmp_path, configs)
    train(configs, directories)
    state = directories[0] / "checkpoint" / "state.safetensors"
    os.replace(state, state.with_name("next.safetensors"))  # noqa: PTH105
    (directories[0] / "provenance.json").unlink()
    expected = crashes.results(tmp_path, configs[1:])
    train(configs[:1], directories[:1])
    assert (directories[0] / "provenance.json").exists()
    assert crashes.results(tmp_path, configs[1:]) == expected
