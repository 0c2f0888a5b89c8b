"""Rolling out five seeds together against one seed and one step at a time, as a ratio.

python benchmarks/evaluation.py [--seconds S] [--device D] [--threads N ...] evaluates
Diffusion-QL on hopper: five seeds, ten episodes each, fifty candidates per action.
Together, as `dql.training.evaluation` does it: one call of the policy per time step and
thread. One by one, as the released code does it: a call for every step of every episode
of every seed, here in plain PyTorch. Untrained policies fall; so that all episodes last
as long, nothing ends them. On a processor both are timed with one thread and with one
for each core: PyTorch's own threads one by one, those of `dql train --threads`
together; on a GPU the latter share the physics. Both take turns, and the shortest round
of both counts. The numbers go to results/benchmarks/evaluation.json.

Fifty candidates for fifty episodes are some 5 GFLOP per time step. Where a processor
cannot do them in a tenth of the calls' time, arithmetic is the limit, not this code; so
the products' share at the measured peak is printed as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from plain_step import PlainDiffusionQL
from rich.console import Console
from storage import card_of, store
from timing import Steps, milliseconds_in_turn, product_rate

from dql.agents.registry import SETTINGS
from dql.config.project import load_project
from dql.core.batch import TransitionStore
from dql.environments.batch import make_environments
from dql.environments.locomotion import make_gymnasium
from dql.results.provenance import machine
from dql.training.decisions import RecordedDecisions
from dql.training.evaluation import evaluate
from dql.training.plan import build_agent, random_dataset
from dql.training.process import choose_device, keep_freed_memory

OUTPUT = Path("results/benchmarks/evaluation.json")
TASK = "hopper-medium-v2"
NUM_SEEDS, NUM_EPISODES, NUM_CANDIDATES = 5, 10, 50
HIDDEN, NUM_DENOISING_STEPS, TIME_EMBEDDING = 256, 5, 16
RATIO_LIMIT = 0.1
WINDOWS = (15, 100)
"""Steps timed together of either way, about a second each."""


class Endless:
    """Episodes that last as long as `horizon` says, whatever happens in them."""

    def __init__(self, num_episodes: int) -> None:
        task = load_project(scale="paper").task(TASK)
        self.inner = make_environments(task, num_episodes)
        self.observation_dim = self.inner.observation_dim
        self.action_dim = self.inner.action_dim
        self.num_environments, self.horizon = num_episodes, 1
        self.is_shareable = self.inner.is_shareable

    def reset(self, seeds):
        return self.inner.reset(seeds)

    def step(self, actions, active):
        observations, rewards, terminations, truncations = self.inner.step(
            actions, active
        )
        return observations, rewards, terminations & False, truncations & False


def together(device: torch.device, num_threads: int, *, recorded: bool) -> Steps:
    """Return time steps of all episodes of all seeds, one call of the policy each.

    `recorded` as on a GPU: the call is recorded, threads share the physics alone.
    """
    environments = [Endless(NUM_EPISODES) for _ in range(NUM_SEEDS)]
    first = environments[0]
    dataset = random_dataset(first.observation_dim, first.action_dim)
    store = TransitionStore([dataset], [0] * NUM_SEEDS, device)
    settings = SETTINGS["diffusion_ql"](num_candidates=NUM_CANDIDATES)
    agent = build_agent("diffusion_ql", [settings] * NUM_SEEDS, store, device)
    decisions = RecordedDecisions(agent) if recorded else None

    def steps(count: int) -> None:
        torch.set_num_threads(1)
        for environment in environments:
            environment.horizon = count
        evaluations = evaluate(
            agent, environments, 0, num_threads=num_threads, decisions=decisions
        )
        assert all((e.episode_lengths == count).all() for e in evaluations)

    return steps


def one_by_one(device: torch.device, num_threads: int) -> Steps:
    """Return steps of one episode, a call of the policy each."""
    environment = make_gymnasium("hopper", "d4rl")
    dims = environment.observation_space.shape[0], environment.action_space.shape[0]
    with device:  # where the plain networks and their noise are made
        plain = PlainDiffusionQL(*dims)

    @torch.no_grad()
    def steps(count: int) -> None:
        torch.set_num_threads(num_threads)
        observation, _ = environment.reset(seed=0)
        with device:
            for _ in range(count):
                state = torch.as_tensor(observation, dtype=torch.float32)
                states = state[None].repeat(NUM_CANDIDATES, 1)
                actions = plain.actor.sample(states)
                q_values = torch.min(*plain.q(plain.targets, states, actions)).flatten()
                chosen = torch.multinomial(q_values.softmax(dim=0), 1)
                action = actions[chosen].cpu().numpy().flatten()
                observation, *_ = environment.step(action)

    return steps


def flops_per_step() -> int:
    """Count the products of one time step of all episodes: chains, then two critics."""
    square = 2 * HIDDEN * HIDDEN
    actor = HIDDEN * (11 + 3 + TIME_EMBEDDING) + square + 3 * HIDDEN
    critic = HIDDEN * (11 + 3) + square + HIDDEN
    rows = NUM_SEEDS * NUM_EPISODES * NUM_CANDIDATES
    return 2 * rows * (NUM_DENOISING_STEPS * actor + 2 * critic)


def cases_of(device: str, threads: list[int] | None) -> list[tuple[torch.device, int]]:
    """Return devices with numbers of threads; a GPU first, where there is one."""
    chosen = choose_device(device)
    cpu = torch.device("cpu")
    places = [chosen] if device != "auto" or chosen == cpu else [chosen, cpu]
    counts = threads or sorted({1, machine()["num_cpus"]})
    return [(place, count) for place in places for count in counts]


def main(
    seconds: Annotated[float, typer.Option(min=1, help="Of looking, each way.")] = 30.0,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto: both.")] = "auto",
    threads: Annotated[
        list[int] | None, typer.Option(min=1, help="Threads; default: 1 and all cores.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Where the numbers go.")] = OUTPUT,
) -> None:
    """Time both ways in turn, print their ratio and the arithmetic's share."""
    keep_freed_memory()
    rows: list[dict[str, Any]] = []
    for place, count in cases_of(device, threads):
        on_gpu = place.type == "cuda"
        jobs = [together(place, count, recorded=on_gpu), one_by_one(place, count)]
        batched, single = milliseconds_in_turn(jobs, WINDOWS, 2 * seconds)
        single *= NUM_SEEDS * NUM_EPISODES
        torch.set_num_threads(1)
        rate = (1 if on_gpu else count) * product_rate(place)
        arithmetic = flops_per_step() / rate * 1e3
        row = {
            "device": place.type,
            "num_threads": count,
            "milliseconds_one_by_one": single,
            "milliseconds_together": batched,
            "milliseconds_of_products_at_peak": arithmetic,
            "ratio": batched / single,
            "ratio_of_products": arithmetic / single,
        }
        rows.append(row)
        Console().print(
            f"{place}, threads {count}: a step of {NUM_SEEDS} x {NUM_EPISODES} "
            f"episodes: together {batched:.1f} ms, one by one {single:.1f} ms, "
            f"ratio {row['ratio']:.3f} (limit {RATIO_LIMIT}); the products alone, at "
            f"the measured peak, {row['ratio_of_products']:.3f}",
            highlight=False,
            soft_wrap=True,
        )
        write(output, rows)


def write(output: Path, rows: list[dict[str, Any]]) -> None:
    """Write what is there so far: a machine may be lent for minutes."""
    sizes = {
        "num_seeds": NUM_SEEDS,
        "num_episodes": NUM_EPISODES,
        "num_candidates": NUM_CANDIDATES,
    }
    store(output, {"devices": rows, "sizes": sizes, **card_of(rows)})


if __name__ == "__main__":
    np.random.seed(0)
    typer.run(main)
