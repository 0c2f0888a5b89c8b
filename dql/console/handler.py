"""The logger plugin: Snakemake's events become a person's lines and one live area.

On a terminal the live area stands below the lines and goes when the work ends. A dry
run, whose point is Snakemake's own list of jobs, prints that. What is not printed is in
Snakemake's log, below `.snakemake/log`.
"""

from __future__ import annotations

import atexit
import logging
import re
import sys
from collections.abc import Callable
from logging import LogRecord
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from dql.bars import clock
from dql.console import view
from dql.console.board import Board
from dql.console.job_logs import last_lines

LAST_LINES = 12
"""Lines of a failed job's log that are printed."""

TOLD = ("Nothing to be done", "Trying to restart")
"""Beginnings of messages without an event that are worth a line."""

SAID_BETTER = (
    "CalledProcessError in file",
    "Exiting because a job execution failed",
    "At least one job did not complete successfully",
)
"""What Snakemake says of a failed job beside its log and its last lines."""

WHOLE_LOG = "Complete log(s): "

STOPPED = re.compile(r"exit status (130|143)\b|<Signals\.SIG(INT|TERM)\b")
"""How a job ended that was told to: Ctrl-C, or the end of an allocation."""

FRAMES_PER_SECOND = 2


class LogHandler(LogHandlerBase):
    """Prints to standard error; one of a process, as Snakemake makes it."""

    def __post_init__(self) -> None:
        self.start = Path.cwd()
        self.board = Board()
        plain = self.common_settings.nocolor or None  # None: as the environment says
        self.console = Console(
            stderr=True, highlight=False, soft_wrap=True, no_color=plain
        )
        self.has_figure = False
        self.whole_log = ""
        self.is_stopping = False
        self.is_closed = False
        self._live: Live | None = None
        self._on: dict[LogEvent, Callable[[LogRecord], None]] = {
            LogEvent.RUN_INFO: self._plan,
            LogEvent.JOB_INFO: self._start,
            LogEvent.JOB_FINISHED: self._finish,
            LogEvent.JOB_ERROR: self._fail,
        }
        if self._can_go_live():
            self._go_live()

    def _can_go_live(self) -> bool:
        """Tell whether there is a terminal, FORCE_COLOR or not, that moves a cursor."""
        is_moving = sys.stderr.isatty() and not self.console.is_dumb_terminal
        return is_moving and not self.common_settings.dryrun

    def _go_live(self) -> None:
        self._live = Live(
            get_renderable=lambda: view.live_area(self.board, self.console.width),
            console=self.console,
            refresh_per_second=FRAMES_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()
        atexit.register(self.close)  # a hidden cursor must not outlive the process

    def emit(self, record: LogRecord) -> None:
        """Show what a record means, if it means anything to a person."""
        try:
            event = getattr(record, "event", None)
            if self.common_settings.dryrun:
                gap = "\n" if event is LogEvent.JOB_INFO else ""
                print(gap + self.format(record), file=sys.stdout, flush=True)
            elif event in self._on:
                self._on[event](record)
            elif self._is_told(record):
                style = "red" if record.levelno >= logging.ERROR else None
                self._print(self.format(record), style=style)
        except Exception:
            self.handleError(record)

    def _is_told(self, record: LogRecord) -> bool:
        text = str(record.msg)
        if text.startswith(WHOLE_LOG):
            self.whole_log = text.removeprefix(WHOLE_LOG)
        self.is_stopping |= bool(STOPPED.search(text))
        if record.levelno >= logging.WARNING:
            return not any(words in text for words in SAID_BETTER)
        return text.startswith(TOLD)

    def _print(self, text: str, style: str | None = None) -> None:
        self.console.print(Text(text, style or ""))  # a style of its own line only

    def _plan(self, record: LogRecord) -> None:
        if not self.board.total:
            self.board.plan(record.stats)
            self._print(f"Jobs to do: {self.board.total}")

    def _start(self, record: LogRecord) -> None:
        title = record.rule_msg or record.rule_name
        files = record.log, record.output
        self.board.start(record.jobid, record.rule_name, title, *files)

    def _finish(self, record: LogRecord) -> None:
        job = self.board.finish(record.job_id)
        if job is None or not job.logs:  # a rule that only gathers, such as `all`
            return
        seconds = self.board.now() - job.began
        self._print(view.finished_line(self.board, job, seconds, self.start))
        drawn = view.figures(job.outputs, self.start)
        if drawn and not self.has_figure:
            self.has_figure = True
            self._print(
                f"The first figure is there, after {clock(self.board.elapsed)}: "
                f"{drawn[0]}. The rest goes on.",
                style="bold green",
            )

    def _fail(self, record: LogRecord) -> None:
        job = self.board.fail(record.jobid)
        title = job.title if job else record.rule_name
        if self.is_stopping:
            self._print(f"stopped: {title}", style="yellow")
        else:
            self._print(f"FAILED: {title}", style="bold red")
        for line in last_lines(record.log, 1 if self.is_stopping else LAST_LINES):
            self._print(f"    {line}")
        for log in record.log:
            self._print(f"  its log: {view.from_folder(log, self.start)}")

    def close(self) -> None:
        """Take the live area away and say how it ended; once."""
        if not self.is_closed:
            self.is_closed = True
            if self._live:
                self._live.stop()
            if self.board.total and not self.common_settings.dryrun:
                self._print(self._ending())
        super().close()

    def _ending(self) -> str:
        board = self.board
        text = f"{board.done} of {board.total} jobs done in {clock(board.elapsed)}"
        if board.done == board.total:
            return text
        if board.failed:
            text += f", {board.failed} {'stopped' if self.is_stopping else 'failed'}"
        if self.whole_log:
            text += f"\nAll that Snakemake said: {self.whole_log}"
        return f"{text}\nThe same command goes on from here."

    @property
    def writes_to_stream(self) -> bool:
        """It takes the place of Snakemake's own lines."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Snakemake's own log stays."""
        return False

    @property
    def has_filter(self) -> bool:
        """Snakemake's filter holds: `--quiet` does what it says."""
        return False

    @property
    def has_formatter(self) -> bool:
        """Snakemake's words hold for what is printed as it is."""
        return False

    @property
    def needs_rulegraph(self) -> bool:
        """Jobs are enough."""
        return False
