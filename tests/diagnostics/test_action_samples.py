"""Modes of a policy in states of its dataset: known answers, then a real run."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from dql import paths
from dql.cli.main import main
from dql.config.project import load_project
from dql.diagnostics.action_samples import (
    COLUMNS,
    count_modes,
    spread,
    store_action_samples,
)
from dql.errors import UserError
from dql.figures import action_modes, style
from dql.figures import registry as figures

TINY = {
    "suites": {
        "bandit": {
            "seeds": [0, 1],
            "training": {
                "num_gradient_steps": 3,
                "log_interval": 1,
                "evaluation_interval": 3,
                "checkpoint_interval": 3,
                "num_evaluation_episodes": 8,
            },
            "num_transitions": 100,
        }
    }
}


def blobs(centers, sizes, std=0.08):
    generator = np.random.default_rng(0)
    parts = [
        center + std * generator.standard_normal((size, len(center)))
        for center, size in zip(np.array(centers), sizes, strict=True)
    ]
    return np.concatenate(parts).clip(-1, 1)


@pytest.mark.parametrize(
    ("centers", "sizes", "modes"),
    [
        ([[0.0, 0.0, 0.0]], [100], 1),
        ([[0.6, 0.6, 0.6], [-0.6, -0.6, -0.6]], [50, 50], 2),
        ([[0.8, 0.8], [-0.8, 0.8], [0.8, -0.8], [-0.8, -0.8]], [25] * 4, 4),
        ([[0.6, 0.6, 0.6], [-0.6, -0.6, -0.6]], [97, 3], 1),
    ],
)
def test_groups_apart_are_modes_if_they_hold_enough(centers, sizes, modes):
    assert count_modes(blobs(centers, sizes)) == modes


def test_a_wide_blob_is_one_mode_and_its_spread_is_its_deviation():
    actions = blobs([[0.0, 0.0, 0.0]], [100], std=0.25)
    assert count_modes(actions) == 1
    assert spread(actions) == pytest.approx(0.25, rel=0.1)
    assert spread(np.zeros((5, 3))) == 0.0


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train both seeds of Diffusion-QL on the bandit for three steps."""
    from dql.training.loop import train

    folder = tmp_path_factory.mktemp("samples")
    project = load_project(scale="smoke", overrides=TINY)
    configs = [project.run_config("bandit-axes", "diffusion_ql", s) for s in (0, 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train(configs, [paths.run_directory(c.task, c.method, c.seed) for c in configs])
    return configs, folder


def store(config, **sizes):
    folder = paths.run_directory(config.task, config.method, config.seed)
    return store_action_samples(config, folder, **sizes)


def test_a_run_has_a_row_per_state_every_time_the_same(trained, monkeypatch):
    configs, folder = trained
    monkeypatch.chdir(folder)
    output = store(configs[1], num_states=4, num_samples=10)
    assert output == paths.action_samples_file("bandit-axes", "diffusion_ql", 1)
    first = output.read_bytes()
    table = pd.read_csv(output)
    assert tuple(table.columns) == COLUMNS
    assert table["state"].to_list() == [0, 33, 66, 99]
    assert (table["seed"] == 1).all()
    assert (table["q_coefficient"] == configs[1].settings["q_coefficient"]).all()
    assert (table["spread"] > 0).all()
    store(configs[1], num_states=4, num_samples=10)
    assert output.read_bytes() == first
    other = store(configs[0], num_states=4, num_samples=10)
    assert pd.read_csv(other)["spread"].to_list() != table["spread"].to_list()


def test_a_run_that_is_not_there_is_named_with_its_remedy(
    trained, tmp_path, monkeypatch
):
    configs, _ = trained
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="dql train bandit-axes diffusion_ql --seed 0"):
        store(configs[0])
    assert list(tmp_path.iterdir()) == []


def write_samples(folder, eta, modes, seeds=(0, 1)):
    rows = [
        ("local-x", f"diffusion_ql@eta={eta}", eta, seed, state, modes, 0.1 * modes)
        for seed in seeds
        for state in (0, 5)
    ]
    path = folder / f"{eta}.csv"
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(path, index=False)
    return path


def test_the_figure_draws_the_means_against_eta(tmp_path):
    files = [write_samples(tmp_path, eta, m) for eta, m in ((0, 3), (0.1, 2), (1, 1))]
    figure = action_modes.draw(files[::-1])
    assert isinstance(figure, Figure)
    axes = figure.axes[0]
    (line,) = (x for x in axes.get_lines() if x.get_linestyle() == "-")
    assert line.get_ydata().tolist() == [3, 2, 1]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "0.1", "1"]
    (shares,) = (x for x in figure.axes[1].get_lines() if x.get_linestyle() == "-")
    assert shares.get_ydata().tolist() == [100, 100, 0]
    outputs = [tmp_path / "a.pdf", tmp_path / "a.png"]
    figures.draw_action_modes(files, outputs)
    first = [path.read_bytes() for path in outputs]
    figures.draw_action_modes(files, outputs)
    assert [path.read_bytes() for path in outputs] == first
    assert style.method_color("diffusion_ql")


def test_the_figure_says_where_its_seeds_differ(tmp_path):
    files = [write_samples(tmp_path, eta, 1) for eta in (0, 0.1)]
    words = action_modes.seed_words(action_modes.read_samples(files))
    assert words == "Points: seeds"
    files.append(write_samples(tmp_path, 4, 1, seeds=(1,)))
    words = action_modes.seed_words(action_modes.read_samples(files))
    assert words.endswith("(0, 1 at η = 0, η = 0.1; 1 at η = 4)")
    table = action_modes.read_samples(files[:2])
    other = table[table["seed"] == 1].assign(task="local-y")
    words = action_modes.seed_words(pd.concat([table, other]))
    assert "1 at local-y, η = 0, local-y, η = 0.1" in words


def test_without_any_policy_there_is_no_figure(tmp_path):
    with pytest.raises(UserError, match="every run diverged"):
        action_modes.draw([write_samples(tmp_path, 0, 1, seeds=())])


def test_three_values_of_eta_of_a_task_make_a_sweep():
    names = ["diffusion_ql", "diffusion_ql@eta=0", "diffusion_ql@eta=2"]
    other = ["diffusion_ql@N=2", "diffusion_ql@N=5,eta=0", "bcq", "bc_diffusion"]
    cells = [("a", name) for name in (*names, *other)] + [("b", n) for n in names[:2]]
    assert figures.eta_cells(cells) == [("a", name) for name in names]
    assert figures.split_suite_figure("local_action_modes") == ("local", "action_modes")


def test_a_cell_or_all_that_have_finished(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for words, code in ((["--all", "--scale", "ablations"], 0), ([], 2), (["task"], 2)):
        with pytest.raises(SystemExit) as done:
            main(["action-samples", *words])
        assert done.value.code == code
    assert "give TASK and METHOD, or --all" in capsys.readouterr().err
    assert not paths.ACTION_SAMPLES.exists()
