"""C kernels, PyTorch's operations and float64 train alike, to the rounding of float32.

In float64 Diffusion-QL is the literal reference (test_reference.py). Parameters hide a
wrong step behind what they began with, and Adam's ratio hides a wrong scale; moments
hide neither: a second moment with a weight of 1.0f - 0.999f is off by 1.3e-5.
"""

import dataclasses

import pytest
from core import double, make_agent, to_double, training_steps
from literal_reference import VARIANTS

from dql.agents.registry import SETTINGS
from dql.core.kernels import build

CONFIGURATIONS = {
    **{f"diffusion_ql, {name}": ("diffusion_ql", VARIANTS[name]) for name in VARIANTS},
    **{name: (name, {}) for name in sorted(SETTINGS) if name != "diffusion_ql"},
}
NUM_STEPS = 25
PARAMETER_BOUNDS = {"decision_diffuser": 2e-5, "diffuser": 2e-5}
"""Of any difference; 1.5e-6 where none is named.

Weights are up to 0.6 large and move by 5e-3 to 5e-2. In a temporal U-Net a few weights,
one in 1024 or in ten thousand of a layer, have gradients as small as Adam's epsilon,
which divide into a step that hangs on their rounding.
"""
MOMENT_BOUNDS = {
    "consistency_ql": 2e-5,
    "decision_diffuser": 3e-5,
    "diffuser": 3e-4,
    "dtql": 2.5e-5,
}
"""Of a moment's largest difference in its own largest values; 4e-6 where none is named.

DTQL takes the inverse hyperbolic tangent of actions, which multiplies their rounding;
noise of up to 80, and the sine of levels as large, do so in a consistency model. Group
norms over the few steps of a plan divide by small deviations, most of all in Diffuser's
network of values, whose rounding grows from 9e-6 in one step to 1.6e-4 in 25.
"""


def trained(name, settings, *, precise=False):
    """Return the state after NUM_STEPS of two runs, as float64."""
    agent, store = make_agent(name, settings=[settings] * 2)
    if precise:
        to_double(agent)
    for step, batch, noise in training_steps(agent, store, NUM_STEPS, batch_size=8):
        if precise:
            batch = dataclasses.replace(batch, **double(vars(batch)))
            noise = double(noise)
        agent.update(batch, noise, agent.phase(step))
    return double(agent.state())


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def reference(request):
    """A configuration's name, its agent and settings, and its training in float64."""
    name, settings = CONFIGURATIONS[request.param]
    return request.param, name, settings, trained(name, settings, precise=True)


@pytest.fixture(params=["c", "torch"])
def arithmetic(request, monkeypatch):
    if request.param == "c" and build.library() is None:
        pytest.skip("no C compiler on this machine")
    if request.param == "torch":
        monkeypatch.setenv("DQL_KERNELS", "off")
        build.library.cache_clear()
    yield
    if request.param == "torch":
        build.library.cache_clear()


def test_every_parameter_and_moment_is_that_of_double_precision(reference, arithmetic):
    label, name, settings, exact = reference
    found = trained(name, settings)
    bound = MOMENT_BOUNDS.get(label, 4e-6)
    for key, expected in exact.items():
        difference = (found[key] - expected).abs().max().item()
        if key.startswith("optimizer."):
            assert difference <= bound * expected.abs().max().item(), key
        else:
            assert difference <= PARAMETER_BOUNDS.get(label, 1.5e-6), key
