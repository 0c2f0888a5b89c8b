"""docs/extending.md, carried out block by block in a copy of the project."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from pages import PAGES, ROOT

PAGE = PAGES["extending.md"]
EDIT = re.compile(
    r"(?ms)^<!-- (new|end|after): (\S+?)(?:: (.*?))? -->\n```\w+\n(.*?)^```"
)
CONSOLE = re.compile(r"(?ms)^```console\n(.*?)^```")
TASK = "local-pointmaze-umaze-short"

pytestmark = pytest.mark.xdist_group("extending")  # one copy of the project for all


def steps() -> list[re.Match]:
    """Return the page's edits and console blocks, in the order of reading."""
    found = [*EDIT.finditer(PAGE), *CONSOLE.finditer(PAGE)]
    return sorted(found, key=lambda match: match.start())


def edit(project: Path, how: str, name: str, anchor: str | None, text: str) -> None:
    """Do what the page says with a block."""
    file = project / name
    if how == "new":
        assert not file.exists(), name
        file.write_text(text)
        return
    content = file.read_text()
    if how == "end":
        file.write_text(content + text)
        return
    anchor = anchor.replace("\\n", "\n")
    lines = f"\n{content}".split(f"\n{anchor}\n")
    assert len(lines) == 2, f"{name}: {anchor!r} is there {len(lines) - 1} times"
    file.write_text(f"{lines[0]}\n{anchor}\n{text}{lines[1]}"[1:])


def run(project: Path, line: str) -> None:
    """Run a command of the page in the copy."""
    words = shlex.split(line, comments=True)
    if words[0] == "make":  # the whole project's tests
        return
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(project), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project in which the page was carried out."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("dql", "workflow", "profiles"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "Snakefile", folder)
    for step in steps():
        if step.re is EDIT:
            edit(folder, *step.groups())
            continue
        for line in step[1].splitlines():
            run(folder, line.removeprefix("$ "))
    return folder


def read_json(file: Path):
    return json.loads(file.read_text())


def test_a_reader_sees_where_each_block_goes():
    edits = list(EDIT.finditer(PAGE))
    assert len(edits) == 12
    for found in edits:
        before = PAGE[: found.start()].rpartition("\n\n")[0].splitlines()[-3:]
        said = " ".join(before)
        for words in [found[2], *(found[3] or "").split("\\n")]:
            assert not words or f"`{words}`" in said, found[0][:80]


def test_the_task_has_data(project):
    manifest = read_json(project / f"results/datasets/{TASK}.json")
    assert manifest["num_transitions"] == 3000
    assert manifest["num_episodes"] == 20  # of 150 steps: half the other maze's time


def test_the_method_trains_with_its_settings(project):
    run = project / f"results/runs/{TASK}/mean_action/seed1"
    settings = read_json(run / "config.json")["settings"]
    assert (settings["hidden_dim"], settings["learning_rate"]) == (16, 1e-2)
    losses = pd.read_csv(run / "metrics.csv")["actor/bc_loss"]
    assert losses.iloc[-1] < losses.iloc[0]


def test_the_method_becomes_a_cell_and_a_column(project):
    cell = read_json(project / f"results/cells/{TASK}/mean_action.json")
    assert (cell["label"], cell["seeds"]) == ("Mean action", [0, 1])
    assert cell["sizes"]["num_gradient_steps"] == 60
    table = (project / "results/tables/local.md").read_text()
    header = next(line for line in table.splitlines() if line.startswith("| task"))
    assert {"BC-MLE", "Mean action"} <= set(header.strip("| ").split(" | "))
    assert "(2 seeds)" in table


def test_the_figure_is_drawn(project):
    for suffix in ("pdf", "png"):
        figure = project / f"figures/local/local_step_rate.{suffix}"
        assert figure.stat().st_size > 1000


def test_the_claims_have_verdicts(project):
    found = {
        (claim["name"], claim["where"]): claim["verdict"]
        for claim in read_json(project / "results/claims.json")["claims"]
    }
    assert found["gym-rewards-as-they-are", "settings on file"] == "holds"
    for layout in ("axes", "corners"):
        assert found["td3-bc-keeps-one-mode", layout] == "not tested here"
