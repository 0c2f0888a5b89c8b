"""The table of stability: what is counted, how it is scaled, and what is left out."""

import pandas as pd
import pytest
from stored_results import FORMATS, make_config, write_run

from dql import paths
from dql.results.stability import COLUMNS
from dql.tables.compute import CellRuns
from dql.tables.stability import write_stability_table

SCORES = {("online", 1): 100.0, ("online", 50): 300.0, ("ema", 50): 200.0}


@pytest.fixture
def cells(tmp_path, monkeypatch):
    """Two seeds of a method that played in three ways, one of another that has not.

    Reference returns are 0 and 1000: a score is a tenth of the return.
    """
    monkeypatch.chdir(tmp_path)
    found = []
    for method, seeds in (("diffusion_ql", (0, 1)), ("td3_bc", (0, 1))):
        folders = {}
        for seed in seeds:
            config = make_config(method=method, seed=seed)
            folders[seed] = paths.run_directory(config["task"], method, seed)
            if (method, seed) != ("td3_bc", 1):
                write_run(folders[seed], config)
        found.append(CellRuns(make_config(method=method), folders))
    for seed in (0, 1):
        rows = [
            (found[0].config["task"], "diffusion_ql", seed, *way, way == ("online", 50),
             episode, mean + offset + 10.0 * seed, 1000)
            for way, mean in SCORES.items()
            for episode, offset in enumerate((-20.0, 20.0))
        ]  # fmt: skip
        file = paths.stability_file(found[0].config["task"], "diffusion_ql", seed)
        file.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(file, index=False)
    return found


def outputs(folder):
    return [folder / f"stability.{suffix}" for suffix in FORMATS]


def test_scores_are_normalised_and_averaged_over_seeds(cells, tmp_path):
    table = write_stability_table(cells, outputs(tmp_path))
    swings, policies = table.blocks
    assert swings.cells["runs"].tolist() == [2, 1]
    assert "not run yet: 1 runs" in table.notes
    # Means 100, 300, 200 of two episodes 20 apart: swing 100, standard error 10.
    assert swings.cells.loc[0, ["swing", "chance"]].tolist() == ["10.0", "1.0"]
    assert swings.cells.loc[0, "chance's share"] == "1%"
    row = policies.cells.iloc[0]
    assert row["last evaluation"] == "20.0"
    assert row["online, 1"] == "10.5 ± 1.4"
    assert row["online, 50"] == "30.5 ± 1.4"
    assert row["EMA, 50"] == "20.5 ± 1.4"
    assert policies.bold == {(0, list(policies.cells.columns).index("online, 50"))}
    assert len(policies.cells) == 1


def test_the_long_form_has_a_row_for_each_seed_and_way(cells, tmp_path):
    write_stability_table(cells, outputs(tmp_path))
    long = pd.read_csv(tmp_path / "stability.csv")
    assert long.groupby(["method", "seed"]).size().tolist() == [3, 3, 1]
    own = long[long["as_evaluated"] == True]  # noqa: E712
    assert own["score"].tolist() == pytest.approx([30.0, 31.0])


def test_runs_of_other_settings_and_diverged_ones_are_named(cells, tmp_path):
    folder = cells[1].directories[0]
    write_run(folder, make_config(method="td3_bc", training={"batch_size": 7}))
    diverged = {"diverged": {"step": 7, "term": "critic/loss"}}
    first = make_config(method="diffusion_ql")
    write_run(cells[0].directories[0], first, provenance=diverged)
    table = write_stability_table(cells, outputs(tmp_path))
    left_out = [note for note in table.notes if note.startswith("left out")]
    assert len(left_out) == 2
    assert "diverged at gradient step 7" in left_out[0]
    assert "batch_size" in left_out[1]


def test_without_runs_there_is_a_table_that_says_nothing(cells, tmp_path):
    table = write_stability_table([], outputs(tmp_path))
    assert table.blocks == []
    assert "not run yet: 0 runs" in table.notes
    assert len(table.long) == 0
