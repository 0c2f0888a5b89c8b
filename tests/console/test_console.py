"""The console, by a small workflow that Snakemake really runs, and piece by piece."""

import io
import os
import pty
import re
import signal
import subprocess
import sys

import pytest
from rich.console import Console

from dql.bars import ProgressLine
from dql.console.board import Board
from dql.console.job_logs import last_lines, last_progress
from dql.console.view import live_area
from dql.paths import SOURCE

SNAKEFILE = r"""
rule all:
    input: "figures/toy/a.png"
rule train:
    output: "out/{n}.txt"
    log: "logs/train_{n}.log"
    message: "Train a toy, seeds {wildcards.n}"
    shell:
        "(echo 'toy seed {wildcards.n}: 1/4 · 2.0 steps/s · 0:03 left"
        " · last mean return 1.25'; sleep {config[seconds]};"
        " echo a warning nobody needs; touch {output}) > {log} 2>&1"
rule draw:
    input: "out/1.txt", "out/2.txt"
    output: "figures/toy/a.pdf", "figures/toy/a.png"
    log: "logs/draw.log"
    message: "Draw figures/toy/a"
    shell: "touch {output} > {log} 2>&1"
rule breaks:
    output: "never.txt"
    log: "logs/breaks.log"
    message: "Break"
    shell: "(seq 100 130; echo 'dql: no such task'; exit 2) > {log} 2>&1"
"""
PROGRAM = "from dql.snakemake_launcher import main; main()"


@pytest.fixture
def folder(tmp_path):
    """A folder with a workflow of two trainings, a figure and a job that fails."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    return tmp_path


def command(targets, seconds=0):
    options = ["--logger", "dql", "--cores", "2", "--config", f"seconds={seconds}"]
    return [sys.executable, "-c", PROGRAM, *targets.split(), *options]


ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(SOURCE),
    "PYTHONUTF8": "1",
    "TERM": "xterm",
    "COLUMNS": "80",
    "LINES": "24",
}


def run(folder, targets, code=0, seconds=0):
    """Run without a terminal; return what was printed on the two streams."""
    done = subprocess.run(
        command(targets, seconds),
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def run_on_a_terminal(folder, targets, seconds, interrupts_after=None):
    """Run on a terminal of 80 columns; return the exit code and all it received."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in the background has none
        arguments = command(targets, seconds)
        os.execve(arguments[0], arguments, ENVIRONMENT)
    received = b""
    while True:
        try:
            read = os.read(terminal, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not read:
            break
        received += read
        if interrupts_after and interrupts_after in received:
            interrupts_after = None
            os.write(terminal, b"\x03")
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code, received.decode()


def test_without_a_terminal_a_line_a_job(folder):
    printed, lines = run(folder, "all")
    assert printed == ""
    lines = lines.splitlines()
    assert lines[0] == "Jobs to do: 4"
    trained = [f"{n}/4 Train a toy, seeds" for n in (1, 2)]
    assert [line[:22] for line in lines[1:3]] == trained
    assert all(line.endswith(" · return 1.25") for line in lines[1:3])
    assert lines[3].startswith("3/4 Draw figures/toy/a · 0:0")
    assert lines[3].endswith(" -> figures/toy/a.png")
    assert "The first figure is there, after 0:" in lines[4]
    assert lines[5].startswith("4 of 4 jobs done in 0:")
    assert len(lines) == 6
    (log,) = (folder / ".snakemake" / "log").iterdir()
    assert "Finished jobid" in log.read_text()
    _, again = run(folder, "all")
    assert again.splitlines()[0].startswith("Nothing to be done")


def test_a_job_that_fails_shows_its_last_lines_and_its_log(folder):
    _, text = run(folder, "breaks", code=1)
    assert "FAILED: Break" in text
    assert "    dql: no such task\n  its log: logs/breaks.log\n" in text
    assert "    130\n" in text and "110\n" not in text
    assert "CalledProcessError" not in text and "WorkflowError" not in text
    assert "0 of 1 jobs done in 0:" in text and ", 1 failed\n" in text
    (log,) = (folder / ".snakemake" / "log").iterdir()
    assert f"All that Snakemake said: {log}\n" in text
    assert "The same command goes on from here." in text


def test_what_is_wrong_with_the_workflow_is_said_in_full(folder):
    _, text = run(folder, "nothing.txt", code=1)
    assert "MissingRuleException" in text and "nothing.txt" in text


def jobs_listed(dry_run):
    """Return the lines of a dry run below its heading; files have no order."""
    lines = dry_run.partition("Building DAG of jobs...")[2].splitlines()
    lines = [line for line in lines if line and not line.startswith("[")]
    return sorted(sorted(re.split(r",? ", line)) for line in lines)


def test_a_dry_run_is_snakemakes_own(folder):
    printed, _ = run(folder, "all -n")
    own = [sys.executable, "-m", "snakemake", "-n", "--config", "seconds=0"]
    done = subprocess.run(
        own, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert jobs_listed(printed) == jobs_listed(done.stdout)
    assert "Job 2: Train a toy, seeds 1" in printed


def test_on_a_terminal_there_is_one_live_area(folder):
    code, received = run_on_a_terminal(folder, "all", seconds=2)
    assert code == 0
    for shown in ("running", "25%", "0:03", "1.25", "0 of 4 jobs done"):
        assert shown in received, shown
    assert received.rindex("\x1b[?25h") > received.rindex("\x1b[?25l")  # the cursor
    last = received.rpartition("\x1b[?25h")[2]
    assert "4 of 4 jobs done in" in last and "running" not in last
    assert received.count("-> figures/toy/a.png") == 1


def test_ctrl_c_is_no_failure(folder):
    code, received = run_on_a_terminal(folder, "all", 60, interrupts_after=b"1.25")
    assert code == 1
    assert "stopped: Train a toy" in received and "FAILED" not in received
    last = received.rpartition("\x1b[?25h")[2]
    assert "0 of 4 jobs done in 0:" in last and "2 stopped" in last
    assert "The same command goes on from here." in last


class Clock:
    def __init__(self):
        self.time = 100.0

    def __call__(self):
        return self.time


@pytest.fixture
def board():
    """A board of ten jobs, three of them done in ten seconds each, two running."""
    board = Board(Clock())
    board.plan({"train": 6, "draw": 4, "total": 10})
    for job_id in range(3):
        board.start(job_id, "train", f"Train {job_id}", [], [])
        board.now.time += 10
        assert board.finish(job_id).title == f"Train {job_id}"
    board.start(3, "train", "Train 3", [], [])
    board.start(4, "draw", "Draw " + "very " * 30, [], [])
    return board


def test_the_time_left_is_that_of_jobs_like_those_done(board):
    # 2 trainings and 3 drawings wait, 10 s each as all so far; two run, just begun.
    assert board.seconds_left({}) == (5 * 10 + 2 * 10) / 2
    board.now.time += 4
    assert board.seconds_left({}) == (5 * 10 + 2 * 6) / 2
    # The drawing says of itself that it takes 20 s: so do the three that wait.
    line = ProgressLine("draw", 1, 5, left=16)
    assert board.seconds_left({4: line}) == (2 * 10 + 3 * 20 + 6 + 16) / 2


def test_no_time_left_is_guessed_from_too_little():
    board = Board(Clock())
    board.plan({"train": 5, "total": 5})
    board.start(0, "train", "Train", [], [])
    assert board.seconds_left({}) is None


def test_a_job_tried_again_starts_anew(board):
    assert board.fail(3).title == "Train 3"
    assert 3 not in board.running and board.failed == 1
    board.start(3, "train", "Train 3", [], [])
    assert board.running[3].began == board.now()
    assert board.finish(99) is None  # a job of which no start was seen


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_live_area_leaves_room_for_an_echo(board, width):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(live_area(board, width))
    lines = console.export_text().splitlines()
    if width >= 60:
        assert lines[0].startswith("3 of 10 jobs done · 0:30 · about 0:35 left")
        assert "Train 3" in lines[2] and len(lines) == 4
    assert max(len(line.rstrip()) for line in lines) <= width - 2


def test_the_end_of_a_log(tmp_path):
    log = tmp_path / "job.log"
    missing = str(tmp_path / "missing.log")
    assert last_lines([missing], 3) == [] and last_progress([missing]) is None
    log.write_bytes(b"\xc2\xb7" * 9000 + b"\n\na: 1/4\na: 2/4\nwarning\n\n")
    assert last_lines([missing, str(log)], 2) == ["a: 2/4", "warning"]
    assert last_progress([str(log)]) == ProgressLine("a", 2, 4)
