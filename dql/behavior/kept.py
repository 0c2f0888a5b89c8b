"""Behavior policies that were searched before and come with the source.

A search takes minutes and finds kilobytes. Policies are taken from here where the scale
asks for the same budget and physics; anything else is searched. Either kind ends in
`results/behavior`, which DVC versions.
"""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from dql import paths
from dql.files import locked, new_folder

if TYPE_CHECKING:
    from dql.config.schema import BehaviorConfig, ProjectConfig

POLICIES_FILE = "policies.npz"
SUMMARY_FILE = "policies.json"
FILES = (POLICIES_FILE, SUMMARY_FILE)

logger = logging.getLogger(__name__)


def kept_folder(
    environment: str, config: ProjectConfig, budget: BehaviorConfig
) -> Path | None:
    """Return the folder of what such a search found, if it is kept and asked for.

    That the search itself has not changed since is for the tests to say.
    """
    if config.behavior_policies == "searched":
        return None
    folder = paths.KEPT_BEHAVIOR / environment
    file = folder / SUMMARY_FILE
    if not file.is_file():
        return None
    summary = json.loads(file.read_text(encoding="utf-8"))
    found = (summary["physics"], summary["budget"])
    return folder if found == (config.physics, budget.model_dump()) else None


def copy_policies(kept: Path, folder: Path) -> None:
    """Put kept policies where searched ones would be."""
    with locked(folder), new_folder(folder) as temporary:
        for name in FILES:
            shutil.copyfile(kept / name, temporary / name)
    logger.info(
        "%s: policies that come with the source, searched with this budget before; "
        "--set behavior_policies=searched searches them again",
        folder.name,
    )
