"""Claims about modes are judged by the ways that policies keep, once seeds suffice."""

import json

import pandas as pd
import pytest
import yaml

from dql import paths
from dql.claims.file import FAILS, HOLDS, TOO_FEW, UNTESTED
from dql.claims.ways import judge_ways
from dql.errors import UserError
from dql.results.ways import COLUMNS

TASK = "local-pointmaze-twoways"


def write_run(root, method, seed, ways, score, steps=5000):
    """Write one start's episodes by these ways, with one candidate and with fifty."""
    rows = [
        (TASK, method, 1.0, seed, candidates, candidates == 50, 0, episode,
         int(way), 50.0, score if candidates == 1 else 0.0)
        for candidates in (1, 50)
        for episode, way in enumerate(ways if candidates == 1 else "0000")
    ]  # fmt: skip
    path = root / paths.ways_file(TASK, method, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(path, index=False)
    folder = root / paths.run_directory(TASK, method, seed)
    folder.mkdir(parents=True)
    config = {"training": {"num_gradient_steps": steps}}
    (folder / paths.CONFIG_FILE).write_text(json.dumps(config))


def verdicts(root):
    return {one["name"]: one for one in judge_ways(root, paths.CLAIMS)}


@pytest.mark.parametrize(
    ("ways", "score", "collapses", "lower"),
    [("0101", 90.0, FAILS, HOLDS), ("1111", 70.0, HOLDS, FAILS)],
)
def test_what_the_policy_proposes_decides(tmp_path, ways, score, collapses, lower):
    for seed in range(3):
        write_run(tmp_path, "diffusion_ql", seed, ways, score + seed)
        write_run(tmp_path, "td3_bc", seed, "0000", 80.0)
    found = verdicts(tmp_path)
    assert found["q-term-collapses-modes"]["verdict"] == collapses
    kept = 2 if ways == "0101" else 1
    assert f"keeps {kept} ways" in found["q-term-collapses-modes"]["reason"]
    assert found["one-mode-scores-lower"]["verdict"] == lower
    assert "TD3+BC scores 80" in found["one-mode-scores-lower"]["reason"]


def test_nothing_is_said_of_few_seeds_or_short_runs(tmp_path):
    one = verdicts(tmp_path)["q-term-collapses-modes"]
    assert one["verdict"] == UNTESTED and "has not been run" in one["reason"]
    assert one["target"] == "figures/local/local_ways.png"
    assert one["cost"] == {
        "scale": "twoways", "num_runs": 3, "num_gradient_steps": 15_000
    }  # fmt: skip
    for seed in range(3):
        write_run(tmp_path, "diffusion_ql", seed, "01", 1.0, 5000 if seed else 4999)
    one = verdicts(tmp_path)["q-term-collapses-modes"]
    assert one["verdict"] == TOO_FEW and "has 2 seeds, needs 3" in one["reason"]


def test_a_rule_that_does_not_exist_is_named(tmp_path):
    content = yaml.safe_load(paths.CLAIMS.read_text())
    content["ways"]["claims"][0]["rules"] = [{"ways_at_mots": 1, "method": "iql"}]
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(UserError, match="unknown rule kind 'ways_at_mots'"):
        judge_ways(tmp_path, path)
