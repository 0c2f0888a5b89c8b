"""Ways kept: known answers."""

import numpy as np
import pandas as pd
import pytest

from dql.results.files import UnusableRunError
from dql.results.ways import COLUMNS, effective_ways, read_ways, summarize_ways


def write(path, *starts, method="diffusion_ql", candidates=1):
    """Write the ways taken from each start, '-' for none."""
    rows = [
        ("local-x-twoways", method, 1.0, 0, candidates, True, start, episode,
         None if way == "-" else int(way), 50.0, 40.0 + 10 * start)
        for start, ways in enumerate(starts)
        for episode, way in enumerate(ways)
    ]  # fmt: skip
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(path, index=False)
    return path


def test_ways_are_two_to_the_entropy():
    assert effective_ways(np.array([1, 1, 1])) == 1.0
    assert effective_ways(np.array([0, 1, 1, 0])) == pytest.approx(2.0)
    assert effective_ways(np.array([0, 1, 2, 3])) == pytest.approx(4.0)
    # Entropy of (1/4, 3/4) by hand: 2 - 3/4 log2(3) bits.
    expected = 2 ** (2 - 0.75 * np.log2(3))
    assert effective_ways(np.array([0, 1, 1, 1])) == pytest.approx(expected)


def test_one_way_from_each_start_is_not_two_ways_of_a_policy(tmp_path):
    (run,) = summarize_ways(read_ways([write(tmp_path / "a", "0000", "1111")])).iloc
    assert run["ways"] == pytest.approx(2.0) and run["ways_per_start"] == 1.0
    assert run["first_share"] == 0.5 and run["arrived"] == 1.0 and run["score"] == 45.0


def test_episodes_that_take_no_way_count_in_the_score_alone(tmp_path):
    files = [
        write(tmp_path / "a", "01--", "----"),
        write(tmp_path / "b", "--", method="td3_bc"),
    ]
    first, none = summarize_ways(read_ways(files)).iloc
    assert first["arrived"] == 0.25 and first["ways_per_start"] == pytest.approx(2.0)
    assert first["score"] == 45.0
    assert none["arrived"] == 0.0 and np.isnan(none["ways"])


def test_a_file_of_other_columns_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("task,way\nx,0\n")
    with pytest.raises(UnusableRunError, match="a.csv: no column method"):
        read_ways([tmp_path / "a.csv"])
