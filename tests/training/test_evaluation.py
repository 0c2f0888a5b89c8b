import threading

import numpy as np
import pytest
import torch
from core import make_agent, make_dataset

from dql.environments.bandit import BanditEnvironment
from dql.training.evaluation import episode_seeds, evaluate


class CountingEnvironment:
    """Episode e ends after e + 1 steps and pays 1 for each; records its actions.

    Like some environments it is one object that only one thread may step at a time.
    """

    observation_dim, action_dim, horizon = 5, 3, 6

    def __init__(self, num_environments):
        self.num_environments = num_environments
        self.seen = []

    def reset(self, seeds):
        self.seeds = list(seeds)
        self.elapsed = np.zeros(self.num_environments, dtype=int)
        self.is_busy = threading.Lock()
        return np.zeros((self.num_environments, 5))

    def step(self, actions, active):
        assert self.is_busy.acquire(blocking=False)
        self.elapsed += active
        self.seen.append({e: actions[e].copy() for e in np.flatnonzero(active)})
        ends = active & (np.arange(self.num_environments) < self.elapsed)
        self.is_busy.release()
        zeros = np.zeros((self.num_environments, 5))
        return zeros, active.astype(float), ends, np.zeros_like(ends)

    def actions(self):
        """Return every episode's actions in the order of time, one after the other."""
        episodes = range(self.num_environments)
        return [step[e] for e in episodes for step in self.seen if e in step]


def test_episodes_end_one_by_one_and_their_rewards_are_summed():
    agent, _ = make_agent("bc_mle")
    environments = [CountingEnvironment(4), CountingEnvironment(4)]
    evaluations = evaluate(agent, environments, gradient_step=0)
    for evaluation, environment in zip(evaluations, environments, strict=True):
        assert evaluation.episode_returns.tolist() == [1, 2, 3, 4]
        assert evaluation.episode_lengths.tolist() == [1, 2, 3, 4]
        assert [len(actions) for actions in environment.seen] == [4, 3, 2, 1]


def test_a_run_plays_the_same_episodes_in_any_company():
    together, _ = make_agent("diffusion_ql", seeds=(4, 9))
    alone, _ = make_agent("diffusion_ql", seeds=(9,))
    shared = [CountingEnvironment(3), CountingEnvironment(3)]
    own = [CountingEnvironment(3)]
    evaluate(together, shared, gradient_step=7)
    evaluate(alone, own, gradient_step=7)
    assert shared[1].seeds == own[0].seeds == episode_seeds(9, 3)
    for first, second in zip(shared[1].seen, own[0].seen, strict=True):
        assert first.keys() == second.keys()
        for episode in first:
            np.testing.assert_allclose(first[episode], second[episode], atol=1e-5)


@pytest.mark.parametrize("num_threads", [2, 7])
def test_threads_play_the_same_episodes(num_threads):
    seen = []
    for threads in (1, num_threads):
        agent, _ = make_agent("diffusion_ql")
        environments = [CountingEnvironment(5), CountingEnvironment(5)]
        evaluations = evaluate(agent, environments, 0, num_threads=threads)
        assert evaluations[1].episode_returns.tolist() == [1, 2, 3, 4, 5]
        seen.append([environment.actions() for environment in environments])
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-5)


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
