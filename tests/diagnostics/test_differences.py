"""What makes a stored run another experiment is said before anything trains."""

import pytest
from stored_results import DIGEST, make_config, write_manifest, write_run

from dql import paths
from dql.config.project import RunKey
from dql.config.schema import RunConfig
from dql.diagnostics import differences, rerun_data
from dql.errors import UserError
from dql.results.fingerprint import training_fingerprint
from dql.results.stored_runs import Address, read_recorded

TASK = "local-hopper-medium-expert"
ADDRESS = Address(RunKey(TASK, "diffusion_ql", 0), paths.RESULTS, paths.RUNS / "stored")


def run_config(**options):
    return RunConfig.model_validate(make_config(TASK, **options))


@pytest.fixture
def stored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return read_recorded(write_run(ADDRESS.path, make_config(TASK)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"environment": {"physics": "stock"}},
            "environment.physics is now stock, stored d4rl",
        ),
        (
            {"settings": {"num_denoising_steps": 2}},
            "settings.num_denoising_steps is now 2, stored 5",
        ),
        (
            {"training": {"log_interval": 10}},
            "training.log_interval is now 10, stored 50",
        ),
    ],
)
def test_other_settings_are_named(stored, options, words):
    with pytest.raises(UserError, match="another experiment") as error:
        differences.check_settings(run_config(**options), stored.run, ADDRESS)
    assert words in str(error.value)
    assert str(error.value).count(" is now ") == 1


def test_a_shorter_scale_is_no_other_experiment(stored):
    run = run_config(training={"num_gradient_steps": 200, "checkpoint_interval": 10})
    differences.check_settings(run, stored.run, ADDRESS)


def test_more_steps_than_are_stored(stored):
    differences.check_steps(300, stored.run)
    with pytest.raises(UserError, match="--steps 301: the stored run has 300"):
        differences.check_steps(301, stored.run)


def test_a_part_without_a_record_is_refused(stored):
    differences.check_recorded(stored, 100, same_draws=True)
    with pytest.raises(UserError, match="first record is at gradient step 100"):
        differences.check_recorded(stored, 99, same_draws=True)


def test_metrics_of_other_noise_are_no_measure(stored):
    stored.metrics["gradient_step"] //= 2
    differences.check_recorded(stored, 50, same_draws=True)
    with pytest.raises(UserError, match=r"first evaluation .* is at gradient step 100"):
        differences.check_recorded(stored, 50, same_draws=False)


def test_a_stored_run_that_is_short_is_refused(tmp_path):
    run = read_recorded(write_run(tmp_path / "run", make_config(TASK), (1.0, 2.0))).run
    with pytest.raises(UserError, match="short: nothing at gradient step 300"):
        differences.check_sound(run, ADDRESS)


@pytest.mark.parametrize(
    ("asked", "last"), [(300, 300), (299, 250), (240, 200), (49, 0)]
)
def test_the_last_step_that_both_must_have_recorded(stored, asked, last):
    assert differences.last_record(stored.run, asked) == last


def test_other_makers_are_named_and_no_reason_to_refuse(stored):
    run = run_config()
    code = training_fingerprint(run.agent, run.environment.environment)
    made = {
        "versions": {"torch": "2"},
        "machine": {"processor": "P"},
        "device": "cpu",
    }
    stored.run.provenance.update(made, code_fingerprint=code)
    assert list(differences.maker_differences(run, stored.run, made)) == []
    now = {"versions": {"torch": "3"}, "machine": {"processor": "Q"}, "device": "H100"}
    stored.run.provenance["code_fingerprint"] = "other"
    found = list(differences.maker_differences(run, stored.run, now, block_size=3))
    assert found[:4] == [
        f"code: stored other, now {code}",
        "device: stored cpu, now H100",
        "processor: stored P, now Q",
        "torch: stored 2, now 3",
    ]
    assert "3 runs together" in found[4]


def test_other_data_are_refused(stored):
    task = run_config(environment={"dataset": {"source": "local"}}).environment
    manifest = write_manifest(paths.dataset_manifest(TASK))
    size = task.dataset.model_copy(update={"num_transitions": 20_000})
    task = task.model_copy(update={"dataset": size})
    manifest.write_text(manifest.read_text().replace(DIGEST, "sha256:4567"))
    with pytest.raises(UserError, match="digest sha256:0123, here sha256:4567"):
        rerun_data.check_data(task, stored.run, ADDRESS)


def test_data_that_are_not_here_come_with_the_command(stored):
    task = run_config(environment={"dataset": {"source": "local"}}).environment
    with pytest.raises(UserError, match=f"dql data generate {TASK}"):
        rerun_data.check_data(task, stored.run, ADDRESS)


def test_data_asked_for_at_another_size_are_refused_before_they_are_made(stored):
    """The kept manifest tells; there need be no data here."""
    task = run_config(environment={"dataset": {"source": "local"}}).environment
    kept = Address(ADDRESS.run, paths.KEPT / "campaign", ADDRESS.path)
    write_manifest(kept.store / "datasets" / f"{TASK}.json")
    with pytest.raises(UserError, match="num_transitions is 20000"):
        rerun_data.check_data(task, stored.run, kept)
