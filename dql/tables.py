"""Make a table of the configuration from the cells that are there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dql import paths
from dql.d4rl_table import write_d4rl_table
from dql.errors import UserError, nearest
from dql.local_table import write_local_table
from dql.table_files import Table

if TYPE_CHECKING:
    from dql.config import Project

WRITERS = {"local": write_local_table, "d4rl": write_d4rl_table}
EXTENSIONS = ("csv", "md", "tex", "html")


def make_table(project: Project, name: str) -> Table:
    """Write one of the configuration's tables in every format."""
    if name not in WRITERS:
        raise UserError(f"unknown table {name!r}{nearest(name, WRITERS)}")
    outputs = [paths.table_file(name, extension) for extension in EXTENSIONS]
    return WRITERS[name](existing_cells(project, name), outputs)


def existing_cells(project: Project, name: str) -> list[Path]:
    """Return the cells of a table's tasks and methods that have been aggregated."""
    cells = [
        paths.cell_file(task, method)
        for suite in project.config.tables[name]
        for task in project.suite(suite).tasks
        for method in project.suite(suite).methods
    ]
    return [path for path in cells if path.is_file()]
