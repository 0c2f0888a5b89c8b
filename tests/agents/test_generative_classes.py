"""What every generative policy owes the same Q term, whatever its class."""

import numpy as np
import pytest
import torch
from core import make_agent, train_steps, training_steps
from small_bandit import MODES, draw_actions, shares_of_modes, two_modes

RATES = {"hidden_dim": 32, "learning_rate": 3e-3, "critic_learning_rate": 3e-3}
ONE = {"num_candidates": 1, "max_gradient_norm": None}
SOON = {"actor_ema_start": 0, "actor_ema_interval": 1, "actor_ema_decay": 0.95}
"""A consistency model learns from its average, which has to follow in short runs."""
CLASSES = {
    "consistency_ql": RATES | ONE | SOON | {"num_curriculum_steps": 300},
    "cvae_ql": RATES | {"behavior_hidden_dim": 32},
    "diffusion_ql": RATES | ONE | {"num_denoising_steps": 10},
    "flow_ql": RATES | ONE | {"num_flow_steps": 5},
}

GUIDING = {"consistency_ql": 8.0}
"""eta, 1 where none is named: its cloning loss is weighted by 100 / interval."""


def samples(name, q_coefficient, num_steps=300):
    """Train two runs on two modes; return the actions drawn, (R, n, 2)."""
    each = [CLASSES[name] | {"q_coefficient": q_coefficient}] * 2
    agent, store = make_agent(name, settings=each, dataset=two_modes())
    for step, batch, noise in training_steps(agent, store, num_steps, batch_size=64):
        agent.update(batch, noise, agent.phase(step))
    return draw_actions(agent)


def better_half(actions):
    """Return the share of actions nearer to the mode that earns more, (R,)."""
    worse, better = (np.linalg.norm(actions - mode, axis=2) for mode in MODES)
    return (better < worse).mean(axis=1)


@pytest.mark.parametrize("name", CLASSES)
def test_without_the_q_term_both_modes_are_kept(name):
    actions = samples(name, 0.0)
    assert (shares_of_modes(actions, radius=0.4) > 0.2).all()
    np.testing.assert_allclose(better_half(actions), 0.5, atol=0.15)


@pytest.mark.parametrize("name", CLASSES)
def test_the_q_term_moves_the_samples_to_where_the_critics_rise(name):
    """Not further: critics of two narrow modes mislead beyond the better one."""
    assert (better_half(samples(name, GUIDING.get(name, 1.0))) > 0.8).all()


def cloning_loss(agent, batch, noise):
    """Return the loss without the Q term, (R,)."""
    if hasattr(agent, "bc_loss"):
        return agent.bc_loss(batch, noise)
    return agent.behavior_loss(batch, noise)[0]


@pytest.mark.parametrize("name", CLASSES)
def test_the_loss_is_cloning_plus_eta_times_the_same_q_term(name):
    """Half of eta, half of the term; the term does not change with Q's scale."""
    settings = [{"q_coefficient": 2.0}, {"q_coefficient": 4.0}]
    agent, store = make_agent(name, settings=settings)
    train_steps(agent, store, 4)
    _, batch, noise = next(training_steps(agent, store, 1))
    loss, metrics = agent.actor_loss(batch, noise)
    expected = cloning_loss(agent, batch, noise)
    expected = expected + torch.tensor([2.0, 4.0]) * metrics["actor/q_loss"]
    torch.testing.assert_close(loss.detach(), expected.detach())
    with torch.no_grad():
        for parameter in (last := agent.critic.mlp.layers[-1]).parameters():
            parameter *= 50.0
    assert last.weight.abs().max() > 1
    scaled = agent.actor_loss(batch, noise)[1]["actor/q_loss"]
    torch.testing.assert_close(scaled, metrics["actor/q_loss"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CLASSES)
def test_the_q_term_reaches_every_weight_of_the_policy_and_no_critic(name):
    agent, store = make_agent(name, settings=[{"q_coefficient": 2.0}] * 2)
    train_steps(agent, store, 4)
    _, batch, noise = next(training_steps(agent, store, 1))
    loss = agent.actor_loss(batch, noise)[0] - cloning_loss(agent, batch, noise)
    (optimizer,) = (o for key, o in agent.optimizers.items() if key != "critic")
    critic = list(agent.critic.parameters())
    found = torch.autograd.grad(
        loss.sum(), optimizer.parameters + critic, allow_unused=True
    )
    assert all(gradient is None for gradient in found[len(optimizer.parameters) :])
    policy = found[: len(optimizer.parameters)]
    reached = [g is not None and bool(g.abs().max() > 1e-7) for g in policy]
    encoder = [key.startswith("encoder") for key, _ in agent_policy(agent)]
    assert [r or e for r, e in zip(reached, encoder, strict=True)] == [True] * len(
        reached
    )


def agent_policy(agent):
    """List the names of the policy's parameters, in the optimiser's order."""
    module = agent.modules.get("actor") or agent.modules["behavior_policy"]
    return list(module.named_parameters())
