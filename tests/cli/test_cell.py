"""`dql cell` on runs that are really trained: the bandit at scale smoke."""

import json
import shutil

import pandas as pd
import pytest

from dql import paths
from dql.cli.main import main
from dql.config.project import RunKey
from dql.results.run_archives import archive_file, pack, run_files

TASK, METHOD = "bandit-axes", "td3_bc@learning_rate_decay_steps=60"
"""Its learning rates fall over the run: a short re-run must take the same ones."""
FOLDER = paths.run_directory(TASK, METHOD, 0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        (root / "results").mkdir()
        assert call("train", TASK, METHOD, "--seed", "0", "--scale", "smoke") == 0
    return root / "results"


@pytest.fixture
def results(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, "results")
    return tmp_path / "results"


def call(*arguments):
    try:
        main(list(arguments))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def cell(*arguments):
    return call("cell", TASK, METHOD, *arguments)


def test_without_a_seed_the_stored_ones_are_listed(results, capsys):
    assert cell() == 0
    printed = capsys.readouterr().out
    assert "results" in printed and "today's" in printed
    assert f"dql cell {TASK} {METHOD} --seed 0" in printed
    assert not (results / "rerun").exists()
    assert cell("--json") == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["seed"], listed["scale"], listed["is_todays_code"]) == (
        0,
        "smoke",
        True,
    )


def test_the_command_of_a_named_store_names_it_too(results, capsys):
    shutil.move(results, "a folder")
    assert cell("--stored", "a folder") == 0
    printed = capsys.readouterr().out
    assert f"dql cell {TASK} {METHOD} --seed 0 --stored 'a folder'" in printed


def test_a_damaged_run_is_listed_with_what_is_wrong(results, capsys):
    (FOLDER / paths.METRICS_FILE).write_text("gradient_step\n")
    assert cell() == 0
    printed = capsys.readouterr().out
    assert "damaged" in printed and "Seed 0 cannot be read: " in printed
    assert f"dql cell {TASK}" not in printed


def test_a_run_again_is_the_same_bit_for_bit(results, capsys):
    before = run_files(FOLDER)
    assert cell("--seed", "0") == 0
    assert "Against the stored run: same bit for bit" in capsys.readouterr().out
    assert run_files(FOLDER) == before


@pytest.mark.parametrize(("steps", "last"), [(40, 40), (50, 40)])
def test_its_first_part_is_the_same_bit_for_bit(results, capsys, steps, last):
    """Also where the part ends between two logged steps."""
    assert cell("--seed", "0", "--steps", str(steps), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sameness"] == "same bit for bit" and not found["is_whole"]
    assert {curve["steps"][-1] for curve in found["metrics"]} == {last}
    assert found["metrics"][0]["stored"][0] != found["metrics"][0]["stored"][1]


def test_a_re_run_of_another_length_starts_afresh(results, capsys):
    """At its end, between two logged steps, a part logs; a longer one must not."""
    assert cell("--seed", "0", "--steps", "50") == 0
    (paths.run_directory(TASK, METHOD, 0, paths.RERUN) / "provenance.json").unlink()
    assert cell("--seed", "0") == 0
    assert "same bit for bit" in capsys.readouterr().out


def test_another_curve_is_exit_code_1(results, capsys):
    table = pd.read_csv(FOLDER / paths.METRICS_FILE)
    table["actor/bc_loss"] *= 1.2
    table.to_csv(FOLDER / paths.METRICS_FILE, index=False)
    forget_digests()
    assert cell("--seed", "0", "--steps", "40", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["sameness"] == "different" and found["is_same"] is False
    assert "actor/bc_loss at gradient step" in found["reasons"][0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "1"], ["seed 1", "stored are 0"]),
        (["--steps", "40"], ["--steps needs a --seed"]),
        (["--seed", "0", "--steps", "61"], ["60 gradient steps"]),
        (["--seed", "0", "--steps", "19"], ["first record is at gradient step 20"]),
        (["--seed", "0", "--scale", "quick"], ["another experiment", "now 100000"]),
        (["--seed", "0", "--stored", "kept/none"], ["no such folder with runs"]),
    ],
)
def test_what_cannot_be_compared_is_exit_code_2(results, capsys, arguments, words):
    assert cell(*arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert all(word in printed.err for word in words)
    assert not (results / "rerun").exists()


def test_nothing_stored_comes_with_the_command_that_trains(results, capsys):
    assert call("cell", TASK, "bcq", "--seed", "1") == 2
    assert f"dql train {TASK} bcq --seed 1 --scale quick" in capsys.readouterr().err


def test_nothing_stored_of_another_scale_is_still_said(results, capsys):
    assert call("cell", "remade-walker2d-medium", "bc_mle") == 2
    printed = capsys.readouterr().err
    assert "no finished run of remade-walker2d-medium, bc_mle is stored" in printed
    assert "remade data are of --scale evidence" in printed


def test_a_kept_run_can_be_the_stored_side(results, capsys):
    archive = archive_file(paths.KEPT / "campaign", RunKey(TASK, METHOD, 0))
    archive.parent.mkdir(parents=True)
    archive.write_bytes(pack(run_files(FOLDER)))
    shutil.rmtree(paths.RUNS)
    for where in ([], ["--stored", "kept/campaign"]):
        assert cell("--seed", "0", "--steps", "40", *where) == 0
        printed = capsys.readouterr().out
        assert "stored in results/kept/campaign/runs" in printed
        assert "same bit for bit" in printed


def test_other_code_is_said_and_no_reason_to_stop(results, capsys):
    path = FOLDER / paths.PROVENANCE_FILE
    made = json.loads(path.read_text())
    path.write_text(json.dumps(made | {"code_fingerprint": "of-before"}))
    assert cell("--seed", "0", "--steps", "20") == 0
    printed = capsys.readouterr().out
    assert "not as then: code: stored of-before" in printed.split("bit for bit")[0]


def forget_digests():
    path = FOLDER / paths.PROVENANCE_FILE
    made = json.loads(path.read_text())
    path.write_text(json.dumps(made | {"files": {}}))
