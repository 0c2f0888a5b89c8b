"""Aggregate the runs of one (task, method) into a cell: scores, spread, verdict.

Runs that are missing, short, duplicated, foreign or diverged are named and left out,
never averaged in; runs that mix datasets or physics are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dql import paths
from dql.config.schema import SelectionRule
from dql.errors import UserError
from dql.files import write_json
from dql.results.cell_curves import describe_curves, describe_gap
from dql.results.cell_facts import (
    compare_with_published,
    describe_cost,
    describe_dataset,
    describe_makers,
    describe_namesake,
    describe_sizes,
)
from dql.results.cell_scores import (
    HEADLINE_RULE,
    OFFLINE_LOSS,
    score_runs,
    with_reference_returns,
)
from dql.results.files import UnusableRunError, read_json
from dql.results.manifests import check_manifest
from dql.results.restored import digests, with_siblings
from dql.results.runs import (
    StoredRun,
    config_differences,
    evaluation_problems,
    read_run,
)


def aggregate_cell(
    run_configs: Sequence[Mapping[str, Any]],
    run_directories: Sequence[Path],
    output: Path,
    *,
    manifest: Path | None = None,
    restored_manifest: Path | None = None,
    published: Path = paths.PUBLISHED,
    selection_rule: SelectionRule = "text",
) -> dict[str, Any]:
    """Write and return the cell of the expected runs, one directory for each.

    `run_configs` are complete, as config.json holds them, all of one task and method
    and different in the seed only. `manifest` is the dataset's: its digest is the one
    that runs must have been trained on, or a sibling's, which the manifest of restored
    runs names: the same recipe's data, rounded on another processor.
    """
    first = _one_cell(run_configs)
    dataset = read_json(manifest) if manifest else {}
    if manifest:
        check_manifest(dataset, manifest)
    if restored_manifest:
        dataset = with_siblings(dataset, read_json(restored_manifest))
    environment = with_reference_returns(first["environment"], dataset)
    scored = {**first, "environment": environment}
    runs, left_out, diverged = _collect(run_configs, run_directories, dataset)
    scores = score_runs(runs, scored, selection_rule)
    cell = {
        "task": first["task"],
        "method": first["method"],
        "label": first["label"],
        "suite": first["suite"],
        "scale": first["scale"],
        "settings": first["settings"],
        **({"online": first["online"]} if first.get("online") else {}),
        "status": _status(runs, run_configs),
        "expected_seeds": sorted(int(config["seed"]) for config in run_configs),
        "seeds": sorted(run.seed for run in runs),
        "left_out": left_out,
        "diverged": diverged,
        "headline": HEADLINE_RULE,
        **scores,
        "selection_gap": describe_gap(runs, scores["scores"], environment),
        "curves": describe_curves(runs, environment),
        "dataset": describe_dataset(dataset, scored),
        "made_by": describe_makers(runs),
        "physics": first["environment"]["physics"],
        "sizes": describe_sizes(first, dataset),
        "cost": describe_cost(runs),
    }
    cell |= compare_with_published(cell, first, published)
    cell["namesake"] = describe_namesake(cell, first, published)
    write_json(output, cell)
    return cell


def _one_cell(run_configs: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the first config after checking that all differ in the seed only."""
    if not run_configs:
        raise UserError("a cell needs at least one expected run")
    first, seeds = run_configs[0], [config["seed"] for config in run_configs]
    if len(set(seeds)) < len(seeds):
        raise UserError(f"a cell takes each seed once, got {sorted(seeds)}")
    for config in run_configs[1:]:
        differences = config_differences({**config, "seed": first["seed"]}, first)
        if differences:
            raise UserError(
                f"runs of one cell may differ in the seed only; seed {config['seed']}: "
                f"{'; '.join(differences)}"
            )
    return first


def _collect(
    run_configs: Sequence[Mapping[str, Any]],
    run_directories: Sequence[Path],
    dataset: Mapping[str, Any],
) -> tuple[list[StoredRun], list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the usable runs, those left out with the reason, and the diverged."""
    runs: list[StoredRun] = []
    left_out, diverged = [], []
    for config, directory in zip(run_configs, run_directories, strict=True):
        seed = int(config["seed"])
        try:
            run = read_run(directory)
            problems = _problems(run, config, dataset, runs)
            run.metric(OFFLINE_LOSS)  # a file that cannot be read is found here
        except UnusableRunError as error:
            run, problems = None, [str(error)]
        if problems:
            reason = "; ".join(problems)
            left_out.append({"seed": seed, "run": str(directory), "reason": reason})
        elif run.diverged:
            diverged.append({"seed": seed, "run": str(directory), **run.diverged})
        else:
            runs.append(run)
    siblings = digests(dataset) if dataset else set()
    _refuse_mixture(
        runs,
        "dataset digest",
        lambda run: "" if run.dataset_digest in siblings else run.dataset_digest,
    )
    _refuse_mixture(runs, "physics", lambda run: run.physics)
    _refuse_mixture(runs, "lengths of the runs they go on from", _steps_before)
    return runs, left_out, diverged


def _steps_before(run: StoredRun) -> int:
    """Return the gradient steps of the offline run that an online one goes on from."""
    return run.provenance.get("start", {}).get("num_gradient_steps", 0)


def _problems(
    run: StoredRun,
    config: Mapping[str, Any],
    dataset: Mapping[str, Any],
    accepted: Sequence[StoredRun],
) -> list[str]:
    """Return why a run does not belong into the cell: foreign, short or duplicated."""
    problems = config_differences(run.config, config)
    if problems:
        return ["other configuration: " + ", ".join(problems[:3])]
    reads_data = run.dataset_digest is not None or not config.get("online")
    if dataset and reads_data and run.dataset_digest not in digests(dataset):
        problems.append(
            f"trained on other data: digest {run.dataset_digest}, "
            f"the task's is {dataset['digest']}"
        )
    physics = config["environment"]["physics"]
    if run.physics is not None and run.physics != physics:
        problems.append(f"evaluated in {run.physics} physics, expected {physics}")
    for other in accepted:
        if other.evaluations_digest == run.evaluations_digest:
            problems.append(f"evaluations.csv is a copy of seed {other.seed}'s")
    return problems if run.diverged else problems + evaluation_problems(run)


def _refuse_mixture(
    runs: Sequence[StoredRun], what: str, read: Callable[[StoredRun], str | None]
) -> None:
    """Raise when the runs of one cell disagree about what they all must share."""
    seeds_by_value: dict[str, list[int]] = {}
    for run in runs:
        seeds_by_value.setdefault(str(read(run)), []).append(run.seed)
    if len(seeds_by_value) > 1:
        listing = "; ".join(
            f"{value}: seeds {seeds}" for value, seeds in seeds_by_value.items()
        )
        raise UserError(
            f"{runs[0].directory.parent}: runs of one cell mix {what} ({listing}); "
            "retrain the foreign seeds or remove them"
        )


def _status(runs: Sequence[StoredRun], expected: Sequence[Mapping[str, Any]]) -> str:
    """Return whether all, some or none of the expected runs count."""
    if not runs:
        return "not run"
    return "complete" if len(runs) == len(expected) else "incomplete"
