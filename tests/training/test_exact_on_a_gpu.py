"""On a real GPU: what is claimed to be equal is equal to the last bit."""

import core
import pytest
import torch
from on_a_gpu import DEVICE, needs_gpu, take_steps
from safetensors.torch import load_file

from dql.config.project import load_project
from dql.training.checkpoint import checkpoint_file
from dql.training.loop import train
from dql.training.recording import RecordedCalls

pytestmark = needs_gpu
SIZES = {
    "batch_size": 16,
    "log_interval": 10,
    "evaluation_interval": 20,
    "checkpoint_interval": 20,
    "num_evaluation_episodes": 12,
}


@pytest.mark.parametrize("name", sorted(core.SMALL))
def test_recorded_steps_are_the_eager_ones_bit_for_bit(name):
    """A resumed run takes its first steps one by one where the other repeats them."""
    state, metrics, _ = take_steps(name, RecordedCalls("a gradient step"))
    expected, expected_metrics, _ = take_steps(name)
    different = [key for key in expected if not torch.equal(state[key], expected[key])]
    assert different == []
    for step, (mine, theirs) in enumerate(zip(metrics, expected_metrics, strict=True)):
        assert all(torch.equal(mine[key], theirs[key]) for key in theirs), step


@pytest.mark.parametrize("method", ["diffusion_ql@N=3", "bc_diffusion", "td3_bc"])
def test_a_continued_run_equals_an_uninterrupted_one(tmp_path, method):
    def run_of(seed, num_steps):
        run = load_project(scale="smoke").run_config("bandit-axes", method, seed)
        sizes = {"num_gradient_steps": num_steps, **SIZES}
        training = run.training.model_copy(update=sizes)
        return run.model_copy(update={"training": training})

    folders = [[tmp_path / way / str(seed) for seed in (0, 1)] for way in "ab"]
    train([run_of(0, 60), run_of(1, 60)], folders[0], device=DEVICE)
    for num_steps in (20, 60):
        runs = [run_of(0, num_steps), run_of(1, num_steps)]
        train(runs, folders[1], device=DEVICE)
    for one, other in zip(*folders, strict=True):
        for name in ("metrics.csv", "evaluations.csv", "samples.csv"):
            assert (one / name).read_bytes() == (other / name).read_bytes()
        tensors, expected = map(load_file, map(checkpoint_file, (one, other)))
        assert all(torch.equal(tensors[key], expected[key]) for key in expected)
