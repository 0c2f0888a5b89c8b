"""README's "Add a method", step by step, in a copy of the project."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]

AGENT = '''
"""The mean action of every state, with noise of one size around it."""

import torch

from dql.core.optimization import Adam, gradient_step
from dql.agents.agent import Agent
from dql.core.losses import mean_squared_error
from dql.core.networks import MLP
from dql.core.noise import Draw


class Toy(Agent):
    def __init__(self, spec, settings):
        super().__init__(spec, settings)
        dims = [spec.observation_dim, self.settings.hidden_dim, spec.action_dim]
        actor = MLP(dims, self.generators, activation="relu")
        self.actor = self.add_module("actor", actor)
        self.optimizers["actor"] = Adam(
            actor.parameters(), self.settings.learning_rate
        )

    def training_draws(self, batch_size):
        return {}

    def update(self, batch, noise, phase):
        actions = self.actor(batch.observations).tanh()
        loss = mean_squared_error(actions, batch.actions)
        gradient_step(self.optimizers["actor"], loss.sum(), self.spec.num_runs)
        return {"actor/bc_loss": loss.detach()}

    def evaluation_draws(self, num_episodes):
        return {"noise": Draw((num_episodes, self.spec.action_dim))}

    @torch.no_grad()
    def sample_actions(self, observations, noise):
        actions = self.actor(observations).tanh() + 0.7 * noise["noise"]
        return actions.clamp(-1, 1)
'''

SETTINGS = '''

@dataclass(frozen=True, kw_only=True)
class ToySettings(AgentSettings):
    """The mean action and noise."""

    hidden_dim: int = 8
    learning_rate: float = 1e-3
'''

METHOD = """
  toy:
    agent: toy
    label: Toy BC
    suites:
      bandit: {hidden_dim: 16, learning_rate: 0.01}
"""


def insert(file: Path, after: str, text: str) -> None:
    """Write text after the one place where `after` stands."""
    content = file.read_text()
    assert content.count(after) == 1, file
    file.write_text(content.replace(after, after + text))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project to which a method has been added."""
    folder = tmp_path_factory.mktemp("project")
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("dql", "workflow"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    (folder / "dql/agents/toy.py").write_text(AGENT)
    with (folder / "dql/agents/settings.py").open("a") as file:
        file.write(SETTINGS)
    registry = folder / "dql/agents/registry.py"
    insert(
        registry,
        "SETTINGS: dict[str, type] = {\n",
        '    "toy": settings.ToySettings,\n',
    )
    with (folder / "workflow/config/methods.yaml").open("a") as file:
        file.write(METHOD)
    scale = folder / "workflow/config/scales/smoke.yaml"
    insert(scale, "[bandit-axes, bandit-corners]\n    methods:\n", "      - toy\n")
    # The bandit needs no data files; the local table takes it as a row here.
    config = folder / "workflow/config/config.yaml"
    text = config.read_text().replace("scale: quick", "scale: smoke")
    config.write_text(text.replace("  local: [local]\n", "  local: [bandit]\n"))
    return folder


def dql(project: Path, *arguments: str) -> None:
    """Run a command in the copy."""
    done = subprocess.run(
        [sys.executable, "-m", "dql", *arguments],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(project), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_names_every_place():
    section = (ROOT / "README.md").read_text().partition("## Add a method")[2]
    section = section.partition("\n## ")[0]
    assert len(re.findall(r"(?m)^\d\. ", section)) == 4
    for place in (
        "dql/agents/NAME.py",
        "dql/agents/settings.py",
        "dql/agents/registry.py",
        "workflow/config/methods.yaml",
        "workflow/config/scales/",
    ):
        assert f"`{place}`" in section


def test_an_added_method_becomes_runs_a_cell_and_a_column(project):
    seeds = [word for seed in (0, 1, 2) for word in ("--seed", str(seed))]
    dql(project, "train", "bandit-axes", "toy", *seeds)
    dql(project, "aggregate", "bandit-axes", "toy")
    dql(project, "table", "local")
    run = project / "results/runs/bandit-axes/toy/seed2"
    settings = json.loads((run / "config.json").read_text())["settings"]
    assert settings["hidden_dim"] == 16
    assert settings["learning_rate"] == 1e-2
    losses = pd.read_csv(run / "metrics.csv")["actor/bc_loss"]
    assert losses.iloc[-1] < losses.iloc[0]
    cell = json.loads((project / "results/cells/bandit-axes/toy.json").read_text())
    assert (cell["label"], cell["seeds"]) == ("Toy BC", [0, 1, 2])
    assert cell["sizes"]["num_gradient_steps"] == 60
    table = (project / "results/tables/local.md").read_text()
    header = next(line for line in table.splitlines() if line.startswith("| task"))
    assert "Toy BC" in header.strip("| ").split(" | ")
    assert "(3 seeds)" in table
