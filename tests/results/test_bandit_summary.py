"""The bandit's numbers on samples whose numbers are known."""

import json

import numpy as np
import pytest
from stored_results import make_config, write_bandit_run

from dql.environments import bandit
from dql.errors import UserError
from dql.results.bandit_summary import (
    COLUMNS,
    energy_distance,
    read_summary,
    summarize_samples,
    write_summary,
)

LAYOUTS = sorted(bandit.LAYOUTS)


def law(layout, num_samples=1000, seed=5):
    actions, rewards = bandit.sample_data(layout, num_samples, seed)
    return actions.astype(float), rewards


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_laws_own_samples_are_recovered(layout):
    numbers = summarize_samples(*law(layout), layout)
    assert numbers["modes_covered"] == 4
    assert numbers["share_on_modes"] == pytest.approx(0.989, abs=0.01)
    assert numbers["share_best_mode"] == pytest.approx(0.247, abs=0.01)
    assert numbers["distance"] < 0.03


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_point_on_the_best_mode(layout):
    actions = np.tile(bandit.LAYOUTS[layout][bandit.BEST_MODE], (50, 1))
    numbers = summarize_samples(actions, np.full(50, 5.0), layout)
    assert numbers["modes_covered"] == 1
    assert numbers["share_best_mode"] == 1.0
    assert numbers["mean_reward"] == 5.0
    assert numbers["distance"] > 0.9


def test_a_mode_needs_five_percent_to_be_covered():
    centers = bandit.LAYOUTS["axes"]
    for count, covered in ((4, 1), (5, 2)):
        modes = np.where(np.arange(100) < count, 1, 0)
        numbers = summarize_samples(centers[modes], np.zeros(100), "axes")
        assert numbers["modes_covered"] == covered


def test_distance_orders_blurred_copies_of_the_law():
    actions, _ = law("corners")
    noise = np.random.default_rng(0).normal(size=actions.shape)
    distances = [
        energy_distance(actions + scale * noise, "corners") for scale in (0.0, 0.1, 0.3)
    ]
    assert distances == sorted(distances)
    assert energy_distance(actions, "axes") > distances[1]


def test_energy_distance_of_a_shift_matches_a_direct_sum():
    """Against the same reference: 2 E|X-Y| - E|X-X'| - E|Y-Y'| for one point X."""
    reference, _ = bandit.sample_data("axes", 4000, 20220812)
    reference = reference.astype(float)
    point = np.array([[0.5, 0.5]])
    between = np.linalg.norm(reference - point, axis=1).mean()
    differences = reference[:, None, :] - reference[None, :500, :]
    within = np.linalg.norm(differences, axis=-1).mean()
    expected = np.sqrt(2.0 * between - within)
    assert energy_distance(point, "axes") == pytest.approx(expected, rel=5e-3)


@pytest.fixture
def runs(tmp_path):
    """Write two methods with two seeds each, in no particular order."""
    return [
        write_bandit_run(tmp_path, "axes", method, seed, *law("axes", 200, seed), steps)
        for method, steps in (("diffusion_ql@eta=0", 50), ("bc_mle", None))
        for seed in (1, 0)
    ]


def test_summary_file(runs, tmp_path):
    path = tmp_path / "summary.csv"
    write_summary(runs, path)
    lines = path.read_text().splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert [line.split(",")[1:3] for line in lines[1:]] == [
        ["bc_mle", "0"],
        ["bc_mle", "1"],
        ["diffusion_ql@eta=0", "0"],
        ["diffusion_ql@eta=0", "1"],
    ]
    assert lines[1].endswith(",1000,") and lines[3].endswith(",1000,50")
    first = path.read_bytes()
    write_summary(runs[::-1], path)
    assert path.read_bytes() == first
    assert list(read_summary(path)["modes_covered"]) == [4, 4, 4, 4]


def test_a_diverged_run_has_a_row_without_numbers(runs, tmp_path):
    diverged = {"diverged": {"step": 3, "term": "actor/loss"}}
    (runs[0] / "provenance.json").write_text(json.dumps(diverged))
    (runs[0] / "samples.csv").unlink()
    table = write_summary(runs, tmp_path / "summary.csv")
    assert table["distance"].isna().sum() == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("action_0,reward\n0,1\n", "no column action_1"),
        ("action_0,action_1,reward\n", "no samples"),
        ("action_0,action_1,reward\n0,nan,1\n", "not finite"),
    ],
)
def test_unusable_samples_are_named(runs, tmp_path, content, message):
    (runs[2] / "samples.csv").write_text(content)
    with pytest.raises(UserError, match=rf"bc_mle/seed1/samples.csv: .*{message}"):
        write_summary(runs, tmp_path / "summary.csv")


def test_missing_samples_are_named(runs, tmp_path):
    (runs[0] / "samples.csv").unlink()
    with pytest.raises(UserError, match="samples.csv: no such file"):
        write_summary(runs, tmp_path / "summary.csv")


def test_the_same_run_twice_is_refused(runs, tmp_path):
    with pytest.raises(UserError, match="two bandit runs of axes"):
        write_summary([*runs, runs[0]], tmp_path / "summary.csv")


def test_a_run_of_another_suite_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(make_config()))
    with pytest.raises(UserError, match="not a bandit run"):
        write_summary([tmp_path], tmp_path / "summary.csv")


def test_a_missing_summary_says_how_to_make_it(tmp_path):
    with pytest.raises(UserError, match="dql bandit summary"):
        read_summary(tmp_path / "summary.csv")
