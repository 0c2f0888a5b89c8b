"""Path-coupled Bellman flows (PCBF; Xu et al., 2026): Q from a flow of returns.

A velocity v_k(z, t, s, a) carries noise to the return of (s, a). With one noise x for
the state and its successor, x' the successor's return from x by the target's flow, and
g = gamma (1 - terminated) (eq. 8 to 13):

z' = (1 - t) x + t x',  z = t r + g z' + (1 - t) (1 - g) x
L(phi) = E sum_k (v_k(z, t, s, a) - u)^2
u = (r + g x' - x) + lambda (1 - terminated) (v'(z', t, s', a') - (x' - x))

lambda trades the variance of x' for a bias. A flow clones the data; the policy is the
best of several of its samples by Q(s, a) = x + v(x, 0, s, a), one fresh x each, in the
target as well. The larger of both critics counts, as released. Returns are clipped to
what the rewards allow forever; the released code knows the data's range, here it is
that of the batches so far, 0 included.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dql.agents.agent import (
    Agent,
    AgentSpec,
    Metrics,
    Noise,
    choose_candidates,
    repeat_rows,
)
from dql.agents.generative_settings import PCBFSettings
from dql.core.batch import Batch
from dql.core.networks import MLP
from dql.core.noise import Draw
from dql.core.optimization import Adam, gradient_step, polyak_update
from dql.diffusion.flow import FlowPolicy


class RewardRange(nn.Module):
    """The smallest and the largest reward of each run so far, (R, 1), 0 at first."""

    def __init__(self, num_runs: int) -> None:
        super().__init__()
        self.low = nn.Parameter(torch.zeros(num_runs, 1), requires_grad=False)
        self.high = nn.Parameter(torch.zeros(num_runs, 1), requires_grad=False)

    @torch.no_grad()
    def see(self, rewards: Tensor) -> None:
        """Widen the range by rewards (R, B)."""
        self.low.copy_(torch.minimum(self.low, rewards.amin(dim=1, keepdim=True)))
        self.high.copy_(torch.maximum(self.high, rewards.amax(dim=1, keepdim=True)))


class PCBF(Agent):
    """A flow of the behaviour, and two flows of returns with their averages."""

    def __init__(self, spec: AgentSpec, settings: Sequence[PCBFSettings]) -> None:
        super().__init__(spec, settings)
        hidden = [self.settings.hidden_dim] * self.settings.num_hidden_layers
        sizes = {"activation": self.settings.activation, "layer_norm": True}
        actor = FlowPolicy(
            spec.observation_dim,
            spec.action_dim,
            self.generators,
            hidden_dim=self.settings.hidden_dim,
            num_hidden_layers=self.settings.num_hidden_layers,
            num_flow_steps=self.settings.num_flow_steps,
            **sizes,
        )
        dims = [spec.observation_dim + spec.action_dim + 2, *hidden, 1]
        critic = MLP(dims, self.generators, members=2, **sizes)
        self.actor = self.add_module("actor", actor)
        self.critic = self.add_module("critic", critic)
        self.target_critic = self.add_module("target_critic", copy.deepcopy(critic))
        self.rewards = self.add_module("rewards", RewardRange(spec.num_runs))
        self.optimizers["actor"] = Adam(actor.parameters(), self.settings.learning_rate)
        self.optimizers["critic"] = Adam(
            critic.parameters(), self.settings.critic_learning_rate
        )
        self.discount = self.per_run("discount")

    def training_draws(self, batch_size: int) -> dict[str, Draw]:
        one = Draw((batch_size, 1))
        draws = {
            "flow_noise": Draw((batch_size, self.spec.action_dim)),
            "flow_time": Draw((batch_size, 1), "uniform"),
            "return_noise": one,
            "return_time": Draw((batch_size, 1), "uniform"),
        }
        if self.spec.bootstraps:
            rows = batch_size * self.settings.num_candidates
            draws["backup_start"] = Draw((rows, self.spec.action_dim))
            draws["backup_return_noise"] = Draw((rows, 1))
        return draws

    def velocities(
        self, critic: MLP, returns: Tensor, times: Tensor, states: Tensor, acts: Tensor
    ) -> Tensor:
        """Return v_k(z, t, s, a) of (R, B, 1), (R, B, 1), (R, B, O), (R, B, A)."""
        inputs = torch.cat([returns, times, states, acts], dim=2)
        return critic(inputs).unflatten(0, (-1, 2))  # (R, 2, B, 1)

    def clip(self, returns: Tensor) -> Tensor:
        """Clip returns (R, B, 1) to what the rewards seen allow forever."""
        horizon = 1 / (1 - self.discount)[:, None, None]
        low, high = self.rewards.low[..., None], self.rewards.high[..., None]
        return torch.minimum(torch.maximum(returns, low * horizon), high * horizon)

    def flow_actions(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Follow the clone's velocity, clipped at every step, (R, B, A)."""
        steps, actions = self.settings.num_flow_steps, noise
        for step in range(steps):
            times = torch.full_like(noise[..., :1], step / steps)
            velocity = self.actor.velocity(observations, actions, times)
            actions = (actions + velocity / steps).clamp(-1, 1)
        return actions

    def flow_returns(self, noise: Tensor, states: Tensor, actions: Tensor) -> Tensor:
        """Return the larger of the target flows' returns from noise, (R, B, 1)."""
        steps, ends = self.settings.num_flow_steps, []
        for k in (0, 1):
            returns = noise
            for step in range(steps):
                times = torch.full_like(noise, step / steps)
                every = self.velocities(
                    self.target_critic, returns, times, states, actions
                )
                returns = self.clip(returns + every[:, k] / steps)
            ends.append(returns)
        return torch.maximum(*ends)

    @torch.no_grad()
    def best_actions(self, observations: Tensor, start: Tensor, x: Tensor) -> Tensor:
        """Return the best of several clones' samples by Q, (R, B, A)."""
        count = self.settings.num_candidates
        repeated = repeat_rows(observations, count)
        actions = self.flow_actions(repeated, start)
        times = torch.zeros_like(x)
        ends = x[:, None] + self.velocities(self.critic, x, times, repeated, actions)
        first, second = (self.clip(ends[:, k]) for k in (0, 1))
        scores = torch.maximum(first, second)[..., 0]
        return choose_candidates(actions, scores, count)

    @torch.no_grad()
    def path(self, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
        """Return the point z on the coupled path and its velocity u, (R, B, 1)."""
        x, times = noise["return_noise"], noise["return_time"]
        rewards, goes_on = batch.rewards[..., None], 1 - batch.terminations[..., None]
        if not self.spec.bootstraps:
            return torch.lerp(x, rewards, times), rewards - x
        states = batch.next_observations
        drawn = noise["backup_start"], noise["backup_return_noise"]
        actions = self.best_actions(states, *drawn)
        ends = self.flow_returns(x, states, actions)
        between = torch.lerp(x, ends, times)
        discount = self.discount[:, None, None] * goes_on
        point = times * rewards + discount * between + (1 - times) * (1 - discount) * x
        target = self.velocities(self.target_critic, between, times, states, actions)
        control = target.amax(dim=1) - (ends - x)
        weight = self.settings.control_coefficient * goes_on
        return point, rewards + discount * ends - x + weight * control

    def critic_loss(self, batch: Batch, noise: Noise) -> Tensor:
        """Return the flow-matching loss of both return flows, (R,)."""
        point, velocity = self.path(batch, noise)
        found = self.velocities(
            self.critic, point, noise["return_time"], batch.observations, batch.actions
        )
        return (found - velocity[:, None]).square().sum(dim=1).mean(dim=(1, 2))

    def update(self, batch: Batch, noise: Noise, phase: str) -> Metrics:
        """Take one gradient step on returns and clone, then on the average."""
        self.rewards.see(batch.rewards)
        critic_loss = self.critic_loss(batch, noise)
        bc_loss = self.actor.loss(
            batch.observations, batch.actions, noise["flow_time"], noise["flow_noise"]
        )
        for name, loss in (("critic", critic_loss), ("actor", bc_loss)):
            gradient_step(self.optimizers[name], loss.sum(), self.spec.num_runs)
        polyak_update(self.critic, self.target_critic, self.settings.polyak_step_size)
        return {"critic/loss": critic_loss.detach(), "actor/bc_loss": bc_loss.detach()}

    def evaluation_draws(self, num_episodes: int) -> dict[str, Draw]:
        candidates = self.settings.num_candidates
        return {
            "start": Draw((num_episodes, candidates, self.spec.action_dim)),
            "return_noise": Draw((num_episodes, candidates, 1)),
        }

    @torch.no_grad()
    def sample_actions(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return the best of several clones' samples by one draw of Q each."""
        start, x = (noise[name].flatten(1, 2) for name in ("start", "return_noise"))
        return self.best_actions(observations, start, x)
