"""The claims as a table: every verdict once, numbers explained once."""

import json
import re

import pytest
from bandit_summaries import paper_like_table

from dql import paths
from dql.claims.file import FAILS, HOLDS, TOO_FEW, UNTESTED
from dql.claims.page import group_claims, write_claims
from dql.claims.words import count_verdicts, in_words, readable
from dql.config.project import load_project


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Return a folder with a bandit as the paper says, and its claims."""
    root = tmp_path_factory.mktemp("results")
    summary = root / paths.BANDIT_SUMMARY
    summary.parent.mkdir(parents=True)
    paper_like_table().to_csv(summary, index=False)
    write_claims(root)
    return root


@pytest.fixture(scope="module")
def records(root):
    """Return the records of that folder."""
    return json.loads((root / paths.ALL_CLAIMS).read_text())["claims"]


def written(root):
    return (root / paths.ALL_CLAIMS.with_suffix(".md")).read_text(encoding="utf-8")


def test_every_verdict_stands_once_in_every_file(root, records):
    counts = json.loads((root / paths.ALL_CLAIMS).read_text())["counts"]
    assert list(counts) == [HOLDS, FAILS, UNTESTED] and sum(counts.values()) == len(
        records
    )
    groups = group_claims(records)
    names = {record["name"] for record in records}
    assert sum(len(group.claims) for group in groups) == len(names)
    shown = [r for g in groups for claim in g.claims for r in claim.records.values()]
    assert sorted(map(id, shown)) == sorted(map(id, records))
    text = written(root)
    assert text.count(f"**{HOLDS}**: ") == counts[HOLDS]
    assert "| **holds**: best in 16 of 20 tasks | not tested here: no runs |" in text
    assert "120 runs, 169,500,000 gradient steps at scale paper" in text


def test_what_numbers_mean_is_said_once_and_in_readers_words(root, records):
    text = written(root)
    assert text.count("mean over 3 seeds [lowest, highest]") == 1
    assert text.count("5,000 gradient steps.") == 1
    assert in_words(count_verdicts(records)) in text
    sentences = re.sub(r"`.*?`", "", text)
    of_the_paper = {"L_d", "top_k", "lr_decay"}
    assert set(re.findall(r"\w+_\w+", sentences)) <= of_the_paper


def test_long_reasons_are_not_in_the_table(root, records):
    (claim,) = [
        r
        for r in records
        if (r["name"], r["where"]) == ("only-diffusion-recovers", "axes")
    ]
    assert claim["headline"] == "BC-Diffusion: modes covered 4, share on modes 0.97"
    methods = [clause.partition(":")[0] for clause in claim["reason"].split("; ")]
    assert methods == ["BC-Diffusion", "BC-MLE", "BC-CVAE", "BC-MMD"]
    row = written(root).split("Only the diffusion model")[1].split("\n")[0]
    assert "BC-MMD" not in row
    assert row.count(claim["headline"]) == 2  # the layouts are alike


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ((16, 10, 51), "16 hold, 10 do not hold, 51 are not tested here"),
        ((1, 1, 1), "1 holds, 1 does not hold, 1 is not tested here"),
        ((0, 0, 2), "0 hold, 0 do not hold, 2 are not tested here"),
    ],
)
def test_counts_agree_with_their_verbs(counts, sentence):
    verdicts = (HOLDS, FAILS, UNTESTED)
    assert in_words(dict(zip(verdicts, counts, strict=True))) == sentence


def test_too_few_seeds_are_counted_where_there_are_some():
    records = [{"verdict": TOO_FEW}, {"verdict": HOLDS}]
    assert in_words(count_verdicts(records)).endswith("1 has too few seeds, 0 are not "
                                                      "tested here")  # fmt: skip
    assert TOO_FEW not in count_verdicts(records[1:])


def test_readers_see_labels_and_no_underscores_but_paths_stay():
    machine = (
        "means of share_best_mode of diffusion_ql@eta=0, bc_diffusion within 0.05; "
        "critic_learning_rate. See results/cells/a/diffusion_ql.json"
    )
    assert readable(machine, load_project(scale="paper")) == (
        "means of share on the best mode of Diffusion-QL (eta = 0), BC-Diffusion "
        "within 0.05; critic learning rate. See results/cells/a/diffusion_ql.json"
    )
