"""The figure of ways: methods in order, what is proposed apart from what is played."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from dql.errors import UserError
from dql.figures import registry, ways
from dql.results.ways import COLUMNS

TASK = "local-pointmaze-twoways"
LABELS = {"bc_diffusion": "BC-Diffusion", "td3_bc": "TD3+BC"}


def write(folder, method, eta, taken):
    """Write runs of two seeds whose episodes take these ways, by candidates."""
    rows = [
        (TASK, method, eta, seed, candidates, True, 0, episode, int(way), 60.0, 80.0)
        for seed in (0, 1)
        for candidates, text in taken.items()
        for episode, way in enumerate(text)
    ]
    path = folder / f"{method}.csv"
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(path, index=False)
    return path


@pytest.fixture
def files(tmp_path):
    both = {1: "0101", 50: "0001"}
    return [
        write(tmp_path, "td3_bc", None, {1: "0000"}),
        write(tmp_path, "diffusion_ql@eta=4", 4.0, {1: "0000", 50: "1111"}),
        write(tmp_path, "diffusion_ql@eta=0", 0.0, both),
        write(tmp_path, "bc_diffusion", None, {1: "0101"}),
    ]


def test_methods_stand_by_eta_between_clone_and_rival(files):
    figure = ways.draw(files, LABELS)
    assert isinstance(figure, Figure)
    axes = figure.axes[0]
    ticks = [text.get_text() for text in axes.get_xticklabels()]
    assert ticks == ["BC-Diffusion", "η = 0", "η = 4", "TD3+BC"]
    proposed, played = (
        line.get_ydata() for line in axes.get_lines() if line.get_linestyle() != "None"
    )
    assert proposed == pytest.approx([2.0, 1.0])
    assert played == pytest.approx([2**0.811278, 1.0])
    assert "2 seeds" in figure.texts[0].get_text()


def test_the_figure_is_drawn_and_needs_a_policy(files, tmp_path):
    outputs = [tmp_path / f"a.{kind}" for kind in ("pdf", "png")]
    registry.draw_ways(files, LABELS, outputs, "two ways")
    assert all(path.stat().st_size for path in outputs)
    pd.DataFrame(columns=list(COLUMNS)).to_csv(files[0], index=False)
    with pytest.raises(UserError, match="every run diverged"):
        ways.draw(files[:1], LABELS)


def test_suites_with_such_a_task_have_the_figure():
    cells = [(TASK, "td3_bc"), ("local-hopper-medium", "td3_bc")]
    assert "local_ways" in registry.suite_figures("local", cells)
    assert "local_ways" not in registry.suite_figures("local", cells[1:])
    assert registry.split_suite_figure("local_ways") == ("local", "ways")
