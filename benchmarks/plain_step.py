"""Diffusion-QL's step as one would first write it in PyTorch.

It stands for the released code: `nn.Mish`, a module for each critic, Adam's default
implementation, gradients for everything, four `.item()` calls a step. Only the
benchmark uses it, as the denominator of a ratio.
"""

import copy
import math

import numpy as np
import torch
from torch import nn

from dql.diffusion.policy import vp_betas


def perceptron(dims):
    """Return Linear and Mish layers of the given widths."""
    layers = []
    for inputs, outputs in zip(dims[:-2], dims[1:-1], strict=True):
        layers += [nn.Linear(inputs, outputs), nn.Mish()]
    return nn.Sequential(*layers, nn.Linear(dims[-2], dims[-1]))


class PlainActor(nn.Module):
    """The diffusion policy, every denoising step from its inputs."""

    def __init__(self, observation_dim, action_dim, num_steps=5, hidden=256, time=16):
        super().__init__()
        self.num_steps, self.action_dim, self.time_dim = num_steps, action_dim, time
        self.time_mlp = perceptron([time, 2 * time, time])
        inputs = observation_dim + action_dim + time
        self.mlp = perceptron([inputs, hidden, hidden, hidden, action_dim])
        betas = vp_betas(num_steps)
        bars = np.cumprod(1 - betas)
        before = np.concatenate([[1.0], bars[:-1]])
        tables = {
            "signal": np.sqrt(bars),
            "spread": np.sqrt(1 - bars),
            "clean": betas * np.sqrt(before) / (1 - bars),
            "noisy": (1 - before) * np.sqrt(1 - betas) / (1 - bars),
            "std": np.sqrt(betas * (1 - before) / (1 - bars)),
        }
        for name, values in tables.items():
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32))

    def forward(self, actions, index, observations):
        half = self.time_dim // 2
        rates = torch.exp(torch.arange(half) * (-math.log(10000) / (half - 1)))
        angles = index[:, None] * rates[None]
        time = self.time_mlp(torch.cat([angles.sin(), angles.cos()], dim=-1))
        return self.mlp(torch.cat([actions, time, observations], dim=1))

    def loss(self, observations, actions):
        index = torch.randint(0, self.num_steps, (len(actions),))
        noise = torch.randn_like(actions)
        signal, spread = self.signal[index][:, None], self.spread[index][:, None]
        predicted = self(signal * actions + spread * noise, index, observations)
        return nn.functional.mse_loss(predicted, noise)

    def sample(self, observations):
        actions = torch.randn(len(observations), self.action_dim)
        for i in reversed(range(self.num_steps)):
            index = torch.full((len(observations),), i)
            predicted = self(actions, index, observations)
            signal, spread = self.signal[index][:, None], self.spread[index][:, None]
            clean = (actions - spread * predicted) / signal
            clean = clean.clamp(-1, 1)
            mean = self.clean[index][:, None] * clean
            mean = mean + self.noisy[index][:, None] * actions
            noise = torch.randn_like(actions) * (i > 0)
            actions = mean + self.std[index][:, None] * noise
        return actions.clamp(-1, 1)


class PlainDiffusionQL:
    """One run of Diffusion-QL; `step` takes a batch as a tuple."""

    def __init__(self, observation_dim, action_dim):
        self.actor = PlainActor(observation_dim, action_dim)
        self.ema = copy.deepcopy(self.actor)
        dims = [observation_dim + action_dim, 256, 256, 256, 1]
        self.critics = nn.ModuleList([perceptron(dims), perceptron(dims)])
        self.targets = copy.deepcopy(self.critics)
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), lr=3e-4)
        self.critic_optimizer = torch.optim.Adam(self.critics.parameters(), lr=3e-4)
        self.count = 0
        self.log = []

    @staticmethod
    def q(critics, observations, actions):
        inputs = torch.cat([observations, actions], dim=-1)
        return [critic(inputs) for critic in critics]

    def step(self, observations, actions, rewards, next_observations, terminations):
        q1, q2 = self.q(self.critics, observations, actions)
        next_actions = self.ema.sample(next_observations)
        next_q = torch.min(*self.q(self.targets, next_observations, next_actions))
        target = (rewards + (1 - terminations) * 0.99 * next_q).detach()
        critic_loss = nn.functional.mse_loss(q1, target)
        critic_loss = critic_loss + nn.functional.mse_loss(q2, target)
        self.descend(self.critic_optimizer, critic_loss, self.critics)

        bc_loss = self.actor.loss(observations, actions)
        q1, q2 = self.q(self.critics, observations, self.actor.sample(observations))
        if np.random.uniform() > 0.5:
            q_loss = -q1.mean() / q2.abs().mean().detach()
        else:
            q_loss = -q2.mean() / q1.abs().mean().detach()
        self.descend(self.actor_optimizer, bc_loss + q_loss, self.actor)
        if self.count % 5 == 0:
            self.average(self.actor, self.ema, 0.995)
        self.average(self.critics, self.targets, 0.995)
        self.count += 1
        losses = (critic_loss, bc_loss, q_loss, target.mean())
        self.log.append([value.item() for value in losses])

    @staticmethod
    def descend(optimizer, loss, module):
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        optimizer.step()

    @staticmethod
    def average(online, target, decay):
        for new, old in zip(online.parameters(), target.parameters(), strict=True):
            old.data.copy_(decay * old.data + (1 - decay) * new.data)
