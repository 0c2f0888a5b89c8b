"""Aggregate the cells of a scale: one, or in one process all that its tables read."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from dql import paths
from dql.errors import UserError
from dql.results.cells import aggregate_cell
from dql.results.manifests import check_asked_for, read_manifest

if TYPE_CHECKING:
    from dql.config.project import Project

logger = logging.getLogger(__name__)


def aggregate(project: Project, task: str, method: str) -> dict[str, Any]:
    """Write and return the cell of a method on a task over the scale's seeds."""
    seeds = project.seeds(task, method)
    first = project.run_config(task, method, seeds[0] if seeds else 0)
    config = first.model_dump(mode="json")
    manifest, restored = paths.dataset_manifest(task), paths.restored_manifest(task)
    if first.online and not first.online.needs_data and manifest.is_file():
        # No digest of such runs tells whether these references are the task's.
        check_asked_for(first.environment, read_manifest(first.environment))
    return aggregate_cell(
        [config | {"seed": seed} for seed in seeds],
        [paths.run_directory(task, method, seed) for seed in seeds],
        paths.cell_file(task, method),
        manifest=manifest if manifest.is_file() else None,
        restored_manifest=restored if restored.is_file() else None,
        selection_rule=project.config.selection_rule,
    )


def aggregate_all(project: Project) -> int:
    """Write every cell that the scale's tables and figures read; return how many.

    A cell that is refused does not stop the others; all refusals are raised at the end.
    """
    from dql.tables.registry import comparable_cells, table_cells

    cells = {cell for name in project.tables for cell in table_cells(project, name)}
    others = project.cells(project.scale.suites.keys() - {"bandit"})
    cells |= {*others} - {*comparable_cells(others)}  # figures alone read these
    refused = []
    for task, method in sorted(cells):
        try:
            aggregate(project, task, method)
        except UserError as error:
            refused.append(f"{task}, {method}: {error}")
    if refused:
        raise UserError("\n".join([f"{len(refused)} cells refused:", *refused]))
    logger.info("aggregated %d cells into %s", len(cells), paths.CELLS)
    return len(cells)
