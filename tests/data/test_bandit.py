"""The bandit's own data: drawn, or a user's file that is checked before it trains."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dql import paths
from dql.config.project import load_project
from dql.data.bandit import bandit_dataset
from dql.data.checks import dataset_state, verify
from dql.data.datasets import load_dataset
from dql.data.description import describe
from dql.errors import UserError
from dql.files import file_sha256
from dql.results.cell_facts import size_differences
from dql.training.loop import train

SMOKE = load_project(scale="smoke")
RELEASED = SMOKE.task("bandit-released")
DRAW = (
    Path(__file__).parents[3] / "shared" / "bandit" / Path(RELEASED.dataset.path).name
)


def own_task(path, **changes):
    found = {"path": str(path), "sha256": None} | changes
    dataset = RELEASED.dataset.model_copy(update=found)
    return RELEASED.model_copy(update={"dataset": dataset})


def write_pulls(path, **arrays):
    generator = np.random.default_rng(0)
    pulls = {"actions": generator.uniform(-1, 1, (20, 2)), "rewards": np.arange(20.0)}
    np.savez(path, **{k: v for k, v in (pulls | arrays).items() if v is not None})
    return path


@pytest.mark.skipif(not DRAW.is_file(), reason="needs the released toy code's draw")
def test_the_released_draw_is_the_corners():
    """Appendix A's law: modes of 0.05, rewards of 0.5, a quarter each."""
    data = load_dataset(own_task(DRAW))
    assert len(data) == data.manifest["num_transitions"] == 10_000
    assert (data.terminations == 1).all()
    assert not data.observations.any()
    corners = 0.8 * np.sign(data.actions)
    assert np.abs((data.actions - corners).std(axis=0) - 0.05).max() < 0.002
    means = {(-1, 1): 3.0, (1, 1): 1.5, (1, -1): 5.0, (-1, -1): 0.0}
    for corner, mean in means.items():
        rewards = data.rewards[(np.sign(data.actions) == corner).all(axis=1)]
        assert len(rewards) == 2500
        assert abs(rewards.mean() - mean) < 0.03
        assert abs(rewards.std() - 0.5) < 0.02


def test_own_data_are_read_whole_at_every_scale(tmp_path):
    path = write_pulls(tmp_path / "mine.npz", rewards=np.arange(20))
    data = bandit_dataset(own_task(path))
    with np.load(path) as stored:
        assert (data.actions == stored["actions"].astype(np.float32)).all()
    assert (data.rewards == np.arange(20)).all()
    for scale in ("smoke", "quick", "paper"):
        own = load_project(scale=scale).task("bandit-released").dataset
        assert own.num_transitions is None
    assert SMOKE.task("bandit-axes").dataset.num_transitions == 1000


def test_own_data_train_and_a_changed_file_is_another_run(tmp_path):
    path = write_pulls(tmp_path / "mine.npz")
    run = SMOKE.run_config("bandit-released", "bc_mle", 0)
    run = run.model_copy(update={"environment": own_task(path)})
    train([run], [tmp_path / "run"], foreign_checkpoint="refuse")
    assert (tmp_path / "run" / paths.SAMPLES_FILE).is_file()
    write_pulls(path, rewards=np.zeros(20))
    assert (
        bandit_dataset(own_task(path)).manifest["digest"]
        not in (tmp_path / "run" / paths.PROVENANCE_FILE).read_text()
    )


def test_a_constant_reward_is_named_before_training(tmp_path):
    path = write_pulls(tmp_path / "mine.npz", rewards=np.full(20, 3.0))
    task = own_task(path).model_copy(update={"reward_transform": "normalize"})
    run = SMOKE.run_config("bandit-released", "td3_bc", 0)
    run = run.model_copy(update={"environment": task})
    with pytest.raises(UserError, match="task 'bandit-released': every reward is 3: "):
        train([run], [tmp_path / "run"], foreign_checkpoint="refuse")
    assert not (tmp_path / "run" / paths.CONFIG_FILE).exists()


BAD = [
    ({"rewards": None}, "lacks the array.s. rewards"),
    ({"rewards": np.zeros((20, 1))}, r"rewards has shape \(20, 1\), expected \(20,\)"),
    ({"rewards": np.zeros(19)}, r"actions has shape \(20, 2\), expected \(19, 2\)"),
    ({"rewards": np.zeros(0)}, "rewards holds no row"),
    ({"rewards": np.float64(3)}, "rewards holds no row"),
    ({"rewards": np.array(["1"] * 20)}, "rewards holds <U1, not numbers"),
    ({"rewards": np.zeros(20, bool)}, "rewards holds bool, not numbers"),
    ({"rewards": np.zeros(20, complex)}, "rewards holds complex128, not numbers"),
    ({"rewards": np.array([None] * 20)}, "cannot be read as an npz"),
    ({"rewards": np.r_[np.zeros(7), np.nan, np.zeros(12)]}, "not finite .* row 7"),
    ({"rewards": np.r_[np.zeros(19), 1e39]}, "rewards is not finite .* row 19"),
    ({"actions": np.full((20, 3), 0.1)}, r"actions has shape \(20, 3\)"),
    ({"actions": np.full((20, 2), 1.1)}, r"actions has 1.1 at row 0, outside"),
]  # fmt: skip


@pytest.mark.parametrize(("arrays", "fault"), BAD, ids=lambda value: str(value)[:30])
def test_data_that_cannot_be_learned_from_are_refused(tmp_path, arrays, fault):
    path = write_pulls(tmp_path / "mine.npz", **arrays)
    with pytest.raises(UserError, match=fault) as caught:
        load_dataset(own_task(path))
    assert "task 'bandit-released'" in str(caught.value)
    assert str(path) in str(caught.value)


def test_files_that_are_no_npz_are_refused(tmp_path):
    path = tmp_path / "mine.npz"
    with pytest.raises(UserError, match="is missing; put the data there"):
        load_dataset(own_task(path))
    with path.open("wb") as stream:  # an array by itself
        np.save(stream, np.zeros(3))
    with pytest.raises(UserError, match="is not an npz of actions and rewards"):
        load_dataset(own_task(path))
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        load_dataset(own_task(path))


def test_a_known_digest_is_compared(tmp_path):
    path = write_pulls(tmp_path / "mine.npz")
    assert len(load_dataset(own_task(path, sha256=file_sha256(path)))) == 20
    with pytest.raises(UserError, match="tasks.yaml expects 0123"):
        load_dataset(own_task(path, sha256="0123"))


stored = io.BytesIO()
write_pulls(stored)


@settings(
    derandomize=True,
    deadline=None,
    max_examples=100,
    suppress_health_check=list(HealthCheck),
)
@given(
    st.integers(0, len(stored.getvalue())), st.binary(max_size=6), st.integers(0, 12)
)
def test_any_damage_is_named_or_harmless(tmp_path, start, piece, removed):
    content = stored.getvalue()
    path = tmp_path / "mine.npz"
    path.write_bytes(content[:start] + piece + content[start + removed :])
    try:
        assert np.isfinite(load_dataset(own_task(path)).rewards).all()
    except UserError as error:
        assert str(path) in str(error)


def test_what_is_on_disk_of_own_data(tmp_path):
    path = tmp_path / "mine.npz"
    assert dataset_state(own_task(path), tmp_path).state == "absent"
    write_pulls(path)
    state = dataset_state(own_task(path), tmp_path)
    assert (state.state, state.num_bytes) == ("ready", path.stat().st_size)
    assert verify(own_task(path))["num_transitions"] == 20
    assert describe(own_task(path)).lengths.sum() == 20


def test_only_runs_on_own_data_name_a_path():
    """So that the configurations stored before there were such data stay the same."""
    own = SMOKE.run_config("bandit-released", "bcq", 0).model_dump(mode="json")
    assert own["environment"]["dataset"]["path"].startswith("data/")
    drawn = SMOKE.run_config("bandit-axes", "bcq", 0).model_dump(mode="json")
    assert "path" not in drawn["environment"]["dataset"]


def test_own_data_are_no_other_size_than_the_papers():
    run = SMOKE.run_config("bandit-released", "bcq", 0).model_dump(mode="json")
    assert not [line for line in size_differences(run, 3) if "transitions" in line]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"dataset": {"source": "file"}}, "needs a path"),
        ({"dataset": {"source": "bandit", "path": "a.npz"}}, "needs a path"),
        ({"dataset": {"source": "file", "path": "a.csv"}}, "not of the allowed form"),
        ({"dataset": {"source": "file", "path": "{a}.npz"}}, "not of the allowed form"),
        ({"suite": "local"}, "belong together"),
        ({"environment": "hopper"}, "needs a layout"),
        ({"layout": None}, "needs a layout"),
    ],
)
def test_only_the_bandit_has_own_data(changes, fault):
    from dql.config.schema import TaskConfig
    from dql.config.validation import validate

    with pytest.raises(UserError, match=fault):
        validate(TaskConfig, RELEASED.model_dump() | changes, "tasks.yaml")
