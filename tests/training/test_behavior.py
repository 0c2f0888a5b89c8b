"""Behavior policies: SAC in stages is SAC, and its snapshots act as it does."""

import shutil
import signal

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save

from dql import paths
from dql.bars import ProgressLine
from dql.behavior import quality
from dql.behavior.kept import FILES, agent_settings
from dql.behavior.policies import half, load_behavior, make_policy
from dql.behavior.recorded import play_again
from dql.behavior.snapshots import ByMean, Snapshot
from dql.config.schema import BehaviorConfig
from dql.core.noise import NoiseStreams
from dql.environments.locomotion import LocomotionEnvironment
from dql.errors import UserError
from dql.training import behavior, progress
from dql.training.behavior import actor_weights, train, train_snapshots
from dql.training.checkpoint import checkpoint_file
from dql.training.interaction import episode_seed
from tests.support.core import make_agent

BUDGET = BehaviorConfig(
    num_environment_steps=40,
    snapshot_interval=20,
    start_steps=10,
    num_evaluation_episodes=2,
)


def budget(**changes):
    return BehaviorConfig(**{**BUDGET.model_dump(), **changes})


def low_random_return(environment, physics, seed):
    """Return less than a policy of a few steps does, which need not beat chance."""
    return 1.0


@pytest.fixture(autouse=True)
def _beats_chance(monkeypatch):
    monkeypatch.setattr(quality, "random_return", low_random_return)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A place with policies trained for a moment."""
    place = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(quality, "random_return", low_random_return)
        train("hopper", "d4rl", BUDGET, paths.behavior_directory("hopper"))
    return place


@pytest.fixture
def place(trained, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def snapshots(directory, chosen=BUDGET, environment="hopper", physics="d4rl"):
    return train_snapshots(environment, physics, chosen, directory)


def bytes_of(snapshots):
    return {
        (step, name): array.tobytes()
        for step, snapshot in snapshots.items()
        for name, array in snapshot.weights.items()
    }


def files(folder):
    return [(folder / name).read_bytes() for name in FILES]


def test_a_snapshot_acts_as_the_agent_does():
    """Known answers: our actor's means and draws, its deviations at both bounds too."""
    settings = {
        "hidden_dim": 32,
        "num_hidden_layers": 2,
        "log_std_min": -20.0,
        "log_std_max": 2.0,
    }
    agent, store = make_agent("sac", seeds=(3,), settings=[settings])
    o, a = store.observation_dim, store.action_dim
    with torch.no_grad():
        bias = agent.actor.mlp.layers[2].bias
        bias[0, 0, a:] = torch.linspace(-21.0, 3.0, a)
    weights = actor_weights(agent.state())
    policy = Snapshot(weights, o, a, "own_sac_policy")
    observations = 3 * np.random.default_rng(1).standard_normal((200, o))
    inputs = torch.from_numpy(observations).float()[None]
    drawn = policy.actions(observations, np.random.default_rng(2))
    noise = np.random.default_rng(2).standard_normal((200, a), dtype=np.float32)
    expected = agent.explore(inputs, {"noise": torch.from_numpy(noise)[None]})
    np.testing.assert_allclose(drawn, expected[0].numpy(), rtol=1e-4, atol=1e-5)
    quiet = policy.mean_actions(observations)
    expected = agent.sample_actions(inputs, {})[0].numpy()
    np.testing.assert_allclose(quiet, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(drawn - quiet).max() > 0.1


def test_stages_are_one_training(tmp_path, monkeypatch):
    """A snapshot is that of a run which was never cut there."""
    monkeypatch.chdir(tmp_path)
    staged = snapshots(tmp_path / "staged")
    straight = snapshots(tmp_path / "straight", budget(snapshot_interval=40))
    assert [*staged] == [20, 40] and [*straight] == [40]
    assert bytes_of(staged)[40, "fc1.weight"] != bytes_of(staged)[20, "fc1.weight"]
    assert bytes_of({40: staged[40]}) == bytes_of(straight)
    for name, array in straight[40].played.items():
        parts = [stage.played[name] for stage in staged.values()]
        assert np.array_equal(np.concatenate(parts), array)


@pytest.mark.parametrize("killed", [signal.SIGTERM, None])
def test_a_stopped_training_goes_on_bit_for_bit(place, monkeypatch, killed):
    """Stopped with a checkpoint, or killed without one, in the second stage."""
    folder = paths.behavior_directory("hopper")
    expected = files(folder)
    shutil.rmtree(paths.BEHAVIOR)
    shutil.rmtree(paths.BEHAVIOR_RUNS)
    drawn, calls = NoiseStreams.at, iter(range(10_000))

    class Killed(BaseException):
        pass

    def interrupted(self, step):
        if "training" in self.address and next(calls) == 17:
            if killed is None:
                raise Killed
            signal.raise_signal(killed)
        return drawn(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(NoiseStreams, "at", interrupted)
        with pytest.raises(SystemExit if killed else Killed):
            train("hopper", "d4rl", BUDGET, folder)
    left = paths.behavior_run("hopper") / behavior.SNAPSHOTS
    assert [file.stem for file in left.iterdir()] == ["20"]
    assert not folder.exists()
    train("hopper", "d4rl", BUDGET, folder)
    assert files(folder) == expected


def test_what_is_trained_is_not_trained_again(place, monkeypatch):
    folder = paths.behavior_directory("hopper")
    expected = files(folder)
    monkeypatch.setattr(behavior.loop, "train", None)
    train("hopper", "d4rl", BUDGET, folder)
    assert files(folder) == expected


def test_a_larger_budget_goes_on(place, monkeypatch):
    directory, stages, loop = paths.behavior_run("hopper"), [], behavior.loop.train

    def counted(configs, *args, **keywords):
        stages.append(configs[0].online.num_environment_steps)
        return loop(configs, *args, **keywords)

    monkeypatch.setattr(behavior.loop, "train", counted)
    longer = snapshots(directory, budget(num_environment_steps=60))
    assert stages == [60] and [*longer] == [20, 40, 60]
    straight = snapshots(place / "x", budget(num_environment_steps=60))
    assert bytes_of(longer) == bytes_of(straight)


def test_a_lost_or_foreign_snapshot_is_made_again(place):
    directory = paths.behavior_run("hopper")
    before = bytes_of(snapshots(directory))
    file = directory / behavior.SNAPSHOTS / "20.safetensors"
    for content in (None, b"", save({"x": np.zeros(3)})):
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        assert bytes_of(snapshots(directory)) == before


def test_another_seed_is_another_training(place):
    directory = paths.behavior_run("hopper")
    before = snapshots(directory)
    other = snapshots(directory, budget(seed=1))
    assert bytes_of(other) != bytes_of(before)
    assert bytes_of(snapshots(directory)) == bytes_of(before)


def test_the_summary_says_what_was_measured(place):
    folder = paths.behavior_directory("hopper")
    found = load_behavior(folder, "hopper")
    summary = found.summary
    assert summary["budget"] == BUDGET.model_dump()
    assert (summary["environment"], summary["physics"]) == ("hopper", "d4rl")
    assert summary["settings"] == agent_settings()
    assert [point["environment_step"] for point in summary["learning_curve"]] == [
        20,
        40,
    ]
    assert found.serving("expert") == 40
    expert = found.policies[40]
    batch = LocomotionEnvironment("hopper", quality.NUM_REFERENCE_EPISODES)
    entry = next(e for e in summary["policies"] if "expert" in e["qualities"])
    returns = quality.returns(expert, batch, 0, "draws")
    assert entry["mean_return"] == returns.mean()
    assert entry["std_return"] == returns.std()
    by_mean = quality.returns(ByMean(expert), batch, 0, "mean").mean()
    assert entry["return_by_mean"] == by_mean != returns.mean()
    assert summary["reference_scores"]["max"] == entry["mean_return"]
    assert summary["reference_scores"]["min"] == 1.0


def test_the_policy_is_the_checkpoints_in_half_precision(place):
    from safetensors import safe_open

    with safe_open(checkpoint_file(paths.behavior_run("hopper")), "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    expected = make_policy(half(actor_weights(tensors)), 11, 3)
    loaded = load_behavior(paths.behavior_directory("hopper"), "hopper").policies[40]
    observations = np.random.default_rng(0).standard_normal((9, 11))
    assert np.array_equal(
        loaded.mean_actions(observations), expected.mean_actions(observations)
    )


def test_the_recording_is_the_buffer(tmp_path, monkeypatch):
    """Played again, its actions give the checkpoint's transitions bit for bit."""
    monkeypatch.chdir(tmp_path)
    forty_rounds = {"num_environment_steps": 400, "snapshot_interval": 400}
    chosen = budget(**forty_rounds, start_steps=390)
    train("hopper", "d4rl", chosen, paths.behavior_directory("hopper"))
    checkpoint = load_file(checkpoint_file(paths.behavior_run("hopper")))
    found = load_behavior(paths.behavior_directory("hopper"), "hopper")
    recording, medium = found.recording, found.serving("medium")
    assert len(recording.actions) == medium == 400
    episodes = play_again(
        recording,
        np.arange(len(recording.lengths)),
        LocomotionEnvironment("hopper", len(recording.lengths)),
    )
    assert episodes.as_recorded.all()
    columns = []
    for name in ("observations", "actions", "rewards"):
        rows = zip(getattr(episodes.episodes, name), recording.lengths, strict=True)
        columns.append(np.concatenate([row[:length] for row, length in rows]))
    found = np.column_stack(columns).astype(np.float32)
    names = ("observations", "actions", "rewards", "terminations")
    buffer = [checkpoint[f"played.{name}"][:medium] for name in names]
    # Both in one order: the buffer has the environments' episodes interleaved.
    expected = np.column_stack(buffer[:3])
    assert np.array_equal(np.unique(found, axis=0), np.unique(expected, axis=0))
    assert len(np.unique(found, axis=0)) == medium
    assert episodes.episodes.terminated.sum() == buffer[3].sum() >= 1


def test_of_a_long_buffer_episodes_are_kept(monkeypatch):
    """Drawn from all of it: whole ones, with the actions and seeds that are theirs."""
    monkeypatch.setattr(behavior, "MOST_TRANSITIONS", 100)
    ends = np.zeros((30, 10), bool)
    ends[4::5] = True
    numbers = np.arange(300.0).reshape(30, 10)
    played = {
        "actions": np.stack([numbers, -numbers], axis=2).astype(np.float32),
        "rewards": numbers,
        "ends": ends,
    }
    found = behavior.record([played], 0)
    assert len(found.actions) == 100 and found.lengths.tolist() == [5] * 20
    seeds = {episode_seed(0, e, n): (e, n) for e in range(10) for n in range(6)}
    for index, seed in enumerate(found.seeds.tolist()):
        environment, number = seeds[seed]
        rows = numbers[5 * number : 5 * number + 5, environment]
        actions = found.actions[5 * index : 5 * index + 5]
        assert np.array_equal(actions, np.stack([rows, -rows], axis=1))
        assert found.returns[index] == rows.sum()
    numbers_of = [seeds[seed][1] for seed in found.seeds.tolist()]
    assert numbers_of == sorted(numbers_of) and set(numbers_of) == set(range(6))


def test_a_snapshot_of_another_interval_is_trained_again(place):
    """Its steps would stand in the recording twice, or not at all."""
    directory = paths.behavior_run("hopper")
    before = bytes_of(snapshots(directory))
    whole = snapshots(directory, budget(snapshot_interval=40))
    assert bytes_of(whole)[40, "fc0.weight"] == before[40, "fc0.weight"]
    assert [snapshot.played["ends"].size for snapshot in whole.values()] == [40]


def test_a_policy_below_random_actions_is_refused(place, monkeypatch):
    monkeypatch.setattr(quality, "random_return", lambda *_: 1e6)
    folder = paths.behavior_directory("hopper")
    before = files(folder)
    with pytest.raises(UserError, match=r"random actions 1000000\.0.*train longer"):
        train("hopper", "d4rl", BUDGET, folder)
    assert files(folder) == before


def test_an_unknown_environment_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="'hoper'.*hopper"):
        train("hoper", "d4rl", BUDGET, tmp_path / "hoper")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"snapshot_interval": 10}, "start_steps, 10, leaves none of the first 10"),
        ({"num_environment_steps": 50}, "50, is no multiple of snapshot_interval, 20"),
        (
            {"num_environment_steps": 30, "snapshot_interval": 15},
            "snapshot_interval, 15, is no multiple of the 10 environments",
        ),
    ],
)
def test_a_budget_that_cannot_be_cut_into_stages_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        budget(**changes)


def test_stages_are_shown_as_parts_of_all_steps(tmp_path, monkeypatch, capsys):
    """Forty environment steps, ten of them before the first update."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "line_interval", lambda _: 1e9)
    snapshots(tmp_path / "run")
    lines = map(ProgressLine.read, capsys.readouterr().err.splitlines())
    shown = [(line.done, line.total, line.left == 0) for line in lines if line]
    assert shown == [(10, 30, False), (30, 30, True)]
