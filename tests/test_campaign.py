"""A campaign that goes on in another checkout: restored runs are made by no rule.

For real, with Snakemake, two seeds of one method at tiny sizes; slow.
"""

import re
import shutil

import pytest
import yaml
from checkout import LOCAL_TASK, NOTHING_TO_DO, ROOT, copy_tree, run

from dql import paths

CELL = paths.cell_file(LOCAL_TASK, "td3_bc")
GO_ON = "--directory .tiny --config scale=tiny"

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("campaign")]


def tiny_scale() -> dict:
    """Return scale smoke's local suite as a campaign of two stages."""
    smoke = yaml.safe_load((ROOT / "workflow/config/scales/smoke.yaml").read_text())
    local = smoke["suites"]["local"]
    stages = [
        {"tasks": local["tasks"], "methods": ["td3_bc"], "seeds": [seed]}
        for seed in local["seeds"]
    ]
    left = {k: v for k, v in local.items() if k not in ("tasks", "methods", "seeds")}
    suites = {"local": {**left, "stages": stages}}
    return {"description": "A tiny campaign.", "suites": suites}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout that kept both seeds, lost one, and restored the other."""
    folder = copy_tree(tmp_path_factory.mktemp("campaign") / "project")
    scale = folder / "workflow" / "config" / "scales" / "tiny.yaml"
    scale.write_text(yaml.safe_dump(tiny_scale()))
    run(f"snakemake --cores 2 {CELL} {GO_ON}", folder)
    run("dql keep tiny --from .tiny", folder)
    (folder / ".tiny").rename(folder.parent / "first")
    (second,) = folder.glob("results/kept/tiny/runs/*/*/seed1.zip")
    second.unlink()
    printed = run("dql restore tiny --to .tiny", folder)
    assert "restored 1 runs" in printed
    return folder


def due(folder, target="all") -> set[str]:
    """Return the seeds of the training jobs that a dry run plans, with their data."""
    printed = run(f"snakemake -n {target} {GO_ON}", folder)
    assert not re.search("Generate the dataset of", printed)
    seeds = set(re.findall(r"Train td3_bc on \S+, seeds (\S+)", printed))
    return seeds | set(re.findall(r"Make the data of (\S+) again", printed))


def test_only_the_missing_seed_and_its_data_are_due(checkout):
    assert due(checkout) == {"1", LOCAL_TASK}


def test_code_that_changes_makes_no_restored_run_due(checkout):
    file = checkout / "dql" / "agents" / "td3_bc.py"
    original = file.read_text()
    try:
        file.write_text(original + "\nUNUSED = 1\n")
        assert due(checkout) == {"1", LOCAL_TASK}
    finally:
        file.write_text(original)


def test_a_restored_folder_that_is_removed_is_due_again(checkout):
    folder = checkout / ".tiny" / paths.run_directory(LOCAL_TASK, "td3_bc", 0)
    folder.rename(checkout / "aside")
    try:
        assert due(checkout) == {"0_1", LOCAL_TASK}
    finally:
        (checkout / "aside").rename(folder)


def test_the_missing_seed_is_what_it_was_and_then_nothing_is_due(checkout):
    run(f"snakemake --cores 2 {CELL} {GO_ON}", checkout)
    assert NOTHING_TO_DO in run(f"snakemake -n {CELL} {GO_ON}", checkout)
    for seed in (0, 1):
        name = paths.run_directory(LOCAL_TASK, "td3_bc", seed) / "evaluations.csv"
        first, second = (
            (root / name).read_bytes()
            for root in (checkout.parent / "first", checkout / ".tiny")
        )
        assert first == second
    kept = checkout / "results" / "kept" / "tiny" / "runs"
    run("dql keep tiny --from .tiny", checkout)
    assert len(list(kept.glob("*/*/*.zip"))) == 2
    shutil.rmtree(checkout / ".tiny")
    run("dql restore tiny --to .tiny", checkout)
    assert due(checkout) == set()
