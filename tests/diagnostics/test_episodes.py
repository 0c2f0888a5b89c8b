"""The recorded episode is the median one of the run's last evaluation."""

import numpy as np
import pandas as pd
import pytest

from dql import paths
from dql.cli.main import main
from dql.config.project import load_project
from dql.data.pointmaze import generate
from dql.diagnostics.episodes import median_episode, store_episode
from dql.errors import UserError
from dql.results.episodes import read_episode
from dql.results.files import UnusableRunError

TASK = "local-pointmaze-twoways"
TINY = {
    "suites": {
        "local": {
            "tasks": [TASK],
            "methods": ["td3_bc"],
            "task_methods": {},
            "seeds": [0, 1],
            "settings": {"hidden_dim": 8},
            "training": {
                "num_gradient_steps": 3,
                "log_interval": 3,
                "evaluation_interval": 3,
                "checkpoint_interval": 3,
                "num_evaluation_episodes": 4,
            },
            "num_transitions": 300,
        }
    }
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train TD3+BC in a point maze for three steps; return its configuration."""
    from dql.training.loop import train

    folder = tmp_path_factory.mktemp("episodes")
    project = load_project(scale="twoways", overrides=TINY)
    config = project.run_config(TASK, "td3_bc", 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        generate(project.task(TASK))
        train([config], [paths.run_directory(TASK, "td3_bc", 0)])
    return config, folder


def test_the_median_is_an_episode_and_the_lower_one_of_two():
    assert median_episode(np.array([3.0, 1.0, 2.0])) == 2
    assert median_episode(np.array([4.0, 1.0, 2.0, 3.0])) == 2
    assert median_episode(np.array([5.0, 5.0])) == 0


def test_the_recorded_episode_is_one_that_the_run_has_played(trained, monkeypatch):
    config, folder = trained
    monkeypatch.chdir(folder)
    directory = paths.run_directory(TASK, "td3_bc", 0)
    output = store_episode(config, directory)
    assert output == paths.episode_file(TASK, "td3_bc", 0)
    content = output.read_bytes()
    assert store_episode(config, directory).read_bytes() == content
    episode = read_episode(output)
    facts, played = episode.facts, pd.read_csv(directory / paths.EVALUATIONS_FILE)
    assert facts.episode_return == played["episode_return"][facts.episode]
    assert facts.episode_return == np.sort(played["episode_return"])[1]
    assert episode.num_steps == 150 and not facts.ended
    assert facts.num_episodes == 4 and facts.gradient_step == 3
    # Of the states: it starts in the start cell, moves little in a step, ends inside.
    start, moves = episode.positions[0], np.diff(episode.positions, axis=0)
    np.testing.assert_allclose(start, [-1.0, 0.0], atol=0.25)
    assert 0 < np.abs(moves).max() < 0.2
    np.testing.assert_allclose(episode.goal, [1.0, 0.0])
    inside = np.linalg.norm(episode.positions[1:] - episode.goal, axis=1) <= 0.45
    assert inside.sum() == facts.episode_return


def test_a_run_that_is_not_there_and_a_file_that_is_none_are_named(
    trained, tmp_path, monkeypatch
):
    config, _ = trained
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=f"train it: dql train {TASK} td3_bc|{TASK}"):
        store_episode(config, paths.run_directory(TASK, "td3_bc", 0))
    broken = tmp_path / "seed0.npz"
    broken.write_bytes(b"no zip")
    with pytest.raises(UnusableRunError, match="dql episode"):
        read_episode(broken)


def test_an_environment_that_is_not_drawn_is_refused_before_anything_is_read():
    config = load_project(scale="paper").run_config("pen-human-v1", "diffusion_ql", 0)
    with pytest.raises(UserError, match="no episode of pen can be drawn"):
        store_episode(config, paths.run_directory(config.task, config.method, 0))


def test_the_verb_records_and_the_figure_shows_all_compared(
    trained, monkeypatch, capsys
):
    _, folder = trained
    monkeypatch.chdir(folder)
    changes = [
        "--scale", "twoways",
        "--set", f"suites.local={TINY['suites']['local']}".replace("'", '"'),
    ]  # fmt: skip
    verbs = (["episode", "--all"], ["figure", f"local_stills_{TASK}"], ["film", TASK])
    codes = []
    for words in verbs:
        with pytest.raises(SystemExit) as done:
            main([*words, *changes])
        codes.append(done.value.code)
    assert codes == [0, 0, 2]  # a maze has no film
    assert f"dql figure local_stills_{TASK}" in capsys.readouterr().err
    assert not paths.episode_file(TASK, "td3_bc", 1).exists()
    with pytest.raises(SystemExit):
        main(["film", "local-hopper-medium", "--scale", "paper"])
    assert "at scale 'paper'; scales that have: online" in capsys.readouterr().err
    for suffix in ("pdf", "png"):
        assert paths.figure_file(f"local_stills_{TASK}", suffix).is_file()
