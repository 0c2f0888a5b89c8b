"""Progress lines are read as written; bars of several threads share the terminal."""

import logging
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dql import bars
from dql.bars import (
    FIRST_INTERVAL,
    LAST_INTERVAL,
    ProgressLine,
    line_interval,
    progress_bar,
)

tenths = st.integers(0, 10**6).map(lambda n: n / 10)
hundredths = st.integers(-(10**6), 10**6).map(lambda n: n / 100)
lines = st.builds(
    ProgressLine,
    st.sampled_from(["bandit-axes td3_bc seed 0,1,2", "rolling out a: b", "x"]),
    st.integers(0, 10**7),
    st.integers(0, 10**7),
    rate=st.none() | tenths,
    left=st.none() | st.integers(0, 10**6),
    score=st.none() | hundredths,
)


@given(lines)
def test_a_line_is_read_as_it_was_written(line):
    assert ProgressLine.read(f"{line}\n") == line


def test_a_line_says_what_a_person_asks():
    line = ProgressLine("a b seed 0", 30, 40, rate=2.04, left=187, score=-1.5)
    assert str(line) == (
        "a b seed 0: 30/40 · 2.0 steps/s · 3:07 left · last mean return -1.50"
    )
    assert ProgressLine("a", 40, 40, left=0).status == "done"
    assert ProgressLine("a", 1, 40, left=7449).status == "2:04:09 left"


@pytest.mark.parametrize(
    "line", ["", "Traceback:", "a: 1/2 nearly", "File x: 12", "ratio 3/4", ": 1/2"]
)
def test_other_lines_are_no_progress(line):
    assert ProgressLine.read(line) is None


def test_lines_are_close_together_at_first_and_never_far_apart():
    assert line_interval(0) == line_interval(5) == FIRST_INTERVAL
    assert line_interval(100) == 10
    assert line_interval(1e6) == LAST_INTERVAL


def test_bars_of_several_threads_are_one_display(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    both = threading.Barrier(3)
    faults = []

    def work(name):
        try:
            with progress_bar(name, 10, unit="bytes") as progress:
                progress(4)
                both.wait(10)
                both.wait(10)
        except Exception as error:
            faults.append(error)

    with progress_bar("files", 2) as progress:
        threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        both.wait(10)
        (display,) = bars._displays
        drawn = {task.description: task.completed for task in display.tasks}
        texts = [bars._CountColumn().render(task).plain for task in display.tasks]
        both.wait(10)
        for thread in threads:
            thread.join()
        progress(1)
        assert [task.description for task in display.tasks] == ["files"]
    assert faults == []
    assert drawn == {"files": 0, "a": 4, "b": 4}
    assert texts[0] == "0/2" and all("4/10 bytes" in text for text in texts[1:])
    assert bars._displays == []


def test_a_log_gets_a_line_now_and_then(monkeypatch, caplog):
    monkeypatch.setattr(bars, "line_interval", lambda elapsed: 0.0)
    with caplog.at_level(logging.INFO), progress_bar("rows", 4, start=1) as progress:
        progress(2)
    assert caplog.messages == ["rows: 3/4"]
