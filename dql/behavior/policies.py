"""Behavior policies of the local suite: searched here, sorted by quality, kept small.

`expert` policies are the best of their search, `medium` ones the first to reach a third
of the best return of all. Each quality has a policy from every search that got there,
so that data is multimodal. What each search went through up to its medium policy is
kept too: rolled out again, it is the replay data.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import mujoco
import numpy as np

from dql.behavior.kept import POLICIES_FILE, SUMMARY_FILE
from dql.behavior.linear import LinearPolicies, stack_policies
from dql.behavior.quality import Evaluator, choose_policies
from dql.behavior.race import run_searches
from dql.behavior.search import SEARCH_SETTINGS, Search, SearchSettings
from dql.errors import UserError, nearest
from dql.files import locked, new_folder, write_json

if TYPE_CHECKING:
    from dql.config.schema import BehaviorConfig

logger = logging.getLogger(__name__)


class Behavior(NamedTuple):
    """What is on disk: the summary, its policies row by row, and the replay's."""

    summary: dict[str, Any]
    policies: LinearPolicies
    replay: LinearPolicies


def train(
    environment: str,
    physics: str,
    budget: BehaviorConfig,
    folder: Path,
    *,
    num_processes: int = 1,
    settings: SearchSettings | None = None,
) -> dict[str, Any]:
    """Search behavior policies and write them to `folder`; return the summary."""
    if environment not in SEARCH_SETTINGS:
        raise UserError(
            f"no behavior policies are trained in {environment!r}"
            f"{nearest(environment, SEARCH_SETTINGS)}"
        )
    settings = settings or SEARCH_SETTINGS[environment]
    evaluator = Evaluator(environment, physics, budget.seed)
    searches, dropped = run_searches(
        environment, physics, budget, settings, evaluator, num_processes
    )
    chosen = choose_policies(searches, settings, evaluator)
    entries = [entry for entry, _ in chosen]
    for entry in entries:
        logger.info("%(quality)s policy: return %(mean_return).0f", entry)
    reference_scores = {
        "min": evaluator.random_return(),
        "max": max(entry["noise_free_return"] for entry in entries),
        "source": "mean returns measured here: random actions, and the best behavior "
        "policy without action noise",
    }
    summary = {
        "environment": environment,
        "physics": physics,
        "budget": {"seed": budget.seed, "num_iterations": budget.num_iterations},
        "settings": _json_settings(settings),
        "reference_scores": reference_scores,
        "policies": entries,
        "searches": [_describe(search) for search in searches],
        "dropped_searches": [_describe(search) for search in dropped],
        "num_steps": evaluator.num_steps
        + sum(search.num_steps for search in (*searches, *dropped)),
        "versions": {"mujoco": mujoco.__version__, "numpy": np.__version__},
    }
    policies = stack_policies([policy for _, policy in chosen])
    with locked(folder), new_folder(folder) as temporary:
        replay = replay_policies(searches, entries)
        save_policies(temporary / POLICIES_FILE, policies, replay)
        write_json(temporary / SUMMARY_FILE, summary)
    return summary


def replay_policies(
    searches: list[Search], entries: list[dict[str, Any]]
) -> LinearPolicies:
    """Return every iterate of the searches up to their medium policies."""
    last = {
        entry["search_seed"]: entry["iteration"]
        for entry in entries
        if entry["quality"] == "medium"
    }
    return stack_policies(
        [
            policy
            for search in searches
            for policy in search.iterates[: last.get(search.seed, -1) + 1]
        ]
    )


def save_policies(path: Path, policies: LinearPolicies, replay: LinearPolicies) -> None:
    """Write both groups of policies as plain arrays."""
    groups = {"policies": policies, "replay": replay}
    np.savez(
        path,
        **{
            f"{group}_{field.name}": getattr(rows, field.name)
            for group, rows in groups.items()
            for field in dataclasses.fields(LinearPolicies)
        },
    )


def load_behavior(folder: Path) -> Behavior:
    """Read the policies of an environment and check that the two files agree."""
    names = [field.name for field in dataclasses.fields(LinearPolicies)]
    try:
        with locked(folder):
            text = (folder / SUMMARY_FILE).read_text(encoding="utf-8")
            with np.load(folder / POLICIES_FILE, allow_pickle=False) as file:
                groups = [
                    LinearPolicies(*(file[f"{group}_{name}"] for name in names))
                    for group in ("policies", "replay")
                ]
        behavior = Behavior(json.loads(text), *groups)
        num_entries = len(behavior.summary["policies"])
    except FileNotFoundError as error:
        raise UserError(
            f"there are no behavior policies in {folder}: {error.filename} is missing; "
            f"make them with: dql data behavior {folder.name}"
        ) from None
    except (ValueError, KeyError, zipfile.BadZipFile, OSError) as error:
        raise UserError(
            f"the behavior policies in {folder} cannot be read ({error}); "
            f"make them again with: dql data behavior {folder.name}"
        ) from None
    if num_entries != len(behavior.policies):
        raise UserError(
            f"{folder}: {SUMMARY_FILE} lists {num_entries} policies, {POLICIES_FILE} "
            f"holds {len(behavior.policies)}; make them again with: "
            f"dql data behavior {folder.name}"
        )
    return behavior


def _describe(search: Search) -> dict[str, Any]:
    return {
        "seed": search.seed,
        "num_iterations": search.num_iterations,
        "num_steps": search.num_steps,
        "mean_returns": [round(value, 1) for value in search.mean_returns],
    }


def _json_settings(settings: SearchSettings) -> dict[str, Any]:
    values = dataclasses.asdict(settings)
    return {
        name: value if math.isfinite(value) else None for name, value in values.items()
    }
