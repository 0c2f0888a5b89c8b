"""D4RL's physics: known masses, and the recorded transitions where they are there."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest

from dql.environments import physics
from dql.errors import UserError

RECORDING = Path(__file__).parents[3] / "shared" / "d4rl" / "hopper-expert-v2-slice.npz"
needs_recording = pytest.mark.skipif(
    not RECORDING.is_file(), reason="needs ../shared/d4rl/hopper-expert-v2-slice.npz"
)
CAPSULE = """<mujoco><compiler inertiafromgeom="true"/><worldbody>
<geom name="floor" type="plane" size="1 1 1" margin="0.1"/>
<body name="rod"><joint type="free"/>
<geom type="capsule" fromto="0 0 1 2 0 1" size="0.5"/></body></worldbody></mujoco>"""


def test_a_capsule_weighs_as_a_cylinder_one_radius_longer() -> None:
    model = mujoco.MjModel.from_xml_string(physics.with_d4rl_inertials(CAPSULE))
    mass = 1000 * np.pi * 0.5**2 * (2 + 0.5)
    transverse = mass * (3 * 0.5**2 + 2.5**2) / 12
    assert model.body_mass[1] == pytest.approx(mass)
    np.testing.assert_allclose(model.body_ipos[1], [1, 0, 1])
    expected = [transverse, transverse, mass * 0.5**2 / 2]
    np.testing.assert_allclose(model.body_inertia[1], expected)
    # The rod lies along x: that is where the axial, smallest moment must point.
    axis = np.zeros(3)
    mujoco.mju_rotVecQuat(axis, np.array([0.0, 0, 1]), model.body_iquat[1])
    np.testing.assert_allclose(np.abs(axis), [1, 0, 0], atol=1e-9)
    assert model.geom_margin[0] == 0


def test_two_capsules_combine_about_their_common_centre() -> None:
    twin = CAPSULE.replace(
        "</body>",
        '<geom type="capsule" fromto="0 0 -1 2 0 -1" size="0.5"/></body>',
    )
    single = mujoco.MjModel.from_xml_string(CAPSULE)
    mass, _, inertia = physics.body_inertial(single, 1)
    double = mujoco.MjModel.from_xml_string(twin)
    both_mass, center, both = physics.body_inertial(double, 1)
    np.testing.assert_allclose(center, [1, 0, 0], atol=1e-12)
    assert both_mass == pytest.approx(2 * mass)
    np.testing.assert_allclose(both, 2 * (inertia + mass * np.diag([1, 1, 0])))


def test_masses_are_those_of_the_recordings() -> None:
    hopper = physics.load_model("hopper", "d4rl").body_mass[1:]
    np.testing.assert_allclose(hopper, [3.5343, 3.9270, 2.7143, 5.0894], atol=1e-4)
    stock = physics.load_model("hopper", "stock").body_mass[1:]
    np.testing.assert_allclose(stock, [3.6652, 4.0579, 2.7814, 5.3156], atol=1e-4)
    cheetah = physics.load_model("halfcheetah", "d4rl").body_mass
    assert cheetah.sum() == pytest.approx(14)


@needs_recording
def test_recorded_transitions_are_reproduced() -> None:
    result = physics.check_physics("hopper", RECORDING)
    assert result["num_transitions"] == 24_130
    assert result["median"] <= 1e-6
    assert result["largest"] <= 1e-4


def recording(tmp_path: Path, **changes: np.ndarray) -> Path:
    """Simulate a short stock hopper recording, with some arrays replaced."""
    generator = np.random.default_rng(0)
    model = physics.load_model("hopper", "stock")
    data = mujoco.MjData(model)
    observations, actions = [], generator.uniform(-1, 1, (8, 3))
    for action in actions:
        observations.append(np.concatenate((data.qpos[1:], data.qvel)))
        data.ctrl[:] = action
        mujoco.mj_step(model, data, nstep=4)
    ends = np.zeros(8, dtype=bool)
    arrays = {
        "observations": np.array(observations),
        "actions": actions,
        "terminals": ends,
        "timeouts": ends,
    } | changes
    path = tmp_path / "recording.npz"
    np.savez(path, **arrays)
    return path


def test_an_exact_recording_has_no_error_in_its_own_physics(tmp_path: Path) -> None:
    path = recording(tmp_path)
    assert physics.check_physics("hopper", path, "stock")["largest"] < 1e-9
    assert physics.check_physics("hopper", path, "d4rl")["largest"] > 1e-3


def test_steps_across_an_episode_end_are_not_compared(tmp_path: Path) -> None:
    ends = np.array([0, 0, 0, 1, 0, 0, 0, 0], dtype=bool)
    path = recording(tmp_path, terminals=ends)
    assert physics.check_physics("hopper", path, "stock")["num_transitions"] == 6


def test_flags_may_be_numbers(tmp_path: Path) -> None:
    ends = np.array([0, 0, 0, 1, 0, 0, 0, 0], dtype=np.float32)
    path = recording(tmp_path, terminals=ends, timeouts=np.zeros(8, dtype=np.uint8))
    assert physics.check_physics("hopper", path, "stock")["num_transitions"] == 6


def test_a_clipped_velocity_continues_as_simulated() -> None:
    model = physics.load_model("hopper", "stock")
    data = mujoco.MjData(model)
    # Falling freely from high up, it passes -10 m/s within two steps.
    data.qpos[1], data.qvel[1] = 20.0, -9.9
    rows = []
    for _ in range(6):
        velocities = np.clip(data.qvel, -10, 10)
        rows.append(np.concatenate((data.qpos[1:], velocities)))
        data.ctrl[:] = [1, 0, 0]
        mujoco.mj_step(model, data, nstep=4)
    observations = np.array(rows)
    assert (np.abs(observations[1:-1, 5:]) == 10).any()
    errors = physics.one_step_errors(
        "hopper",
        "stock",
        observations=observations,
        actions=np.tile([1.0, 0, 0], (6, 1)),
        ends=np.zeros(6, dtype=bool),
    )
    assert errors.max() < 1e-9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actions": np.zeros((8, 2))}, r"actions has shape \(8, 2\), hopper needs"),
        ({"observations": np.full((8, 11), np.nan)}, "observations.*row 0"),
        ({"terminals": np.array([None] * 8)}, "not an npz file of arrays"),
        ({"terminals": np.full(8, 0.5)}, "terminals is 0.5 at row 0, not 0 or 1"),
        ({"timeouts": np.arange(8)}, "timeouts is 2 at row 2, not 0 or 1"),
        ({"timeouts": np.array([b"0"] * 8)}, "timeouts holds .S1, not numbers"),
        ({"observations": np.float64(1)}, "holds no step: it has 0"),
        (
            {
                "observations": np.zeros((0, 11)),
                "actions": np.zeros((0, 3)),
                "terminals": np.zeros(0),
                "timeouts": np.zeros(0),
            },
            "holds no step: it has 0",
        ),
    ],
)
def test_bad_recordings_are_named(tmp_path: Path, changes: dict, message: str) -> None:
    path = recording(tmp_path, **changes)
    with pytest.raises(UserError, match=message):
        physics.check_physics("hopper", path)


def test_unreadable_recordings_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no file"):
        physics.check_physics("hopper", tmp_path / "absent.npz")
    text = tmp_path / "text.npz"
    text.write_text("not an array")
    with pytest.raises(UserError, match="not an npz"):
        physics.check_physics("hopper", text)
    np.savez(tmp_path / "half.npz", observations=np.zeros((2, 11)))
    with pytest.raises(UserError, match="lacks the array.*actions"):
        physics.check_physics("hopper", tmp_path / "half.npz")


def test_unknown_words_raise() -> None:
    with pytest.raises(UserError, match="'hoppper'.*hopper"):
        physics.load_model("hoppper", "d4rl")
    with pytest.raises(UserError, match="'d4r'.*d4rl"):
        physics.load_model("hopper", "d4r")
