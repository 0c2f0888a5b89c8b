"""A cell counts only runs that belong to it, and names every run it leaves out."""

import json
import re
import shutil

import pytest
from stored_results import make_config, write_manifest, write_run

from dql import paths
from dql.config.schema import TaskConfig
from dql.config.validation import validate
from dql.errors import UserError
from dql.results.cell_facts import describe_dataset, describe_namesake
from dql.results.cells import aggregate_cell
from dql.tables.cells import exclusion_notes

BOUNDS = ("min", "max")
UNUSABLE_SCORES = [
    ((1.0, None), "one reference score of two"),
    ((None, 1.0), "one reference score of two"),
    ((5.0, 5.0), "from 5.0 to 5.0"),
    ((5.0, 1.0), "from 5.0 to 1.0"),
    ((float("nan"), 1.0), "from nan to 1.0"),
    ((0.0, float("inf")), "from 0.0 to inf"),
    ((-1e308, 1e307), "from -1e+308 to 1e+307"),
]


@pytest.mark.parametrize(("scores", "message"), UNUSABLE_SCORES)
def test_reference_scores_that_cannot_be_used_are_refused(cell, scores, message):
    """In a task, in a manifest, in a run's configuration, in its provenance."""
    pair = dict(zip(BOUNDS, scores, strict=True))
    names = {f"reference_{bound}_score": value for bound, value in pair.items()}
    task = cell.configs[0]["environment"] | names
    said = f"{re.escape(message)}|finite number"  # a configuration has no other
    with pytest.raises(UserError, match=rf"tasks\.yaml.*({said})"):
        validate(TaskConfig, task, "tasks.yaml")
    manifest = write_manifest(cell.directories[0].parent / "task.json")
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "reference_scores": pair}))
    with pytest.raises(UserError, match=rf"task\.json.*{re.escape(message)}"):
        cell()
    manifest.write_text(json.dumps(content))
    first = cell.directories[0]
    record = {"dataset": {"digest": content["digest"], "reference_scores": pair}}
    write_run(first, cell.configs[0], provenance=record)
    seed, reason = left_out(cell())
    assert seed == 0 and message in reason and "provenance.json" in reason
    write_run(first, {**cell.configs[0], "environment": task})
    seed, reason = left_out(cell())
    assert seed == 0 and re.search(said, reason) and "config.json" in reason


@pytest.fixture
def cell(tmp_path):
    """Return three seeds' configurations, their directories, and an aggregator."""
    configs = [make_config(seed=seed) for seed in range(3)]
    directories = [tmp_path / f"seed{seed}" for seed in range(3)]
    for config, directory, mean in zip(
        configs, directories, (100, 200, 300), strict=True
    ):
        write_run(directory, config, (50.0, mean + 100.0, mean))
    manifest = write_manifest(tmp_path / "task.json")

    def aggregate(**options):
        output = tmp_path / "cells" / "cell.json"
        options = {"manifest": manifest, **options}
        result = aggregate_cell(configs, directories, output, **options)
        assert json.loads(output.read_text()) == json.loads(json.dumps(result))
        return result

    aggregate.configs, aggregate.directories = configs, directories
    return aggregate


def left_out(result):
    assert len(result["left_out"]) == 1
    return result["left_out"][0]["seed"], result["left_out"][0]["reason"]


def test_three_selections_by_hand(cell):
    result = cell()
    assert result["status"] == "complete"
    last, online = result["scores"]["last"], result["scores"]["online"]
    assert last["mean"] == pytest.approx(20.0, abs=1e-3)
    assert last["standard_error"] == pytest.approx(10.0 / 3**0.5, abs=1e-3)
    assert last["per_seed"]["2"] == pytest.approx(30.0, abs=1e-3)
    assert online["mean"] == pytest.approx(30.0, abs=1e-3)
    assert "optimistic" in online["note"]
    assert online["gradient_steps"]["0"] == 200


def test_offline_keeps_the_second_lowest_loss(cell):
    offline = cell()["scores"]["offline"]
    assert offline["gradient_steps"] == {"0": 200, "1": 200, "2": 200}
    assert (offline["rule"], offline["rank"]) == ("text", 1)


def test_offline_is_absent_with_a_reason_without_the_loss(cell):
    (cell.directories[1] / "metrics.csv").unlink()
    offline = cell()["scores"]["offline"]
    assert offline["mean"] is None and "actor/bc_loss" in offline["reason"]


def test_behavior_and_sizes_are_kept(cell):
    result = cell()
    assert result["dataset"]["behavior_score"] == 50.0
    assert result["sizes"]["num_transitions"] == 20000
    assert result["physics"] == "d4rl"
    assert result["cost"]["wall_seconds_per_run"] == 2.0


def test_a_missing_run_is_named(cell):
    shutil.rmtree(cell.directories[1])
    result = cell()
    seed, reason = left_out(result)
    assert seed == 1 and "evaluations.csv: no such file" in reason
    assert result["status"] == "incomplete" and result["seeds"] == [0, 2]


def test_a_short_run_is_named(cell):
    write_run(cell.directories[0], cell.configs[0], (50.0, 60.0))
    assert "nothing at gradient step 300 (1 of 3" in left_out(cell())[1]


def test_lost_episodes_are_named(cell):
    path = cell.directories[0] / "evaluations.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    assert "gradient step 300 has 1 episodes, expected 2" in left_out(cell())[1]


def test_repeated_episodes_are_named(cell):
    path = cell.directories[0] / "evaluations.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[-1]]) + "\n")
    assert "repeats episodes" in left_out(cell())[1]


def test_a_copied_run_is_named(cell):
    source, target = cell.directories[0], cell.directories[2]
    shutil.copy(source / "evaluations.csv", target / "evaluations.csv")
    assert left_out(cell()) == (2, "evaluations.csv is a copy of seed 0's")


def test_another_configuration_is_named(cell):
    foreign = make_config(seed=1, training={"batch_size": 64})
    write_run(cell.directories[1], foreign)
    assert "training.batch_size is 64, expected 256" in left_out(cell())[1]


def test_another_seed_in_the_directory_is_named(cell):
    write_run(cell.directories[1], make_config(seed=7))
    assert "seed is 7, expected 1" in left_out(cell())[1]


def test_other_data_are_named(cell):
    provenance = {"dataset": {"digest": "sha256:ffff"}}
    write_run(cell.directories[1], cell.configs[1], provenance=provenance)
    assert "other data: digest sha256:ffff" in left_out(cell())[1]


def test_a_digest_that_is_no_text_is_named(cell):
    record = {"dataset": {"digest": {"sha256": "0"}}}
    write_run(cell.directories[0], cell.configs[0], provenance=record)
    assert "the dataset's digest is not a text" in left_out(cell())[1]


def test_other_physics_are_named(cell):
    write_run(cell.directories[1], cell.configs[1], provenance={"physics": "stock"})
    assert "stock physics, expected d4rl" in left_out(cell())[1]


def test_mixed_data_without_a_manifest_are_refused(cell):
    provenance = {"dataset": {"digest": "sha256:ffff"}}
    write_run(cell.directories[1], cell.configs[1], provenance=provenance)
    with pytest.raises(UserError, match=r"mix dataset digest.*seeds \[1\]"):
        cell(manifest=None)


def test_mixed_physics_are_refused(cell):
    """A run that does not say its physics is not pooled with those that do."""
    write_run(cell.directories[1], cell.configs[1], provenance={"physics": None})
    with pytest.raises(UserError, match=r"mix physics.*d4rl: seeds \[0, 2\]"):
        cell()


def test_seeds_that_went_on_from_runs_of_other_lengths_are_refused(cell):
    for seed, steps in enumerate([20, 30, 20]):
        made = {"start": {"num_gradient_steps": steps}}
        write_run(cell.directories[seed], cell.configs[seed], provenance=made)
    with pytest.raises(UserError, match=r"lengths of the runs.*30: seeds \[1\]"):
        cell()


def test_text_among_the_returns_is_named(cell):
    path = cell.directories[0] / "evaluations.csv"
    path.write_text(path.read_text().replace("100,0,", "100,0,abc", 1))
    assert "column episode_return holds more than numbers" in left_out(cell())[1]


def test_an_episode_without_number_is_named(cell):
    path = cell.directories[0] / "evaluations.csv"
    path.write_text(path.read_text().replace("100,0,", "100,,", 1))
    assert "an episode lacks its gradient step" in left_out(cell())[1]


def test_returns_that_are_not_finite_are_named(cell):
    path = cell.directories[2] / "evaluations.csv"
    path.write_text(path.read_text() + "300,2,,1000\n")
    assert "returns that are not finite" in left_out(cell())[1]


def test_an_evaluation_that_is_not_due_is_named(cell):
    path = cell.directories[0] / "evaluations.csv"
    path.write_text(path.read_text() + "150,0,1.0,9\n150,1,1.0,9\n")
    assert "gradient step 150, which is not due" in left_out(cell())[1]


def test_an_empty_table_of_evaluations_is_short(cell):
    path = cell.directories[0] / "evaluations.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert "nothing at gradient step 100 (3 of 3" in left_out(cell())[1]


def test_a_loss_of_text_is_named(cell):
    path = cell.directories[0] / "metrics.csv"
    path.write_text("gradient_step,actor/bc_loss\n100,much\n")
    assert "column actor/bc_loss holds more than numbers" in left_out(cell())[1]


def test_a_diverged_run_is_shown_and_not_averaged(cell):
    write_run(
        cell.directories[1],
        cell.configs[1],
        (50.0,),
        provenance={"diverged": {"step": 150, "term": "critic/loss"}},
    )
    result = cell()
    assert result["left_out"] == []
    diverged = result["diverged"][0]
    assert (diverged["seed"], diverged["step"], diverged["term"]) == (
        1,
        150,
        "critic/loss",
    )
    assert result["scores"]["last"]["num_seeds"] == 2


def test_broken_json_is_named(cell):
    (cell.directories[0] / "provenance.json").write_text("{")
    assert "provenance.json: not JSON" in left_out(cell())[1]


def test_nothing_ran(cell):
    for directory in cell.directories:
        shutil.rmtree(directory)
    result = cell()
    assert result["status"] == "not run"
    assert result["scores"]["last"]["mean"] is None


def test_configurations_of_two_cells_are_refused(cell, tmp_path):
    configs = [*cell.configs[:2], make_config(seed=2, training={"batch_size": 1})]
    with pytest.raises(UserError, match=r"seed 2: training.batch_size is 1"):
        aggregate_cell(configs, cell.directories, tmp_path / "cell.json")


def test_the_released_rule_keeps_what_the_released_code_does(cell):
    """Losses fall throughout: position 1 of the ranks 2, 1, 0 is step 200."""
    offline = cell(selection_rule="as-released")["scores"]["offline"]
    assert offline["gradient_steps"]["0"] == 200
    assert offline["rule"] == "as-released"


def test_a_paper_task_gets_a_verdict_and_its_protocol_differences(tmp_path):
    configs = [
        make_config("hopper-medium-v2", seed=seed, suite="gym") for seed in range(3)
    ]
    directories = [tmp_path / str(seed) for seed in range(3)]
    for config, directory in zip(configs, directories, strict=True):
        write_run(directory, config, (10.0, 20.0, 100.0 + config["seed"]))
    result = aggregate_cell(configs, directories, tmp_path / "cell.json")
    assert result["published"]["score"] == 90.5
    assert result["comparison"]["verdict"] == "worse"
    assert result["comparison"]["score"] == "offline"
    assert (
        "gradient steps: 300, the paper's 2,000,000" in result["protocol_differences"]
    )


def test_without_reference_returns_the_score_is_the_return(tmp_path):
    config = make_config(environment={f"reference_{x}_score": None for x in BOUNDS})
    write_run(tmp_path / "run", config)
    result = aggregate_cell([config], [tmp_path / "run"], tmp_path / "cell.json")
    assert result["score_unit"] == "return"
    assert result["scores"]["last"]["mean"] == pytest.approx(200.0)


def test_the_selection_gap_by_hand(cell):
    """Losses that fall throughout choose the best evaluation; then L_d stops at 100.

    Of losses 0.2, 0.1, 0.3 the second lowest is the first, with a score of 5, not 15.
    """
    gap = cell()["selection_gap"]["online_minus_offline"]
    assert gap["per_seed"] == {"0": 0.0, "1": 0.0, "2": 0.0}
    for config, directory in zip(cell.configs, cell.directories, strict=True):
        write_run(directory, config, (50.0, 90.0, 150.0), losses=(0.2, 0.1, 0.3))
    result = cell()
    assert result["scores"]["offline"]["gradient_steps"]["0"] == 100
    gap = result["selection_gap"]["online_minus_offline"]
    assert gap["mean"] == pytest.approx(10.0)
    assert gap["interval_95"] == pytest.approx([10.0, 10.0])


def test_a_clearly_best_evaluation_is_not_luck(cell):
    """Evaluations lie 100 apart and episodes 10 around them: every choice agrees."""
    luck = cell()["selection_gap"]["luck"]
    assert luck["mean"] == pytest.approx(0.0, abs=0.1)
    assert set(luck["per_seed"]) == {"0", "1", "2"}


def test_a_gap_that_cannot_be_told_says_why(cell):
    for directory in cell.directories:
        (directory / "metrics.csv").unlink()
    gap = cell()["selection_gap"]
    assert gap["online_minus_offline"]["mean"] is None
    assert "actor/bc_loss" in gap["online_minus_offline"]["reason"]
    assert gap["luck"]["mean"] is not None
    for directory in cell.directories:
        shutil.rmtree(directory)
    result = cell()
    assert result["selection_gap"]["luck"]["reason"] == "no finished run"
    assert result["curves"] == {}


def test_curves_hold_every_evaluation_of_the_runs_that_count(cell):
    shutil.rmtree(cell.directories[1])
    curves = cell()["curves"]
    assert set(curves) == {"0", "2"}
    assert curves["2"]["gradient_steps"] == [100, 200, 300]
    assert curves["2"]["scores"] == pytest.approx([5.0, 40.0, 30.0], abs=1e-3)
    assert curves["2"]["bc_losses"] == pytest.approx([0.3, 0.2, 0.1])


def test_a_curve_without_logged_losses_has_none(cell):
    (cell.directories[0] / "metrics.csv").unlink()
    curves = cell()["curves"]
    assert curves["0"]["bc_losses"] is None and curves["1"]["bc_losses"] is not None


def test_runs_on_the_same_recipes_data_of_two_processors_are_one_cell(tmp_path):
    """Their digests are named, and another recipe's runs are still left out."""
    manifest = write_manifest(tmp_path / "here.json")
    content = json.loads(manifest.read_text())
    restored = tmp_path / "restored.json"
    restored.write_text(json.dumps(content | {"digest": "sha256:other"}))
    configs = [make_config(seed=seed) for seed in (0, 1)]
    folders = [tmp_path / "seed0", tmp_path / "seed1"]
    other = {"dataset": {"digest": "sha256:other"}}
    write_run(folders[0], configs[0])
    write_run(folders[1], configs[1], provenance=other)
    options = {"manifest": manifest, "restored_manifest": restored}
    cell = aggregate_cell(configs, folders, tmp_path / "cell.json", **options)
    assert cell["seeds"] == [0, 1]
    digests = {maker["dataset_digest"]: maker["seeds"] for maker in cell["made_by"]}
    assert digests == {content["digest"]: [0], "sha256:other": [1]}
    (note,) = exclusion_notes([cell])
    assert "more than one processor" in note
    restored.write_text(json.dumps(content | {"digest": "sha256:other", "seed": 7}))
    cell = aggregate_cell(configs, folders, tmp_path / "cell.json", **options)
    assert cell["seeds"] == [0]
    assert "trained on other data" in cell["left_out"][0]["reason"]


def test_a_variant_of_remade_data_has_no_paper_number_beside_it():
    dataset = {"source": "remade"}
    config = {"environment": {"namesake": "hopper-medium-v2", "dataset": dataset}}
    plain = describe_namesake({"method": "diffusion_ql"}, config, paths.PUBLISHED)
    assert plain["published"]["score"] == 90.5
    dataset["variant"] = {"random_share": 0.3}
    assert (
        describe_namesake({"method": "diffusion_ql"}, config, paths.PUBLISHED) is None
    )


def test_mazes_data_have_no_score():
    """Their episodes go on at the goal: a return of 145 where an evaluation's is 1."""
    manifest = {"task": "remade-antmaze-umaze", "episode_return": {"mean": 144.9}}
    for environment, expected in (("antmaze-umaze", None), ("hopper", 14490.0)):
        config = make_config(seed=0)
        config["environment"] |= {
            "environment": environment,
            "reference_min_score": 0.0,
            "reference_max_score": 1.0,
        }
        found = describe_dataset(manifest, config)
        assert found["task"] == manifest["task"]
        assert found["behavior_score"] == (expected and pytest.approx(expected))
