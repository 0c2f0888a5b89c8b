"""Missing remade data are made again for a re-run, and kept to the stored recipe."""

import json
from types import SimpleNamespace

import pytest
from stored_results import DIGEST, make_config, write_manifest, write_run

from dql import paths
from dql.config.project import RunKey, load_project
from dql.diagnostics import rerun_data
from dql.errors import UserError
from dql.results.run_archives import archive_file
from dql.results.stored_runs import Address, read_recorded

TASK = load_project(scale="evidence").task("remade-hopper-medium-expert")
STORE = paths.KEPT / "campaign"
RUN = RunKey(TASK.name, "td3_bc", 0)
ADDRESS = Address(RUN, STORE, archive_file(STORE, RUN))
SIZE = {"num_transitions": TASK.dataset.num_transitions}


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Keep a manifest; let the recipe make what `made` says; note what was fetched."""
    monkeypatch.chdir(tmp_path)
    path = write_manifest(STORE / "datasets" / f"{TASK.name}.json", TASK.name)
    kept = json.loads(path.read_text()) | SIZE | {"source": "remade"}
    path.write_text(json.dumps(kept))
    found = SimpleNamespace(made=dict(kept), fetched=[], said=[], path=path, kept=kept)

    def generate(task, root=paths.DATASETS):
        write_manifest(paths.dataset_manifest(task.name), task.name).write_text(
            json.dumps(found.made)
        )
        file = paths.dataset_file(task.name)
        file.parent.mkdir(parents=True)
        file.touch()
        return found.made

    monkeypatch.setattr(rerun_data, "maker", lambda task: generate)
    monkeypatch.setattr(rerun_data, "store_weights", found.fetched.append)
    return found


def stored_run():
    directory = write_run(paths.RUNS / "stored", make_config())  # its data count
    return read_recorded(directory).run


def test_a_run_that_read_no_data_needs_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stored = SimpleNamespace(dataset_digest=None, config={"online": {"start": "x"}})
    rerun_data.check_data(TASK, stored, ADDRESS)
    assert rerun_data.same_rows(TASK, stored)


def test_missing_data_are_announced_made_and_the_next_time_taken(recipe):
    rerun_data.check_data(TASK, stored_run(), ADDRESS)
    assert not rerun_data.is_there(TASK)
    rerun_data.make_data(TASK, ADDRESS, recipe.said.append)
    assert "2,000,000 rows, about 6 minutes" in recipe.said[0]
    assert recipe.fetched == [part.policy for part in TASK.dataset.parts]
    assert rerun_data.same_rows(TASK, stored_run())
    rerun_data.make_data(TASK, ADDRESS, recipe.said.append)
    assert len(recipe.said) == 1


def test_another_draw_of_the_recipe_is_taken_and_known(recipe):
    recipe.made["digest"] = "sha256:4567"
    rerun_data.make_data(TASK, ADDRESS, recipe.said.append)
    assert not rerun_data.same_rows(TASK, stored_run())


def test_another_draw_that_is_here_already_is_no_reason_to_refuse(recipe):
    recipe.made["digest"] = "sha256:4567"
    rerun_data.make_data(TASK, ADDRESS, recipe.said.append)
    rerun_data.check_data(TASK, stored_run(), ADDRESS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"licence": "another"}, "differ in licence"),
        ({"episode_return": {"mean": 900.0, "std": 1.0}}, "mean return 900.0 here"),
    ],
)
def test_what_is_made_and_is_not_of_the_recipe_is_refused(recipe, change, words):
    recipe.made.update(change, digest="sha256:4567")
    with pytest.raises(UserError, match=words):
        rerun_data.make_data(TASK, ADDRESS, recipe.said.append)


def test_a_kept_recipe_of_other_size_is_refused_before_anything_is_made(recipe):
    recipe.path.write_text(json.dumps(recipe.kept | {"num_transitions": 7}))
    with pytest.raises(UserError, match="num_transitions is 7"):
        rerun_data.check_data(TASK, stored_run(), ADDRESS)
    assert recipe.kept["digest"] == DIGEST and not recipe.said
