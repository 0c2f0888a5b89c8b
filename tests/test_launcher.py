"""The `snakemake` launcher: targets leave NAME=VALUE lists, all else stays."""

import re
import shlex
import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dql.errors import UserError
from dql.snakemake_launcher import PAIR_OPTIONS, check, move_targets


@pytest.mark.parametrize(
    ("typed", "handed_on"),
    [
        # The line of the paper artifact's user.
        ("--cores 8 --resources gpu=2 all", "all --cores 8 --resources gpu=2"),
        ("--resources gpu=2 a=9 all x.csv", "all x.csv --resources gpu=2 a=9"),
        ("--resources gpu=2 all --cores 8", "all --resources gpu=2 --cores 8"),
        ("-C scale=paper all -n", "all -C scale=paper -n"),
        ("--set-threads a=2 all", "all --set-threads a=2"),
        ("--set-resources a:gpu=2 all", "all --set-resources a:gpu=2"),
        # A path is no pair, even one whose method has a variant.
        ("--res gpu=1 cells/bcq@N=2.json", "cells/bcq@N=2.json --res gpu=1"),
        # What Snakemake understands is left alone.
        ("all --cores 8 --resources gpu=2", None),
        ("--cores 8 --resources gpu=2", None),
        ("--cores 8 --resources gpu=2 -- all", None),
        ("--resources gpu=2 --cores 8 all", None),
        ("--resources=gpu=2 all", None),
        ("--forcerun make_table all --cores 1", None),
        ("--config 'suites={local: {seeds: [0]}}' scale=quick -n", None),
        ("--default-resources base64//eD0x -n", None),
        ("-n", None),
        ("", None),
    ],
)
def test_move_targets(typed, handed_on):
    expected = shlex.split(typed if handed_on is None else handed_on)
    assert move_targets(shlex.split(typed)) == expected


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        ("--cores 0 all", "--cores 0: no job could start"),
        ("all --cores=00", "--cores=00"),
        ("-c0", "-c0"),
        ("-c 0 -n", "-c 0"),
        ("-n -j -1", "-j -1"),
        ("--jobs 0", "--jobs 0"),
        ("-C scale=smoke scale=quick -n", "both decide 'scale'"),
        ("--config scale=smoke -n --config=scale=smoke", "both decide 'scale'"),
        ("--config 'suites={local: {seeds: [0], seeds: [1]}}'", "'seeds' stands twice"),
        ("--config 'suites={local: {seeds: [010]}}'", "'010'"),
    ],
)
def test_what_snakemake_takes_in_silence_is_refused(typed, named):
    with pytest.raises(UserError, match=re.escape(named)):
        check(shlex.split(typed))


@pytest.mark.parametrize(
    "typed",
    [
        "--cores 10 all",
        "-c10 -j 1",
        "--cores all --config scale=smoke 'suites={local: {seeds: [0]}}' -n",
        "--set-threads a=0 --cores 1",
        "results/x--cores 0",
        "-- --cores 0",
    ],
)
def test_what_snakemake_can_do_is_left_alone(typed):
    check(shlex.split(typed))


words = st.sampled_from(["--resources", "-C", "--cores", "-n", "--", "a=1", "all", "8"])


@given(st.lists(words))
def test_moving_loses_nothing_and_settles(arguments):
    once = move_targets(arguments)
    assert sorted(once) == sorted(arguments)
    assert move_targets(once) == once


def test_pair_options_are_snakemakes():
    """Every NAME=VALUE list of Snakemake's parser is covered, and nothing else."""
    from snakemake.cli import get_argument_parser

    lists = {
        option
        for action in get_argument_parser()._actions
        if action.nargs in ("+", "*") and "=" in str(action.metavar)
        for option in action.option_strings
    }
    # Written without a metavar in Snakemake's parser.
    lists |= {"--groups", "--group-components"}
    assert lists == PAIR_OPTIONS


def test_command_is_the_launcher():
    (command,) = {
        entry.value
        for entry in entry_points(group="console_scripts", name="snakemake")
        if entry.dist and entry.dist.name == "dql"
    } or {None}
    if command is None:
        pytest.skip("the project is not installed")
    assert command == "dql.snakemake_launcher:main"


def test_python_m_snakemake_is_the_original():
    command = [sys.executable, "-m", "snakemake", "--cores", "8", "-n"]
    command += ["--resources", "gpu=2", "all"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
