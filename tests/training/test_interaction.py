"""Online continuation: it goes on exactly, from the right run, with what it should."""

import json
import shutil
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open

from dql import paths
from dql.cli.main import main
from dql.config.online import OnlineConfig
from dql.config.project import load_project
from dql.core.noise import NoiseStreams
from dql.diagnostics.action_samples import store_action_samples
from dql.errors import UserError
from dql.figures.learning_curves import draw
from dql.figures.suite_cells import SuiteCells, curve_table
from dql.results.cells import aggregate_cell
from dql.training import interaction
from dql.training.checkpoint import checkpoint_file
from dql.training.decisions import RecordedDecisions
from dql.training.finished_runs import finished_run, play
from dql.training.interaction import Interaction
from dql.training.loop import Block, train
from dql.training.runs import make_store, prepare_runs
from tests.support.core import make_agent
from tests.support.stand_in_recording import StandIn

MAZE, HOPPER = "local-pointmaze-umaze", "local-hopper-medium-expert"
SIZES = {
    "tasks": [MAZE, HOPPER],
    "max_evaluation_steps": 30,
    "num_transitions": 500,
    "settings": {"hidden_dim": 16},
    "online": {"start_steps": 12, "num_environments": 3, "evaluation_interval": 40},
    "training": {
        "num_gradient_steps": 20,
        "batch_size": 16,
        "log_interval": 10,
        "evaluation_interval": 10,
        "checkpoint_interval": 30,
        "num_evaluation_episodes": 2,
    },
}
FILES = (paths.METRICS_FILE, paths.EVALUATIONS_FILE)


def config(method, task=MAZE, seed=0, **changes):
    suite = SIZES | changes
    return load_project(
        scale="smoke", overrides={"suites": {"local": suite}}
    ).run_config(task, method, seed)


def folder(method, task=MAZE, seed=0):
    return paths.run_directory(task, method, seed)


def run(*methods, task=MAZE, **changes):
    for method in methods:
        train([config(method, task, **changes)], [folder(method, task)], device="cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A place with data of a maze and a finished offline run."""
    place = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        size = "suites.local.num_transitions=500"
        tasks = f"suites.local.tasks=[{MAZE}]"
        options = ["--scale", "smoke", "--set", size, "--set", tasks]
        with pytest.raises(SystemExit) as done:
            main(["data", "generate", MAZE, *options])
        assert done.value.code in (0, None)
        run("td3_bc")
    return place


@pytest.fixture
def place(trained, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evaluations(method, task=MAZE):
    table = pd.read_csv(folder(method, task) / paths.EVALUATIONS_FILE)
    return {
        step: rows["episode_return"] for step, rows in table.groupby(table.columns[0])
    }


def contents(directory):
    found = {name: (directory / name).read_bytes() for name in FILES}
    with safe_open(checkpoint_file(directory), framework="np") as file:
        for name in file.keys():  # noqa: SIM118
            found[name] = file.get_tensor(name).tobytes()
    return found


def test_it_begins_with_the_offline_runs_last_evaluation(place):
    method = "td3_bc@online=100"
    run(method)
    online = evaluations(method)
    assert list(online) == [0, 40, 80, 88]
    assert online[0].tolist() == evaluations("td3_bc")[20].tolist()
    stored = json.loads((folder(method) / paths.PROVENANCE_FILE).read_text())
    assert len(stored["start"]["weights"]) == 64
    assert stored["start"]["num_gradient_steps"] == 20
    assert stored["num_gradient_steps"] == 88


@pytest.mark.parametrize("method", ["td3_bc@online=100", "sac@online=100"])
def test_its_cell_counts_from_the_offline_run_on(place, method):
    run(method)
    runs = [config(method).model_dump(mode="json")]
    manifest = paths.dataset_manifest(MAZE)
    output = paths.cell_file(MAZE, method)
    cell = aggregate_cell(runs, [folder(method)], output, manifest=manifest)
    assert cell["status"] == "complete", cell["left_out"]
    assert cell["curves"]["0"]["gradient_steps"] == [0, 40, 80, 88]
    steps, scores = curve_table(cell)
    assert steps.tolist() == [0, 52, 92, 100]  # twelve before the first update
    assert scores.shape == (1, 4)
    figure = draw(SuiteCells.load([output]))
    assert figure.axes[0].get_xlabel() == "environment steps (thousands)"


@pytest.mark.parametrize("method", ["td3_bc@online=100", "sac@online=100"])
def test_its_policy_can_be_asked_again(place, method):
    run(method)
    asked = finished_run(config(method), folder(method))
    store = make_store([asked], torch.device("cpu"))
    returns = play(asked, {}, store, 2).episode_returns
    assert returns.tolist() == evaluations(method)[88].tolist()


def test_it_plays_as_many_steps_as_it_says_and_keeps_them(place):
    method = "td3_bc@online=100,updates_per_step=2"
    run(method)
    played = contents(folder(method))
    rewards = np.frombuffer(played["played.rewards"], np.float32)
    assert len(rewards) == 102  # whole rounds of three
    assert list(evaluations(method)) == [0, 80, 160, 176]


@pytest.mark.parametrize(
    ("method", "task"),
    [
        ("td3_bc@online=120", MAZE),
        ("td3_bc@online=120,offline_share=pooled", MAZE),
        ("sac@online=160", HOPPER),
    ],
)
@pytest.mark.parametrize("killed", [signal.SIGTERM, None])
def test_a_stopped_run_goes_on_bit_for_bit(place, monkeypatch, method, task, killed):
    """Stopped with a checkpoint, or killed between two; in the middle of episodes."""
    run(method, task=task)
    straight = contents(folder(method, task))
    shutil.rmtree(folder(method, task))
    drawn, calls = NoiseStreams.at, iter(range(10_000))

    class Killed(BaseException):
        pass

    def interrupted(self, step):
        if "training" in self.address and next(calls) == 70:
            if killed is None:
                raise Killed
            signal.raise_signal(killed)
        return drawn(self, step)

    with monkeypatch.context() as patch:
        patch.setattr(NoiseStreams, "at", interrupted)
        with pytest.raises(SystemExit if killed else Killed):
            run(method, task=task)
    with safe_open(checkpoint_file(folder(method, task)), framework="np") as file:
        assert file.get_tensor("played.elapsed").any()
    run(method, task=task)
    assert contents(folder(method, task)) == straight


@pytest.mark.parametrize(
    ("method", "decay_steps", "last"),
    [("td3_bc", 20, 20), ("td3_bc@online=60", 68, 68), ("sac@online=60", 48, 48)],
)
def test_rates_that_reach_zero_before_the_last_step_are_named_once(
    place, caplog, method, decay_steps, last
):
    """Of an offline run, of one that went on, and of one from scratch."""

    def variant(of, steps):
        return f"{of}{',' if '@' in of else '@'}learning_rate_decay_steps={steps}"

    for steps in (decay_steps, decay_steps - 1):
        caplog.clear()
        if method == "td3_bc@online=60":
            run(variant("td3_bc", steps))
        run(variant(method, steps))
        warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
        assert len(warnings) == (steps < last)
    assert (
        f"{variant(method, steps)} on {MAZE}: learning_rate_decay_steps" in caplog.text
    )
    assert f"to gradient step {last}, the run's last" in caplog.text


def test_runs_of_a_block_play_as_they_do_alone(place):
    method = "sac@online=60"
    seeds = (0, 1)
    folders = [place / "together" / str(seed) for seed in seeds]
    train([config(method, HOPPER, seed) for seed in seeds], folders, device="cpu")
    train([config(method, HOPPER, 1)], [place / "alone"], device="cpu")
    together, alone = (
        pd.read_csv(path / paths.METRICS_FILE) for path in (folders[1], place / "alone")
    )
    pd.testing.assert_frame_equal(together, alone, rtol=1e-3, atol=1e-3)


def test_physics_that_does_not_repeat_is_named(place, monkeypatch):
    method = "sac@online=100"
    with monkeypatch.context() as patch:
        patch.setattr(Interaction, "at", stopping(Interaction.at, 50))
        with pytest.raises(SystemExit):
            run(method, task=HOPPER)
    step = interaction.Interaction._catch_up

    def elsewhere(self, number):
        self.environments[number]._simulations.model.opt.timestep *= 1.001
        step(self, number)

    monkeypatch.setattr(Interaction, "_catch_up", elsewhere)
    with pytest.raises(UserError, match="physics does not repeat"):
        run(method, task=HOPPER)


def stopping(function, at_step):
    def stopped(self, step):
        if step == at_step:
            signal.raise_signal(signal.SIGTERM)
        return function(self, step)

    return stopped


def test_transitions_are_the_environments_own(place):
    """Successors, rewards and ends, across the ends of episodes."""
    made = config("sac@online=200,start=scratch,offline_share=0", HOPPER)
    block = Block(prepare_runs([made], [place / "x"], "refuse"), torch.device("cpu"), 1)
    block.interaction.at(150)
    store, online = block.store, made.online
    o, a = store.observation_dim, store.action_dim
    rounds = store.buffer[0, : store.num_played].numpy()
    rounds = rounds.reshape(-1, online.num_environments, rounds.shape[1])
    before, after = rounds[:, :, :o], rounds[:, :, o + a : 2 * o + a]
    ended = rounds[:, :, -1].astype(bool)
    goes_on = (after[:-1] == before[1:]).all(axis=2)
    # Thirty steps are an episode's most; a fall ends it earlier, and says so.
    assert not (goes_on & ended[:-1]).any()
    cut = ~goes_on & ~ended[:-1]
    assert ended.any()
    for environment in range(online.num_environments):
        length = 0
        for time in range(len(rounds) - 1):
            length += 1
            if cut[time, environment]:
                assert length == 30
            length = 0 if not goes_on[time, environment] else length
    # Height of hopper: an end is where it has fallen, and nowhere else.
    fell = (after[..., 0] <= 0.7) | (np.abs(after[..., 1]) >= 0.2)
    np.testing.assert_array_equal(fell, ended)


def test_fresh_rewards_are_learned_from_as_recorded_ones_are(place):
    """Shifted, scaled: the environment's by the transform that the data get."""
    played = []
    for transform in ("none", "cql_antmaze"):
        made = config("sac@online=200", HOPPER)
        task = made.environment.model_copy(update={"reward_transform": transform})
        made = made.model_copy(update={"environment": task})
        runs = prepare_runs([made], [place / transform], "refuse")
        block = Block(runs, torch.device("cpu"), 1)
        block.interaction.at(60)
        played.append(block.store.buffer[0, : block.store.num_played].numpy())
    plain, shifted = (rows[:, -2] for rows in played)
    assert len(np.unique(plain)) > 9
    np.testing.assert_allclose(shifted, (plain - 0.5) * 4, rtol=1e-5)


def test_who_reads_no_data_takes_no_references_of_others(place):
    with pytest.raises(UserError, match="others than those asked for .*dql data"):
        run("sac@online=100", num_transitions=400)
    run("sac@online=100")
    with pytest.raises(UserError, match="reads no data, so there are no states"):
        store_action_samples(config("sac@online=100"), folder("sac@online=100"))


def test_a_run_that_is_not_there_or_not_finished_is_named(place):
    remedy = f"train it first: dql train {MAZE} bc_mle --seed 0 --scale smoke$"
    with pytest.raises(UserError, match=f"from the finished run in .*bc_mle.*{remedy}"):
        run("bc_mle@online=100")
    (folder("td3_bc") / paths.PROVENANCE_FILE).unlink()
    with pytest.raises(UserError, match="no finished run.*dql train .*td3_bc"):
        run("td3_bc@online=100")
    for method in ("bc_mle@online=100", "td3_bc@online=100"):
        assert not folder(method).parent.exists()


def test_a_finished_run_needs_its_offline_run_no_more(place, caplog):
    method = "td3_bc@online=60"
    run(method)
    before = contents(folder(method))
    checkpoint_file(folder("td3_bc")).unlink()
    with caplog.at_level("INFO"):
        run(method)
    assert f"{folder(method)} is finished, nothing to train" in caplog.text
    assert contents(folder(method)) == before
    # Neither a longer one nor one whose file was changed since is finished.
    with pytest.raises(UserError, match="holds no finished run .*dql train"):
        train([config("td3_bc@online=70")], [folder(method)], device="cpu")
    (folder(method) / paths.METRICS_FILE).write_text("")
    with pytest.raises(UserError, match="holds no finished run .*dql train"):
        run(method)


def test_a_finished_run_whose_start_is_another_is_refused(place):
    method = "td3_bc@online=60"
    run(method)
    shutil.rmtree(folder("td3_bc"))
    longer = SIZES["training"] | {"num_gradient_steps": 30}
    run("td3_bc", training=longer)
    with pytest.raises(UserError, match="belongs to another run: start"):
        run(method)


def test_a_run_that_was_finished_before_its_lock_is_not_begun_anew(place):
    made = config("td3_bc@online=60")
    with pytest.raises(UserError, match="was finished a moment ago; start again"):
        prepare_runs([made], [folder(made.method)], "refuse", [None])


def test_a_run_of_other_settings_or_environment_is_refused(place):
    with pytest.raises(UserError, match="hidden_dim is 16 there, 32 here"):
        run("td3_bc@online=100", settings={"hidden_dim": 32})
    with pytest.raises(UserError, match="environment.horizon is 30 there, 40 here"):
        run("td3_bc@online=100", max_evaluation_steps=40)


def test_an_environment_of_other_dimensions_is_refused(place, monkeypatch):
    hopper = config("sac@online=100", HOPPER).environment

    def other(environment, count):
        return make(hopper, count)

    make = interaction.make_environments
    monkeypatch.setattr(interaction, "make_environments", other)
    with pytest.raises(UserError, match=r"dimensions \(11, 3\), its data \(4, 2\)"):
        run("td3_bc@online=100")


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("td3_bc@online=100,offline_share=1.5", "offline_share: .* not 1.5"),
        ("td3_bc@online=12", "start_steps, 12, leaves none"),
        ("td3_bc@offline_share=0", "add online=STEPS"),
        (
            "td3_bc@online=100,start=scratch,offline_share=0",
            "agent 'td3_bc' cannot act without its data's moments",
        ),
        ("td3_bc@online=100,start=scrach", "start: unknown word 'scrach'.*scratch"),
        ("td3_bc@online=100,offline_share=0.001", "of a batch's 16 rows none would"),
        ("td3_bc@online=100,offline_share=0.999", "of a batch's 16 rows all would"),
        ("sac@online=100,num_environments=101", "101, step together, .* than the 100"),
        ("morel@online=100", "'morel' learns from a model .* fitted to the data once"),
        (
            "dtql@online=100,start=scratch,num_pretraining_steps=88",
            "not trained in the first 88 gradient steps .*, and the run has 88",
        ),
    ],
)
def test_bad_settings_are_refused_by_name(method, message):
    with pytest.raises(UserError, match=message):
        config(method)


def test_a_deterministic_policy_explores_with_noise_and_others_sample(place):
    run("td3_bc@online=100,offline_share=0", "td3_bc@online=100,action_noise=0")
    noisy, quiet = (
        np.frombuffer(contents(folder(name))["played.actions"], np.float32)
        for name in (
            "td3_bc@online=100,offline_share=0",
            "td3_bc@online=100,action_noise=0",
        )
    )
    # The first round is the offline policy's, with noise of 0.1 or none.
    difference = noisy[:6] - quiet[:6]
    assert 0 < np.abs(difference).max() < 0.6


@pytest.mark.parametrize("name", ["sac", "td3_bc", "diffusion_ql"])
def test_a_recorded_policy_explores_as_one_that_is_not(name):
    agent, _ = make_agent(name)
    online = OnlineConfig(num_environment_steps=9, start_steps=0, num_environments=4)
    policy = interaction.ExploringPolicy(agent, online)
    shape = agent.spec.num_runs, 4, agent.spec.observation_dim
    observations = np.random.default_rng(0).normal(size=shape)
    expected = [policy.act(observations, num_played) for num_played in (0, 4, 8)]
    calls = StandIn("a decision")
    policy.recorded = RecordedDecisions(agent, calls, policy.explore)
    found = [policy.act(observations, num_played) for num_played in (0, 4, 8)]
    np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(found[0], found[1])
