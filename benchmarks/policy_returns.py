"""What published policies return in this project's environments, beside the published.

python benchmarks/policy_returns.py rolls out the policies of D4RL's authors that
docs/environments.md shows, in both physics, by their means and by draws, and writes
results/benchmarks/policy_returns.json: half an hour on one core. Roll-outs that the
file holds already are not repeated; --again POLICY repeats a policy's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from storage import store

from dql.bars import progress_bar
from dql.config.project import load_project
from dql.data.policy_returns import Acting, as_text, measure

OUTPUT = Path("results/benchmarks/policy_returns.json")
PHYSICS = ("d4rl", "stock")
RUNNERS = {
    "hopper_online_1": "hopper-medium-v2",
    "hopper_online_3": "hopper-medium-v2",
    "hopper_online_6": "hopper-medium-v2",
    "hopper_online_9": "hopper-medium-v2",
    "walker_online_2": "walker2d-medium-v2",
    "walker_online_5": "walker2d-medium-v2",
    "walker_online_9": "walker2d-medium-v2",
    "halfcheetah_online_4": "halfcheetah-medium-v2",
    "halfcheetah_online_7": "halfcheetah-medium-v2",
}
ANTS = {
    "antmaze_umaze_dapg_10": "antmaze-umaze-v0",
    "antmaze_umaze_dapg_7": "antmaze-umaze-v0",
    "antmaze_medium_dapg_0": "antmaze-medium-play-v0",
    "antmaze_large_dapg_9": "antmaze-large-play-v0",
}
PENS = {"pen_dapg_2": "pen-human-v1", "pen_dapg_10": "pen-human-v1"}
"""Nothing of the pen's model is weighed by the physics: one is both."""


class Ask(NamedTuple):
    """A roll-out: of which policy, where, how, over how many episodes."""

    policy: str
    task: str
    physics: str
    acting: Acting
    num_episodes: int
    seed: int = 0

    @property
    def key(self) -> tuple[Any, ...]:
        """Return what tells a stored roll-out from the others."""
        return self.policy, self.physics, self.acting, self.num_episodes, self.seed


def asks() -> Iterator[Ask]:
    """Yield every roll-out that the tables show."""
    for physics in PHYSICS:
        for policy, task in RUNNERS.items():
            yield Ask(policy, task, physics, "draws", 50)
        for policy, task in ANTS.items():
            for acting in ("mean", "draws"):
                yield Ask(policy, task, physics, acting, 200)
    # The one rate that is below the published one, over goals drawn anew.
    yield Ask(
        "antmaze_large_dapg_9", ANTS["antmaze_large_dapg_9"], "d4rl", "mean", 200, 1
    )
    for policy, task in PENS.items():
        for acting in ("mean", "draws"):
            yield Ask(policy, task, "d4rl", acting, 2000)


def rolled_out(ask: Ask) -> dict[str, Any]:
    """Roll a policy out; return its numbers as they are stored."""
    project = load_project(scale="paper", overrides={"physics": ask.physics})
    found = measure(
        ask.policy,
        project.task(ask.task),
        num_episodes=ask.num_episodes,
        acting=ask.acting,
        seed=ask.seed,
    )
    typer.echo(as_text(found))
    return {**found.content(), "seed": ask.seed}


def main(
    again: Annotated[
        list[str] | None, typer.Option(help="A policy to roll out once more.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Where the numbers go.")] = OUTPUT,
) -> None:
    """Roll out what is not stored yet; the file is written after each."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    if output.is_file():
        for row in json.loads(output.read_text(encoding="utf-8"))["policies"]:
            names = ("policy", "physics", "acting", "num_episodes", "seed")
            rows[tuple(row[name] for name in names)] = row
    wanted = list(asks())
    left = [ask for ask in wanted if ask.key not in rows or ask.policy in (again or [])]
    with progress_bar("policies", len(left)) as progress:
        for ask in left:
            rows[ask.key] = rolled_out(ask)
            store(output, {"policies": [rows[a.key] for a in wanted if a.key in rows]})
            progress(1)


if __name__ == "__main__":
    typer.run(main)
