"""Figures: drawn from runs, byte-stable, honest about what was not run."""

import numpy as np
import pytest
from stored_results import write_bandit_run

from dql import paths
from dql.environments import bandit
from dql.errors import UserError
from dql.figures import registry as figures
from dql.figures.registry import FIGURES, draw_figure, figure_cells

METHODS = {
    "bc_mle": None,
    "bc_diffusion": 50,
    "bc_diffusion@N=2": 2,
    "diffusion_ql": 50,
    "diffusion_ql@N=2": 2,
    "diffusion_ql@eta=0": 50,
    "diffusion_ql@eta=1": 50,
    "diffusion_ql@N=5": 5,
    "diffusion_ql@N=5,eta=0": 5,
    "diffusion_ql@N=5,eta=1": 5,
    "td3_bc": None,
    "bet": None,
    "flow_ql": None,
    "flow_ql@eta=0": None,
    "consistency_ql": None,
    "td3_bc_as_released": None,
}


def write_trajectories(directory, actions, num_steps):
    """Write states that go straight from noise to actions."""
    noise = np.random.default_rng(0).standard_normal(actions.shape)
    shares = np.linspace(0.0, 1.0, num_steps + 1)[:, None, None]
    states = (1 - shares) * noise + shares * actions
    path = directory / paths.TRAJECTORIES_FILE
    np.savez_compressed(path, states=states.transpose(1, 0, 2).astype(np.float32))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Write small runs of some methods on both layouts."""
    root = tmp_path_factory.mktemp("bandit")
    runs = []
    for layout in bandit.LAYOUTS:
        for method, steps in METHODS.items():
            actions, rewards = bandit.sample_data(layout, 60, 0)
            for seed in (1, 3):
                shift = 0.01 * seed + (0.1 if steps == 2 else 0.0)
                eta = float(method.partition("eta=")[2] or 2.5)
                path = write_bandit_run(
                    root, layout, method, seed, actions + shift, rewards, steps, eta
                )
                if steps == 50 and seed == 1:
                    write_trajectories(path, actions, steps)
                runs.append(path)
    return runs


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_and_byte_stable(results, tmp_path, name):
    first = [tmp_path / f"{name}.{suffix}" for suffix in ("pdf", "png")]
    again = [tmp_path / f"again.{suffix}" for suffix in ("pdf", "png")]
    draw_figure(name, results, first)
    draw_figure(name, results[::-1], again)
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert first[0].read_bytes().startswith(b"%PDF")
    assert (
        b"/FontType 42" in first[0].read_bytes()
        or b"Type42" in first[0].read_bytes()
        or b"/CIDFontType2" in first[0].read_bytes()
    )
    assert first[1].read_bytes().startswith(b"\x89PNG")


def texts(name, results):
    """Return every text that a figure prints, panel by panel."""
    from importlib import import_module

    from dql.figures import bandit_runs, style

    content = FIGURES[name]
    module = import_module(f"dql.figures.{content.module}")
    with style.paper_style():
        figure = module.draw(bandit_runs.BanditRuns.load(results, content), content)
    panels = [
        [axes.get_title(), *(t.get_text() for t in axes.texts)] for axes in figure.axes
    ]
    return panels, [text.get_text() for text in figure.texts]


def test_panels_are_the_papers(results):
    panels, footnote = texts("bandit_axes", results)
    assert [panel[0] for panel in panels] == [
        "Ground Truth", "BC-MLE", "BC-CVAE", "BC-MMD", "BC-Diffusion",
        "Add Reward", "TD3+BC", "BCQ", "BEAR-MMD", "Diffusion-QL",
    ]  # fmt: skip
    assert "not run" in panels[2] and "not run" not in panels[1]
    assert "4 of 4 modes" in panels[4][1]
    assert "over 2 seeds, 1,000 gradient steps" in footnote[0]
    assert "seed 1" in footnote[0]


def test_denoising_steps_are_ordered_by_value(results):
    panels, _ = texts("bandit_denoising_steps", results)
    assert [panel[0] for panel in panels[:3]] == ["N = 2", "N = 5", "N = 50"]


def test_eta_panels_are_ordered_by_value(results):
    panels, _ = texts("bandit_eta", results)
    titles = [panel[0] for panel in panels[:4]]
    etas = [f"Diffusion-QL, η = {eta}" for eta in ("0", "1", "2.5")]
    assert titles == ["BC-Diffusion", *etas]


def test_of_many_etas_the_extremes_and_the_papers_are_drawn():
    from dql.figures.bandit_eta import _drawn

    etas = [0.0, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0]
    assert _drawn([0.0, 1.0, 2.5], {2.5}) == [0.0, 1.0, 2.5]
    assert _drawn(etas, {2.5}) == [0.0, 2.5, 10.0]
    assert _drawn(etas, {10.0}) == [0.0, 1.0, 10.0]
    assert _drawn(etas, set()) == [0.0, 1.0, 10.0]


def test_modes_are_drawn_against_eta_from_three_values_on(results, tmp_path):
    panels, footnote = texts("bandit_modes", results)
    assert [panel[0] for panel in panels][0] == "modes covered (of 4)"
    assert "over 2 seeds" in footnote[0]
    two = [path for path in results if "N=5,eta=1" not in str(path)]
    with pytest.raises(UserError, match="eta = 0, 2.5; a curve needs at least 3"):
        draw_figure("bandit_modes", two, [tmp_path / "a.png"])


def test_a_figure_that_needs_three_values_has_no_cells_below_them():
    etas = ["diffusion_ql@N=5", "diffusion_ql@N=5,eta=0", "diffusion_ql@N=5,eta=1"]
    cells = [(f"bandit-{name}", method) for name in bandit.LAYOUTS for method in etas]
    assert figure_cells("bandit_modes", cells) == cells
    assert figure_cells("bandit_modes", cells[:2] + cells[3:5]) == []


def test_classes_clone_above_and_are_guided_below(results):
    panels, footnote = texts("bandit_classes", results)
    titles = ["BeT", "CVAE-QL", "Flow-QL", "Consistency-QL", "Diffusion-QL"]
    assert [panel[0] for panel in panels[:6]] == [*titles, "modes covered"]
    above, below = panels[:5], panels[6:11]
    assert "no Q term" in below[0] and "4 of 4 modes" in above[0][1]
    assert "not run" in above[1] and "not run" in above[3]
    assert "best mode" in below[2][1] and "4 of 4 modes" in above[2][1]
    assert "over 2 seeds" in footnote[0]


def test_classes_need_a_class_besides_the_papers():
    assert figure_cells("bandit_classes", [("bandit-axes", "diffusion_ql")]) == []
    both = [("bandit-axes", m) for m in ("diffusion_ql", "flow_ql@eta=0", "flow_ql")]
    assert figure_cells("bandit_classes", both) == both


def test_trajectories_start_in_noise_and_end_as_actions(results):
    panels, _ = texts("bandit_trajectories", results)
    titles = [panel[0] for panel in panels[:6]]
    assert titles == ["i = 50", "i = 25", "i = 10", "i = 5", "i = 0", "paths, i ≤ 25"]
    assert len(panels) == 4 * 6


def test_trajectories_that_were_not_stored_are_asked_for(results, tmp_path):
    stored = paths.TRAJECTORIES_FILE
    without = [path for path in results if not (path / stored).exists()]
    with pytest.raises(UserError, match="dql bandit trajectories"):
        draw_figure("bandit_trajectories", without, [tmp_path / "a.png"])


def test_a_figure_names_the_cells_it_shows():
    cells = [
        ("bandit-axes", "bc_diffusion"),
        ("bandit-axes", "bc_diffusion@N=2"),
        ("bandit-corners", "diffusion_ql@eta=0"),
        ("local-hopper-medium-expert", "diffusion_ql"),
        ("bandit-axes", "diffusion_ql@N=2,eta=0"),
    ]
    assert figure_cells("bandit_axes", cells) == cells[:1]
    assert figure_cells("bandit_denoising_steps", cells) == cells[:2]
    assert figure_cells("bandit_eta", cells) == []  # one eta: nothing to compare
    plain = ("bandit-corners", "diffusion_ql")
    assert figure_cells("bandit_eta", [*cells, plain]) == [cells[0], cells[2], plain]
    assert figure_cells("bandit_as_released", [("bandit-axes", "bcq")]) == []
    released = [("bandit-axes", "bcq"), ("bandit-axes", "bcq_as_released")]
    assert figure_cells("bandit_as_released", released) == released
    elsewhere = [*released, ("bandit-corners", "bcq")]  # a row it does not have
    assert figure_cells("bandit_as_released", elsewhere) == released


def test_a_figure_without_its_runs_says_what_it_needs(results, tmp_path):
    corners = [path for path in results if "corners" in str(path)]
    with pytest.raises(UserError, match="shows bc_mle, .* on axes"):
        draw_figure("bandit_axes", corners, [tmp_path / "a.pdf"])


def test_unknown_names_are_refused(results, tmp_path):
    with pytest.raises(UserError, match="Did you mean 'bandit_axes'"):
        figures.figure_content("bandit_axis")
    with pytest.raises(UserError, match="cannot draw '.gif'"):
        draw_figure("bandit_axes", results, [tmp_path / "a.gif"])


def test_importing_the_registry_loads_no_plotting_library():
    import subprocess
    import sys

    code = "import sys, dql.figures.registry; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_users_style_does_not_change_a_figure(results, tmp_path):
    import matplotlib

    draw_figure("bandit_eta", results, [tmp_path / "a.png"])
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red"}):
        draw_figure("bandit_eta", results, [tmp_path / "b.png"])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_colors_differ_in_lightness_or_hue():
    from dql.figures import style

    colors = [style.BASELINE_COLOR, style.RELEASED_COLOR, *style.METHOD_COLORS.values()]
    values = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colors])
    gaps = np.abs(values[:, None] - values[None, :]).sum(axis=-1)
    assert (gaps[~np.eye(len(colors), dtype=bool)] > 90).all()


def test_a_png_keeps_the_colours_of_pale_bands_and_of_a_few_points(tmp_path):
    from matplotlib.figure import Figure
    from PIL import Image

    from dql.figures import style

    figure = Figure(figsize=(3, 3))
    axes = figure.add_subplot()
    crowd = np.random.default_rng(0).uniform(size=(2, 4_000))
    axes.scatter(*crowd, c=crowd[0], cmap="viridis", s=9)
    axes.scatter([0.5], [0.5], color="#D55E00", s=12)
    bands = ["#e6f1f7", "#ece8f2", "#e6f5ee", "#e8f1e8", "#fbeee5"]
    for place, color in enumerate(bands):
        axes.axhspan(1 + place, 2 + place, color=color)
    style.save_figure(figure, [tmp_path / "few.png"])
    with Image.open(tmp_path / "few.png") as image:
        pixels = np.asarray(image.convert("RGB"), dtype=int)
    assert image.mode == "P"
    distance = np.abs(pixels - [0xD5, 0x5E, 0x00]).max(axis=2)
    assert distance.min() <= 8
    for color in [*bands, "#ffffff"]:
        values = [int(color[place : place + 2], 16) for place in (1, 3, 5)]
        assert (pixels == values).all(axis=2).sum() > 5_000
