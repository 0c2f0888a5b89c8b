"""Figures of a suite: drawn from cells, byte-stable, honest about what is missing."""

import json
import shutil
import subprocess
import sys
from functools import partial
from math import ceil

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D
from stored_results import make_config, write_run

from dql import paths
from dql.cli.main import main
from dql.config.project import load_project
from dql.errors import UserError
from dql.figures import panels, style
from dql.figures import registry as figures
from dql.figures.registry import SUITE_FIGURES, draw_suite_figure
from dql.figures.suite_cells import SuiteCells, curve_interval
from dql.figures.suite_selection import (
    compared_cells,
    data_series,
    eta_cells,
    expert_cells,
    online_cells,
    other_cells,
    sweeps,
    varied_cells,
)
from dql.results.cells import aggregate_cell
from dql.tables import suite_titles

TASKS = ("local-hopper-medium-expert", "local-walker2d-medium")
METHODS = {"bc_diffusion": 100.0, "iql": 150.0, "diffusion_ql": 200.0}
LOSSES = (0.2, 0.1, 0.3)
"""Stop at the third; the second lowest is the first: step 100."""

COMPARING = [
    kind
    for kind, figure in SUITE_FIGURES.items()
    if kind == figure.module and kind not in ("sweeps", "noise")
]
"""Kinds that any suite with cells has."""


def write_cell(root, task, method, num_seeds=3, *, losses=LOSSES, **options):
    """Write a cell; a method of `METHODS` scores a tenth of its number, 2 x, 1.5 x."""
    best = METHODS.get(method, 50.0)
    configs = [make_config(task, method, seed, **options) for seed in range(num_seeds)]
    folders = [
        root / "runs" / task / method / f"seed{seed}" for seed in range(num_seeds)
    ]
    for config, folder in zip(configs, folders, strict=True):
        returns = [best + 10 * config["seed"], 2 * best, 1.5 * best]
        write_run(folder, config, returns, losses=None if method == "iql" else losses)
    output = root / "cells" / task / f"{method}.json"
    aggregate_cell(configs, folders, output)
    return output


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Write cells of three methods on two tasks."""
    root = tmp_path_factory.mktemp("suite")
    return [write_cell(root, task, method) for task in TASKS for method in METHODS]


def drawn(kind, cells):
    """Return a figure."""
    from importlib import import_module

    with style.paper_style():
        module = import_module(f"dql.figures.{SUITE_FIGURES[kind].module}")
        return module.draw(SuiteCells.load(cells))


def printed(figure):
    """Return every text of a figure: titles, notes, labels, the legend."""
    texts = [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        texts += [axes.get_title(), axes.get_xlabel(), axes.get_ylabel()]
        texts += [text.get_text() for text in [*axes.texts, *axes.get_yticklabels()]]
    for legend in figure.legends:
        texts += [text.get_text() for text in legend.get_texts()]
    return " | ".join(texts)


@pytest.mark.parametrize("kind", COMPARING)
def test_every_figure_is_drawn_and_byte_stable(cells, tmp_path, kind):
    first = [tmp_path / f"first.{suffix}" for suffix in ("pdf", "png")]
    again = [tmp_path / f"again.{suffix}" for suffix in ("pdf", "png")]
    draw_suite_figure(kind, cells, first)
    draw_suite_figure(kind, cells, again)
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert first[0].read_bytes().startswith(b"%PDF")
    assert first[1].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", COMPARING)
def test_sizes_and_the_origin_of_the_data_are_printed(cells, kind):
    text = printed(drawn(kind, cells)).replace("\n", " ")
    assert "3 seeds, 300 gradient steps, 2 episodes each" in text
    assert "not D4RL's" in text


def test_curves_are_means_over_seeds(cells):
    figure = drawn("learning_curves", cells)
    assert [axes.get_title() for axes in figure.axes] == list(TASKS)
    lines = figure.axes[0].get_lines()
    assert len(lines) == len(METHODS)
    assert lines[0].get_xdata() == pytest.approx([100, 200, 300])
    assert lines[0].get_ydata() == pytest.approx([11.0, 20.0, 15.0], abs=1e-3)
    assert len(figure.axes[0].collections) == len(METHODS)  # one band each


def test_many_methods_share_no_panel(tmp_path):
    names = [f"bc_diffusion@N={steps}" for steps in range(2, 13)]
    many = [write_cell(tmp_path, TASKS[0], name, num_seeds=1) for name in names]
    figure = drawn("learning_curves", many)
    named = [
        [text.get_text() for text in axes.get_legend().get_texts()]
        for axes in figure.axes
    ]
    assert [len(group) for group in named] == [6, 5]
    assert sum(named, []) == names
    for axes, group in zip(figure.axes, named, strict=True):
        colors = [line.get_color() for line in axes.get_lines()]
        assert colors.count(style.MODE_COLOR) == len(names) - len(group)
        assert len(set(colors) - {style.MODE_COLOR}) == len(group)


def test_two_seeds_are_drawn_as_themselves(tmp_path):
    cell = write_cell(tmp_path, TASKS[0], "diffusion_ql", num_seeds=2)
    figure = drawn("learning_curves", [cell])
    assert len(figure.axes[0].get_lines()) == 3
    (band,) = figure.axes[0].collections
    # Two episodes of two seeds, 20 apart: 1.0 and 4.303, t's 0.975 at 2 degrees.
    heights = np.ptp(band.get_paths()[0].vertices[:, 1])
    middle = json.loads(cell.read_text())["curves"]["0"]["standard_errors"]
    assert middle == pytest.approx([1.0] * 3)
    low, high = curve_interval(json.loads(cell.read_text()))
    assert high - low == pytest.approx([2 * 4.3027 / 2**0.5] * 3, abs=1e-3)
    assert heights >= (high - low).max()
    assert "intervals over episodes of these alone" in printed(figure).replace(
        "\n", " "
    )


def test_the_chosen_checkpoints_are_marked(cells):
    figure = drawn("loss_against_score", cells)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["bc_diffusion", "diffusion_ql"] * 2
    assert [text.get_text() for text in figure.axes[2].texts] == [TASKS[1]]
    curve, offline, online = figure.axes[0].get_lines()[:3]
    assert curve.get_xdata() == pytest.approx(LOSSES)
    assert (offline.get_xdata(), offline.get_ydata()) == (
        pytest.approx([0.2]),
        pytest.approx([10.0]),
    )
    assert online.get_ydata() == pytest.approx([20.0])


def test_titles_of_many_panels_do_not_meet(tmp_path):
    tasks = ("local-halfcheetah-medium-expert", "local-walker2d-medium-expert")
    names = [f"bc_diffusion@N={steps}" for steps in range(2, 9)]
    names.insert(0, "diffusion_ql@num_candidates=1,N=10")  # breaks into two lines
    many = [write_cell(tmp_path, t, name, num_seeds=1) for t in tasks for name in names]
    figure = drawn("loss_against_score", [*many[:7], *many[8:15]])  # rows of 4 and 3
    FigureCanvasAgg(figure).draw()
    boxes = [axes.title.get_window_extent().padded(5, 0) for axes in figure.axes]
    boxes += [axes.xaxis.get_tightbbox() for axes in figure.axes]
    headings = [text for axes in figure.axes for text in axes.texts]
    boxes += [text.get_window_extent() for text in headings]
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
    assert [text.get_text() for text in headings] == [tasks[0]] * 2 + [tasks[1]] * 2
    # Labels stand once a row and once a column.
    assert len(figure.axes) == 14
    assert sum(bool(axes.get_ylabel()) for axes in figure.axes) == 4
    assert sum(bool(axes.get_xlabel()) for axes in figure.axes) == 4
    assert figure.axes[10].get_xlabel()  # nothing is below it


def test_one_method_or_one_task_needs_no_headings(tmp_path):
    tasks = [*TASKS, "local-hopper-medium", "local-halfcheetah-medium"]
    of_tasks = [write_cell(tmp_path, t, "diffusion_ql", num_seeds=1) for t in tasks]
    figure = drawn("loss_against_score", of_tasks)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [f"{task}\ndiffusion_ql" for task in tasks]
    assert not any(axes.texts for axes in figure.axes)
    alone = drawn("loss_against_score", of_tasks[:1])
    assert [axes.get_title() for axes in alone.axes] == ["diffusion_ql"]


def test_the_gap_and_its_luck_are_drawn_per_cell(cells):
    figure = drawn("selection_gap", cells)
    cell = json.loads(cells[0].read_text())["selection_gap"]
    gap, luck = cell["online_minus_offline"], cell["luck"]
    points = [line.get_xdata()[0] for line in figure.axes[0].get_lines()]
    assert gap["mean"] == pytest.approx(9.0, abs=1e-3)
    for value in (
        gap["mean"],
        luck["mean"],
        *(c["interval_95"][0] for c in (gap, luck)),
    ):
        assert any(np.isclose(value, point) for point in points)
    text = printed(figure)
    assert f"{TASKS[0]}, bc_diffusion" in text
    assert text.count("no offline choice") == 2  # a text per cell of iql
    assert "it rises before the rule" in text.replace("\n", " ")


def test_profiles_and_the_probability_of_improvement(cells):
    figure = drawn("performance_profiles", cells)
    profiles, improvement = figure.axes
    for line in profiles.get_lines():
        assert line.get_ydata()[0] == 1.0 and line.get_ydata()[-1] == 0.0
    labels = [label.get_text() for label in improvement.get_yticklabels()]
    assert labels == ["bc_diffusion", "iql"]
    values = [line.get_xdata()[0] for line in improvement.get_lines()]
    assert values.count(1.0) == 4  # points and intervals: always better
    assert "P(diffusion_ql scores above" in printed(figure)


@pytest.mark.parametrize("fewest", [1, 2])
def test_fewer_seeds_than_rank_methods_have_no_probability(cells, tmp_path, fewest):
    few = write_cell(tmp_path, TASKS[1], "diffusion_ql", num_seeds=fewest)
    (profiles,) = drawn("performance_profiles", [*cells[:-1], few]).axes
    assert profiles.get_title().endswith(
        f"too few seeds to rank, {fewest} of the 3 needed"
    )
    assert not profiles.collections  # no bands


def test_a_method_that_lacks_a_task_is_left_out_by_name(cells):
    figure = drawn("performance_profiles", cells[:4])
    assert "Not run on every task: iql, diffusion_ql." in printed(figure)
    assert "only method" in printed(figure)


@pytest.mark.parametrize("kind", COMPARING)
def test_cells_without_runs_say_so_instead_of_empty_axes(tmp_path, kind):
    cell = write_cell(tmp_path, TASKS[0], "diffusion_ql")
    configs = [make_config(TASKS[0], "diffusion_ql", seed) for seed in range(3)]
    shutil.rmtree(tmp_path / "runs")
    aggregate_cell(configs, [tmp_path / "gone"] * 3, cell)
    figure = drawn(kind, [cell])
    assert not figure.axes
    assert "local suite: nothing to draw" in printed(figure)


def test_no_logged_loss_is_said(cells):
    figure = drawn("loss_against_score", [path for path in cells if "iql" in path.name])
    assert not figure.axes
    assert "actor/bc_loss" in printed(figure)


def test_missing_runs_are_named(tmp_path):
    cell = write_cell(tmp_path, TASKS[0], "diffusion_ql")
    configs = [make_config(TASKS[0], "diffusion_ql", seed) for seed in range(4)]
    folders = [
        tmp_path / "runs" / TASKS[0] / "diffusion_ql" / f"seed{seed}"
        for seed in range(4)
    ]
    aggregate_cell(configs, folders, cell)
    text = printed(drawn("learning_curves", [cell])).replace("\n", " ")
    assert f"Missing or diverged runs: diffusion_ql on {TASKS[0]} (1 of 4)." in text


REMADE = {
    "suite": "remade",
    "environment": {
        "namesake": "hopper-medium-v2",
        "dataset": {"source": "remade", "parts": [{"policy": "clone", "share": 1}]},
    },
}


def levels(axes):
    """Return the heights of lines across the whole panel."""
    lines = [line for line in axes.get_lines() if list(line.get_xdata()) == [0, 1]]
    return [line.get_ydata()[0] for line in lines]


def test_remade_curves_show_the_papers_level_and_whose_data_they_are(tmp_path):
    cells = [
        write_cell(tmp_path, "remade-hopper-medium", method, num_seeds=1, **REMADE)
        for method in METHODS
    ]
    figure = drawn("learning_curves", cells)
    assert levels(figure.axes[0]) == [90.5]
    text = printed(figure).replace("\n", " ")
    assert "the paper's Diffusion-QL (D4RL's file)" in text
    assert "not D4RL's files" in text and "1 seed," in text
    others = [path for path in cells if "diffusion_ql" not in path.name]
    assert levels(drawn("learning_curves", others).axes[0]) == []


def test_cells_are_shown_where_they_can_be_compared():
    tasks = ("remade-hopper-medium", "remade-hopper-medium-expert")
    cells = [(task, method) for task in tasks for method in ("diffusion_ql", "iql")]
    extra = [(tasks[1], name) for name in ("cql", "diffusion_ql@N=2")]
    sweep = [(tasks[1], f"diffusion_ql@eta={eta}") for eta in (0, 4)]
    assert compared_cells(cells + extra + sweep) == cells
    assert other_cells(cells + extra + sweep) == extra
    assert expert_cells(cells + extra) == cells[2:]
    assert expert_cells(cells[2:]) == []
    assert sweeps(cells + extra + sweep) == {
        (tasks[1], "diffusion_ql", "eta"): [
            "diffusion_ql",
            "diffusion_ql@eta=0",
            "diffusion_ql@eta=4",
        ]
    }


def test_a_sweep_is_drawn_by_the_settings_value(tmp_path):
    cells = [
        write_cell(
            tmp_path, TASKS[0], name, num_seeds=1, settings={"q_coefficient": eta}
        )
        for name, eta in (
            ("diffusion_ql", 1.0),
            ("diffusion_ql@eta=4", 4.0),
            ("diffusion_ql@eta=0", 0.0),
        )
    ]
    figure = drawn("sweeps", cells)
    scores, curves = figure.axes
    ticks = [label.get_text() for label in scores.get_xticklabels()]
    named = [text.get_text() for text in curves.get_legend().get_texts()]
    assert ticks == named == ["0", "1", "4"]
    last = [line.get_ydata()[0] for line in scores.get_lines()
            if list(line.get_xdata()) == [1]]  # fmt: skip
    assert last == pytest.approx([30.0])
    alone = printed(drawn("sweeps", cells[:1]))
    assert "No setting has runs of two values." in alone


def test_short_runs_are_titled_too_short_to_rank(cells, tmp_path):
    outputs = [tmp_path / "short.pdf", tmp_path / "long.pdf"]
    titled = {}
    for output, min_steps in zip(outputs, (301, 300), strict=True):
        with pytest.MonkeyPatch.context() as patch:
            keep = partial(titled.__setitem__, output.stem)
            patch.setattr(style, "add_title", lambda _, title, keep=keep: keep(title))
            draw_suite_figure("performance_profiles", cells, [output], min_steps)
    assert "too short to rank, 300 gradient steps" in titled["short"]
    assert titled["long"] == "Local data, made here: not D4RL's"


def test_a_title_is_above_all_that_was_drawn(cells):
    figure = drawn("learning_curves", cells)
    FigureCanvasAgg(figure).draw()
    tall = figure.get_figheight()
    before = [axes.get_window_extent().height for axes in figure.axes]
    style.add_title(figure, "Title")
    FigureCanvasAgg(figure).draw()
    assert figure.get_figheight() > tall
    after = [axes.get_window_extent().height for axes in figure.axes]
    assert after == pytest.approx(before)
    title = figure.texts[-1].get_window_extent()
    below = [axes.get_tightbbox().y1 for axes in figure.axes]
    assert title.y0 > max(below) and title.y1 <= figure.bbox.y1


def test_a_long_title_is_on_the_page(cells):
    figure = drawn("performance_profiles", cells)
    name = suite_titles.suite_name("remade")
    task = "remade-halfcheetah-medium-expert"
    style.add_title(figure, f"{name}; too short to rank; {task}")
    FigureCanvasAgg(figure).draw()
    title = figure.texts[-1].get_window_extent()
    assert figure.bbox.x0 < title.x0 and title.x1 < figure.bbox.x1
    assert title.y1 <= figure.bbox.y1
    below = [axes.get_tightbbox().y1 for axes in figure.axes]
    assert title.y0 > max(below)


def test_all_that_can_be_drawn_is(tmp_path, monkeypatch, caplog):
    """Half-way: of two methods one has a cell, of the bandit nothing is there."""
    monkeypatch.chdir(tmp_path)
    project = load_project(scale="smoke")
    task, method = project.cells(["local"])[0]
    source = write_cell(tmp_path / "made", task, method, num_seeds=1)
    cell = paths.cell_file(task, method)
    cell.parent.mkdir(parents=True)
    shutil.copy(source, cell)
    with pytest.raises(SystemExit) as done:
        main(["figure", "--all", "--scale", "smoke"])
    assert done.value.code == 0
    drawn_files = {path.stem for path in (tmp_path / "figures").glob("*/*.png")}
    assert drawn_files == {f"local_{kind}" for kind in COMPARING}
    assert "not drawn: bandit_axes" in caplog.text


def test_a_cell_of_an_older_version_says_how_to_remake_it(cells, tmp_path):
    old = json.loads(cells[0].read_text())
    del old["curves"]
    path = tmp_path / "old.json"
    path.write_text(json.dumps(old))
    with pytest.raises(UserError, match=f"dql aggregate {TASKS[0]} bc_diffusion"):
        SuiteCells.load([path])


def test_a_figure_shows_one_suite(cells, tmp_path):
    other = write_cell(tmp_path, "hopper-medium-v2", "td3_bc", suite="gym")
    with pytest.raises(UserError, match="a figure shows one suite"):
        SuiteCells.load([cells[0], other])


def test_names_of_suite_figures():
    assert figures.split_suite_figure("gym_learning_curves") == (
        "gym",
        "learning_curves",
    )
    for name in (
        "bandit_axes",
        "bandit_learning_curves",
        "gym_axes",
        "learning_curves",
    ):
        assert figures.split_suite_figure(name) is None
    with pytest.raises(UserError, match="Did you mean 'local_learning_curves'"):
        figures.figure_content("local_learning_curve")


def test_looks_differ_without_colour_and_stay_with_the_method():
    methods = ["bc_diffusion", "diffusion_ql", "diffusion_ql@N=2", "bcq", "my_method"]
    looks = style.method_looks(methods)
    assert len({look.marker for look in looks.values()}) == len(methods)
    assert looks["diffusion_ql@N=2"].color == looks["diffusion_ql"].color
    assert looks["diffusion_ql@N=2"].linestyle != looks["diffusion_ql"].linestyle
    alone = style.method_looks(["diffusion_ql"])["diffusion_ql"]
    assert alone == looks["diffusion_ql"]
    online = ["fql@online=50000", "sac@online=50000", "iql@online=50000"]
    looks = style.method_looks(online)
    for method in online:
        offline = method.partition("@")[0]
        assert looks[method] == style.method_looks(["awr", offline])[offline]
    assert len({look.color for look in looks.values()}) == len(online)


def test_the_command_names_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, words in (
        ("local_learning_curves", "snakemake results/cells/local-"),
        ("gym_learning_curves", "at scale 'smoke'; scales that have: paper"),
        ("local_learning_curvs", "Did you mean 'local_learning_curves'"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["figure", name, "--scale", "smoke"])
        assert stopped.value.code == 2
        assert words in capsys.readouterr().err


def test_drawing_loads_no_torch():
    modules = ["suite_cells", "bandit_modes", "bandit_trajectories"]
    modules += [figure.module for figure in SUITE_FIGURES.values()]
    script = (
        "import sys\nfrom importlib import import_module\n"
        f"for name in {modules}:\n    import_module(f'dql.figures.{{name}}')\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("name", ["Diffusion-QL (num_candidates =", "TD3+BC (online ="])
@pytest.mark.parametrize("num_labels", [1, 4, 6, 12, 31])
def test_a_legend_of_long_names_fits_the_page(name, num_labels):
    labels = [f"{name} {index})" for index in range(num_labels)]
    with style.paper_style():
        columns = panels.legend_columns(labels)
        rows = ceil(num_labels / columns)
        figure, _ = panels.panel_rows(
            1, max_columns=1, height=1.0, legend_rows=rows, footnote=["Note."]
        )
        handles = [Line2D([], [], marker="o", label=label) for label in labels]
        panels.draw_legend(figure, handles, ["Note."], columns)
        FigureCanvasAgg(figure).draw()
        box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1
    assert num_labels < 3 or columns > 1


def test_short_names_share_a_row():
    with style.paper_style():
        assert panels.legend_columns(["BC", "IQL", "AWR", "CQL", "BCQ", "EDP"]) == 5


def test_online_continuations_have_a_figure_of_their_own():
    offline = [(TASKS[0], name) for name in ("td3_bc", "iql")]
    online = [
        (TASKS[0], f"td3_bc@{variant}")
        for variant in ("online=100", "online=200", "offline_share=0,online=100")
    ]
    cells = [*offline, *online]
    assert online_cells(cells) == online
    assert compared_cells(cells) == offline
    assert other_cells(cells) == [] and sweeps(cells) == {}
    assert "local_online" in figures.suite_figures("local", cells)
    assert "local_online" not in figures.suite_figures("local", offline)


def test_what_all_play_online_is_said_once_and_not_in_their_names(tmp_path):
    def write(method, variant, num_environment_steps):
        path = write_cell(tmp_path, TASKS[0], method)
        cell = json.loads(path.read_text())
        cell["label"] += f" ({variant})"
        cell["online"] = {
            "num_environment_steps": num_environment_steps,
            "start_steps": 10,
            "updates_per_step": 1,
        }
        path.write_text(json.dumps(cell))
        return path

    first = write("td3_bc", "online = 50000", 50_000)
    second = write("iql", "offline_share = 0, online = 50000", 50_000)
    figure = drawn("learning_curves", [first, second])
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[:2] == ["td3_bc", "iql (offline_share = 0)"]
    words = printed(figure).replace("\n", " ")
    assert "50,000 environment steps, " in words and "before step 10." in words
    third = write("diffusion_ql", "online = 300", 300)
    figure = drawn("learning_curves", [first, third])
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[:2] == ["td3_bc (online = 50000)", "diffusion_ql (online = 300)"]


VARIANTS = [
    f"{TASKS[0]}@{variant}"
    for variant in ("random_share=0.1", "random_share=0.5", "episode_share=0.01")
]


def test_variants_of_the_data_are_in_one_figure_and_in_no_other():
    plain = [(task, name) for task in TASKS for name in ("td3_bc", "iql", "awr")]
    varied = [(task, name) for task in VARIANTS for name in ("td3_bc", "iql")]
    other = [(f"{VARIANTS[0]},seed=1", "td3_bc")]
    etas = [(VARIANTS[0], f"diffusion_ql@eta={eta}") for eta in (0, 1, 2)]
    cells = [*plain, *varied, *other, *etas]
    assert compared_cells(cells) == plain
    assert other_cells(cells) == [] and sweeps(cells) == {} and eta_cells(cells) == []
    # The task itself is the level without noise, of the methods that a variant has.
    base = [cell for cell in plain if cell[0] == TASKS[0] and cell[1] != "awr"]
    assert varied_cells(cells) == [*base, *varied, *etas]
    assert data_series(cells) == {
        (TASKS[0], "random_share"): {TASKS[0]: 0, VARIANTS[0]: 0.1, VARIANTS[1]: 0.5},
        (TASKS[0], "episode_share"): {TASKS[0]: 1, VARIANTS[2]: 0.01},
    }
    assert "local_noise" in figures.suite_figures("local", cells)
    assert "local_noise" not in figures.suite_figures("local", plain)


def test_one_level_alone_is_no_series():
    cells = [(TASKS[1], "iql"), (VARIANTS[0], "iql"), (VARIANTS[2], "iql")]
    assert data_series(cells) == {} and varied_cells(cells) == []


def test_noise_is_drawn_with_seeds_means_and_intervals_at_each_level(tmp_path):
    tasks = [TASKS[0], *VARIANTS]
    files = [write_cell(tmp_path, task, name, 2) for task in tasks for name in METHODS]
    figure = drawn("noise", files)
    shares, sizes = figure.axes
    assert [axes.get_title() for axes in figure.axes] == [TASKS[0]] * 2
    assert "random actions, %" in shares.get_xlabel()
    labels = [[tick.get_text() for tick in a.get_xticklabels()] for a in figure.axes]
    assert labels == [["0", "10", "50"], ["1", "100"]]
    lines = [line for line in shares.get_lines() if len(line.get_xdata()) == 3]
    assert len(lines) == len(METHODS)
    # The last evaluation of a method is 1.5 times its number of 1,000, in per cent.
    for line, best in zip(lines, METHODS.values(), strict=True):
        assert line.get_ydata() == pytest.approx([0.15 * best] * 3, abs=1e-3)
        assert line.get_xdata() == pytest.approx([0, 0.1, 0.5], abs=0.01)
    dots = [line for line in shares.get_lines() if line.get_marker() == "."]
    assert len(dots) == 3 * len(METHODS) and len(dots[0].get_xdata()) == 2
    assert "without noise" in printed(figure)
    assert sorted(sizes.get_xticks()) == [-2, 0]


def test_the_data_have_a_line_at_the_levels_whose_score_is_known(tmp_path):
    """Random actions make many short episodes: the mean of the data falls first."""
    tasks = [TASKS[0], *VARIANTS[:2]]
    files = [write_cell(tmp_path, task, "iql") for task in tasks]
    for file, score in zip(files[:2], (60.0, 20.0), strict=True):
        cell = json.loads(file.read_text())
        cell["dataset"] = {"behavior_score": score}
        file.write_text(json.dumps(cell))
    figure = drawn("noise", files)
    (line,) = (one for one in figure.axes[0].get_lines() if one.get_linestyle() == ":")
    assert line.get_xydata().tolist() == [[0, 60], [0.1, 20]]
    assert "behaviour data" in printed(figure)


def test_noise_of_short_runs_is_titled_too_short_and_none_says_so(
    tmp_path, monkeypatch
):
    files = [write_cell(tmp_path, task, "iql") for task in (TASKS[0], *VARIANTS)]
    titles = []
    monkeypatch.setattr(style, "add_title", lambda _, title: titles.append(title))
    for min_steps in (50_000, 300):
        draw_suite_figure("noise", files, [tmp_path / "noise.png"], min_steps)
    assert ["too short to rank" in title for title in titles] == [True, False]
    none = drawn("noise", [write_cell(tmp_path, TASKS[1], "iql")])
    assert "No kind of variant has runs of two levels." in printed(none)
