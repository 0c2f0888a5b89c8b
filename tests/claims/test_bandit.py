"""Claims: each rule's boundary, and no verdict on fewer than three seeds."""

import json

import pandas as pd
import pytest
from bandit_summaries import GOOD, paper_like_table, summary_rows
from pydantic import TypeAdapter

from dql.claims import bandit as bandit_claims
from dql.claims.bandit import FAILS, HOLDS, UNTESTED, load_claims
from dql.claims.bandit_rules import AnyRule
from dql.errors import UserError
from dql.results.bandit_summary import COLUMNS


def rule(**content):
    return TypeAdapter(AnyRule).validate_python(content)


def judge_claim(claim, layout, table):
    return bandit_claims.judge_claim(claim, layout, table, load_claims())


def judged_by(content, table):
    claim = load_claims().claims[0].model_copy(update={"rules": [rule(**content)]})
    return judge_claim(claim, "axes", table)


def test_all_claims_hold_where_everything_is_as_the_paper_says(tmp_path):
    table = paper_like_table()
    table.to_csv(tmp_path / "summary.csv", index=False)
    outputs = [tmp_path / "claims.json", tmp_path / "claims.md"]
    judged = bandit_claims.write_claims(tmp_path / "summary.csv", outputs)
    assert {claim["verdict"] for claim in judged} == {HOLDS}
    content = json.loads(outputs[0].read_text())
    assert content["counts"] == {HOLDS: len(judged), FAILS: 0, UNTESTED: 0}
    numbers = content["claims"][0]["numbers"]["bc_diffusion"]
    assert numbers["share_on_modes"] == {"mean": 0.97, "min": 0.97, "max": 0.97}
    assert numbers["num_gradient_steps"] == [5000] and numbers["num_seeds"] == 3
    text = outputs[1].read_text()
    assert text.count("**holds**") == len(judged)
    widths = {line.count(" | ") for line in text.splitlines() if line.startswith("| ")}
    assert len(widths) == 1


def test_no_verdict_on_two_seeds():
    table = paper_like_table(seeds=2)
    judged = [
        judge_claim(claim, layout, table)
        for claim in load_claims().claims
        for layout in claim.layouts
    ]
    assert {claim["verdict"] for claim in judged} == {UNTESTED}
    assert "needs 3 seeds" in judged[0]["reason"]


def test_no_verdict_on_untrained_runs(tmp_path):
    """Methods that have hardly been trained cannot show what they cannot do."""
    table = paper_like_table().assign(num_gradient_steps=60)
    result = judge_claim(load_claims().claims[0], "axes", table)
    assert result["verdict"] == UNTESTED
    assert result["reason"] == "needs 3,000 gradient steps, has 60"
    table.to_csv(tmp_path / "summary.csv", index=False)
    page = tmp_path / "claims.md"
    judged = bandit_claims.write_claims(tmp_path / "summary.csv", [page])
    assert page.read_text().count(f"| {result['reason']} |") == len(judged)


def test_no_verdict_without_runs():
    empty = pd.DataFrame(columns=list(COLUMNS)).astype({"method": str})
    for claim in load_claims().claims:
        assert judge_claim(claim, "axes", empty)["verdict"] == UNTESTED


def test_a_diverged_seed_does_not_count():
    table = paper_like_table()
    first = (table["method"] == "bc_diffusion") & (table["seed"] == 0)
    table.loc[first, "distance"] = float("nan")
    assert judge_claim(load_claims().claims[0], "axes", table)["verdict"] == UNTESTED


@pytest.mark.parametrize(
    ("content", "column", "value", "verdict"),
    [
        ({"every_seed": ["share_on_modes >= 0.9"]}, "share_on_modes", 0.9, HOLDS),
        ({"every_seed": ["share_on_modes >= 0.9"]}, "share_on_modes", 0.89, FAILS),
        ({"every_seed": ["modes_covered = 4"]}, "modes_covered", 3, FAILS),
        ({"no_seed": ["modes_covered < 4"]}, "modes_covered", 3, FAILS),
        ({"no_seed": ["modes_covered < 4"]}, "modes_covered", 4, HOLDS),
    ],
)
def test_one_seed_decides(content, column, value, verdict):
    table = paper_like_table()
    first = (table["method"] == "bc_diffusion") & (table["seed"] == 0)
    table.loc[first, column] = value
    result = judged_by(content | {"methods": ["bc_diffusion"]}, table)
    assert result["verdict"] == verdict


def test_below_compares_every_seed():
    content = {"below": ["distance"], "lower": ["bc_diffusion"], "higher": ["bc_mle"]}
    table = paper_like_table()
    assert judged_by(content, table)["verdict"] == HOLDS
    table.loc[(table["method"] == "bc_mle") & (table["seed"] == 2), "distance"] = 0.02
    result = judged_by(content, table)
    assert result["verdict"] == FAILS and result["reason"].startswith(
        "not met: distance"
    )


def test_near_compares_means():
    content = {
        "near": ["share_best_mode"],
        "methods": ["bc_diffusion", "diffusion_ql@eta=0"],
        "tolerance": 0.05,
    }
    table = paper_like_table()
    assert judged_by(content, table)["verdict"] == HOLDS
    table.loc[table["method"] == "bc_diffusion", "share_best_mode"] = 0.31
    assert judged_by(content, table)["verdict"] == FAILS


@pytest.mark.parametrize(
    ("middle", "last", "verdict"),
    [(0.7, 0.97, HOLDS), (0.47, 0.97, HOLDS), (0.4, 0.97, FAILS), (0.7, 0.5, FAILS)],
)
def test_rises_needs_a_clear_gain_and_no_real_drop(middle, last, verdict):
    rows = summary_rows("bc_diffusion@N=2", GOOD | {"share_on_modes": 0.5}, steps=2)
    rows += summary_rows("bc_diffusion", GOOD | {"share_on_modes": last}, steps=50)
    rows += summary_rows(
        "bc_diffusion@N=10", GOOD | {"share_on_modes": middle}, steps=10
    )
    content = {
        "rises": ["share_on_modes"],
        "method": "bc_diffusion",
        "over": "num_denoising_steps",
        "slack": 0.05,
    }
    table = pd.DataFrame(rows).reindex(columns=COLUMNS)
    assert judged_by(content, table)["verdict"] == verdict


def test_rises_needs_two_values():
    content = {"rises": ["share_on_modes"], "method": "bc_mle",
               "over": "num_denoising_steps", "slack": 0.05}  # fmt: skip
    assert judged_by(content, paper_like_table())["verdict"] == UNTESTED
    rule = TypeAdapter(AnyRule).validate_python(content)
    assert rule.methods_needed(paper_like_table()) == ["bc_mle", "bc_mle@N=2"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("modes_covered = 4", "modes_coverd = 4", "no column modes_coverd"),
        ("modes_covered = 4", "modes_covered == 4", "not `column = number`"),
        ("every_seed:", "each_seed:", "each_seed"),
        ("layouts: [corners]", "layouts: [corner]", "corner"),
    ],
)
def test_a_mistake_in_the_claims_is_named(tmp_path, old, new, message):
    path = tmp_path / "claims.yaml"
    path.write_text(bandit_claims.CLAIMS.read_text().replace(old, new))
    with pytest.raises(UserError, match=message):
        load_claims(path)


def test_claims_are_written_in_known_formats_only(tmp_path):
    paper_like_table().to_csv(tmp_path / "summary.csv", index=False)
    with pytest.raises(UserError, match="json or .md"):
        bandit_claims.write_claims(tmp_path / "summary.csv", [tmp_path / "claims.txt"])
