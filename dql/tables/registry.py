"""Every table by name: which stored results it reads, and who writes it.

Importing this module costs nothing: the writers are loaded when they are called.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dql import paths
from dql.config.data_schema import is_varied
from dql.config.online import is_online
from dql.errors import UserError, nearest

if TYPE_CHECKING:
    from dql.config.project import Project
    from dql.tables.files import Table
    from dql.tables.remade_rows import Expected

EXTENSIONS = ("csv", "md", "tex", "html")

METHODS: dict[str, tuple[str, ...] | None] = {
    "remade": None,
    "local": None,
    "d4rl": None,
    "selection": ("diffusion_ql",),
    "ablation": (
        "bc_cvae", "bc_diffusion", "bcq", "bcq_diffusion", "cvae_ql", "diffusion_ql"
    ),
    "mixture": ("td3_bc", "ql_mdn", "diffusion_ql"),
    "hyperparameters": (),
    "compute": (),
    "stability": (),
}  # fmt: skip
"""The methods whose cells a table reads; None: all that the scale trains."""


def check_name(project: Project, name: str) -> None:
    """Raise unless the table can be written and has suites in the configuration."""
    if name not in METHODS:
        raise UserError(f"unknown table {name!r}{nearest(name, METHODS)}")
    project.table_suites(name)


def table_cells(project: Project, name: str) -> list[tuple[str, str]]:
    """Return the (task, method) pairs whose cells a table reads.

    None that went on online or learned from a variant of a task's data. Of the bandit,
    `mixture` reads the summary instead.
    """
    check_name(project, name)
    suites = project.table_suites(name)
    if name == "mixture":
        suites = [suite for suite in suites if suite != "bandit"]
    methods = METHODS[name]
    return [
        (task, method)
        for task, method in comparable_cells(project.cells(suites))
        if methods is None or method in methods
    ]


def comparable_cells(cells: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the cells that learned from a task's recorded data, as they are, alone."""
    return [cell for cell in cells if not is_online(cell[1]) and not is_varied(cell[0])]


def make_table(project: Project, name: str) -> Table:
    """Write one of the configuration's tables in every format."""
    cells, notes = usable_cells(project, name)
    outputs = [paths.table_file(name, extension) for extension in EXTENSIONS]
    min_steps = project.config.min_steps_to_rank
    if name == "remade":
        from dql.tables.remade import write_remade_table

        expected = remade_cells(project)
        return write_remade_table(
            cells, outputs, expected=expected, min_steps=min_steps, notes=notes
        )
    if name == "local":
        from dql.tables.local import write_local_table

        expected = [
            (*cell, project.label(cell[1])) for cell in table_cells(project, name)
        ]
        return write_local_table(
            cells, outputs, expected=expected, min_steps=min_steps, notes=notes
        )
    if name == "d4rl":
        from dql.tables.d4rl import write_d4rl_table

        return write_d4rl_table(cells, outputs, notes=notes)
    if name == "selection":
        from dql.tables.selection import write_selection_table

        return write_selection_table(cells, outputs, min_steps=min_steps, notes=notes)
    if name == "ablation":
        from dql.tables.ablation import write_ablation_table

        return write_ablation_table(cells, outputs, min_steps=min_steps, notes=notes)
    if name == "mixture":
        from dql.tables.mixture import write_mixture_table

        summary = paths.BANDIT_SUMMARY if reads_bandit(project, name) else None
        return write_mixture_table(
            cells, outputs, project.label, summary, min_steps=min_steps, notes=notes
        )
    if name == "hyperparameters":
        from dql.tables.hyperparameters import write_hyperparameter_table

        return write_hyperparameter_table(project, outputs)
    if name == "stability":
        from dql.tables.stability import write_stability_table

        return write_stability_table(expected_runs(project, name), outputs)
    from dql.tables.compute import write_compute_table

    return write_compute_table(expected_runs(project, name), outputs)


def remade_cells(project: Project) -> list[Expected]:
    """Return the cells of remade data with what is known of their D4RL namesakes."""
    from dql.data.d4rl_facts import behavior_score
    from dql.tables.remade_rows import Expected

    expected = []
    for task, method in table_cells(project, "remade"):
        namesake = project.task(task).namesake
        score = behavior_score(project.task(namesake))
        label = project.label(method)
        expected.append(Expected(task, method, label, namesake, score))
    return expected


def reads_bandit(project: Project, name: str) -> bool:
    """Return whether a table shows numbers of the bandit's summary."""
    suites = [suite for suite in project.table_suites(name) if suite == "bandit"]
    return name == "mixture" and bool(project.cells(suites))


def table_runs(project: Project, name: str) -> list[tuple[str, str]]:
    """Return the (task, method) pairs whose runs a table reads itself."""
    if name not in ("compute", "stability"):
        return []
    return comparable_cells(project.cells(project.table_suites(name)))


def measured_cells(project: Project, name: str) -> list[tuple[str, str]]:
    """Return the (task, method) pairs whose last policies' episodes a table reads."""
    return table_runs(project, name) if name == "stability" else []


def table_settings(project: Project, name: str) -> list:
    """Return the resolved settings that a table prints."""
    if name != "hyperparameters":
        return []
    from dql.tables.resolved_settings import resolved_table

    return list(resolved_table(project, name))


def usable_cells(project: Project, name: str) -> tuple[list[Path], list[str]]:
    """Return the stored cells of a table, and a note for each of other settings."""
    usable, notes = [], []
    for task, method in table_cells(project, name):
        path = paths.cell_file(task, method)
        if not path.is_file():
            continue
        difference = _foreign(project, task, method, path)
        if difference:
            notes.append(f"left out: {task}, {project.label(method)}: {difference}")
        else:
            usable.append(path)
    return usable, notes


def _foreign(project: Project, task: str, method: str, path: Path) -> str:
    """Return why a stored cell is not of this configuration, or nothing."""
    from dql.results.files import read_json

    config, training = project.task(task), project.training(task, method)
    cell = read_json(path)
    wanted = {
        "task": task,
        "method": method,
        "expected_seeds": sorted(project.seeds(task, method)),
        "physics": config.physics,
        "num_gradient_steps": training.num_gradient_steps,
        "batch_size": training.batch_size,
        "num_evaluation_episodes": training.num_evaluation_episodes,
    }
    found = cell | cell.get("sizes", {})
    for key, value in wanted.items():
        if found.get(key) != value:
            again = f"dql aggregate {task} {method} --scale {project.config.scale}"
            return f"{path} has {key} {found.get(key)}, expected {value}; run: {again}"
    return ""


def expected_runs(project: Project, name: str) -> Sequence:
    """Return the runs behind every cell of a table's suites, the bandit's included."""
    from dql.tables.compute import CellRuns

    cells = []
    for task, method in table_runs(project, name):
        seeds = project.seeds(task, method)
        config = project.run_config(task, method, seeds[0]).model_dump(mode="json")
        folders = {seed: paths.run_directory(task, method, seed) for seed in seeds}
        cells.append(CellRuns(config, folders))
    return cells
