"""Behavior policies that were trained before and come with the source.

A training takes an hour and leaves a megabyte. Policies are taken from here where the
scale asks for the same budget and physics, and SAC's settings are the same; anything
else is trained. Either kind ends in `results/behavior`, which DVC versions.
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dql import paths
from dql.agents.registry import SETTINGS
from dql.config.online import OnlineConfig
from dql.errors import UserError
from dql.files import locked, new_folder

if TYPE_CHECKING:
    from dql.config.schema import BehaviorConfig, ProjectConfig

POLICIES_FILE = "policies.safetensors"
SUMMARY_FILE = "policies.json"
FILES = (POLICIES_FILE, SUMMARY_FILE)
AGENT = "sac"
BATCH_SIZE = 256
"""Of SAC's Table 1 (Haarnoja et al., 2019), as all its settings here."""

REMEDY = (
    "get the files that come with the source again with: git checkout -- "
    "workflow/behavior, or train with: --set behavior_policies=trained"
)

logger = logging.getLogger(__name__)


def agent_settings() -> dict[str, Any]:
    """Return what decides the training beside its budget, as the summary has it."""
    online = OnlineConfig.model_fields
    return {
        "agent": AGENT,
        "batch_size": BATCH_SIZE,
        "num_environments": online["num_environments"].default,
        "updates_per_step": online["updates_per_step"].default,
        **asdict(SETTINGS[AGENT]()),
    }


def kept_folder(
    environment: str, config: ProjectConfig, budget: BehaviorConfig
) -> Path | None:
    """Return the folder of what such a training left, if it is kept and asked for."""
    if config.behavior_policies == "trained":
        return None
    folder = paths.KEPT_BEHAVIOR / environment
    file = folder / SUMMARY_FILE
    if not file.is_file():
        return None
    try:
        summary = _read(file)
        found = tuple(summary[key] for key in ("physics", "budget", "settings"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} cannot be read ({error}); {REMEDY}") from None
    wanted = (config.physics, budget.model_dump(), agent_settings())
    return folder if found == wanted else None


def are_made_of(folder: Path, run: Path) -> bool:
    """Tell whether the policies in a folder are those of a run, which is finished."""
    try:
        summary = _read(folder / SUMMARY_FILE)
        config = _read(run / paths.CONFIG_FILE)
        budget, online = summary["budget"], config["online"]
        return (
            (run / paths.PROVENANCE_FILE).is_file()
            and config["seed"] == budget["seed"]
            and online["num_environment_steps"] == budget["num_environment_steps"]
            and config["settings"].items() <= summary["settings"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


def copy_policies(kept: Path, folder: Path) -> None:
    """Put kept policies where trained ones would be; damaged ones raise UserError."""
    from dql.behavior.policies import load_behavior  # which needs the names above

    load_behavior(kept, kept.name, remedy=REMEDY)
    with locked(folder), new_folder(folder) as temporary:
        for name in FILES:
            shutil.copyfile(kept / name, temporary / name)
    logger.info(
        "%s: policies that come with the source, trained with this budget before; "
        "--set behavior_policies=trained trains them again",
        folder.name,
    )
