"""A sample of every remade AntMaze set, measured: arrivals, steps, visits, pieces.

python benchmarks/remade_mazes.py [--episodes E] walks the first episodes of the six
tasks below a temporary folder, beside what is published of D4RL's sets. The ant has to
be in results/policies (`dql data policies ant_goal_policy --from FOLDER`). The numbers
go to results/benchmarks/remade_mazes.json, the figures beside them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from storage import store

from dql.config.project import load_project
from dql.data.antmaze import EPISODE_ROWS, generate
from dql.data.maze_comparison import compare
from dql.figures.remade_mazes import draw_comparison

OUTPUT = Path("results/benchmarks/remade_mazes.json")
KINDS = {"umaze": ("", "-diverse"), "medium": ("-play", "-diverse")}
KINDS["large"] = KINDS["medium"]
TASKS = [f"remade-antmaze-{maze}{kind}" for maze in KINDS for kind in KINDS[maze]]


def main(
    episodes: Annotated[int, typer.Option(min=1, help="Of each task.")] = 50,
    output: Annotated[Path, typer.Option(help="Where the numbers go.")] = OUTPUT,
) -> None:
    """Walk, compare, and write what was found after each task."""
    sizes = {"suites": {"remade": {"num_transitions": episodes * EPISODE_ROWS}}}
    project = load_project(scale="evidence", overrides=sizes)
    rows = []
    for name in TASKS:
        task = project.task(name)
        with tempfile.TemporaryDirectory() as folder:
            generate(task, Path(folder))
            found = compare(task, Path(folder))
        rows.append(found.content())
        figure = output.with_name(f"{output.stem}_{name}.png")
        draw_comparison(found, [figure])
        store(output, {"tasks": rows})


if __name__ == "__main__":
    typer.run(main)
