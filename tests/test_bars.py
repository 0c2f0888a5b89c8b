"""Progress lines: what is written can be read again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dql.bars import FIRST_INTERVAL, LAST_INTERVAL, ProgressLine, line_interval

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
