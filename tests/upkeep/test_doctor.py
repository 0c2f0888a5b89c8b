"""The doctor: each fault is found, named with its remedy, and hides no other line."""

import fcntl
import json
import shutil
import stat
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import pytest
from stored_results import make_config, write_run

from dql import paths
from dql.cli.main import main
from dql.config.project import load_project
from dql.results.fingerprint import training_fingerprint
from dql.upkeep import doctor, doctor_machine, doctor_project, doctor_scale, places
from dql.upkeep.doctor import as_json, examine, is_usable
from dql.upkeep.findings import Finding
from dql.upkeep.locks import is_locked


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory without GPUs."""
    monkeypatch.chdir(tmp_path)
    for name in ("CUDA_VISIBLE_DEVICES", "D4RL_DATASET_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "results").mkdir()
    return tmp_path


def only(check) -> Finding:
    (finding,) = check()
    return finding


def statuses(findings) -> dict[str, str]:
    return {finding.name: finding.status for finding in findings}


def program(folder, name: str, text: str, monkeypatch) -> None:
    """Put a shell script of this name before all other programs."""
    file = folder / "bin" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(file.parent), prepend=":")


def test_only_what_is_ok_goes_without_a_remedy():
    Finding("a", "ok", "fine")
    with pytest.raises(ValueError, match="without a remedy"):
        Finding("a", "warning", "odd")


def test_every_check_answers_on_this_machine(folder):
    found = statuses(examine())
    assert {"python", "packages", "torch", "mujoco", "c kernels", "disk"} <= set(found)
    assert found["python"] == found["mujoco"] == found["configuration"] == "ok"


def test_what_cannot_be_imported_is_a_line_among_the_others(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    checks = [doctor_machine.check_torch, doctor_machine.check_python]
    found = examine(checks)
    assert statuses(found) == {"torch": "problem", "python": "ok"}
    assert found[0].remedy == "install all that is needed: make setup"
    assert not is_usable(found)


def test_a_check_that_breaks_is_a_line_as_well():
    def check_stars():
        raise OSError("too far")

    (found,) = examine([check_stars])
    assert (found.name, found.status) == ("stars", "problem")
    assert "too far" in found.found


def test_a_python_too_new_is_a_problem(monkeypatch):
    class Version(tuple):
        pass

    monkeypatch.setattr(sys, "version_info", Version((3, 13, 0)))
    assert only(doctor_machine.check_python).status == "problem"


def test_packages_are_held_against_their_pins(monkeypatch):
    pins = {"numpy": "0.1", "no-such-package": "1.0"}
    monkeypatch.setattr(doctor_machine, "_pins", lambda: pins)
    missing, other = doctor_machine.check_packages()
    assert (missing.status, other.status) == ("problem", "warning")
    assert "no-such-package" in missing.found
    assert "instead of 0.1" in other.found


def test_another_mujoco_is_a_problem(monkeypatch):
    import mujoco

    monkeypatch.setattr(mujoco, "__version__", "3.9.9")
    finding = only(doctor_machine.check_mujoco)
    assert finding.status == "problem" and "3.9.9 instead of" in finding.found


def test_gpus_are_listed_with_id_and_memory(folder, monkeypatch):
    rows = "printf 'H200, GPU-a, 1000, 10\\nH200, GPU-b, 1000, 900\\n'"
    program(folder, "nvidia-smi", rows, monkeypatch)
    free, full = doctor_machine.check_gpus()
    assert (free.status, full.status) == ("ok", "warning")
    assert "GPU-a" in free.found and "900 MiB in use" in full.found


def test_a_torch_that_cannot_use_the_gpus_is_a_warning(folder, monkeypatch):
    import torch

    program(folder, "nvidia-smi", "echo H200", monkeypatch)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert only(doctor_machine.check_torch).status == "warning"


def test_a_gpu_that_cannot_compute_is_a_problem(monkeypatch):
    import torch

    def ones(size, device):
        if device == "cuda:1":
            raise torch.AcceleratorError("CUDA error: no kernel image\nmore")
        return torch.full((size,), 1.0)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"Card {index}")
    monkeypatch.setattr(torch, "ones", ones)
    both, second = doctor_machine.check_torch()
    assert both.status == "ok" and "2 x Card 0, Card 1" in both.found
    assert (second.status, second.found) == (
        "problem",
        "GPU 1, Card 1, cannot compute: CUDA error: no kernel image",
    )
    assert "a build of torch" in second.remedy


def test_kernels_that_are_off_or_cannot_be_built_are_a_warning(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    assert "no C compiler" in only(doctor_machine.check_kernels).found
    monkeypatch.setenv("DQL_KERNELS", "off")
    assert only(doctor_machine.check_kernels).status == "warning"


@pytest.mark.parametrize(
    ("free", "status"), [(1e3, "problem"), (1e15, "ok"), (None, "warning")]
)
def test_space_is_held_against_what_is_to_come(folder, monkeypatch, free, status):
    needed = doctor_scale.missing_bytes(load_project())
    usage = SimpleNamespace(free=1.5 * needed if free is None else free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert only(doctor_scale.check_disk).status == status


def test_finished_runs_need_no_more_space(folder):
    project = load_project(scale="smoke")
    before = doctor_scale.missing_bytes(project)
    run = paths.run_directory(*project.runs()[0])
    run.mkdir(parents=True)
    (run / paths.PROVENANCE_FILE).touch()
    saved = before - doctor_scale.missing_bytes(project)
    assert saved == doctor_scale.RUN_BYTES["bandit"]


def test_a_lock_that_no_snakemake_holds_is_a_problem(folder):
    assert statuses(doctor_project.check_locks())["snakemake's lock"] == "ok"
    lock = folder / ".snakemake" / "locks" / "0.output.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    left, _ = doctor_project.check_locks()
    assert left.status == "problem" and "--unlock" in left.remedy


def test_results_without_records_are_to_be_adopted(folder):
    paths.RUNS.mkdir()
    assert not list(doctor_project.check_records())
    (folder / "snakemake.lock").touch()
    assert "dql adopt" in only(doctor_project.check_records).remedy
    (folder / ".snakemake" / "metadata").mkdir(parents=True)
    assert not list(doctor_project.check_records())


def test_locks_count_while_their_process_lives(folder):
    file = folder / "results" / "datasets" / ".a.lock"
    file.parent.mkdir()
    file.touch()
    assert not is_locked(file)
    with file.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert is_locked(file)
        *_, line = doctor_project.check_locks()
        assert line.found.startswith("1 held")
    assert not is_locked(file)


def test_a_lease_on_a_gpu_that_is_gone_is_a_warning(folder, monkeypatch):
    from dql.training import gpus

    monkeypatch.setattr(gpus, "LEASES", folder)
    monkeypatch.setattr(gpus, "available_gpus", lambda: {"GPU-b": "GPU-b"})
    for name in ("GPU-a.0.lock", "GPU-b.12.lock"):
        (folder / name).touch()
    with (folder / "GPU-b.12.lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert only(doctor_project.check_gpu_leases).found == "1 held on 1 GPUs"
    with (folder / "GPU-a.0.lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert only(doctor_project.check_gpu_leases).status == "warning"


def test_git_says_what_is_not_committed(folder):
    assert only(places.check_git).status == "warning"
    author = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for words in (
        ["init", "-q"],
        [*author, "commit", "-q", "--allow-empty", "-m", "a"],
    ):
        subprocess.run(["git", *words], check=True)
    assert only(places.check_git).status == "ok"
    (folder / "new").touch()
    assert "1 files uncommitted" in only(places.check_git).found


def test_dvc_wants_a_remote_that_can_be_written(folder):
    assert only(doctor_project.check_dvc).status == "warning"
    config = folder / ".dvc" / "config"
    config.parent.mkdir()
    config.write_text("[core]\n    no_scm = true\n")
    assert "no remote" in only(doctor_project.check_dvc).found
    remote = f"    remote = copy\n['remote \"copy\"']\n    url = {folder}/copy\n"
    config.write_text(config.read_text() + remote)
    assert only(doctor_project.check_dvc).status == "ok"
    (folder / "copy").write_text("a file, no folder")
    assert "not a writable folder" in only(doctor_project.check_dvc).found


def test_data_that_the_scale_trains_on_are_named_when_absent(folder, monkeypatch):
    assert only(doctor_scale.check_d4rl_files).status == "ok"
    monkeypatch.setenv("D4RL_DATASET_DIR", str(folder))
    project = load_project(scale="paper")
    paths.DATASETS.mkdir()
    paths.dataset_manifest("hopper-medium-v2").touch()
    finding = only(partial(doctor_scale.check_d4rl_files, "paper"))
    assert finding.status == "warning" and finding.found.startswith("1 of 20")
    assert "hopper-medium-v2," not in finding.found
    assert "hopper-medium-replay-v2" in finding.found
    fetched = (
        "dql data fetch --suite gym --suite antmaze --suite adroit --suite kitchen"
    )
    assert fetched in finding.remedy
    # Seven files of known size, the others assumed; each once more when converted.
    known = [task.dataset.num_bytes for task in project.tasks.values()]
    known = [size for size in known if size and size != 152756557]
    assert len(known) == 8
    needed = 2 * (sum(known) + 11 * 500e6) / 1e9
    assert f"about {needed:,.1f} GB" in finding.found


def test_d4rls_own_files_are_counted(folder, monkeypatch):
    monkeypatch.setenv("D4RL_DATASET_DIR", str(folder))
    (folder / "pen-human-v1.hdf5").touch()
    finding = only(partial(doctor_scale.check_d4rl_files, "paper"))
    assert "the files of 1 lie on this machine" in finding.found


def test_one_absent_dataset_is_fetched_by_its_name(folder, monkeypatch):
    monkeypatch.setenv("D4RL_DATASET_DIR", str(folder))
    project = load_project(scale="paper")
    paths.DATASETS.mkdir()
    for name, task in project.tasks.items():
        if task.dataset.source == "d4rl" and name != "pen-human-v1":
            paths.dataset_manifest(name).touch()
    remedy = only(partial(doctor_scale.check_d4rl_files, "paper")).remedy
    assert "dql data fetch pen-human-v1 (" in remedy


@pytest.fixture
def fixed_cost(monkeypatch):
    """Replace the timing by 3.6 ms a step; return the runs it was asked for."""
    from dql.training import plan

    asked = []

    def measure(run, block_size, device, *, evaluates):
        asked.append((run.agent, run.suite))
        return plan.Cost(seconds_per_step=3.6e-3, checkpoint_bytes=0)

    monkeypatch.setattr(plan, "measure", measure)
    return asked


def hours_of(project) -> float:
    """Return the hours of all runs at 3.6 ms a step."""
    runs = (project.run_config(*key) for key in project.runs())
    return sum(run.training.num_gradient_steps for run in runs) * 1e-6


def test_a_scales_hours_without_a_gpu(folder, fixed_cost, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("dql.training.gpus.is_gpu_here", lambda: False)
    gpus, hours = doctor_scale.check_hours("paper")
    project = load_project(scale="paper")
    assert (gpus.status, gpus.found) == ("warning", "none")
    assert "profiles/slurm all --config scale=paper" in gpus.remedy
    assert hours.status == "warning"
    assert f"about {hours_of(project):,.0f} of training" in hours.found
    assert f"{len(project.runs())} runs in" in hours.found
    assert len(fixed_cost) == len(set(fixed_cost)) < 40  # of each agent about two
    monkeypatch.setattr("dql.training.gpus.is_gpu_here", lambda: True)
    gpus, _ = doctor_scale.check_hours("smoke")
    assert "line torch" in gpus.remedy


def test_a_scales_hours_on_two_gpus(folder, fixed_cost, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        "dql.training.gpus.available_gpus", lambda: {"GPU-a": "a", "GPU-b": "b"}
    )
    gpus, hours = doctor_scale.check_hours("paper")
    assert gpus.status == hours.status == "ok"
    assert "--resources gpu=2 --config scale=paper" in gpus.found
    half = hours_of(load_project(scale="paper")) / 2
    assert f"on all GPUs here about {half:,.0f}" in hours.found


def test_jobs_are_counted_by_blocks_of_seeds():
    project = load_project(scale="paper")
    seeds = [seed for task, _, seed in project.runs() if task == "hopper-medium-v2"]
    assert len(seeds) % 6 == 0
    others = len(project.runs()) - len(seeds)
    assert doctor_scale._num_jobs(project) < others
    hopper = SimpleNamespace(
        runs=lambda: [k for k in project.runs() if k.task == "hopper-medium-v2"],
        scale=project.scale,
        suite=project.suite,
        task=project.task,
    )
    assert doctor_scale._num_jobs(hopper) == len(seeds) // 6


def test_tasks_of_a_block_are_one_job():
    sizes = {"methods": ["diffusion_ql", "td3_bc"], "tasks_per_job": 3}
    alone = load_project(
        scale="paper", overrides={"suites": {"gym": {**sizes, "tasks_per_job": 1}}}
    )
    together = load_project(scale="paper", overrides={"suites": {"gym": sizes}})
    # Nine tasks by two methods, or three bodies by two.
    saved = doctor_scale._num_jobs(alone) - doctor_scale._num_jobs(together)
    assert saved == 18 - 6


def test_a_named_scale_has_more_checks_under_their_own_names(folder, monkeypatch):
    assert doctor.checks_of(None) == doctor.CHECKS
    names = [check.__name__ for check in doctor.checks_of("paper")]
    assert names == [*(check.__name__ for check in doctor.CHECKS), "check_hours"]
    *_, configuration, _, _, _ = doctor.checks_of("smoke")
    assert only(configuration).found.startswith("scale smoke, ")


def test_an_unknown_scale_is_said_before_anything_is_looked_at(capsys):
    with pytest.raises(SystemExit) as end:
        main(["doctor", "--scale", "papper"])
    assert end.value.code == 2
    assert "papper" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_exit_code_is_1_with_a_problem(monkeypatch, capsys, options):
    def check_well():
        yield Finding("well", "ok", "[deep]")

    def check_ill():
        yield Finding("ill", "problem", "broken", "mend it")

    monkeypatch.setattr(doctor, "CHECKS", (check_well,))
    with pytest.raises(SystemExit) as end:
        main(["doctor", *options])
    assert not end.value.code
    assert "[deep]" in capsys.readouterr().out
    monkeypatch.setattr(doctor, "CHECKS", (check_well, check_ill))
    with pytest.raises(SystemExit) as end:
        main(["doctor", *options])
    assert end.value.code == 1
    printed = capsys.readouterr().out
    assert "mend it" in printed
    if options:
        assert json.loads(printed) == as_json(examine(doctor.CHECKS))


def test_runs_of_code_that_moved_are_counted_and_stay_readable(folder):
    today = training_fingerprint("td3_bc", "hopper")
    for seed, code in enumerate((today, "of-before-a-move")):
        config = make_config(method="td3_bc", seed=seed, settings={})
        directory = paths.run_directory(config["task"], "td3_bc", seed)
        write_run(directory, config, provenance={"code_fingerprint": code})
    finding = only(doctor_project.check_code_of_runs)
    assert finding.status == "warning"
    assert "1 of 2 runs" in finding.found
    assert "local-hopper-medium-expert/td3_bc" in finding.found
    assert "snakemake -n" in finding.remedy
    shutil.rmtree(directory)
    assert only(doctor_project.check_code_of_runs).status == "ok"
