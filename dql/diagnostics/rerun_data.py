"""The data of a run that is to train again: there, or made again if they can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dql import paths
from dql.config.data_schema import base_task
from dql.data.again import check_sibling, make_again, maker
from dql.data.datasets import load_dataset
from dql.data.policy_weights import store_weights
from dql.errors import UserError
from dql.results.files import read_json
from dql.results.manifests import (
    check_asked_for,
    check_manifest,
    read_manifest,
)
from dql.results.restored import digests, recipe_difference
from dql.results.runs import StoredRun
from dql.results.stored_runs import Address

if TYPE_CHECKING:
    from dql.config.schema import TaskConfig

ROWS_PER_MINUTE = 330_000
"""Of remade data, on one slow core."""


def check_data(task: TaskConfig, stored: StoredRun, address: Address) -> None:
    """Raise if the stored run's data are others than those here, or asked for here."""
    if reads_none(stored):
        return
    if task.environment == "bandit":
        _compare(load_dataset(task).manifest, stored, address)
        return
    kept = _kept_manifest(address)
    if kept:
        check_asked_for(task, kept)
    if paths.dataset_manifest(task.name).is_file():
        manifest = read_manifest(task)
        check_asked_for(task, manifest)
        _compare(manifest, stored, address)
    is_made_here = task.dataset.source == "remade" and not task.dataset.variant
    if not is_there(task) and not is_made_here:
        read_manifest(task)  # says how to get them if there is none
        raise UserError(
            f"the data of '{task.name}' are not here "
            f"({paths.dataset_file(task.name)} is missing); make the same again with: "
            f"dql data again {base_task(task.name)}"
        )


def reads_none(stored: StoredRun) -> bool:
    """Tell whether the run learned from what it played alone, and has no digest."""
    return stored.dataset_digest is None and bool(stored.config.get("online"))


def is_there(task: TaskConfig) -> bool:
    """Tell whether the task's data need not be made."""
    drawn_by_the_run = task.environment == "bandit"
    files = paths.dataset_file(task.name), paths.dataset_manifest(task.name)
    return drawn_by_the_run or all(file.is_file() for file in files)


def make_data(task: TaskConfig, address: Address, say: Callable[[str], None]) -> None:
    """Make remade data again where they are missing; others than the stored raise."""
    if is_there(task):
        return
    rows = task.dataset.num_transitions
    say(
        f"The data of {task.name} are not here and are made again from published "
        f"clones, downloaded where they are not here: {rows:,} rows, about "
        f"{max(1, round(rows / ROWS_PER_MINUTE))} minutes on one slow core. "
        "They stay in results/datasets for the next time."
    )
    for part in task.dataset.parts:
        store_weights(part.policy)
    if paths.dataset_manifest(task.name).is_file():
        make_again(task, maker(task))
        return
    made = maker(task)(task)
    kept = _kept_manifest(address)
    if kept and made["digest"] not in digests(kept):
        check_sibling(made, kept)


def same_rows(task: TaskConfig, stored: StoredRun) -> bool:
    """Tell whether the data here are the stored run's, digit by digit."""
    if reads_none(stored):
        return True
    if task.environment == "bandit":
        return load_dataset(task).manifest["digest"] == stored.dataset_digest
    return read_manifest(task)["digest"] == stored.dataset_digest


def _compare(manifest: Mapping[str, Any], stored: StoredRun, address: Address) -> None:
    """Raise unless data are the stored run's, or a draw of the same recipe."""
    if stored.dataset_digest in digests(manifest):
        return
    kept = _kept_manifest(address)
    is_of_it = kept and stored.dataset_digest in digests(kept)
    if is_of_it and not recipe_difference(manifest, kept):
        return
    task = manifest["task"]
    how = f" ({recipe_difference(manifest, kept)} differ)" if is_of_it else ""
    raise UserError(
        f"cannot compare with {address.path}, which was trained on other data of "
        f"'{task}' than those here{how}: digest {str(stored.dataset_digest)[:12]}, "
        f"here {manifest['digest'][:12]}. Nothing was trained. Take the stored data, "
        f"or train the run on these: dql train {' '.join(map(str, address.run[:2]))} "
        f"--seed {address.run.seed}"
    )


def _kept_manifest(address: Address) -> dict[str, Any] | None:
    """Return the manifest that the stored run's store has of its data."""
    path = address.manifest
    if path is None:
        return None
    manifest = read_json(path)
    check_manifest(manifest, path)
    return manifest
