"""The benchmark counts a step's products as PyTorch's profiler sees them."""

import json
import os
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import aggregation
import core_step
import data
import environments
import evaluation
import gpu_rows
import gradient_steps
import interaction
import max_q_backup
import method_steps
import policy_returns
import processes
import remade_mazes
import resume
import timing
from core_step import BATCH_SIZE, DIMENSIONS, make_core, paper_steps
from flops import Product, diffusion_ql_products, layer_products
from timing import PRODUCTS, product_milliseconds

from dql.config.project import load_project
from dql.config.validation import parse_changes
from dql.core import networks
from dql.data import antmaze
from dql.data.policy_weights import store_weights
from dql.diffusion import reverse_chain
from dql.errors import UserError
from dql.paths import PUBLISHED
from dql.results.published import read_rows
from tests.support.bare_python import hide_others
from tests.support.synthetic_weights import publish, snapshot

CPU = torch.device("cpu")
HIDDEN = 256
NUM_STEPS = 5
TIME_DIM = 16


@pytest.fixture
def without_fusion(monkeypatch):
    """Leave the networks to PyTorch's operations, which the profiler sees."""
    monkeypatch.setattr(reverse_chain, "kernels_apply", lambda *tensors: False)
    monkeypatch.setattr(networks, "mlp_kernels_apply", lambda *tensors: False)


def profiled_products(name: str, num_runs: int = 1) -> list[Product]:
    """Return the matrix products of one real step, by their shapes."""
    steps = make_core(DIMENSIONS[name], num_runs, CPU)
    steps(1)
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiler:
        steps(1)
    names = {f"aten::{packet.__name__.removeprefix('aten.')}" for packet in PRODUCTS}
    found = []
    for event in profiler.events():
        if event.name in names:
            # The operands are the last two tensors: baddbmm adds to the first.
            shapes = [shape for shape in event.input_shapes if shape]
            (*batch, rows, inputs), (*_, outputs) = shapes[-2:]
            found.append(Product(rows, inputs, outputs, batch[0] if batch else 1))
    return found


def necessary_products(name: str) -> list[Product]:
    dims = DIMENSIONS[name]
    return diffusion_ql_products(
        dims.observation, dims.action, num_backup_samples=dims.num_backup_samples
    )


def flops_by_layer(products: list[Product]) -> Counter:
    """Add up the FLOPs of products of the same three sizes, in any order."""
    total = Counter()
    for one in products:
        total[tuple(sorted((one.rows, one.inputs, one.outputs)))] += one.flops
    return total


def avoidable_products(name: str) -> list[Product]:
    """List what the core computes besides the necessary products.

    It keeps the code simple and costs a few per cent. Both critics are differentiated
    to the whole of their input, though the coin picks one and only its action matters;
    backup samples repeat the observation's share; the chain's own noise gets a
    gradient; L_d's first layer takes [action, time, observation] whole, apart from the
    chain's, and gives each of them a gradient.
    """
    dims = DIMENSIONS[name]
    samples = dims.num_backup_samples
    of_observation = [dims.observation, HIDDEN]
    of_action = [dims.action, HIDDEN]
    critic_body = [HIDDEN, HIDDEN, HIDDEN, 1]
    return [
        *layer_products(BATCH_SIZE, [*of_action, *critic_body[1:]], 1),
        *layer_products(BATCH_SIZE, of_observation, 2 + 3),
        *layer_products(BATCH_SIZE, of_observation, 3 * (samples - 1)),
        *layer_products(BATCH_SIZE, of_action, 1 + 1),
        *layer_products(BATCH_SIZE, [TIME_DIM, HIDDEN], 3),
        *layer_products(BATCH_SIZE, [NUM_STEPS, TIME_DIM], 2),
    ]


@pytest.mark.parametrize("name", ["hopper", "antmaze", "pen"])
def test_counts_agree_with_the_profiler(name, without_fusion):
    found, counted = profiled_products(name), necessary_products(name)
    for count in ("flops", "num_bytes"):
        measured = sum(getattr(product, count) for product in found)
        necessary = sum(getattr(product, count) for product in counted)
        assert 1.0 <= measured / necessary <= 1.05, count


@pytest.mark.parametrize("name", ["hopper", "antmaze", "pen"])
def test_the_difference_to_the_profiler_is_explained(name, without_fusion):
    explained = [*necessary_products(name), *avoidable_products(name)]
    measured = sum(product.flops for product in profiled_products(name))
    counted = sum(product.flops for product in explained)
    assert measured == pytest.approx(counted, rel=2e-3)


def test_the_square_layers_are_counted_exactly(without_fusion):
    """The products of 256 x 256 weights, most of the work, differ by one critic's.

    The gradients of the chain's weights take the rows of all its steps at once.
    """
    square = (BATCH_SIZE, HIDDEN, HIDDEN)
    of_all_steps = (HIDDEN, HIDDEN, NUM_STEPS * BATCH_SIZE)
    found = flops_by_layer(profiled_products("hopper"))
    assert found[of_all_steps] > 0
    measured = found[square] + found[of_all_steps]
    explained = [*necessary_products("hopper"), *avoidable_products("hopper")]
    assert measured == flops_by_layer(explained)[square]


def test_runs_in_lock_step_multiply_the_products(without_fusion):
    alone = sum(product.flops for product in profiled_products("hopper"))
    company = sum(product.flops for product in profiled_products("hopper", 3))
    assert company == 3 * alone


def test_a_product_counts_its_arithmetic_and_its_traffic():
    product = Product(rows=2, inputs=3, outputs=5, uses=7)
    assert product.flops == 2 * (2 * 3 * 5) * 7
    assert product.num_bytes == 4 * (2 * 3 + 3 * 5 + 2 * 5) * 7


def test_products_take_time():
    steps = make_core(DIMENSIONS["hopper"], 1, CPU)
    steps(2)
    assert product_milliseconds(steps, CPU, count=2, repeats=2) > 0


def test_the_papers_table_is_twenty_tasks():
    assert paper_steps() == {
        "hopper": 3 * 2_000_000,
        "halfcheetah": 6 * 2_000_000,
        "antmaze": 6 * 1_000_000,
        "pen": 2 * 1_000_000,
        "kitchen": 2_250_000,
    }


def test_the_benchmark_writes_ratios_and_the_machine(tmp_path, monkeypatch, capsys):
    for module, name, value in [
        (processes, "steps_per_second", float),
        (gradient_steps, "milliseconds_without_kernels", lambda: 40.0),
        (gradient_steps, "plain_and_core_milliseconds", lambda: (60.0, 30.0)),
        (timing, "INTERVAL", 1),
        (gradient_steps, "product_milliseconds", lambda steps, device: 0.0),
        (core_step, "NUM_TRANSITIONS", 100),
    ]:
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    output = tmp_path / "deeper" / "steps.json"
    gradient_steps.main(quick=True, output=output)
    content = json.loads(output.read_text())
    assert [row["num_runs"] for row in content["steps"]] == [1, 6]
    assert content["summary"]["two processes over one"] == 2
    assert 0 < content["summary"]["start-up with compilation, s"] < 600
    assert content["machine"]["processor"] and content["versions"]["torch"]
    assert "hopper" in capsys.readouterr().out


def test_a_gpus_rows_are_written_one_by_one(tmp_path, monkeypatch, without_fusion):
    """The kernels are PyTorch's operations here, where there is no GPU.

    In the fused networks the profiler sees next to no product.
    """
    monkeypatch.setattr(gpu_rows, "WINDOWS", {"cpu": (2, 1)})
    monkeypatch.setattr(core_step, "NUM_TRANSITIONS", 100)
    output = tmp_path / "rows.json"
    written = []
    write = gradient_steps.write

    def noted(output, rows, summary):
        write(output, rows, summary)
        written.append(len(json.loads(output.read_text())["steps"]))

    monkeypatch.setattr(gradient_steps, "write", noted)
    options = {"device": "cpu", "dimensions": ["hopper"], "runs": [1, 2]}
    gradient_steps.main(**options, seconds=0, ways=True, output=output)
    assert written == [1, 2, 2]
    content = json.loads(output.read_text())
    for row in content["steps"]:
        kernels = row["kernels"]
        times = [kernel["microseconds"] for kernel in kernels]
        assert times == sorted(times, reverse=True)
        assert any(kernel["is_product"] for kernel in kernels)
        assert 0 < row["share_outside_products"] < 1
        ratio = content["summary"][
            f"eager over recorded, hopper, R = {row['num_runs']}"
        ]
        assert ratio == pytest.approx(row["milliseconds_eager"] / row["milliseconds"])
    assert torch.get_float32_matmul_precision() == "highest"


def test_dimensions_that_nobody_has_are_named(tmp_path):
    with pytest.raises(UserError, match="unknown dimensions 'hoper'.*hopper"):
        gradient_steps.main(dimensions=["hoper"], output=tmp_path / "none.json")


def test_hours_of_the_papers_table_count_six_seeds(monkeypatch):
    monkeypatch.setattr(processes, "steps_per_second", float)
    monkeypatch.setattr(gradient_steps, "milliseconds_without_kernels", lambda: 6.0)
    monkeypatch.setattr(gradient_steps, "startup_seconds", lambda: 1.0)
    monkeypatch.setattr(gradient_steps, "plain_and_core_milliseconds", lambda: (12, 6))
    row = {"num_runs": 6, "device": "cpu", "milliseconds": 6.0, "times_the_floor": 1.0}
    rows = [
        row | {"dimensions": name, "milliseconds_per_run": 1.0} for name in DIMENSIONS
    ]
    summary = gradient_steps.summarize([*rows, rows[0] | {"num_runs": 1}])
    (hours,) = [value for name, value in summary.items() if name.startswith("hours")]
    assert hours == pytest.approx(6 * 28_250_000 * 1e-3 / 3600)
    assert summary["times as fast as the plain step"] == 2
    assert summary["times as fast, without the C kernels"] == 2


def test_the_data_benchmark_sets_time_and_memory_against_the_limits(tmp_path, capsys):
    output = tmp_path / "deeper" / "data.json"
    data.main(num_transitions=2 * data.EPISODE_LENGTH + 9, output=output)
    content = json.loads(output.read_text())
    assert [row["stage"] for row in content["stages"]] == list(data.LIMITS)
    for row in content["stages"]:
        limits = data.LIMITS[row["stage"]]
        for name, limit in limits.items():
            assert row["of_limit"][name] == pytest.approx(row[name] / limit)
        assert row["cpu_seconds"] > 0 and row["peak_bytes"] > 2**20
    assert "second load" in capsys.readouterr().out


def test_the_study_to_aggregate_is_of_the_papers_size():
    options = aggregation.study(40, 100)
    changes = parse_changes(options[3::2])
    runs = load_project(scale="paper", overrides=changes).runs()
    assert len({run.task for run in runs}) == 20
    assert len({run.method for run in runs}) == 12
    assert len(runs) == 20 * 12 * 6
    training = changes["suites"]["gym"]["training"]
    tables = aggregation.random_tables(training, 0)
    assert tables["evaluations.csv"].count(b"\n") == 1 + 40 * 100


def test_a_checkpoint_is_timed_against_the_steps_between_two():
    row = resume.checkpoint_cost("bc_mle", 8, interval=100)
    assert row["checkpoint_bytes"] > 1000 * len(resume.SEEDS)
    between = 100 * row["step_seconds"]
    assert row["share"] == pytest.approx(row["checkpoint_seconds"] / between)


def test_the_training_to_stop_is_the_one_whose_checkpoints_are_timed():
    command = resume.train_command("bc_mle", 8)
    project = resume.short(8)
    changes = parse_changes(
        [word for word in command if word.startswith("suites.bandit")]
    )
    asked = load_project(scale="quick", overrides=changes)
    assert asked.run_config("bandit-axes", "bc_mle", 0) == project.run_config(
        "bandit-axes", "bc_mle", 0
    )


def test_environments_are_stepped_beside_gymnasiums(tmp_path, monkeypatch, capsys):
    both = ("hopper-medium-v2", "local-pointmaze-umaze")
    chosen = {task: environments.TASKS[task] for task in both}
    monkeypatch.setattr(environments, "TASKS", chosen)
    monkeypatch.setattr(environments, "MAZE_EPISODES", 4)
    monkeypatch.setattr(environments, "MAZE_METHODS", ("td3_bc",))
    output = tmp_path / "environments.json"
    environments.main(episodes=2, steps=3, threads=2, output=output)
    content = json.loads(output.read_text())
    assert [row["task"] for row in content["families"]] == list(both)
    for row in content["families"]:
        each = row["microseconds_per_step"]
        assert row["speedup"] == pytest.approx(each["gymnasium"] / each["ours"])
    (row,) = content["evaluations"]
    each = row["milliseconds_per_step_of_all"]
    assert list(each) == ["one_thread", "taking_turns", "sharing"]
    assert row["speedup"] == pytest.approx(each["taking_turns"] / each["sharing"])
    assert "times as fast" in capsys.readouterr().out


def test_a_sample_of_every_remade_maze_is_measured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    walks = {"ant_goal_policy": ("goal_policy", snapshot(dims=(29, 8)))}
    publish(monkeypatch, tmp_path / "published", walks, "antmaze")
    store_weights("ant_goal_policy")
    for module in (antmaze, remade_mazes):
        monkeypatch.setattr(module, "EPISODE_ROWS", 5)
    remade_mazes.main(episodes=2, output=tmp_path / "mazes.json")
    rows = json.loads((tmp_path / "mazes.json").read_text())["tasks"]
    assert [row["task"] for row in rows] == remade_mazes.TASKS
    assert {row["num_transitions"] for row in rows} == {10}
    assert len(list(tmp_path.glob("mazes_remade-antmaze-*.png"))) == 6


def test_evaluating_together_is_set_against_one_by_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(evaluation, "WINDOWS", (1, 2))
    output = tmp_path / "evaluation.json"
    evaluation.main(seconds=0.1, output=output)
    rows = json.loads(output.read_text())["devices"]
    assert [row["num_threads"] for row in rows if row["device"] == "cpu"][0] == 1
    for row in rows:
        ratio = row["milliseconds_together"] / row["milliseconds_one_by_one"]
        assert row["ratio"] == pytest.approx(ratio)
        assert row["ratio_of_products"] > 0
    assert "one by one" in capsys.readouterr().out


def test_numbers_of_a_gpu_come_with_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
    output = tmp_path / "numbers.json"
    rows = [{"device": "cpu"}, {"device": "cuda"}]
    for write in (evaluation.write, lambda *of: gradient_steps.write(*of, {})):
        write(output, rows)
        assert json.loads(output.read_text())["gpu"] == "NVIDIA H100"
        write(output, rows[:1])
        assert "gpu" not in json.loads(output.read_text())


def test_candidates_of_all_episodes_are_counted():
    rows = 5 * 10 * 50
    chain = 5 * (256 * (11 + 3 + 16) + 2 * 256**2 + 3 * 256)
    critics = 2 * (256 * (11 + 3) + 2 * 256**2 + 256)
    assert evaluation.flops_per_step() == 2 * rows * (chain + critics)


ROOT = Path(__file__).parents[1]
WHEELS = ROOT / "benchmarks" / "gpu_wheels.txt"


def pins(path):
    lines = path.read_text().lower().replace("_", "-").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def test_the_wheels_for_a_gpu_are_the_pinned_ones():
    assert pins(WHEELS) and pins(WHEELS) <= pins(ROOT / "requirements.lock")


@pytest.fixture
def bare_python(tmp_path):
    """Return the variables of a Python that has what the list of wheels says."""
    text = WHEELS.read_text()
    base = "torch numpy pandas h5py safetensors typer filelock pyyaml imageio pytest"
    for name in base.replace("torch", "pytorch").split():
        assert name in text.lower()
    wheels = [line.partition("==")[0] for line in pins(WHEELS)]
    folder = tmp_path / "site"
    folder.mkdir()
    hide_others(folder, base.split(), wheels)
    return {"PYTHONPATH": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


NEEDED = """\
import importlib.util
import dql.environments.batch, dql.data.local, dql.training.loop
import gymnasium.envs.mujoco
import minari.data_collector.episode_buffer, minari.dataset.minari_storage
import torch.profiler
assert not importlib.util.find_spec("snakemake")
"""


def test_the_wheels_for_a_gpu_are_all_that_is_needed(bare_python):
    bare_python["PYTHONPATH"] += f"{os.pathsep}{ROOT}"
    environment = os.environ | bare_python
    subprocess.run([sys.executable, "-c", NEEDED], env=environment, check=True)


FIRST_MINUTES = ROOT / "benchmarks" / "first_gpu_minutes.sh"


def first_minutes(*arguments, **environment):
    environment = {"TOTAL_SECONDS": "10000"} | environment
    return subprocess.run(
        ["bash", FIRST_MINUTES, *arguments],
        env=os.environ | {"PYTHON": sys.executable} | environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("failing", ["gpu_tests", "versions"])
def test_nothing_is_measured_where_the_tests_for_gpus_fail(tmp_path, failing):
    """Python is a stand-in here, which fails at one stage and does nothing else."""
    python = tmp_path / "python"
    at = {"gpu_tests": "*test_on_a_gpu*", "versions": "-"}[failing]
    python.write_text(f'#!/bin/sh\ncase "$*" in {at}) exit 1;; esac\n')
    python.chmod(0o755)
    done = first_minutes(tmp_path / "out", PYTHON=str(python))
    assert done.returncode == 1
    rows = (tmp_path / "out" / "stages.tsv").read_text().splitlines()
    stages = [row.split("\t")[:2] for row in rows]
    assert stages[-1] == [failing, "1"]
    assert all(status == "0" for _, status in stages[:-1])


def test_every_stage_has_its_turn_whatever_came_of_the_others(tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\ncase "$*" in *gradient_steps.py*) exit 3;; esac\n')
    python.chmod(0o755)
    done = first_minutes(tmp_path / "out", PYTHON=str(python))
    rows = (tmp_path / "out" / "stages.tsv").read_text().splitlines()
    stages = dict(row.split("\t")[:2] for row in rows)
    assert stages["steps_hopper"] == stages["steps_antmaze"] == "3"
    for method in ("diffusion_ql", "bc_diffusion", "td3_bc"):
        assert stages[f"train_{method}_until_term"] == "0"
        assert stages[f"train_{method}_resumed"] == "0"
    assert done.stdout.splitlines()[-1].startswith("pack")


def test_what_comes_late_is_left_out_and_packing_is_not(tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\ncase "$*" in *gradient_steps.py*) sleep 30;; esac\n')
    python.chmod(0o755)
    first_minutes(tmp_path / "out", PYTHON=str(python), TOTAL_SECONDS="6")
    rows = (tmp_path / "out" / "stages.tsv").read_text().splitlines()
    stages = dict(row.split("\t")[:2] for row in rows)
    assert stages["gpu_exact_tests"] == "0"
    assert stages["steps_hopper"] == "124"
    assert stages["steps_antmaze"] == stages["train_td3_bc_resumed"] == "late"
    assert rows[-1].startswith("pack\t") and stages["pack"] != "late"


@pytest.mark.slow
def test_the_first_minutes_on_a_gpu_rehearsed(tmp_path, bare_python):
    done = first_minutes(tmp_path / "out", REHEARSAL="1", **bare_python)
    rows = (tmp_path / "out" / "stages.tsv").read_text().splitlines()
    stages = dict(row.split("\t")[:2] for row in rows)
    # A process may have been done before the signal reached it.
    assert all(s in ("0", "124") for s in stages.values()), done.stdout + done.stderr
    logs = [log.read_text() for log in (tmp_path / "out").glob("*_until_term.log")]
    assert any("the checkpoint is written" in log for log in logs)
    with tarfile.open(tmp_path / "out" / "training.tar.gz") as packed:
        names = packed.getnames()
    assert sum(name.endswith("provenance.json") for name in names) == 6
    assert sum(name.endswith(".safetensors") for name in names) == 1


def test_an_output_folder_is_asked_for():
    done = first_minutes()
    assert done.returncode == 2 and "usage" in done.stderr


def check_interaction(row):
    alone, together = row["milliseconds_alone"], row["milliseconds_together"]
    assert 0 < alone < 1000 and 0 < together < 1000
    assert row["ratio"] == pytest.approx(together / alone)
    assert row["num_steps"] % interaction.BLOCK == 0


def test_interaction_is_timed_beside_its_updates(tmp_path, capsys):
    output = tmp_path / "interaction.json"
    kept = {"methods": {"iql": {"ratio": 1.5}, "td3_bc": {"ratio": 0.5}}}
    output.write_text(json.dumps(kept))
    interaction.main(method=["td3_bc"], turns=1, output=output)
    found = json.loads(output.read_text())
    assert found["methods"]["iql"] == kept["methods"]["iql"]
    check_interaction(found["methods"]["td3_bc"])
    assert found["machine"] and found["load_average"] >= 0
    assert "td3_bc" in capsys.readouterr().out


def test_what_interaction_costs_is_stored_of_every_method():
    stored = json.loads((ROOT / interaction.OUTPUT).read_text())["methods"]
    assert set(stored) == {*interaction.METHODS}
    for row in stored.values():
        check_interaction(row)
        assert row["ratio"] <= interaction.MAX_RATIO


def test_a_methods_step_is_timed_and_the_others_rows_stay(tmp_path):
    output = tmp_path / "steps.json"
    kept = {"milliseconds_per_step": {"iql": 1.0, "bc_mle": 2.0}}
    output.write_text(json.dumps(kept))
    method_steps.main(method=["bc_mle"], output=output)
    found = json.loads(output.read_text())
    steps = found["milliseconds_per_step"]
    assert steps["iql"] == 1.0
    assert 0 < steps["bc_mle"] != 2.0
    assert found["machine"]


def test_a_method_of_the_bandit_alone_is_timed_there(tmp_path):
    project = load_project(scale="ablations")
    assert method_steps.bandit_methods_of(project) == ["bet"]
    output = tmp_path / "steps.json"
    method_steps.main(method=["bet"], output=output)
    steps = json.loads(output.read_text())["milliseconds_per_step"]
    assert list(steps) == ["bet"] and steps["bet"] > 0


def test_a_max_q_backup_is_timed_beside_a_step_without_it(tmp_path):
    output = tmp_path / "backup.json"
    max_q_backup.main(output=output, seconds=0)
    steps = json.loads(output.read_text())["steps"]
    assert steps["with"]["milliseconds"] > 1.2 * steps["without"]["milliseconds"] > 0
    # Ten next actions a row, for which the target's chain and critics run.
    assert steps["with"]["necessary_flops"] / steps["without"]["necessary_flops"] > 2.5


def test_roll_outs_are_of_listed_policies_in_their_own_environments():
    project, found = load_project(scale="paper"), list(policy_returns.asks())
    assert len({ask.key for ask in found}) == len(found)
    published = read_rows(PUBLISHED / "policy_returns.csv")
    known = {row["policy"] for row in published}
    trained_in = {row["name"]: row["environment"] for row in policy_weights()}
    for ask in found:
        assert ask.policy in known
        environment = project.task(ask.task).environment
        assert environment.startswith(trained_in[ask.policy])


def policy_weights():
    return read_rows(PUBLISHED / "policy_weights.csv")


def test_what_is_rolled_out_already_is_not_repeated(tmp_path, monkeypatch):
    asked = []

    def rolled_out(ask):
        asked.append(ask.key)
        names = ("policy", "physics", "acting", "num_episodes", "seed")
        return dict(zip(names, ask.key, strict=True)) | {"mean": float(len(asked))}

    monkeypatch.setattr(policy_returns, "rolled_out", rolled_out)
    output = tmp_path / "returns.json"
    policy_returns.main(output=output)
    keys = [ask.key for ask in policy_returns.asks()]
    assert asked == keys
    first = json.loads(output.read_text())
    assert [row["mean"] for row in first["policies"]] == [*range(1, len(keys) + 1)]
    assert first["machine"]
    policy_returns.main(output=output, again=["pen_dapg_2"])
    assert asked[len(keys) :] == [key for key in keys if key[0] == "pen_dapg_2"]
    second = json.loads(output.read_text())["policies"]
    assert [row["policy"] for row in second] == [key[0] for key in keys]
    assert second[0]["mean"] == 1.0
