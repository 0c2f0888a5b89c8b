"""A clone with `dvc pull` and `dql adopt`: nothing to do, then what a change asks for.

Three cells at scale smoke, for real, in repositories of their own; slow, as two methods
of the bandit and one on local data are trained first.
"""

import json
import re

import pytest
from checkout import LOCAL_TASK, NOTHING_TO_DO, copy_tree, run

CELLS = [("bandit-axes", "bc_mle"), ("bandit-axes", "bc_mmd"), (LOCAL_TASK, "td3_bc")]
TARGETS = " ".join(f"results/cells/{task}/{method}.json" for task, method in CELLS)
BANDIT, LOCAL = set(CELLS[:2]), set(CELLS[2:])
STAGES = f"""\
stages:
  cells:
    cmd: snakemake {TARGETS}
    deps: [workflow/config, dql/agents]
    outs:
{{outs}}"""
FOLDERS = ("behavior", "datasets", "runs", "cells")
COMMIT = "git -c user.name=test -c user.email=test@localhost commit -qm results"

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("clone")]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone into which the results of the original were pulled and adopted."""
    base = tmp_path_factory.mktemp("repositories")
    made, cloned = copy_tree(base / "origin" / "made"), base / "clones" / "clone"
    outs = "".join(f"      - results/{name}: {{persist: true}}\n" for name in FOLDERS)
    (made / "dvc.yaml").write_text(STAGES.format(outs=outs))
    run(f"snakemake --cores 2 {TARGETS}", made)
    run("dvc remote add --force --default folder " + str(base / "remote"), made)
    run("dql record", made)
    run("dvc commit --force --quiet", made)
    run("dvc push --quiet", made)
    run("git add -A", made)
    run(COMMIT, made)
    cloned.parent.mkdir()
    run(f"git clone --quiet {made} {cloned}", base)
    run("dvc pull --quiet", cloned)
    run("dql adopt", cloned)
    return cloned


def due(folder, options: str = "") -> set[tuple[str, str, str]]:
    """Return the task, method and seeds of the training jobs that a dry run plans."""
    printed = run(f"snakemake -n {TARGETS} {options}", folder)
    return set(re.findall(r"Train (\S+) on (\S+), seeds (\S+)", printed))


def cells_due(folder, options: str = "") -> set[tuple[str, str]]:
    return {(task, method) for method, task, _ in due(folder, options)}


def edited(file, change) -> str:
    """Write a file's changed text; return the original."""
    original = file.read_text()
    text = change(original)
    assert text != original
    file.write_text(text)
    return original


def test_nothing_is_to_do_and_dvc_agrees(clone):
    assert NOTHING_TO_DO in run(f"snakemake -n {TARGETS}", clone)
    assert "up to date" in run("dvc status", clone)


def test_without_adoption_snakemake_would_make_it_again(clone):
    records = clone / ".snakemake" / "metadata"
    records.rename(clone / "set-aside")
    try:
        printed = run(f"snakemake -n {TARGETS}", clone)
    finally:
        (clone / "set-aside").rename(records)
    assert "missing provenance" in printed


def test_a_seed_more_trains_that_seed_alone(clone):
    suites = json.dumps({"local": {"seeds": [0, 1, 2]}})
    assert due(clone, f"--config 'suites={suites}'") == {("td3_bc", LOCAL_TASK, "2")}


def test_a_hyperparameter_is_due_where_it_is_read(clone):
    suites = json.dumps({"bandit": {"settings": {"num_mmd_samples": 5}}})
    file = clone / "dql" / "agents" / "settings.py"
    assert "num_mmd_samples" in file.read_text()
    found = cells_due(clone, f"--config 'suites={suites}'")
    assert found == {("bandit-axes", "bc_mmd")}


def test_a_dataset_is_due_where_it_is_trained_on(clone):
    manifest = clone / "results" / "datasets" / f"{LOCAL_TASK}.json"
    other = {"digest": "0" * 64}
    original = edited(manifest, lambda text: json.dumps(json.loads(text) | other))
    try:
        assert cells_due(clone) == LOCAL
    finally:
        manifest.write_text(original)
    suites = json.dumps({"bandit": {"num_transitions": 999}})
    assert cells_due(clone, f"--config 'suites={suites}'") == BANDIT


def test_a_line_of_an_agent_is_due_for_that_agent_and_a_comment_for_none(clone):
    file = clone / "dql" / "agents" / "bc_mle.py"
    comment = '\n# A comment.\n"""And a docstring."""\n'
    original = edited(file, lambda text: text + comment)
    try:
        assert not cells_due(clone)
        file.write_text(original + "\nUNUSED = 1\n")
        assert cells_due(clone) == {("bandit-axes", "bc_mle")}
    finally:
        file.write_text(original)
