"""The command line: help that teaches, one message per mistake, exit codes."""

import json
import subprocess
import sys

import pytest

import dql.cli.main
from dql.cli.main import main

VERBS = [
    "train",
    "cell",
    "aggregate",
    "table",
    "figure",
    "plan",
    "keep",
    "record",
    "claims",
    "provenance",
    "summary",
    "doctor",
    "gc",
    "adopt",
]
GROUPS = {
    "data": [
        "behavior",
        "generate",
        "fetch",
        "list",
        "verify",
        "describe",
        "check-physics",
    ],
    "bandit": ["summary", "trajectories", "claims"],
    "config": ["runs", "run", "schema"],
}
COMMANDS = [[verb] for verb in VERBS] + [
    [group, verb] for group, verbs in GROUPS.items() for verb in verbs
]


def call(*arguments: str) -> int:
    """Run the command line in this process and return its exit code."""
    try:
        main(list(arguments))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_verb_explains_itself(command, capsys):
    assert call(*command, "--help") == 0
    assert len(capsys.readouterr().out.splitlines()) > 5


def test_help_lists_every_verb(capsys):
    assert call("--help") == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in [*VERBS, *GROUPS])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["train", "bandit-axis", "bcq", "--seed", "0"],
            ["bandit-axis", "bandit-axes"],
        ),
        (["train", "bandit-axes", "bcg", "--seed", "0"], ["bcg", "bcq"]),
        (["train", "bandit-axes", "bcq", "--seed", "9"], ["seed 9", "nearest is 2"]),
        (["train", "bandit-axes", "bcq@N=2", "--seed", "0"], ["num_denoising_steps"]),
        (["config", "runs", "--scale", "smok"], ["smok", "smoke"]),
        (["config", "runs", "--set", "physics=stok"], ["stok", "stock"]),
        (["config", "runs", "--set", "physics"], ["KEY=VALUE"]),
        (["table", "d4rll"], ["d4rll", "d4rl"]),
        (["figure", "bandit_axis"], ["bandit_axis", "bandit_axes"]),
        (["data", "behavior", "hoper"], ["hoper", "hopper"]),
        (["data", "describe", "hopper-medium-v3"], ["hopper-medium-v2"]),
        (["cell", "hopper-medium-v2", "diffusion_ql"], ["--scale paper"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_mistakes_are_one_message_and_exit_code_2(arguments, words, capsys, tmp_path):
    assert call(*arguments) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("dql: ")
    assert "Traceback" not in printed
    for word in words:
        assert word in printed


def test_unknown_options_are_exit_code_2(capsys):
    assert call("train", "bandit-axes", "bcq", "--sed", "0") == 2
    assert "--seed" in capsys.readouterr().err


def test_a_missing_package_says_what_to_run(capsys, monkeypatch):
    def fail(**_):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(dql.cli.main, "app", fail)
    assert call("train") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_package_runs_as_the_command():
    command = [sys.executable, "-m", "dql", "config", "runs", "--scale", "smok"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("dql: ")


def test_a_failure_is_exit_code_1():
    script = (
        "import dql.cli.main; dql.cli.main.app = lambda **_: 1 / 0; dql.cli.main.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True)
    assert done.returncode == 1
    assert b"ZeroDivisionError" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "list"],
        ["data", "describe", "bandit-axes"],
        ["data", "describe", "bandit-released"],
    ],
    ids=" ".join,
)
def test_json_is_json_where_colours_are_forced(arguments, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    call(*arguments, "--json")
    assert json.loads(capsys.readouterr().out)


def test_config_run_prints_a_complete_run(capsys):
    assert call("config", "run", "bandit-axes", "bcq", "--scale", "smoke") == 0
    run = json.loads(capsys.readouterr().out)
    assert run["agent"] == "bcq"
    assert run["training"]["num_gradient_steps"] == 60
