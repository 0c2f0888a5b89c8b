"""Remade data held against D4RL's: counts, moments and the ruler of known data."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dql import paths
from dql.cli.main import main
from dql.config.project import load_project
from dql.data import comparison as comparisons
from dql.data.comparison import SetRows, compare, expected_sets
from dql.data.d4rl_facts import return_facts, ruler_facts, state_moments
from dql.data.minari_files import Episode, write_dataset
from dql.data.policy_weights import load_weights, store_weights
from dql.diffusion.edm import DiffusionModel, denoising_error
from dql.errors import UserError
from dql.figures.remade_data import draw_comparison
from dql.results.manifests import read_manifest, write_manifest
from dql.tables.remade_data import comparison_table, write_comparison_table
from tests.support.synthetic_weights import action_model, publish, state_model

TASK = "remade-hopper-medium-expert"
NAMESAKE = "hopper-medium-expert-v2"
SHARED = Path(__file__).parents[3] / "shared" / "d4rl"
KEPT = Path(__file__).parents[2] / paths.KEPT / "evidence"


def episode(level: float, reward: float, length: int, *, is_cut=False) -> Episode:
    """Make an episode whose observations all stand at one level."""
    flags = np.zeros(length, dtype=bool)
    return Episode(
        np.full((length + 1, 11), level),
        np.full((length, 3), 0.5),
        np.full(length, reward),
        flags,
        flags,
        is_cut=is_cut,
    )


@pytest.fixture
def task(tmp_path, monkeypatch):
    """Write a dataset of two parts, and the namesake's models, in the test's folder."""
    monkeypatch.chdir(tmp_path)
    named = {
        f"actions-{NAMESAKE}": ("action_model", action_model()),
        f"states-{NAMESAKE}": ("state_model", state_model()),
    }
    publish(monkeypatch, tmp_path / "published", named)
    task = load_project(scale="evidence").task(TASK)
    parts = [
        {"policy": "actions-hopper-medium-v2", "num_transitions": 30},
        {"policy": "actions-hopper-expert-v2", "num_transitions": 10},
    ]
    write_dataset(
        task.name,
        [
            episode(1.0, 2.0, 20),
            episode(1.0, 1.0, 10, is_cut=True),
            episode(3.0, 4.0, 10),
        ],
        root=Path("results/datasets"),
        dimensions=(11, 3),
        description={"source": "remade", "generator": {"parts": parts}},
    )
    return task


def test_each_half_stands_beside_its_own_set(task):
    found = compare(task)
    medium, expert = found.sets
    assert (medium.reference, expert.reference) == (
        "hopper-medium-v2",
        "hopper-expert-v2",
    )
    assert (medium.num_episodes, medium.returns) == (2, [40.0])  # the cut one left out
    assert (expert.num_episodes, expert.returns) == (1, [40.0])
    assert medium.facts == return_facts()["hopper-medium-v2"]


def test_observations_are_measured_over_all_rows(task):
    found = compare(task)
    assert found.moments.mean == pytest.approx([1.5] * 11)
    assert found.moments.std == pytest.approx([0.75**0.5] * 11)
    d4rl = state_moments(NAMESAKE)
    assert found.shifts == pytest.approx((1.5 - d4rl.mean) / d4rl.std)
    assert found.spreads == pytest.approx(0.75**0.5 / d4rl.std)


def test_the_ruler_measures_each_set_by_the_namesakes_models(task):
    found = compare(task)
    rows = [r for r in found.ruler if (r["kind"], r["sigma"]) == ("states", 0.1)]
    assert [r["set"] for r in rows] == ["hopper-medium-v2", "hopper-expert-v2"]
    assert rows[0]["of_d4rl"] is None
    assert rows[1]["of_d4rl"] == 0.67
    model = DiffusionModel(state_model(), 11, 0)
    clean = state_moments(NAMESAKE).normalized(np.full((10, 11), 3.0))
    expected = denoising_error(
        model, torch.from_numpy(clean), None, 0.1, torch.Generator().manual_seed(0)
    )
    assert rows[1]["error"] == pytest.approx(expected, rel=1e-6)


def test_sets_that_d4rl_has_stay_whole():
    parts = [{"policy": "p", "num_transitions": n} for n in (300, 2)]
    found = expected_sets("hopper-medium-replay-v2", parts)
    assert [(rows.reference, rows.num_transitions) for rows in found] == [
        ("hopper-medium-replay-v2", 302)
    ]


def test_the_ruler_reads_rows_of_the_whole_set():
    rows = SetRows("hopper-medium-v2", 10 * comparisons.NUM_RULER_ROWS)
    stored = {
        "observations": np.arange(102.0).reshape(51, 2),
        "actions": np.zeros((50, 1)),
        "rewards": np.ones(50),
    }
    for _ in range(8):
        rows.add(stored, is_cut=False)
    starts = {sampled[0][0, 0] for sampled in rows.sampled}
    assert len(starts) == 8  # not the same rows of every episode
    assert sum(len(actions) for _, actions in rows.sampled) == 40


def test_table_and_figure_say_remade(task, tmp_path):
    found = compare(task)
    table = comparison_table([found.content()])
    assert "Remade" in table.title
    returns = table.blocks[0].cells
    assert returns["difference"].tolist() == ["-97.2%", "-98.9%"]
    assert returns["return"].tolist() == ["40 ± 0", "40 ± 0"]
    assert returns["of D4RL"].tolist() == ["1422 ± 379", "3511 ± 329"]
    assert table.blocks[2].cells["states 0.1"][1].endswith("(0.67)")
    assert table.long["d4rl_return_mean"].tolist() == [1422.056, 3511.358]
    draw_comparison(found, [tmp_path / "figure.png"])
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_sets_without_a_whole_episode_have_no_return(task, tmp_path):
    found = compare(task)
    found.sets[1].returns.clear()
    table = comparison_table([found.content()])
    assert table.blocks[0].cells["return"].tolist() == ["40 ± 0", "none whole"]
    assert table.blocks[0].cells["difference"][1] == "none whole"
    draw_comparison(found, [tmp_path / "figure.png"])


def test_a_table_of_what_was_not_compared_names_the_command(tmp_path):
    with pytest.raises(UserError, match="dql data compare remade-x"):
        write_comparison_table([tmp_path / "remade-x.json"], [tmp_path / "t.md"])


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("remade-hopper-medium", "'remade-hopper-medium' has no data yet"),
        ("remade-walker2d-medium", "main_data.hdf5 is missing; make the data again"),
        ("remade-antmaze-umaze", "'remade-antmaze-umaze' has no data yet"),
        ("local-hopper-medium-expert", "is not remade"),
        (f"{TASK}@action_noise=0.1", "action_noise"),
        ("remade-hopper-medum", "remade-hopper-medium"),
    ],
)
def test_all_tasks_are_checked_before_one_is_measured(
    task, bad, words, monkeypatch, capsys
):
    manifest = read_manifest(task) | {"task": "remade-walker2d-medium"}
    write_manifest(manifest)  # as one that was restored, without its rows
    monkeypatch.setattr(comparisons, "compare", lambda _: pytest.fail("measured"))
    with pytest.raises(SystemExit) as done:
        main(["data", "compare", task.name, bad, "--scale", "evidence"])
    assert done.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not paths.comparison_file(task.name).exists()


def test_the_table_has_every_stored_comparison_in_the_scales_order(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    stored = KEPT / paths.COMPARISONS.name
    shutil.copytree(stored, paths.COMPARISONS)
    left_out = paths.comparison_file("remade-walker2d-medium")
    left_out.unlink()
    with pytest.raises(SystemExit, match="0"):
        main(["data", "compare", "--table", "--scale", "evidence"])
    table = paths.table_file("remade_data", "md").read_text()
    named = re.findall(r"^\| (remade-[a-z0-9-]+)", table, re.MULTILINE)
    wanted = load_project(scale="evidence").suite("remade").tasks
    there = [task for task in wanted if paths.comparison_file(task).is_file()]
    assert list(dict.fromkeys(named)) == there
    assert len(there) == len(list(stored.iterdir())) - 1


@pytest.mark.parametrize(
    ("options", "words"), [([], "is named"), (["--table"], "is compared yet")]
)
def test_comparing_nothing_says_what_to_name(
    options, words, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as done:
        main(["data", "compare", *options, "--scale", "evidence"])
    assert done.value.code == 2
    message = " ".join(capsys.readouterr().err.split())
    assert words in message and "dql data compare TASK" in message


def test_tasks_that_are_not_remade_have_nothing_to_compare_with():
    task = load_project(scale="quick").task("local-hopper-medium-expert")
    with pytest.raises(UserError, match="not remade"):
        compare(task)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/d4rl")
def test_recorded_rows_measure_what_is_on_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DQL_POLICY_DIR", str(SHARED))
    with np.load(SHARED / "hopper-expert-v2-slice.npz") as file:
        observations, actions = file["observations"][::5], file["actions"][::5]
    states = torch.from_numpy(state_moments(NAMESAKE).normalized(observations))
    clean = {"states": states, "actions": torch.from_numpy(actions)}
    dims = {"states": (11, 0), "actions": (3, 11)}
    for (models, reference, kind, sigma), error in ruler_facts().items():
        assert (models, reference) == (NAMESAKE, "hopper-expert-v2")
        name = f"{kind}-{NAMESAKE}"
        store_weights(name)
        model = DiffusionModel(load_weights(name), *dims[kind])
        given = None if kind == "states" else states
        generator = torch.Generator().manual_seed(0)
        found = denoising_error(model, clean[kind], given, sigma, generator)
        assert found == pytest.approx(error, abs=0.02)
