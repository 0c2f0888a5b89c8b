"""The command line: help that teaches, one message per mistake, exit codes."""

import ast
import contextlib
import json
import re
import subprocess
import sys

import pytest
from rich.console import Console

import dql.cli.main
from dql.cli.data_table import print_states
from dql.cli.main import main
from dql.config.project import load_project
from dql.data.checks import dataset_state
from dql.paths import SOURCE

VERBS = [
    "train",
    "online",
    "cell",
    "aggregate",
    "table",
    "figure",
    "film",
    "plan",
    "keep",
    "record",
    "claims",
    "page",
    "bundle",
    "provenance",
    "summary",
    "doctor",
    "gc",
    "adopt",
    "restore",
    "stability",
    "episode",
    "ways",
    "action-samples",
]
GROUPS = {
    "data": [
        "behavior",
        "generate",
        "fetch",
        "policies",
        "roll-out",
        "compare",
        "again",
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
    printed = " ".join(re.sub(r"[│╭╮╰╯─]", " ", capsys.readouterr().out).split())
    assert f"Example: dql {' '.join(command)}" in printed


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


def test_remedies_name_verbs_that_there_are():
    """Every `dql ...` in a message of the sources: its verb, and that of its group."""
    known = {*VERBS, "action-samples", *(" ".join(command) for command in COMMANDS)}
    found = set()
    for path in (SOURCE / "dql").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        bare = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if isinstance(node, ast.Constant) and id(node) not in bare:
                text = str(node.value)
                found |= set(re.findall(r"\bdql ([a-z]+(?:-[a-z]+)?)\b", text))
                pairs = rf"\bdql ((?:{'|'.join(GROUPS)}) [a-z-]+)"
                found |= set(re.findall(pairs, text))
    assert len(found) > 15
    assert {name for name in found if name not in known | {*GROUPS}} == set()


@pytest.mark.parametrize("verb", ["aggregate", "stability", "action-samples"])
@pytest.mark.parametrize(
    "words",
    [[], ["bandit-axes"], ["bandit-axes", "--all"], ["bandit-axes", "bcq", "--all"]],
)
def test_one_cell_or_all_and_never_half_of_it(verb, words, capsys):
    assert call(verb, *words) == 2
    assert f"dql {verb}: give TASK and METHOD, or --all" in capsys.readouterr().err


@pytest.mark.parametrize("task", ["bandit-axes", "bandit-released", "hopper-medium-v2"])
def test_generate_names_where_other_data_come_from(task, capsys):
    assert call("data", "generate", task) == 2
    remedy = capsys.readouterr().err
    assert f"of source '{load_project().task(task).dataset.source}'" in remedy
    assert ("dql data fetch hopper-medium-v2" in remedy) == task.startswith("hopper")


@pytest.mark.parametrize(
    "task", ["bandit-axes", "bandit-released", "local-hopper-medium"]
)
def test_fetch_names_where_other_data_come_from(task, capsys):
    assert call("data", "fetch", task) == 2
    remedy = capsys.readouterr().err
    assert ("dql data generate local-hopper-medium" in remedy) == ("local" in task)
    assert "dql data fetch bandit" not in remedy


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda"])
def test_a_device_is_chosen_and_a_processor_takes_no_gpu(device, tmp_path, monkeypatch):
    leases, asked = [], []

    @contextlib.contextmanager
    def lease():
        leases.append(device)
        yield

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dql.training.gpus.leased_gpu", lease)
    monkeypatch.setattr(
        "dql.training.loop.train", lambda *runs, **options: asked.append(options)
    )
    command = ["train", "bandit-axes", "bc_mle", "--seed", "0", "--scale", "smoke"]
    assert call(*command, "--device", device, "--threads", "3") == 0
    assert [(one["device"], one["num_threads"]) for one in asked] == [(device, 3)]
    assert bool(leases) == (device != "cpu")


@pytest.mark.parametrize("command", ["plan", "data behavior hopper"])
def test_a_gpu_is_called_cuda(command, capsys):
    """Refused before anything is done, also where no device would be used."""
    assert call(*command.split(), "--device", "gpu") == 2
    printed = capsys.readouterr().err
    assert "'gpu'" in printed and "'cuda'" in printed


@pytest.mark.parametrize(
    ("width", "shown", "left_out"),
    [
        (40, ["on disk"], "source, transitions, MB, licence"),
        (80, ["on disk", "source", "transitions", "MB"], "licence"),
        (200, ["licence"], ""),
    ],
)
def test_a_narrow_terminal_keeps_the_columns_that_matter(width, shown, left_out):
    tasks = load_project().tasks.values()
    console = Console(record=True, width=width, force_terminal=True)
    print_states([dataset_state(task) for task in tasks], console)
    printed = console.export_text()
    assert "…" not in printed
    assert all(line.rstrip() and len(line) <= width for line in printed.splitlines())
    assert all(name in printed.splitlines()[0] for name in shown)
    fitting = [task.name for task in tasks if len(task.name) + 11 <= width]
    assert len(fitting) > 40
    assert all(name in printed for name in fitting)  # longer ones go on below
    assert (f"No room for: {left_out}" in " ".join(printed.split())) == bool(left_out)


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


def test_an_unexpected_failure_is_exit_code_3():
    script = (
        "import dql.cli.main; dql.cli.main.app = lambda **_: 1 / 0; dql.cli.main.main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True)
    assert done.returncode == 3
    assert b"ZeroDivisionError" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "list"],
        ["data", "describe", "bandit-axes"],
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
