"""The cluster profiles: keys that Snakemake knows, and a real Slurm where there is one.

What an optional plugin (pip's extra `cluster`) reads is tested where it is installed,
and the Slurm cluster where Debian's slurm-wlm and munge are.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
import yte
from slurm_cluster import missing_programs, slurm_cluster
from snakemake.cli import get_argument_parser
from workflow_helpers import workflow_helpers

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PROFILES = ["default", "kubernetes", "slurm"]
CELL = "results/cells/bandit-axes/bc_mle.json"


def needs_plugin(name: str) -> None:
    """Skip the test where the executor plugin is not installed."""
    module = f"snakemake_executor_plugin_{name}"
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed; pip install --editable '.[cluster]'")


def read_profile(name: str) -> dict:
    text = (ROOT / "profiles" / name / "config.yaml").read_text()
    return yte.process_yaml(text, require_use_yte=True)


def known_options() -> set[str]:
    """Return the long options of Snakemake and of the plugins that are installed."""
    parser = get_argument_parser()
    options = {name for action in parser._actions for name in action.option_strings}
    return {name.removeprefix("--") for name in options if name.startswith("--")}


def snakemake(
    *arguments: str,
    folder: Path,
    environment: dict[str, str] | None = None,
    fails: bool = False,
) -> str:
    """Run Snakemake on this tree, results below `folder`; return what it printed."""
    command = [str(BIN / "snakemake"), *arguments]
    command += ["--directory", str(folder), "--config", "scale=smoke"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=(environment or os.environ) | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=900,
    )
    printed = done.stdout[-3000:] + done.stderr[-5000:]
    assert (done.returncode != 0) == fails, printed
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", PROFILES)
def test_every_key_is_an_option_of_snakemake(name):
    options = known_options()
    for key in read_profile(name):
        plugin = key.partition("-")[0]
        module = f"snakemake_executor_plugin_{plugin}"
        if plugin in PROFILES and importlib.util.find_spec(module) is None:
            continue  # an option of a plugin that is not here
        assert key in options, key


FAULTY = """
rule all:
    input: "bad", "good"
rule bad:
    output: "bad"
    priority: 1
    shell: "exit 1"
rule good:
    output: "good"
    shell: "touch {output}"
"""


@pytest.mark.parametrize("name", PROFILES)
def test_a_failed_job_stops_only_what_depends_on_it(name, tmp_path):
    kept = {"keep-going": read_profile(name)["keep-going"]}  # no cluster is asked
    (tmp_path / "profile").mkdir()
    (tmp_path / "profile" / "config.yaml").write_text(yaml.safe_dump(kept))
    (tmp_path / "Snakefile").write_text(FAULTY)
    command = [BIN / "snakemake", "--cores", "1", "--workflow-profile", "profile"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "bad" in done.stderr and (tmp_path / "good").is_file()


@pytest.mark.parametrize("name", ["kubernetes", "slurm"])
def test_a_cluster_profile_runs_elsewhere_and_tries_again(name):
    profile = read_profile(name)
    assert profile["executor"] == name
    assert profile["retries"] >= 1 and profile["rerun-incomplete"] is True
    assert {"mem_mb", "runtime"} <= set(profile["default-resources"])
    # This machine's GPUs and processors say nothing about the cluster's.
    assert not {"resources", "cores"} & set(profile)
    assert "gpu" not in profile["default-resources"]


def test_every_job_fits_a_partition_of_the_file():
    """No training job asks for more than the example partitions with GPUs allow."""
    text = (ROOT / "profiles" / "slurm" / "partitions.yaml").read_text()
    partitions = yaml.safe_load(text)["partitions"]
    training = (ROOT / "workflow" / "helpers" / "training.smk").read_text()
    hours = int(re.search(r"MAX_MINUTES = (\d+) \* 60", training)[1])
    memory = int(re.search(r"OTHER_TRAINING_MEMORY_MB = (\d+)", training)[1])
    attempts = 1 + read_profile("slurm")["retries"]
    with_gpus = [p for p in partitions.values() if p.get("max_gpu")]
    without = [p for p in partitions.values() if not p.get("max_gpu")]
    assert with_gpus and without
    for partition in with_gpus:
        assert partition["max_runtime"] >= 60 * hours
        assert partition["max_mem_mb"] >= attempts * memory


@pytest.fixture
def training():
    """The helpers of the training rules, at the paper's scale."""
    return workflow_helpers("training", "paper")


def test_a_job_cut_by_its_time_asks_for_twice_as_much(training):
    minutes = training.training_minutes()
    wildcards = SimpleNamespace(task="hopper-medium-v2", method="td3_bc")
    asked = [minutes(wildcards, attempt) for attempt in (1, 2, 3, 4)]
    assert asked[0] == 30 + 2_000_000 * training.SECONDS_PER_STEP / 60
    assert asked[1] == 2 * asked[0]
    assert asked[3] == training.MAX_MINUTES
    bandit = SimpleNamespace(task="bandit-axes", method="td3_bc")
    assert training.training_minutes()(bandit, 1) < 60


@pytest.mark.parametrize(("has_gpu", "threads"), [(False, 1), (True, 4)])
def test_physics_has_threads_beside_a_gpu(training, has_gpu, threads):
    training.training_threads.__globals__["HAS_GPU"] = has_gpu
    assert training.training_threads([0, 1, 2, 3, 4, 5]) == threads
    assert training.training_threads([0]) == 1


def test_a_dry_run_with_the_profile_of_slurm(tmp_path):
    needs_plugin("slurm")
    printed = snakemake("-n", CELL, "--workflow-profile", "slurm", folder=tmp_path)
    assert "profiles/slurm" in printed
    assert re.search(r"(?m)^total +2$", printed)


def test_the_profile_of_kubernetes_lacks_the_object_store_alone(tmp_path):
    needs_plugin("kubernetes")
    arguments = ["-n", CELL, "--workflow-profile", "kubernetes"]
    printed = snakemake(*arguments, folder=tmp_path, fails=True)
    assert "profiles/kubernetes" in printed
    assert "--default-storage-provider" in printed


@pytest.mark.slow
def test_the_smoke_dag_is_made_through_slurm(tmp_path):
    """Training in the partition with GPUs, the rest in the other, all by sbatch."""
    needs_plugin("slurm")
    if missing := missing_programs():
        pytest.skip(f"not installed: {', '.join(missing)} (Debian: slurm-wlm, munge)")
    work = tmp_path / "work"
    with slurm_cluster(tmp_path / "slurm") as environment:
        # Without accounting there is no sacct to ask.
        patience = ["--slurm-status-command", "squeue", "--latency-wait", "5"]
        patience += ["--slurm-init-seconds-before-status-checks", "2"]
        snakemake(
            *("all", "--workflow-profile", "slurm", *patience),
            folder=work,
            environment=environment,
        )
        listed = subprocess.run(
            ["scontrol", "show", "jobs", "--oneliner"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
    jobs = [
        dict(re.findall(r"(\w+)=(\S+)", line)) for line in listed.stdout.splitlines()
    ]
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    training = [job for job in jobs if job["Partition"] == "gpu"]
    others = [job for job in jobs if job["Partition"] == "cpu"]
    assert len(training) + len(others) == len(jobs)
    assert {job["TresPerJob"] for job in training} == {"gres:gpu:1"}
    assert not any("TresPerJob" in job for job in others)
    assert {job["MinMemoryNode"] for job in training} == {"4000M", "12000M"}
    logs = [*work.glob("results/logs/train/*/*/*.log")]
    assert len(training) == len(logs) > 20 and len(others) > 20
    cell = work / "results/cells/local-hopper-medium-expert/diffusion_ql.json"
    assert json.loads(cell.read_text())["method"] == "diffusion_ql"
