"""Stills, paths and films from recorded episodes."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from dql.environments.physics import load_model
from dql.errors import UserError
from dql.figures import registry, stills, strips
from dql.figures.film import MAX_SECONDS, check_filmed, frame_steps, write_film
from dql.figures.strips import _short
from dql.results.episodes import EpisodeFacts, StoredEpisode, write_episode


def episode(method="td3_bc", environment="hopper", num_steps=60, **changes):
    """Return an episode of a body that glides a metre in its initial pose."""
    facts = {
        "task": f"local-{environment}-medium", "method": method, "label": method,
        "seed": 0, "environment": environment, "physics": "d4rl",
        "gradient_step": 3000, "episode": 2, "num_episodes": 10,
        "episode_return": 120.0, "score": 12.0, "ended": True,
    }  # fmt: skip
    if environment == "pointmaze-umaze":
        positions = np.linspace((1.0, 1.0), (1.0, 0.0), num_steps + 1)
        return StoredEpisode(EpisodeFacts(**facts | changes), positions, positions[-1])
    start = load_model(environment, "d4rl").qpos0
    positions = np.tile(start, (num_steps + 1, 1))
    positions[:, 0] = np.linspace(0.0, 1.0, num_steps + 1)
    return StoredEpisode(EpisodeFacts(**facts | changes), positions)


def stored(folder, *episodes):
    files = [folder / f"{number}.npz" for number in range(len(episodes))]
    for path, one in zip(files, episodes, strict=True):
        write_episode(path, one)
    return files


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


@pytest.mark.parametrize("environment", ["hopper", "walker2d", "halfcheetah"])
def test_a_strip_a_method_says_when_and_how_far(tmp_path, environment):
    files = stored(
        tmp_path, episode(environment=environment), episode("iql", environment)
    )
    figure = stills.draw(files)
    assert len(figure.axes) == 2
    words = texts(figure)
    assert any(word.startswith("td3_bc\nscore 12\nfalls after") for word in words)
    seconds = 60 * strips.SideView(environment, "d4rl").seconds_per_step
    assert f"{seconds:.1f} s, 1.0 m" in words and "0.0 s, 0.0 m" in words
    (note,) = (text.get_text() for text in figure.texts)
    assert "Seed 0, the policy after 3,000 gradient steps: of the 10 episodes" in note
    low, high = figure.axes[0].get_ylim()
    tops = [p.vertices[:, 1].max() for c in figure.axes[0].collections
            for p in c.get_paths()]  # fmt: skip
    assert low < 0 and max(tops) < high


def test_times_and_ways_are_short_and_zero_has_no_sign():
    assert list(map(_short, (-0.04, 0.04, -0.06, 9.94, 9.96, 12.3))) == [
        "0.0", "0.0", "-0.1", "9.9", "10", "12",
    ]  # fmt: skip


def test_methods_without_a_recorded_episode_are_named(tmp_path):
    for environment in ("hopper", "pointmaze-umaze"):
        files = stored(tmp_path, episode(environment=environment))
        figure = stills.draw(files, ["Diffusion-QL", "BC-Diffusion"])
        note = figure.texts[-1].get_text().replace("\n", " ")
        assert "No episode was recorded of Diffusion-QL, BC-Diffusion." in note


def test_paths_of_a_maze_have_a_panel_a_method(tmp_path):
    files = stored(tmp_path, episode(environment="pointmaze-umaze"))
    (axes,) = stills.draw(files).axes
    assert axes.get_title() == "td3_bc: score 12"
    assert len(axes.patches) == 18 + 1  # walls and the goal


def test_a_diverged_run_has_its_row_and_no_body(tmp_path):
    whole = episode(num_steps=20)
    none = StoredEpisode(episode("iql", episode_return=None).facts, np.empty((0, 0)))
    figure = stills.draw(stored(tmp_path, whole, none))
    assert texts(figure)[-1] == "iql\ndiverged"
    with pytest.raises(UserError, match="one task.*local-hopper-medium, local-walker"):
        stills.draw(stored(tmp_path, whole, episode(environment="walker2d")))


def test_a_figure_is_drawn_in_both_formats_byte_for_byte_the_same(tmp_path):
    files = stored(tmp_path, episode(num_steps=20))
    outputs = [[tmp_path / f"{n}.{kind}" for kind in ("pdf", "png")] for n in "ab"]
    for names in outputs:
        registry.draw_stills(files, names, "local-hopper-medium")
    for one, other in zip(*outputs, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_a_film_shows_the_beginning_at_true_speed_and_waits_for_the_longest(tmp_path):
    one, longer = episode(num_steps=30), episode("iql", num_steps=60)
    assert frame_steps(one, 0.008).tolist() == [0, 6, 12, 18, 25, 30]
    assert frame_steps(episode(num_steps=2000), 0.008)[-1] == MAX_SECONDS / 0.008
    for length in (3, 43, 120):  # a frame a step, where a quotient may be rounded
        shown = frame_steps(episode(num_steps=length), 0.05)
        assert shown.tolist() == list(range(length + 1))
    assert frame_steps(episode(num_steps=2), 0.1).tolist() == [0, 0, 1, 1, 2]
    write_film([one, longer], tmp_path / "film.gif")
    film = Image.open(BytesIO((tmp_path / "film.gif").read_bytes()))
    assert film.n_frames == len(frame_steps(longer, 0.008))
    assert film.info["duration"] == 50
    with pytest.raises(UserError, match="dql figure remade_stills_remade-antmaze"):
        check_filmed("antmaze-umaze", "remade-antmaze-umaze", "remade")
    with pytest.raises(UserError, match="hopper, walker2d, halfcheetah$"):
        check_filmed("bandit", "bandit-axes", "bandit")


def test_a_film_names_a_diverged_run(tmp_path):
    whole = episode(num_steps=20)
    none = StoredEpisode(episode("iql", episode_return=None).facts, np.empty((0, 0)))
    write_film([whole, none], tmp_path / "film.gif")
    film = Image.open(tmp_path / "film.gif")
    assert film.n_frames == len(frame_steps(whole, 0.008))
    rows = np.asarray(film.convert("L")) < 128
    assert rows[film.height // 2 + 20 :].any()  # the second row, its name alone
    with pytest.raises(UserError, match="hopper-medium: every run diverged"):
        write_film([none, none], tmp_path / "none.gif")
    assert not (tmp_path / "none.gif").exists()


def test_no_frame_of_a_film_cuts_a_body(tmp_path, monkeypatch):
    """A head that is highest between two stills is in the picture, too."""
    high = episode(num_steps=60)
    high.positions[17:20, 1] += 1.5  # metres up, in one frame of the film
    drawn, draw_body = [], strips.draw_body

    def noted(axes, view, position, shift, alpha=1.0):
        draw_body(axes, view, position, shift, alpha)
        tops = [o[:, 1].max() for o in view.outlines(position)]
        drawn.append((max(tops), axes.get_ylim()[1]))

    monkeypatch.setattr(strips, "draw_body", noted)
    write_film([high, episode("iql", num_steps=30)], tmp_path / "film.gif")
    assert max(top for top, _ in drawn) > 2.5
    assert len({limit for _, limit in drawn}) == 1
    assert all(top < limit for top, limit in drawn)


def test_names_of_stills_tell_suite_and_task():
    cells = [("local-a", "iql"), ("local-b", "iql"), ("local-b", "bc_mle")]
    names = [n for n in registry.suite_figures("local", cells) if "stills" in n]
    assert names == ["local_stills_local-a", "local_stills_local-b"]
    assert registry.stills_task(names[0]) == "local-a"
    assert registry.split_suite_figure(names[0]) == ("local", "stills")
    assert registry.stills_cells("local-b", cells) == [("local-b", "iql")]
    assert registry.split_suite_figure("kitchen_stills_kitchen-mixed-v0") is None
    assert registry.stills_task("local_learning_curves") is None
