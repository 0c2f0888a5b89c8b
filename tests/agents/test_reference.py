"""The stacked core follows the literal reference: the definition of correct."""

import dataclasses

import pytest
import torch
from core import batch_of_run, double, make_agent, to_double, training_steps
from literal_reference import VARIANTS, LiteralDiffusionQL

NUM_STEPS = 50


def layers_of_run(module, run, members=1, member=0):
    """Return a perceptron's layers of one run as float64 leaves."""
    layers = []
    for layer in module.layers:
        row = run * members + member
        pair = (layer.weight[row], layer.bias[row, 0])
        layers.append(tuple(p.detach().double().clone().requires_grad_() for p in pair))
    return layers


def policy_layers(predictor, run):
    first = (predictor.input_layer.weight[run], predictor.input_layer.bias[run, 0])
    leaves = tuple(p.detach().double().clone().requires_grad_() for p in first)
    return [leaves, *layers_of_run(predictor.mlp, run)]


def literal_of_run(agent, run):
    """Copy one run of the agent into the literal reference."""
    actor, target = agent.actor.predictor, agent.target_actor.predictor
    return LiteralDiffusionQL(
        time_layers=layers_of_run(actor.time_mlp, run),
        policy_layers=policy_layers(actor, run),
        critics=[layers_of_run(agent.critic.mlp, run, 2, k) for k in (0, 1)],
        target_critics=[
            layers_of_run(agent.target_critic.mlp, run, 2, k) for k in (0, 1)
        ],
        target_time_layers=layers_of_run(target.time_mlp, run),
        target_policy_layers=policy_layers(target, run),
        settings=agent.all_settings[run],
    )


def largest_difference(literal, agent, run):
    """Return the largest difference of any parameter, targets included."""
    now = literal_of_run(agent, run)
    names = [
        "time_layers",
        "policy_layers",
        "target_time_layers",
        "target_policy_layers",
    ]
    pairs = [(getattr(literal, name), getattr(now, name)) for name in names]
    for name in ("critics", "target_critics"):
        pairs += list(zip(getattr(literal, name), getattr(now, name), strict=True))
    differences = [
        (p - q).abs().max().item()
        for expected, found in pairs
        for layer, other in zip(expected, found, strict=True)
        for p, q in zip(layer, other, strict=True)
    ]
    return max(differences)


def follow(agent, store, precise):
    """Run agent and references on the same noise; return the largest difference."""
    runs = range(agent.spec.num_runs)
    literals = [literal_of_run(agent, run) for run in runs]
    for step, batch, noise in training_steps(agent, store, NUM_STEPS, batch_size=8):
        used = dataclasses.replace(batch, **double(vars(batch))) if precise else batch
        agent.update(used, double(noise) if precise else noise, agent.phase(step))
        for run, literal in enumerate(literals):
            own = {name: value[run] for name, value in double(noise).items()}
            literal.update(batch_of_run(batch, run), own)
    return max(largest_difference(literals[run], agent, run) for run in runs)


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
def test_double_precision_core_equals_the_literal_reference(settings):
    agent, store = make_agent("diffusion_ql", settings=[settings] * 2)
    assert follow(to_double(agent), store, precise=True) < 1e-13


def test_single_precision_core_follows_the_literal_reference():
    agent, store = make_agent("diffusion_ql")
    moved = agent.actor.predictor.mlp.layers[0].weight.detach().clone()
    assert follow(agent, store, precise=False) < 2e-6
    # The tolerance means something: fifty steps move weights a thousand times as far.
    moved -= agent.actor.predictor.mlp.layers[0].weight.detach()
    assert moved.abs().max() > 5e-3


def test_runs_with_their_own_coefficients_follow_their_own_reference():
    settings = [{"q_coefficient": 0.5}, {"q_coefficient": 4.0}]
    agent, store = make_agent("diffusion_ql", settings=settings)
    assert follow(to_double(agent), store, precise=True) < 1e-13


def test_reference_notices_a_wrong_step():
    agent, store = make_agent("diffusion_ql")
    literal = literal_of_run(agent, 0)
    _, batch, noise = next(iter(training_steps(agent, store, 1, batch_size=8)))
    noise["critic_coin"] = torch.ones(2)
    agent.update(batch, noise, "step")
    own = {name: value[0] for name, value in double(noise).items()}
    own["critic_coin"] = torch.tensor(0.0)
    literal.update(batch_of_run(batch, 0), own)
    assert largest_difference(literal, agent, 0) > 1e-5
