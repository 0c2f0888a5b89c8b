import numpy as np
import pandas as pd
from stored_results import make_config, write_run

from dql import paths
from dql.config.project import load_project
from dql.results.files import has_diverged
from dql.results.runs import read_run


def make_run(tmp_path, **options):
    return write_run(tmp_path, make_config("hopper-medium-v2", "td3_bc", 0), **options)


def test_episodes_are_ordered_by_step_and_number_whatever_the_rows_order(tmp_path):
    folder = make_run(tmp_path)
    file = folder / paths.EVALUATIONS_FILE
    table = pd.read_csv(file)
    expected = [[90.0, 110.0], [290.0, 310.0], [190.0, 210.0]]
    np.testing.assert_allclose(read_run(folder).episode_returns, expected)
    table.iloc[[4, 1, 5, 3, 0, 2]].to_csv(file, index=False)
    run = read_run(folder)
    np.testing.assert_allclose(run.episode_returns, expected)
    np.testing.assert_allclose(run.mean_returns, [100.0, 300.0, 200.0])
    assert run.episode_counts.tolist() == [2, 2, 2]


def test_a_repeated_episode_counts_once(tmp_path):
    folder = make_run(tmp_path)
    file = folder / paths.EVALUATIONS_FILE
    table = pd.read_csv(file)
    pd.concat([table, table.iloc[[0]]]).to_csv(file, index=False)
    assert read_run(folder).episode_counts.tolist() == [2, 2, 2]


def test_a_divergence_is_read_from_the_provenance(tmp_path):
    assert not has_diverged(tmp_path / "absent")
    assert not has_diverged(make_run(tmp_path / "sound"))
    lost = {"diverged": {"step": 7, "term": "critic/loss"}}
    assert has_diverged(make_run(tmp_path / "lost", provenance=lost))


def test_a_run_on_remade_data_is_one(tmp_path):
    """Its policies' disturbances are pairs of numbers, which JSON holds as lists."""
    key = ("remade-hopper-medium-expert", "td3_bc", 0)
    config = load_project(scale="evidence").run_config(*key).model_dump(mode="json")
    assert read_run(write_run(tmp_path, config)).config == config
