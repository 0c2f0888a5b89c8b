"""One gradient step of Diffusion-QL as the equations and the released code have it.

Written for reading, not for speed: one run, float64, plain loops over networks and
denoising steps, PyTorch's own operations, no code shared with `dql`. It is what
"correct" means for the training core.
"""

import math
from dataclasses import dataclass, field

import torch
from torch.nn.functional import mish

VARIANTS = {
    "guided": {},
    "cloning": {"q_coefficient": 0.0},
    "strong guidance": {"q_coefficient": 3.0},
    "max-Q backup": {"max_q_backup": True, "num_backup_samples": 3},
    "unclipped": {"max_gradient_norm": None},
    "clipped hard": {"max_gradient_norm": 0.05},
    "text's normaliser": {"q_normalizer": "paper"},
    "late EMA": {"actor_ema_start": 20, "actor_ema_interval": 7},
    "linear schedule": {"beta_schedule": "linear"},
    "cosine schedule": {"beta_schedule": "cosine"},
    "action predicted": {"prediction": "action"},
    "gradient of the last two steps": {"num_backpropagated_steps": 2},
}
"""Settings of Diffusion-QL that the reference follows, by name."""


def linear(layer, x):
    weight, bias = layer
    return x @ weight + bias


def perceptron(layers, x):
    for layer in layers[:-1]:
        x = mish(linear(layer, x))
    return linear(layers[-1], x)


def time_embedding(i, dim):
    """Embed the step number i - 1 as the released code's SinusoidalPosEmb does."""
    half = dim // 2
    values = []
    for function in (math.sin, math.cos):
        for k in range(half):
            rate = math.exp(-k * math.log(10000) / (half - 1))
            values.append(function((i - 1) * rate))
    return torch.tensor(values, dtype=torch.float64)


def literal_betas(schedule, n):
    """Return beta_i of i = 1..N, as the released code's helpers have it."""
    beta = {}
    for i in range(1, n + 1):
        if schedule == "vp":
            b_min, b_max = 0.1, 10.0
            exponent = b_min / n + 0.5 * (b_max - b_min) * (2 * i - 1) / n**2
            beta[i] = 1 - math.exp(-exponent)
        elif schedule == "linear":
            beta[i] = 1e-4 + (2e-2 - 1e-4) * (i - 1) / (n - 1)
        else:
            signal = []
            for j in (i - 1, i):
                x = j * (n + 1) / n  # the release spaces n + 1 points from 0 to n + 1
                angle = (x / (n + 1) + 0.008) / 1.008 * math.pi / 2
                signal.append(math.cos(angle) ** 2)
            beta[i] = min(1 - signal[1] / signal[0], 0.999)
    return beta


@dataclass
class LiteralDiffusionQL:
    """Parameters are lists of (weight, bias): one run of the algorithm."""

    time_layers: list
    policy_layers: list
    critics: list  # two lists of layers
    target_critics: list
    target_time_layers: list
    target_policy_layers: list
    settings: object
    adam: dict = field(default_factory=dict)
    step_number: int = 0

    def __post_init__(self):
        n = self.settings.num_denoising_steps
        self.beta = literal_betas(self.settings.beta_schedule, n)
        self.alpha_bar = {0: 1.0}
        for i in range(1, n + 1):
            self.alpha_bar[i] = self.alpha_bar[i - 1] * (1 - self.beta[i])

    def predict(self, a, s, i, time_layers, policy_layers):
        """Return epsilon_theta(a^i, s, i), or a^0, for one batch at one step i."""
        embedding = time_embedding(i, self.settings.time_embedding_dim)
        t = perceptron(time_layers, embedding).expand(len(a), -1)
        return perceptron(policy_layers, torch.cat([a, t, s], dim=1))

    def sample(self, s, noise, time_layers, policy_layers):
        """Run the reverse chain from noise[0], i = N, ..., 1."""
        n = self.settings.num_denoising_steps
        kept = self.settings.num_backpropagated_steps
        a = noise[0]
        for k, i in enumerate(range(n, 0, -1), start=1):
            if i == kept:
                a = a.detach()
            beta, bar, before = self.beta[i], self.alpha_bar[i], self.alpha_bar[i - 1]
            clean = self.predict(a, s, i, time_layers, policy_layers)
            if self.settings.prediction == "noise":
                clean = a / math.sqrt(bar) - clean * math.sqrt(1 / bar - 1)
            clean = clean.clamp(-1.0, 1.0)
            mean = (
                beta * math.sqrt(before) / (1 - bar) * clean
                + (1 - before) * math.sqrt(1 - beta) / (1 - bar) * a
            )
            variance = beta * (1 - before) / (1 - bar)
            a = mean + math.sqrt(variance) * noise[k] if i > 1 else mean
        return a.clamp(-1.0, 1.0)

    def q(self, layers, s, a):
        return perceptron(layers, torch.cat([s, a], dim=1))[:, 0]

    def target(self, batch, noise):
        s_next = batch["next_observations"]
        count = self.settings.num_backup_samples if self.settings.max_q_backup else 1
        rows = torch.cat([s_next[b].expand(count, -1) for b in range(len(s_next))])
        a_next = self.sample(
            rows,
            noise["backup_chain"],
            self.target_time_layers,
            self.target_policy_layers,
        )
        best = []
        for layers in self.target_critics:
            values = self.q(layers, rows, a_next).reshape(len(s_next), count)
            best.append(values.max(dim=1).values)
        next_q = torch.minimum(best[0], best[1])
        not_done = 1 - batch["terminations"]
        return batch["rewards"] + self.settings.discount * not_done * next_q

    def update(self, batch, noise):
        s, a = batch["observations"], batch["actions"]
        with torch.no_grad():
            y = self.target(batch, noise)
        loss = sum(((self.q(layers, s, a) - y) ** 2).mean() for layers in self.critics)
        self.descend(loss, self.critics[0] + self.critics[1], "critic")

        losses = []
        for b in range(len(s)):  # L_d, one transition at a time
            i = int(noise["denoising_step"][b]) + 1
            bar, eps = self.alpha_bar[i], noise["noise"][b : b + 1]
            noisy = math.sqrt(bar) * a[b : b + 1] + math.sqrt(1 - bar) * eps
            guess = self.predict(
                noisy, s[b : b + 1], i, self.time_layers, self.policy_layers
            )
            is_noise = self.settings.prediction == "noise"
            wanted = eps if is_noise else a[b : b + 1]
            losses.append(((wanted - guess) ** 2).mean())
        actor_loss = sum(losses) / len(losses)
        if self.settings.q_coefficient != 0:
            actor_loss = actor_loss + self.settings.q_coefficient * self.q_loss(
                batch, noise
            )
        self.descend(actor_loss, self.time_layers + self.policy_layers, "actor")
        self.move_targets()
        self.step_number += 1

    def q_loss(self, batch, noise):
        s, a = batch["observations"], batch["actions"]
        a0 = self.sample(s, noise["actor_chain"], self.time_layers, self.policy_layers)
        first = bool(noise["critic_coin"] > 0.5)
        chosen, other = (0, 1) if first else (1, 0)
        q_chosen = self.q(self.critics[chosen], s, a0)
        if self.settings.q_normalizer == "as_released":
            scale = self.q(self.critics[other], s, a0).abs().mean().detach()
        else:
            scale = self.q(self.critics[chosen], s, a).abs().mean().detach()
        return -q_chosen.mean() / scale

    def descend(self, loss, layers, name):
        """Clip the global norm, then take one step of Adam."""
        parameters = [p for layer in layers for p in layer]
        gradients = torch.autograd.grad(loss, parameters)
        limit = self.settings.max_gradient_norm
        if limit is not None:
            norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
            factor = min(1.0, limit / (norm + 1e-6))
            gradients = [g * factor for g in gradients]
        rate = (
            self.settings.learning_rate
            if name == "actor"
            else self.settings.critic_learning_rate
        )
        state = self.adam.setdefault(
            name, {"t": 0, "m": [0.0] * len(gradients), "v": [0.0] * len(gradients)}
        )
        state["t"] += 1
        for k, (p, g) in enumerate(zip(parameters, gradients, strict=True)):
            state["m"][k] = 0.9 * state["m"][k] + 0.1 * g
            state["v"][k] = 0.999 * state["v"][k] + 0.001 * g**2
            m = state["m"][k] / (1 - 0.9 ** state["t"])
            v = state["v"][k] / (1 - 0.999 ** state["t"])
            p.data -= rate * m / (v.sqrt() + 1e-8)

    def move_targets(self):
        late = self.step_number >= self.settings.actor_ema_start
        if late and self.step_number % self.settings.actor_ema_interval == 0:
            decay = self.settings.actor_ema_decay
            online = self.time_layers + self.policy_layers
            target = self.target_time_layers + self.target_policy_layers
            self.average(online, target, decay)
        for online, target in zip(self.critics, self.target_critics, strict=True):
            self.average(online, target, 1 - self.settings.polyak_step_size)

    @staticmethod
    def average(online, target, decay):
        for layer, target_layer in zip(online, target, strict=True):
            for p, q in zip(layer, target_layer, strict=True):
                q.data = decay * q.data + (1 - decay) * p.data
