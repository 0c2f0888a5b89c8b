"""Averages and bold numbers of a grid, where numbers are missing or withheld."""

from dql.tables.grid import Entry, score_grid


def grid(rows, *, complete_rows=True):
    tasks = [f"task{index}" for index in range(len(rows))]
    columns = [f"method{index}" for index in range(len(rows[0]))]

    def read(task, column):
        return rows[tasks.index(task)][columns.index(column)]

    return score_grid("", tasks, columns, read, complete_rows=complete_rows)


def number(mean, **options):
    return Entry(str(mean), mean, **options)


def test_the_average_of_several_tasks_is_below_them():
    block = grid([[number(1.0), number(4.0)], [number(2.0), number(2.0)]])
    assert list(block.cells.iloc[2]) == ["average", "1.5", "3.0"]
    assert block.rules_above == {2}
    assert block.bold == {(0, 2), (1, 1), (1, 2), (2, 2)}


def test_one_task_has_no_average():
    assert len(grid([[number(1.0)]]).cells) == 1


def test_a_gap_has_no_average_and_no_best_in_a_published_row():
    rows = [[number(1.0), Entry("–")], [number(1.0), number(2.0)]]
    assert list(grid(rows).cells.iloc[2]) == ["average", "1.0", "–"]
    assert grid(rows).bold == {(1, 2)}


def test_among_ours_the_best_of_those_that_ran_is_bold():
    rows = [[number(1.0), number(3.0), Entry("not run")]]
    assert grid(rows, complete_rows=False).bold == {(0, 2)}


def test_a_withheld_best_leaves_its_row_without_bold():
    rows = [[number(1.0), Entry("–", 5.0, withheld=True)]]
    assert grid(rows).bold == frozenset()
    rows = [[number(9.0), Entry("–", 5.0, withheld=True)]]
    assert grid(rows).bold == {(0, 1)}


def test_a_withheld_number_makes_no_average():
    rows = [[number(1.0), Entry("–", 5.0, withheld=True)]] * 2
    assert list(grid(rows).cells.iloc[2]) == ["average", "1.0", "–"]


def test_a_column_that_does_not_compete_is_never_bold():
    rows = [[number(1.0), number(2.0), number(9.0, competes=False)]] * 2
    assert {column for _, column in grid(rows).bold} == {2}
    assert list(grid(rows).cells.iloc[2])[-1] == "9.0"
