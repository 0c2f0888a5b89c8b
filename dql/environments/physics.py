"""MuJoCo models of the locomotion environments, in D4RL's physics or in today's.

D4RL v2 was recorded with a MuJoCo that weighed capsules otherwise than today's does:
as solid cylinders of their full length less one radius. Writing these inertials into
Gymnasium's v4 models before they are compiled reproduces recorded transitions to the
precision of their 32-bit storage; `check_physics` measures that.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
import zipfile
import zlib
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from dql.errors import UserError, nearest

PHYSICS = ("d4rl", "stock")
MODEL_FILES = {
    "hopper": "hopper.xml",
    "walker2d": "walker2d.xml",
    "halfcheetah": "half_cheetah.xml",
}
FRAME_SKIPS = {"hopper": 4, "walker2d": 4, "halfcheetah": 5}
VELOCITY_LIMITS = {"hopper": 10.0, "walker2d": 10.0, "halfcheetah": np.inf}
"""Bound to which recorded velocities are clipped, m/s or rad/s."""

DENSITY = 1000.0
"""Density of every geom of the three, kg/m^3."""


def load_model(environment: str, physics: str) -> mujoco.MjModel:
    """Compile the model of a locomotion environment in the named physics."""
    return mujoco.MjModel.from_xml_string(model_xml(environment, physics))


def model_xml(environment: str, physics: str) -> str:
    """Return the MJCF text of a locomotion environment in the named physics."""
    if environment not in MODEL_FILES:
        hint = nearest(environment, MODEL_FILES)
        raise UserError(f"no MuJoCo model for environment {environment!r}{hint}")
    if physics not in PHYSICS:
        raise UserError(f"unknown physics {physics!r}{nearest(physics, PHYSICS)}")
    import gymnasium.envs.mujoco as package

    path = Path(package.__file__).parent / "assets" / MODEL_FILES[environment]
    text = path.read_text()
    return text if physics == "stock" else with_d4rl_inertials(text)


def with_d4rl_inertials(xml: str, density: float = DENSITY) -> str:
    """Return the MJCF with an explicit inertial per body, by the rule of D4RL's time.

    The inertials go in before compilation: a compiled model places geoms that share a
    frame with their body's inertia by that frame, so patching it moves contacts. A
    `settotalmass` in the file still rescales the result (HalfCheetah's 14 kg).
    """
    compiled = mujoco.MjModel.from_xml_string(xml)
    root = ElementTree.fromstring(xml)
    compiler = root.find("compiler")
    compiler.set("inertiafromgeom", "auto")
    # MuJoCo numbers bodies in the order of the file; the world is number 0.
    for number, body in enumerate(root.iter("body"), start=1):
        body.insert(0, _inertial_element(*body_inertial(compiled, number, density)))
    for floor in root.iterfind("worldbody/geom[@name='floor']"):
        # Until 3.3 a contact's margin is the larger of its geoms', later their sum;
        # with none on the floor the two agree.
        floor.set("margin", "0")
    return ElementTree.tostring(root, encoding="unicode")


def body_inertial(
    model: mujoco.MjModel, body: int, density: float = DENSITY
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return a body's mass, centre (3,) and inertia about it (3, 3), in its frame."""
    geoms = np.flatnonzero(model.geom_bodyid == body)
    parts = [_geom_inertial(model, geom, density) for geom in geoms]
    mass = sum(part[0] for part in parts)
    center = sum(part[0] * part[1] for part in parts) / mass
    inertia = np.zeros((3, 3))
    for part_mass, part_center, part_inertia in parts:
        offset = part_center - center
        steiner = offset @ offset * np.eye(3) - np.outer(offset, offset)
        inertia += part_inertia + part_mass * steiner
    return mass, center, inertia


def _geom_inertial(
    model: mujoco.MjModel, geom: int, density: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """Weigh a geom; a capsule as a solid cylinder, longer by one radius.

    The rule for capsules was fitted to recorded hopper transitions and holds for
    walker2d's. A sphere is weighed as what it is.
    """
    kind, radius = model.geom_type[geom], model.geom_size[geom, 0]
    center = model.geom_pos[geom].copy()
    if kind == mujoco.mjtGeom.mjGEOM_SPHERE:
        mass = density * 4 / 3 * np.pi * radius**3
        return mass, center, 0.4 * mass * radius**2 * np.eye(3)
    if kind != mujoco.mjtGeom.mjGEOM_CAPSULE:
        raise ValueError(
            f"the rule covers capsules and spheres, geom {geom} is neither"
        )
    length = 2 * model.geom_size[geom, 1] + radius
    mass = density * np.pi * radius**2 * length
    transverse = mass * (3 * radius**2 + length**2) / 12
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, model.geom_quat[geom])
    rotation = rotation.reshape(3, 3)
    principal = np.diag([transverse, transverse, mass * radius**2 / 2])
    return mass, center, rotation @ principal @ rotation.T


def _inertial_element(
    mass: float, center: np.ndarray, inertia: np.ndarray
) -> ElementTree.Element:
    upper = inertia[(0, 1, 2, 0, 0, 1), (0, 1, 2, 1, 2, 2)]
    return ElementTree.Element(
        "inertial",
        mass=repr(float(mass)),
        pos=" ".join(repr(float(value)) for value in center),
        fullinertia=" ".join(repr(float(value)) for value in upper),
    )


def check_physics(
    environment: str, path: Path, physics: str = "d4rl"
) -> dict[str, Any]:
    """Compare one-step predictions with the transitions recorded in an npz file.

    The file has D4RL's keys. A row's error is the largest absolute difference over the
    next observation's entries; rows that end an episode have no recorded successor.
    """
    recording = read_recording(environment, path)
    errors = one_step_errors(environment, physics, **recording)
    if not len(errors):
        raise UserError(f"{path} holds no transition followed by another")
    return {
        "environment": environment,
        "physics": physics,
        "file": str(path),
        "num_transitions": len(errors),
        "median": float(np.median(errors)),
        "percentile_90": float(np.quantile(errors, 0.9)),
        "largest": float(errors.max()),
        "mujoco": mujoco.__version__,
    }


FLAGS = ("terminals", "timeouts")


def read_recording(environment: str, path: Path) -> dict[str, np.ndarray]:
    """Read observations, actions and episode ends of an npz file with D4RL's keys."""
    keys = ("observations", "actions", *FLAGS)
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in keys if key not in file]
            if missing:
                raise UserError(f"{path} lacks the array(s) {', '.join(missing)}")
            arrays = {key: file[key] for key in keys}
    except FileNotFoundError:
        raise UserError(f"there is no file {path}") from None
    except (
        ValueError, OSError, EOFError, LookupError, RuntimeError, TypeError,
        AttributeError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise UserError(f"{path} is not an npz file of arrays: {error}") from None
    model = load_model(environment, "stock")
    widths = {"observations": model.nq + model.nv - 1, "actions": model.nu}
    num_rows = len(arrays["observations"]) if arrays["observations"].ndim else 0
    if num_rows < 2:
        raise UserError(f"{path} holds no step: it has {num_rows} row(s), 2 at least")
    for key, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise UserError(f"{path}: {key} holds {array.dtype}, not numbers")
        expected = (num_rows, widths[key]) if key in widths else (num_rows,)
        if array.shape != expected:
            raise UserError(
                f"{path}: {key} has shape {array.shape}, {environment} needs {expected}"
            )
        bad_rows = np.flatnonzero(~np.isfinite(array.reshape(num_rows, -1)).all(axis=1))
        if len(bad_rows):
            raise UserError(f"{path}: {key} is not finite at row {bad_rows[0]}")
        other = np.flatnonzero((array != 0) & (array != 1)) if key in FLAGS else ()
        if len(other):
            raise UserError(
                f"{path}: {key} is {array[other[0]]} at row {other[0]}, not 0 or 1"
            )
    return {
        "observations": arrays["observations"].astype(np.float64),
        "actions": arrays["actions"].astype(np.float64),
        "ends": np.any([arrays[key] != 0 for key in FLAGS], axis=0),
    }


def one_step_errors(
    environment: str,
    physics: str,
    *,
    observations: np.ndarray,
    actions: np.ndarray,
    ends: np.ndarray,
) -> np.ndarray:
    """Return the error of every step within an episode.

    Recorded velocities are clipped: where one stands at the bound, the true one is
    unknown and the simulated one of the step before takes its place.
    """
    model = load_model(environment, physics)
    data = mujoco.MjData(model)
    limit = VELOCITY_LIMITS[environment]
    num_positions = model.nq - 1
    simulated: np.ndarray | None = None
    errors = []
    for row in range(len(observations) - 1):
        velocities = observations[row, num_positions:]
        if simulated is not None:
            velocities = np.where(np.abs(velocities) < limit, velocities, simulated)
        # The first position, left out of observations, does not enter the dynamics.
        data.qpos[0] = 0.0
        data.qpos[1:] = observations[row, :num_positions]
        data.qvel[:] = velocities
        data.ctrl[:] = actions[row]
        mujoco.mj_step(model, data, nstep=FRAME_SKIPS[environment])
        if ends[row]:
            mujoco.mj_resetData(model, data)
            simulated = None
            continue
        simulated = data.qvel.copy()
        clipped = np.clip(simulated, -limit, limit)
        predicted = np.concatenate((data.qpos[1:], clipped))
        errors.append(np.abs(predicted - observations[row + 1]).max())
    return np.array(errors)
