"""Snakemake's records in a checkout of their own, made by Snakemake and taken along."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from dql.errors import UserError
from dql.upkeep.adoption import LOCK, METADATA, adopt, record

SNAKEFILE = """\
rule second:
    input: "first.txt"
    output: "folder/second.txt", "third.txt"
    params: word={word!r}
    shell: "cat {{input}} > {{output[0]}}; echo {{params.word}} > {{output[1]}}"
rule first:
    output: "first.txt"
    shell: "echo first > {{output}}"
"""


def snakemake(folder, *arguments: str) -> str:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder in which Snakemake made three files by two jobs."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "Snakefile").write_text(SNAKEFILE.format(word="one"))
    snakemake(folder)
    assert record(folder) == 2
    return folder


@pytest.fixture
def clone(made, tmp_path):
    """What git and DVC bring: the files, all of another date, without the records."""
    folder = tmp_path / "clone"
    shutil.copytree(made, folder, ignore=shutil.ignore_patterns(".snakemake"))
    for file in folder.rglob("*.txt"):
        os.utime(file, (2e9, 2e9 if file.name == "first.txt" else 1e9))
    return folder


def test_a_clone_has_nothing_to_do_and_sees_what_changes(clone):
    assert "updated input files" in snakemake(clone, "-n").lower()
    assert adopt(clone).num_outputs == 3
    assert "Nothing to be done" in snakemake(clone, "-n")
    (clone / "Snakefile").write_text(SNAKEFILE.format(word="two"))
    printed = snakemake(clone, "-n").lower()
    assert "params have changed" in printed and "rule first" not in printed


def test_the_records_are_the_same_after_the_way(made, clone):
    adopt(clone)
    for file in (made / METADATA).iterdir():
        ours, theirs = (
            json.loads((folder / METADATA / file.name).read_text())
            for folder in (made, clone)
        )
        assert ours == theirs
    before = (made / LOCK).read_text()
    assert record(clone) == 2
    assert (clone / LOCK).read_text() == before


def test_other_content_is_not_adopted_and_absence_is_counted(clone):
    (clone / "third.txt").write_text("three")
    (clone / "first.txt").unlink()
    adopted = adopt(clone)
    assert adopted.num_outputs == 1
    assert (adopted.absent, adopted.different) == (["first.txt"], ["third.txt"])


def test_a_record_of_its_own_is_kept(clone):
    assert adopt(clone).num_outputs == 3
    (own,) = [f for f in (clone / METADATA).iterdir() if "Zmlyc3Q" in f.name]
    own.write_text("{}")
    assert adopt(clone).num_outputs == 0
    assert own.read_text() == "{}"


def test_without_the_lock_the_message_says_who_writes_it(tmp_path):
    with pytest.raises(UserError, match="dql record"):
        adopt(tmp_path)
