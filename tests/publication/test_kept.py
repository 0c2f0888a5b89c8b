"""Kept verdicts beside those made here: decided ones, by today's rule, if others."""

import pytest

from dql import paths
from dql.claims.file import FAILS, HOLDS, UNTESTED
from dql.config.project import load_project
from dql.files import write_json
from dql.publication.kept import KeptVerdict, kept_verdicts

PROJECT = load_project(scale="quick")
RULE = "every seed of bc_diffusion: modes_covered = 4"
READABLE = "every seed of BC-Diffusion: modes covered = 4"
KEY = ("covers", "axes")


def record(verdict, rule=READABLE, where="axes"):
    return {"name": "covers", "where": where, "verdict": verdict, "rule": rule}


def keep(folder, verdict, *, scale="paper", rule=RULE, layout="axes"):
    folder.mkdir(parents=True)
    (folder / "runs.csv").write_text(f"task,scale\nbandit-axes,{scale}\n")
    claim = {"name": "covers", "layout": layout, "verdict": verdict, "rule": rule}
    write_json(folder / "bandit" / "claims.json", {"claims": [claim]})


@pytest.mark.parametrize("here", [HOLDS, UNTESTED])
def test_another_verdict_is_shown(tmp_path, here):
    keep(tmp_path / "long", FAILS)
    shown = kept_verdicts(PROJECT, [record(here)], tmp_path)
    assert shown == {KEY: [KeptVerdict("long", FAILS)]}


@pytest.mark.parametrize(
    ("verdict", "options"),
    [
        (HOLDS, {}),
        (UNTESTED, {}),
        (FAILS, {"scale": "quick"}),
        (FAILS, {"rule": "another rule"}),
        (FAILS, {"layout": "corners"}),
    ],
    ids=["the same", "undecided", "own scale", "other rule", "other ground"],
)
def test_what_says_nothing_more_is_not(tmp_path, verdict, options):
    keep(tmp_path / "long", verdict, **options)
    assert kept_verdicts(PROJECT, [record(HOLDS)], tmp_path) == {}


def test_verdicts_in_print_and_by_settings_need_no_runs(tmp_path):
    keep(tmp_path / "long", FAILS)
    grounds = ("published table 1", "settings on file")
    kept = [record(FAILS, where=where) for where in grounds]
    write_json(tmp_path / "long" / paths.ALL_CLAIMS.name, {"claims": kept})
    here = [record(HOLDS, where=where) for where in grounds]
    assert kept_verdicts(PROJECT, here, tmp_path) == {}
