"""Stacked networks one run, one layer and one row at a time, in float64."""

import math

import numpy as np
from literal_reference import time_embedding

from dql.core.batch import Batch


def activation(name, value):
    if name == "relu":
        return max(value, 0.0)
    if name == "gelu":
        inner = math.sqrt(2 / math.pi) * (value + 0.044715 * value**3)
        return 0.5 * value * (1 + math.tanh(inner))
    softplus = value if value > 30 else math.log1p(math.exp(value))
    return value * math.tanh(softplus)


def layer_norm(norm, stack, values):
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / len(values)
    gain, offset = norm.gain[stack, 0].tolist(), norm.offset[stack, 0].tolist()
    return [
        g * (value - mean) / math.sqrt(variance + 1e-5) + o
        for value, g, o in zip(values, gain, offset, strict=True)
    ]


def perceptron(module, run, row, *, members=1, member=0):
    """Return the outputs of one run's network for one row of numbers."""
    values = [float(value) for value in row]
    for index, layer in enumerate(module.layers):
        weight = layer.weight[run * members + member].tolist()
        bias = layer.bias[run * members + member, 0].tolist()
        values = [
            bias[j] + sum(values[i] * weight[i][j] for i in range(len(values)))
            for j in range(len(bias))
        ]
        if index < len(module.layers) - 1:
            values = [activation(module.activation, value) for value in values]
            if module.norms:
                stack = run * members + member
                values = layer_norm(module.norms[index], stack, values)
    return values


def q_value(critic, run, which, observation, action):
    """Return Q_which(observation, action) of one run, which in (0, 1)."""
    row = [*observation, *action]
    return perceptron(critic.mlp, run, row, members=2, member=which)[0]


def predict_noise(diffusion, run, action, observation, i):
    """Return epsilon_theta(a^i, s, i) of one run for one row, an array."""
    predictor = diffusion.predictor
    embedding = time_embedding(i, predictor.embedding.shape[2])
    time = perceptron(predictor.time_mlp, run, embedding)
    inputs = np.concatenate([action, time, observation])
    weight = predictor.input_layer.weight[run].detach().numpy()
    bias = predictor.input_layer.bias[run, 0].detach().numpy()
    hidden = [activation("mish", value) for value in inputs @ weight + bias]
    return np.array(perceptron(predictor.mlp, run, hidden))


def literal_flow(flow, run, observation, noise):
    """Follow a flow's velocity by Euler's rule, then clip; an array."""
    point = np.array(noise, dtype=float)
    for step in range(flow.num_flow_steps):
        row = [*observation, *point, step / flow.num_flow_steps]
        point = point + np.array(perceptron(flow.mlp, run, row)) / flow.num_flow_steps
    return np.clip(point, -1, 1)


def double_batch(batch):
    """Return the batch in float64."""
    return Batch(**{name: value.double() for name, value in vars(batch).items()})
