"""Rolling out five seeds together against one seed and one step at a time, as a ratio.

python benchmarks/evaluation.py [--steps T] evaluates Diffusion-QL on hopper: five
seeds, ten episodes each, fifty candidates per action. Together, as `dql.evaluation`
does it: one call of the policy per time step. One by one, as the released code does it:
a call for every step of every episode of every seed, here in plain PyTorch. Untrained
policies fall; so that all episodes last T steps, nothing ends them. On a processor both
are timed with one thread and with one for each core: PyTorch's own threads one by one,
those of `dql train --threads` together. The numbers go to
results/benchmarks/evaluation.json.

Fifty candidates for fifty episodes are some 5 GFLOP per time step. Where a processor
cannot do them in a tenth of the calls' time, arithmetic is the limit, not this code; so
the products' share at the measured peak is printed as well.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from plain_step import PlainDiffusionQL
from rich.console import Console
from timing import product_rate

from dql.agents import SETTINGS
from dql.batch import TransitionStore
from dql.config import load_project
from dql.environments import make_environments
from dql.evaluation import evaluate
from dql.files import write_json
from dql.locomotion import make_gymnasium
from dql.plan import build_agent, random_dataset
from dql.process import keep_freed_memory
from dql.provenance import machine, versions

OUTPUT = Path("results/benchmarks/evaluation.json")
TASK = "hopper-medium-v2"
NUM_SEEDS, NUM_EPISODES, NUM_CANDIDATES = 5, 10, 50
HIDDEN, NUM_DENOISING_STEPS, TIME_EMBEDDING = 256, 5, 16
RATIO_LIMIT = 0.1


class Endless:
    """Episodes of the given length, whatever happens in them."""

    def __init__(self, num_episodes: int, num_steps: int) -> None:
        task = load_project(scale="paper").task(TASK)
        self.inner = make_environments(task, num_episodes)
        self.observation_dim = self.inner.observation_dim
        self.action_dim = self.inner.action_dim
        self.num_environments, self.horizon = num_episodes, num_steps

    def reset(self, seeds):
        return self.inner.reset(seeds)

    def step(self, actions, active):
        observations, rewards, terminations, truncations = self.inner.step(
            actions, active
        )
        return observations, rewards, terminations & False, truncations & False


def seconds_together(num_steps: int, device: torch.device, num_threads: int) -> float:
    """Return the seconds of one evaluation of all seeds."""
    torch.set_num_threads(1)
    environments = [Endless(NUM_EPISODES, num_steps) for _ in range(NUM_SEEDS)]
    first = environments[0]
    dataset = random_dataset(first.observation_dim, first.action_dim)
    store = TransitionStore([dataset], [0] * NUM_SEEDS, device)
    settings = SETTINGS["diffusion_ql"](num_candidates=NUM_CANDIDATES)
    agent = build_agent("diffusion_ql", [settings] * NUM_SEEDS, store, device)
    evaluate(agent, [Endless(NUM_EPISODES, 2) for _ in range(NUM_SEEDS)], 0)
    began = time.perf_counter()
    evaluations = evaluate(agent, environments, 0, num_threads=num_threads)
    seconds = time.perf_counter() - began
    assert all((e.episode_lengths == num_steps).all() for e in evaluations)
    return seconds


@torch.no_grad()
def seconds_one_by_one(num_steps: int, device: torch.device, num_threads: int) -> float:
    """Return the seconds of as many steps, each a call of its own."""
    torch.set_num_threads(num_threads)
    environment = make_gymnasium("hopper", "d4rl")
    dims = environment.observation_space.shape[0], environment.action_space.shape[0]
    with device:  # where the plain networks and their noise are made
        plain = PlainDiffusionQL(*dims)
        began = time.perf_counter()
        for seed in range(NUM_SEEDS * NUM_EPISODES):
            observation, _ = environment.reset(seed=seed)
            for _ in range(num_steps):
                state = torch.as_tensor(observation, dtype=torch.float32)
                states = state[None].repeat(NUM_CANDIDATES, 1)
                actions = plain.actor.sample(states)
                q_values = torch.min(*plain.q(plain.targets, states, actions)).flatten()
                chosen = torch.multinomial(q_values.softmax(dim=0), 1)
                action = actions[chosen].cpu().numpy().flatten()
                observation, *_ = environment.step(action)
        return time.perf_counter() - began


def flops_per_step() -> int:
    """Count the products of one time step of all episodes: chains, then two critics."""
    square = 2 * HIDDEN * HIDDEN
    actor = HIDDEN * (11 + 3 + TIME_EMBEDDING) + square + 3 * HIDDEN
    critic = HIDDEN * (11 + 3) + square + HIDDEN
    rows = NUM_SEEDS * NUM_EPISODES * NUM_CANDIDATES
    return 2 * rows * (NUM_DENOISING_STEPS * actor + 2 * critic)


def main(
    steps: Annotated[int, typer.Option(min=1, help="Of each episode.")] = 100,
    output: Annotated[Path, typer.Option(help="Where the numbers go.")] = OUTPUT,
) -> None:
    """Time both ways, print their ratio and the arithmetic's share."""
    keep_freed_memory()
    cases = [("cpu", threads) for threads in sorted({1, machine()["num_cpus"]})]
    if torch.cuda.is_available():
        cases.append(("cuda", 1))
    rows = []
    for name, threads in cases:
        device = torch.device(name)
        one_by_one = seconds_one_by_one(steps, device, threads)
        together = seconds_together(steps, device, threads)
        torch.set_num_threads(1)
        arithmetic = steps * flops_per_step() / (threads * product_rate(device))
        row = {
            "device": name,
            "num_threads": threads,
            "seconds_one_by_one": one_by_one,
            "seconds_together": together,
            "seconds_of_products_at_peak": arithmetic,
            "ratio": together / one_by_one,
            "ratio_of_products": arithmetic / one_by_one,
        }
        rows.append(row)
        Console().print(
            f"{name}, threads {threads}: {steps} steps of {NUM_SEEDS} x {NUM_EPISODES}"
            f" episodes: together {together:.1f} s, one by one {one_by_one:.1f} s, "
            f"ratio {row['ratio']:.2f} (limit {RATIO_LIMIT}); the products alone, at "
            f"the measured peak, {row['ratio_of_products']:.2f}",
            highlight=False,
            soft_wrap=True,
        )
    sizes = {
        "num_steps": steps,
        "num_seeds": NUM_SEEDS,
        "num_episodes": NUM_EPISODES,
        "num_candidates": NUM_CANDIDATES,
    }
    content = {"devices": rows, "sizes": sizes, "load_average": os.getloadavg()[0]}
    write_json(output, content | {"machine": machine(), "versions": versions()})


if __name__ == "__main__":
    np.random.seed(0)
    typer.run(main)
