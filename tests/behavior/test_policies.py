"""What is stored of behavior policies comes back, and nothing else does."""

import numpy as np
import pytest
import safetensors.numpy

from dql.behavior.kept import POLICIES_FILE, SUMMARY_FILE
from dql.behavior.policies import half, load_behavior, make_policy, save_behavior
from dql.behavior.snapshots import HIDDEN_DIM, layer_shapes
from dql.errors import UserError
from tests.support.small_behavior import (
    DIMS,
    SERVED,
    make_behavior,
    make_recording,
    make_summary,
    policy_weights,
)
from tests.support.synthetic_weights import draw


@pytest.fixture
def folder(tmp_path):
    return make_behavior(tmp_path / "hopper")


@pytest.mark.parametrize("environment", DIMS)
def test_policies_come_back_as_they_were(tmp_path, environment):
    found = load_behavior(make_behavior(tmp_path, environment), environment)
    assert found.summary == make_summary(environment)
    assert [*found.policies] == [*SERVED]
    observations = np.random.default_rng(0).standard_normal((5, DIMS[environment][0]))
    for step, policy in found.policies.items():
        kept = make_policy(policy_weights(environment, step), *DIMS[environment])
        drawn, expected = (
            one.actions(observations, np.random.default_rng(1))
            for one in (policy, kept)
        )
        assert np.array_equal(drawn, expected)
        assert drawn.dtype == np.float32 and np.abs(drawn).max() <= 1
    assert (found.serving("medium"), found.serving("expert")) == (200, 400)
    expected = make_recording(environment).arrays()
    for name, array in found.recording.arrays().items():
        assert np.array_equal(array, expected[name]) and array.dtype.itemsize >= 4


def test_a_policy_takes_two_bytes_a_weight(tmp_path):
    weights = half(draw(layer_shapes(11, 3, HIDDEN_DIM)))
    count = sum(array.size for array in weights.values())
    summary = make_summary()
    summary["policies"] = summary["policies"][:1]
    recording = make_recording()
    save_behavior(tmp_path, summary, {200: weights}, recording)
    size = (tmp_path / POLICIES_FILE).stat().st_size
    size -= sum(array.nbytes for array in recording.arrays().values())
    assert 2 * count < size < 2 * count + 2000 < 150_000


def test_weights_that_half_precision_cannot_hold_are_refused():
    weights = {"fc0.weight": np.ones((2, 2)), "fc1.bias": np.array([1.0, 7e4])}
    with pytest.raises(UserError, match=r"fc1\.bias.*half precision"):
        half(weights)


def test_missing_policies_name_the_remedy(tmp_path):
    with pytest.raises(UserError, match="is missing; .* dql data behavior hopper"):
        load_behavior(tmp_path / "hopper", "hopper")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (POLICIES_FILE, b"PK"),
        (POLICIES_FILE, b""),
        (SUMMARY_FILE, b"{"),
        (SUMMARY_FILE, b"[]"),
        (SUMMARY_FILE, b"\xff"),
        (SUMMARY_FILE, b'{"environment": "hopper"}'),
        (SUMMARY_FILE, b'{"environment": "hopper", "policies": [{}]}'),
        (SUMMARY_FILE, b'{"environment": "hopper", "policies": 3}'),
    ],
)
def test_damaged_files_are_named(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match="cannot be read.*dql data behavior hopper"):
        load_behavior(folder, "hopper")


@pytest.mark.parametrize("quality", ["medium", "expert"])
def test_a_quality_that_none_serves_is_named(folder, quality):
    text = (folder / SUMMARY_FILE).read_text()
    (folder / SUMMARY_FILE).write_text(text.replace(f'"{quality}"', '"other"'))
    with pytest.raises(UserError, match=f"no policy serves '{quality}'.*make them"):
        load_behavior(folder, "hopper")


def test_a_foreign_file_is_named(folder):
    arrays = {"model.weight": np.zeros(3, np.float16)}
    (folder / POLICIES_FILE).write_bytes(safetensors.numpy.save(arrays))
    with pytest.raises(UserError, match="cannot be read.*dql data behavior hopper"):
        load_behavior(folder, "hopper")


def test_policies_of_another_environment_are_refused(tmp_path):
    folder = make_behavior(tmp_path / "hopper", "walker2d")
    with pytest.raises(UserError, match="holds policies of 'walker2d'.*hopper"):
        load_behavior(folder, "hopper")


def test_weights_of_other_dimensions_are_refused(folder):
    weights = {step: policy_weights("walker2d", step) for step in SERVED}
    save_behavior(folder, make_summary(), weights, make_recording())
    with pytest.raises(UserError, match=r"safetensors: array 'fc0.weight'.*\(16, 11\)"):
        load_behavior(folder, "hopper")


def test_files_that_disagree_are_refused(folder):
    text = (folder / SUMMARY_FILE).read_text()
    (folder / SUMMARY_FILE).write_text(
        text.replace('"environment_step": 400', '"environment_step": 500')
    )
    with pytest.raises(UserError, match=r"\[200, 500\].* holds \[200, 400\]"):
        load_behavior(folder, "hopper")
