"""A tanh-Gaussian policy one row at a time, in float64."""

import math

from literal_networks import perceptron


def normal_log_density(value, mean, std):
    scaled = (value - mean) / std
    return -0.5 * scaled * scaled - math.log(std * math.sqrt(2 * math.pi))


def policy_outputs(actor, run, observation):
    """Return means and deviations before the hyperbolic tangent."""
    outputs = perceptron(actor.mlp, run, observation)
    low, high = actor.log_std_range
    half = len(outputs) // 2
    if actor.log_std_rule == "tanh":
        within = [low + (math.tanh(x) + 1) / 2 * (high - low) for x in outputs[half:]]
    else:
        within = [min(max(x, low), high) for x in outputs[half:]]
    return outputs[:half], [math.exp(value) for value in within]


def raw_log_density(actor, run, observation, raw):
    """Return the log density of tanh(raw) as the change of variables defines it."""
    total = 0.0
    for x, m, s in zip(raw, *policy_outputs(actor, run, observation), strict=True):
        total += normal_log_density(x, m, s) - math.log(1 - math.tanh(x) ** 2)
    return total


def literal_log_density(actor, run, observation, action, largest):
    """Return the log density of an action, clipped to +-`largest`."""
    inside = [min(max(a, -largest), largest) for a in action]
    return raw_log_density(actor, run, observation, [math.atanh(a) for a in inside])


def literal_sample(actor, run, observation, noise):
    """Return an action and its log density."""
    means, stds = policy_outputs(actor, run, observation)
    raw = [m + s * e for m, s, e in zip(means, stds, noise, strict=True)]
    density = raw_log_density(actor, run, observation, raw)
    return [math.tanh(x) for x in raw], density
