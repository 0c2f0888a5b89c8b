"""The description of a dataset is that of its rows, in text and as a figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dql.config.schema import DatasetConfig, TaskConfig
from dql.data import minari_files
from dql.data.description import Description, describe, description_text
from dql.errors import UserError
from dql.figures.dataset import draw, draw_dataset


def make_task(source: str = "local") -> TaskConfig:
    """Make a task; a bandit's data need no file."""
    return TaskConfig(
        name="local-test",
        suite=source,
        environment="bandit" if source == "bandit" else "hopper",
        layout="corners",
        horizon=5,
        dataset=DatasetConfig(source=source, num_transitions=50),
    )


def make_episode(length: int, action: float, is_cut: bool) -> minari_files.Episode:
    """Make an episode with one reward a step."""
    actions = np.zeros((length, 2))
    actions[:, 1] = action
    return minari_files.Episode(
        np.zeros((length + 1, 3)),
        actions,
        np.ones(length),
        np.zeros(length, dtype=bool),
        np.arange(length) == length - 1,
        is_cut=is_cut,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write two whole episodes and one that was cut, 2 + 4 + 2 rows."""
    minari_files.write_dataset(
        "local-test",
        [
            make_episode(2, 1.0, is_cut=False),
            make_episode(4, -0.5, is_cut=False),
            make_episode(2, 0.25, is_cut=True),
        ],
        root=tmp_path,
        dimensions=(3, 2),
        description={"source": "local", "reference_scores": {"min": 2, "max": 6}},
    )
    return tmp_path


def test_numbers_are_those_of_the_rows(root: Path) -> None:
    described = describe(make_task(), root)
    # The cut episode has a length but no return.
    np.testing.assert_array_equal(described.returns, [2, 4])
    np.testing.assert_array_equal(described.lengths, [2, 4, 2])
    np.testing.assert_array_equal(described.normalized(described.returns), [0, 50])
    quantiles = np.quantile([1, 1, -0.5, -0.5, -0.5, -0.5, 0.25, 0.25],
                            [0, 0.25, 0.5, 0.75, 1])  # fmt: skip
    np.testing.assert_allclose(described.action_quantiles[:, 1], quantiles)
    np.testing.assert_array_equal(described.saturated, [0, 0.25])


def test_text_has_the_numbers_and_a_histogram(root: Path) -> None:
    text = description_text(describe(make_task(), root))
    assert "8 transitions in 3 episodes, 1 of them cut" in text
    assert "return of an episode: mean 3.0, standard deviation 1.0, 2.0 to 4.0" in text
    assert "normalised by its own references: mean 25.0" in text
    bars = [line for line in text.splitlines() if "█" in line]
    assert sum(int(line.split()[3]) for line in bars) == 2 + 3
    assert text.splitlines()[-1].split()[-1] == "25.0%"


def test_the_bandits_data_are_drawn(root: Path) -> None:
    described = describe(make_task("bandit"))
    assert len(described.returns) == 50 and set(described.lengths) == {1}
    assert described.normalized(described.returns) is None
    assert "length of an episode: mean 1.0" in description_text(described)


def test_the_figure_is_byte_stable_and_marks_the_scores(
    root: Path, tmp_path: Path
) -> None:
    described = describe(make_task(), root)
    first, again = tmp_path / "a.png", tmp_path / "b.png"
    draw_dataset(described, [first, tmp_path / "a.pdf"])
    draw_dataset(described, [again])
    assert first.read_bytes() == again.read_bytes()
    returns, lengths, actions = draw(described).axes
    assert sum(bar.get_height() for bar in returns.patches) == 2
    assert sum(bar.get_height() for bar in lengths.patches) == 3
    assert [child.get_xlabel() for child in returns.child_axes] == ["normalised score"]
    assert "action" in actions.get_xlabel()


def test_data_of_cut_episodes_alone_are_described() -> None:
    manifest = {"task": "t", "source": "local", "digest": "0"}
    empty = Description(
        manifest, np.zeros(0), np.array([3]), np.zeros((5, 1)), np.zeros(1)
    )
    assert "every episode was cut" in description_text(empty)
    assert len(draw(empty).axes) == 3


def test_missing_data_say_how_to_get_them(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dql data generate local-test"):
        describe(make_task(), tmp_path / "elsewhere")
    (root / "local-test-v0" / "data" / "main_data.hdf5").unlink()
    with pytest.raises(UserError, match=r"cannot be read.*dql data generate"):
        describe(make_task(), root)
