"""What our configuration resolves for Diffusion-QL, beside what was published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from dql import paths
from dql.tables.files import Block, Table, write_table
from dql.tables.resolved_settings import PublishedSetting, load_settings, resolved_table

if TYPE_CHECKING:
    from dql.config.project import Project

METHOD = "diffusion_ql"
HEADINGS = {
    "q_coefficient": "eta",
    "learning_rate": "actor rate",
    "critic_learning_rate": "critic rate",
    "max_gradient_norm": "clipping",
    "max_q_backup": "max-Q backup",
    "num_denoising_steps": "N",
    "batch_size": "batch",
    "num_gradient_steps": "gradient steps",
    "evaluation_interval": "evaluated every",
    "num_evaluation_episodes": "episodes",
    "offline_selection_rank": "L_d rank",
    "reward_transform": "rewards",
}
COLUMNS = (
    "task", "method", "setting", "ours", "published", "origin", "differs", "source",
    "note",
)  # fmt: skip
Known = Mapping[tuple[str, str], Sequence[PublishedSetting]]


def write_hyperparameter_table(
    project: Project,
    outputs: Sequence[Path],
    published: Path = paths.PUBLISHED,
    table: str = "hyperparameters",
) -> Table:
    """Write the table from the configuration alone; nothing need have been run."""
    known: dict[tuple[str, str], list[PublishedSetting]] = {}
    for setting in load_settings(published):
        known.setdefault((setting.task, setting.setting), []).append(setting)
    ours = {
        (task, method): settings
        for task, method, settings in resolved_table(project, table)
    }
    tasks = [task for task, method in ours if method == METHOD]
    paper = [task for task in tasks if project.task(task).suite != "local"]
    local = [task for task in tasks if task not in paper]
    blocks = [_our_block("Ours", paper, ours, known), _published_block(paper, known)]
    if local:
        title = "Local data, made here: nothing is published for them"
        blocks.append(_our_block(title, local, ours, known))
    result = Table(
        f"Hyperparameters of Diffusion-QL at scale {project.config.scale}",
        pd.DataFrame(_long_rows(ours, known), columns=COLUMNS),
        blocks,
        [
            "Ours: as the configuration resolves them. Bold with ≠: differs from a "
            "published value.",
            "Published: from the paper; with ‡ from the released code, which the paper "
            "does not print or which has not been checked against it.",
            "L_d rank: rank of the kept loss, from 0 (the released code's top_k); the "
            "paper's text keeps the 2nd or 3rd lowest.",
            "Settings of every other method are in the csv file.",
        ],
    )
    write_table(result, outputs)
    return result


def _our_block(
    title: str, tasks: Sequence[str], ours: Mapping[tuple[str, str], dict], known: Known
) -> Block:
    """Return our settings; those unlike a published one name it and are bold."""
    rows, bold = [], set()
    for index, task in enumerate(tasks):
        row = [task]
        for column, setting in enumerate(HEADINGS, start=1):
            value = ours[task, METHOD][setting]
            others = _differing(value, known.get((task, setting), ()))
            if others:
                bold.add((index, column))
            row.append(" ≠ ".join([value_text(value), *map(_text, others)]))
        rows.append(row)
    frame = pd.DataFrame(rows, columns=["task", *HEADINGS.values()])
    return Block(title, frame, frozenset(bold))


def _published_block(tasks: Sequence[str], known: Known) -> Block:
    """Return the published settings; the paper's and the code's where they differ."""
    rows = [
        [task]
        + [
            " or ".join(map(_text, known.get((task, name), ()))) or "–"
            for name in HEADINGS
        ]
        for task in tasks
    ]
    frame = pd.DataFrame(rows, columns=["task", *HEADINGS.values()])
    return Block("As published", frame)


def _differing(
    value: Any, settings: Sequence[PublishedSetting]
) -> list[PublishedSetting]:
    """Return the published settings that are not ours."""
    return [setting for setting in settings if setting.value != value]


def _text(setting: PublishedSetting) -> str:
    """Return a published value with the mark of its origin."""
    return value_text(setting.value) + ("" if setting.origin == "paper" else "‡")


def value_text(value: Any) -> str:
    """Return a setting as tables print it: 3e-4, 2,000,000, yes, –."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        mantissa, _, exponent = f"{value:.3g}".partition("e")
        if not exponent and 0 < abs(value) <= 1e-3:
            mantissa, _, exponent = f"{value:.2e}".partition("e")
            mantissa = f"{float(mantissa):g}"
        return f"{mantissa}e{int(exponent)}" if exponent else mantissa
    return str(value).replace("_", " ")


def _long_rows(
    ours: Mapping[tuple[str, str], dict[str, Any]], known: Known
) -> list[dict[str, Any]]:
    """Return one row per setting and published value, of every method."""
    rows = []
    for (task, method), settings in ours.items():
        for name, value in settings.items():
            row = {"task": task, "method": method, "setting": name, "ours": value}
            numbers = known.get((task, name), ()) if method == METHOD else ()
            rows += [
                row
                | {
                    "published": number.value,
                    "origin": number.origin,
                    "differs": bool(_differing(value, [number])),
                    "source": number.source,
                    "note": number.note or None,
                }
                for number in numbers
            ] or [row]
    return rows
