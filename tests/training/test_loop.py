"""The loop on the real bandit task: files, blocks, resuming, divergence."""

import json
import signal
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import torch

from dql.config.project import load_project
from dql.core.noise import NoiseStreams
from dql.errors import UserError
from dql.training import loop as training
from dql.training import records, run_files
from dql.training.checkpoint import (
    ForeignCheckpointError,
    checkpoint_file,
    first_difference,
)
from dql.training.loop import train
from dql.training.process import set_precision

SIZES = {
    "num_gradient_steps": 40,
    "batch_size": 16,
    "log_interval": 10,
    "evaluation_interval": 20,
    "checkpoint_interval": 20,
    "num_evaluation_episodes": 12,
}
FILES = ("metrics.csv", "evaluations.csv", "samples.csv")


def config(method="diffusion_ql@N=3", seed=0, task="bandit-axes", **sizes):
    run = load_project(scale="smoke").run_config(task, method, seed)
    changed = run.training.model_copy(update=SIZES | sizes)
    return run.model_copy(update={"training": changed})


def files(directory):
    return {name: (directory / name).read_bytes() for name in FILES}


def test_a_run_writes_every_file(tmp_path):
    train([config()], [tmp_path])
    stored = json.loads((tmp_path / "config.json").read_text())
    assert stored["settings"]["num_denoising_steps"] == 3
    metrics = pd.read_csv(tmp_path / "metrics.csv")
    assert metrics["gradient_step"].tolist() == [10, 20, 30, 40]
    evaluations = pd.read_csv(tmp_path / "evaluations.csv")
    assert evaluations.groupby("gradient_step").size().to_dict() == {20: 12, 40: 12}
    samples = pd.read_csv(tmp_path / "samples.csv")
    last = evaluations[evaluations["gradient_step"] == 40]
    np.testing.assert_array_equal(samples["reward"], last["episode_return"])
    provenance = json.loads((tmp_path / "provenance.json").read_text())
    assert provenance["steps_per_second"] > 0
    assert provenance["diverged"] is None
    assert len(provenance["dataset"]["digest"]) == 64


def test_a_block_writes_what_its_runs_write_alone(tmp_path):
    configs = [config(seed=seed) for seed in (0, 1)]
    train(configs, [tmp_path / "a", tmp_path / "b"])
    train(configs[1:], [tmp_path / "alone"])
    together = pd.read_csv(tmp_path / "b" / "metrics.csv")
    alone = pd.read_csv(tmp_path / "alone" / "metrics.csv")
    pd.testing.assert_frame_equal(together, alone, rtol=1e-3, atol=1e-4)


def test_threads_of_evaluations_leave_training_as_it_is(tmp_path):
    train([config()], [tmp_path / "one"])
    train([config()], [tmp_path / "three"], num_threads=3)
    one, three = (
        (tmp_path / name / "metrics.csv").read_bytes() for name in ("one", "three")
    )
    assert one == three
    returns = [
        pd.read_csv(tmp_path / name / "evaluations.csv")["episode_return"]
        for name in ("one", "three")
    ]
    np.testing.assert_allclose(*returns, atol=1e-4)


def test_tasks_of_equal_dimensions_share_a_block(tmp_path):
    tasks = ["bandit-axes", "bandit-corners"]
    train([config(task=t) for t in tasks], [tmp_path / t for t in tasks])
    train([config(task=tasks[1])], [tmp_path / "alone"])
    together = pd.read_csv(tmp_path / tasks[1] / "metrics.csv")
    alone = pd.read_csv(tmp_path / "alone" / "metrics.csv")
    pd.testing.assert_frame_equal(together, alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", ["diffusion_ql@N=3", "td3_bc", "bear_mmd"])
def test_a_continued_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, method):
    train([config(method)], [tmp_path / "straight"])
    train([config(method, num_gradient_steps=20)], [tmp_path / "resumed"])
    train([config(method)], [tmp_path / "resumed"])
    assert files(tmp_path / "straight") == files(tmp_path / "resumed")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_stopped_run_resumes_bit_for_bit(tmp_path, monkeypatch, number):
    train([config()], [tmp_path / "straight"])
    drawn = NoiseStreams.at

    def interrupted(self, step):
        if "training" in self.address and step == 13:
            signal.raise_signal(number)
        return drawn(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(NoiseStreams, "at", interrupted)
        with pytest.raises(SystemExit) as stop:
            train([config()], [tmp_path / "stopped"])
    assert stop.value.code == 128 + number
    assert not (tmp_path / "stopped" / "provenance.json").exists()
    train([config()], [tmp_path / "stopped"])
    assert files(tmp_path / "straight") == files(tmp_path / "stopped")


def test_a_finished_run_is_left_alone(tmp_path):
    train([config()], [tmp_path])
    before = (tmp_path / "provenance.json").stat().st_mtime_ns
    train([config()], [tmp_path])
    assert (tmp_path / "provenance.json").stat().st_mtime_ns == before


def test_only_the_missing_run_of_a_block_is_trained(tmp_path):
    train([config(seed=0)], [tmp_path / "0"])
    before = (tmp_path / "0" / "provenance.json").stat().st_mtime_ns
    train([config(seed=s) for s in (0, 1)], [tmp_path / "0", tmp_path / "1"])
    assert (tmp_path / "0" / "provenance.json").stat().st_mtime_ns == before
    assert (tmp_path / "1" / "provenance.json").exists()


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path):
    train([config()], [tmp_path])
    with pytest.raises(ForeignCheckpointError, match="N=3. there, .diffusion_ql@N=4"):
        train([config("diffusion_ql@N=4")], [tmp_path])
    train([config("diffusion_ql@N=4")], [tmp_path], foreign_checkpoint="discard")
    stored = json.loads((tmp_path / "config.json").read_text())
    assert stored["settings"]["num_denoising_steps"] == 4


def test_a_damaged_checkpoint_is_named(tmp_path):
    train([config(num_gradient_steps=20)], [tmp_path])
    path = checkpoint_file(tmp_path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UserError, match=r"state\.safetensors is damaged"):
        train([config()], [tmp_path])


def test_a_diverged_run_is_recorded_and_its_company_goes_on(tmp_path, monkeypatch):
    make_agent = training.make_agent

    def poisoned(runs, store, device):
        agent = make_agent(runs, store, device)
        with torch.no_grad():
            agent.critic.mlp.layers[0].weight[0] = torch.nan
        return agent

    monkeypatch.setattr(training, "make_agent", poisoned)
    train([config(seed=s) for s in (0, 1)], [tmp_path / "0", tmp_path / "1"])
    bad = json.loads((tmp_path / "0" / "provenance.json").read_text())
    assert bad["diverged"] == {"step": 10, "term": "critic/loss"}
    assert pd.read_csv(tmp_path / "0" / "evaluations.csv").empty
    assert not checkpoint_file(tmp_path / "0").exists()
    assert (tmp_path / "0" / "samples.csv").exists()  # the workflow waits for it
    before = (tmp_path / "0" / "provenance.json").stat().st_mtime_ns
    train([config(seed=0)], [tmp_path / "0"])  # finished, as far as it can be
    assert (tmp_path / "0" / "provenance.json").stat().st_mtime_ns == before
    good = json.loads((tmp_path / "1" / "provenance.json").read_text())
    assert good["diverged"] is None
    assert good["num_gradient_steps"] == 40
    assert len(pd.read_csv(tmp_path / "1" / "evaluations.csv")) == 24


def test_a_run_that_stops_early_costs_the_steps_it_took(tmp_path, monkeypatch, capsys):
    make_agent = training.make_agent

    def poisoned(runs, store, device):
        agent = make_agent(runs, store, device)
        with torch.no_grad():
            agent.critic.mlp.layers[0].weight[:] = torch.nan
        return agent

    monkeypatch.setattr(training, "make_agent", poisoned)
    train([config()], [tmp_path])
    made = json.loads((tmp_path / "provenance.json").read_text())
    assert made["diverged"]["step"] == made["num_gradient_steps"] == 10
    rate = made["steps_per_second"] * made["training_seconds"]
    assert rate == pytest.approx(10)
    printed = capsys.readouterr().err
    assert "seed 0: 10/40 ·" in printed and "done" in printed
    assert "40/40" not in printed


def provenance_of(directory):
    return json.loads((directory / "provenance.json").read_text())


def elsewhere(monkeypatch):
    """Let the process run on another machine, another day."""
    monkeypatch.setattr(run_files.provenance, "machine", lambda: {"num_cpus": 96})

    class Tomorrow(records.datetime):
        @classmethod
        def now(cls, zone):
            return super().now(zone) + timedelta(days=1)

    monkeypatch.setattr(records, "datetime", Tomorrow)


def test_files_written_from_the_checkpoint_keep_how_the_run_was_made(
    tmp_path, monkeypatch, caplog
):
    """What Snakemake does before a forced job: it takes the outputs away."""
    caplog.set_level("INFO")
    train([config()], [tmp_path])
    before, content = provenance_of(tmp_path), files(tmp_path)
    for name in (*FILES, "config.json", "provenance.json"):
        (tmp_path / name).unlink()
    elsewhere(monkeypatch)
    train([config()], [tmp_path])
    assert provenance_of(tmp_path) == before
    assert files(tmp_path) == content
    assert "all 40 steps are in its checkpoint" in caplog.text
    assert "nothing is trained" in caplog.text


def test_a_run_that_moved_tells_of_both_machines(tmp_path, monkeypatch):
    train([config(num_gradient_steps=20)], [tmp_path])
    here = provenance_of(tmp_path)
    train([config(num_gradient_steps=30, checkpoint_interval=10)], [tmp_path])
    assert provenance_of(tmp_path)["earlier_sessions"] == []  # the same machine
    elsewhere(monkeypatch)
    train([config()], [tmp_path])
    made = provenance_of(tmp_path)
    assert made["machine"] == {"num_cpus": 96} and made["first_step"] == 30
    (earlier,) = made["earlier_sessions"]
    assert earlier["machine"] == here["machine"] and earlier["first_step"] == 0
    assert made["finished_at"] > here["finished_at"]


@pytest.mark.parametrize(
    ("made", "here", "remedy"),
    [("cpu", "cuda", "--device cpu"), ("NVIDIA H100", "cpu", "--device cuda")],
)
def test_another_kind_of_device_does_not_go_on(
    tmp_path, monkeypatch, made, here, remedy
):
    how_made = training.how_made
    monkeypatch.setattr(training, "how_made", lambda d: how_made(d) | {"device": made})
    train([config(num_gradient_steps=20)], [tmp_path])
    before = checkpoint_file(tmp_path).read_bytes()
    monkeypatch.setattr(training, "choose_device", lambda name: torch.device(here))
    for foreign in ("refuse", "discard"):
        with pytest.raises(UserError, match=f"in 20 steps; {here} draws .*{remedy}"):
            train([config()], [tmp_path], foreign_checkpoint=foreign)
    assert checkpoint_file(tmp_path).read_bytes() == before
    train([config(num_gradient_steps=20)], [tmp_path])  # finished, wherever it was made


def test_runs_of_other_operations_cannot_share_a_block(tmp_path):
    with pytest.raises(UserError, match="'num_denoising_steps': 3 and 4"):
        methods = ["diffusion_ql@N=3", "diffusion_ql@N=4"]
        train([config(m) for m in methods], [tmp_path / "0", tmp_path / "1"])


def test_first_difference_names_the_key():
    found = first_difference({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}})
    assert found == "a.c is 3 there, 2 here"
    assert first_difference({"a": 1}, {"a": 1}) is None


def test_less_than_float32_needs_a_gpu(tmp_path):
    with pytest.raises(UserError, match="tf32.*GPU.*float32"):
        train([config(precision="tf32")], [tmp_path], device="cpu")
    assert not (tmp_path / "config.json").exists()
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("name", ["float32", "tf32"])
def test_a_gpus_convolutions_round_as_its_other_products_do(name):
    """And repeat themselves, which a resumed run needs."""
    cudnn = torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.deterministic
    try:
        set_precision(name, torch.device("cuda"))
        assert cudnn.allow_tf32 == (name == "tf32")
        is_highest = torch.get_float32_matmul_precision() == "highest"
        assert is_highest == (name == "float32")
        assert cudnn.deterministic
    finally:
        torch.set_float32_matmul_precision(before[0])
        cudnn.allow_tf32, cudnn.deterministic = before[1:]
