import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from core import make_agent, make_dataset
from counting_environment import CountingEnvironment
from stand_in_recording import StandIn

from dql.environments.bandit import BanditEnvironment
from dql.training import decisions
from dql.training.decisions import RecordedDecisions
from dql.training.evaluation import episode_seeds, evaluate

POLICIES = ["diffusion_ql", "bc_diffusion", "td3_bc", "bcq"]


def test_episodes_end_one_by_one_and_their_rewards_are_summed():
    agent, _ = make_agent("bc_mle")
    environments = [CountingEnvironment(4), CountingEnvironment(4)]
    evaluations = evaluate(agent, environments, gradient_step=0)
    for evaluation, environment in zip(evaluations, environments, strict=True):
        assert evaluation.episode_returns.tolist() == [1, 2, 3, 4]
        assert evaluation.episode_lengths.tolist() == [1, 2, 3, 4]
        assert [len(actions) for actions in environment.seen] == [4, 3, 2, 1]


@pytest.mark.parametrize("name", ["diffusion_ql", "decision_transformer"])
def test_a_run_plays_the_same_episodes_in_any_company(name):
    together, _ = make_agent(name, seeds=(4, 9))
    alone, _ = make_agent(name, seeds=(9,))
    shared = [CountingEnvironment(3), CountingEnvironment(3)]
    own = [CountingEnvironment(3)]
    evaluate(together, shared, gradient_step=7)
    evaluate(alone, own, gradient_step=7)
    assert shared[1].seeds == own[0].seeds == episode_seeds(9, 3)
    for first, second in zip(shared[1].seen, own[0].seen, strict=True):
        assert first.keys() == second.keys()
        for episode in first:
            np.testing.assert_allclose(first[episode], second[episode], atol=1e-5)


@pytest.mark.parametrize("is_shareable", [False, True])
@pytest.mark.parametrize("num_threads", [2, 7])
@pytest.mark.parametrize("name", ["diffusion_ql", "decision_transformer"])
def test_threads_play_the_same_episodes(name, num_threads, is_shareable):
    seen = []
    for threads in (1, num_threads):
        agent, _ = make_agent(name)
        environments = [CountingEnvironment(5, is_shareable) for _ in range(2)]
        evaluations = evaluate(agent, environments, 0, num_threads=threads)
        assert evaluations[1].episode_returns.tolist() == [1, 2, 3, 4, 5]
        seen.append([environment.actions() for environment in environments])
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-5)


def wait_for_another(environment):
    """Let every step of an environment wait until another thread steps it too."""
    together = threading.Barrier(2, timeout=60)  # breaks if one thread does both
    step = environment.step

    def waiting(*arguments):
        together.wait()
        return step(*arguments)

    environment.step = waiting


@pytest.mark.parametrize("made_together", [False, True])
def test_threads_step_a_shareable_environment_at_the_same_time(made_together):
    agent, _ = make_agent("bc_mle", seeds=(0,))
    environment = CountingEnvironment(4, is_shareable=True)
    environment.horizon = 1
    wait_for_another(environment)
    calls = RecordedDecisions(agent, StandIn("a decision")) if made_together else None
    found = evaluate(agent, [environment], 0, num_threads=2, decisions=calls)
    assert found[0].episode_lengths.tolist() == [1, 1, 1, 1]
    assert sorted(e for step in environment.seen for e in step) == [0, 1, 2, 3]


def test_threads_act_at_the_same_time():
    agent, _ = make_agent("bc_mle")
    together = threading.Barrier(2, timeout=60)  # breaks if one thread does both
    sample = agent.sample_actions

    def wait_for_the_other(*inputs):
        together.wait()
        return sample(*inputs)

    agent.sample_actions = wait_for_the_other
    environments = [CountingEnvironment(4), CountingEnvironment(4)]
    for environment in environments:
        environment.horizon = 1
    evaluate(agent, environments, 0, num_threads=2)


def count_calls(agent):
    """Let the agent note how many episodes each of its decisions is for."""
    act, sizes = agent.act, []

    def counted(observations, rewards, memory, noise):
        sizes.append(observations.shape[1])
        return act(observations, rewards, memory, noise)

    agent.act = counted
    return sizes


@pytest.mark.parametrize("name", [*POLICIES, "decision_transformer"])
@pytest.mark.parametrize("num_threads", [1, 3])
def test_one_decision_for_all_gives_the_same_episodes(name, num_threads):
    """Episodes that have ended are decided for as well, and nobody plays them."""
    agent, _ = make_agent(name)
    apart = [CountingEnvironment(5), CountingEnvironment(5)]
    expected = evaluate(agent, apart, 3)
    sizes = count_calls(agent)
    calls = StandIn("a decision")
    made = RecordedDecisions(agent, calls)
    together = [CountingEnvironment(5), CountingEnvironment(5)]
    found = evaluate(agent, together, 3, (), num_threads, decisions=made)
    assert sizes == [5] * 5  # the longest episode has five steps
    assert set(calls.recordings) == {5}
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine.episode_returns, theirs.episode_returns)
        np.testing.assert_array_equal(mine.episode_lengths, theirs.episode_lengths)
        np.testing.assert_allclose(mine.first_actions, theirs.first_actions, atol=1e-5)
    for mine, theirs in zip(together, apart, strict=True):
        np.testing.assert_allclose(mine.actions(), theirs.actions(), atol=1e-5)


class Remembers:
    """Acts by all it has been given: how often it decided, and the sum of rewards."""

    def __init__(self, num_runs):
        self.spec = SimpleNamespace(
            seeds=range(num_runs), action_dim=3, device=torch.device("cpu")
        )

    def evaluation_draws(self, num_episodes):
        return {}

    def new_memory(self, num_episodes):
        shape = len(self.spec.seeds), num_episodes
        return {"count": torch.zeros(shape), "sum": torch.zeros(*shape, 1)}

    def act(self, observations, rewards, memory, noise):
        total = memory["sum"] + rewards[..., None]
        count = memory["count"] + 1
        actions = torch.cat([count[..., None], total, rewards[..., None]], dim=-1)
        return actions / 10, {"count": count, "sum": total}


@pytest.mark.parametrize("way", ["alone", "threads", "recorded", "in parts"])
def test_each_episode_has_a_memory_of_its_own(way, monkeypatch):
    """The first step is without a reward; then come the environment's, 1 a step."""
    agent, environments = Remembers(2), [CountingEnvironment(5) for _ in range(2)]
    made, num_threads = None, 3 if way == "threads" else 1
    if way in ("recorded", "in parts"):
        made = RecordedDecisions(agent, StandIn("a decision"))
    if way == "in parts":
        monkeypatch.setattr(decisions, "EPISODES_PER_CALL", 2)
    evaluate(agent, environments, 0, (), num_threads, decisions=made)
    for environment in environments:
        episodes = iter(environment.actions())
        for episode in range(5):
            for time in range(episode + 1):
                expected = [time + 1, time, float(time > 0)]
                np.testing.assert_allclose(10 * next(episodes), expected, atol=1e-6)


def test_a_decision_for_very_many_episodes_comes_in_equal_parts(monkeypatch):
    monkeypatch.setattr(decisions, "EPISODES_PER_CALL", 4)
    agent, _ = make_agent("diffusion_ql")
    shape = agent.evaluation_draws(10)
    noise = {
        name: torch.rand(2, *draw.shape, generator=torch.Generator().manual_seed(1))
        for name, draw in shape.items()
    }
    observations = np.random.default_rng(0).normal(size=(2, 10, 5))
    states = torch.from_numpy(observations).float()
    expected = agent.sample_actions(states, noise).numpy()
    sizes = count_calls(agent)
    made = RecordedDecisions(agent, StandIn("a decision"))
    made = made.make(observations, np.zeros((2, 10)), {}, noise)
    assert sizes == [4, 4, 2]
    np.testing.assert_allclose(made, expected, atol=1e-5)


def test_a_recorded_decision_follows_weights_that_change_in_place():
    agent, _ = make_agent("td3_bc")
    calls = StandIn("a decision")
    made = RecordedDecisions(agent, calls)
    observations = np.ones((2, 4, 5))
    for _ in range(5):
        before = made.make(observations, np.zeros((2, 4)), {}, {})
    assert calls.recordings
    with torch.no_grad():
        for parameter in agent.actor.layers[-1].parameters():
            parameter.zero_()
    after = made.make(observations, np.zeros((2, 4)), {}, {})
    assert (before != 0).all() and (after == 0).all()


def test_the_runs_physics_go_at_the_same_time():
    agent, _ = make_agent("bc_mle")
    together = threading.Barrier(2, timeout=60)  # breaks if one thread does both

    class Waiting(CountingEnvironment):
        horizon = 1

        def step(self, actions, active):
            together.wait()
            return super().step(actions, active)

    made = RecordedDecisions(agent, StandIn("a decision"))
    evaluate(agent, [Waiting(4), Waiting(4)], 0, (), 2, decisions=made)


def test_a_cancelled_evaluation_ends_soon():
    agent, _ = make_agent("bc_mle")
    cancelled = threading.Event()
    cancelled.set()
    environments = [CountingEnvironment(4), CountingEnvironment(4)]
    evaluations = evaluate(agent, environments, 0, cancelled=cancelled)
    assert [each.episode_lengths.tolist() for each in evaluations] == [[0] * 4] * 2


def test_runs_have_episodes_of_their_own():
    assert not set(episode_seeds(0, 1000)) & set(episode_seeds(1, 1000))


def test_excluded_runs_do_not_play():
    agent, _ = make_agent("bc_mle")
    environments = [CountingEnvironment(2), CountingEnvironment(2)]
    evaluations = evaluate(agent, environments, 0, excluded=[0])
    assert evaluations[0].episode_lengths.tolist() == [0, 0]
    assert evaluations[1].episode_lengths.tolist() == [1, 2]


def test_nobody_plays_where_all_runs_are_excluded():
    agent, _ = make_agent("bc_mle")
    environments = [CountingEnvironment(2), CountingEnvironment(2)]
    evaluations = evaluate(agent, environments, 0, excluded=[0, 1], num_threads=2)
    assert [each.episode_lengths.tolist() for each in evaluations] == [[0, 0], [0, 0]]


def test_the_bandits_actions_are_kept():
    dataset = make_dataset(observation_dim=2, action_dim=2)
    agent, _ = make_agent("bc_mle", seeds=(0,), dataset=dataset)
    with torch.no_grad():  # a policy that always pulls the best corner
        for parameter in agent.actor.mlp.layers[-1].parameters():
            parameter.zero_()
        agent.actor.mlp.layers[-1].bias[..., :2] = torch.tensor([0.8, -0.8])
        agent.actor.mlp.layers[-1].bias[..., 2:] = -10.0
    (evaluation,) = evaluate(agent, [BanditEnvironment("corners", 50)], 0)
    np.testing.assert_allclose(
        evaluation.first_actions, np.tile([0.8, -0.8], (50, 1)), atol=1e-3
    )
    np.testing.assert_array_equal(evaluation.first_rewards, evaluation.episode_returns)
    assert abs(evaluation.episode_returns.mean() - 5.0) < 0.3
