"""Write tables as CSV, Markdown and LaTeX (booktabs) from one description.

A table has one long CSV form for machines and several blocks of formatted cells for
readers; notes say what a reader must know to judge the numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from dql.errors import UserError

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "_": r"\_",
    "#": r"\#",
    "$": r"\$",
    "{": r"\{",
    "}": r"\}",
    "±": r"$\pm$",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "≠": r"$\neq$",
    "−": "$-$",
    "–": "--",
}


@dataclass(frozen=True)
class Block:
    """Formatted cells under a title; `bold` marks cells by (row, column) position."""

    title: str
    cells: pd.DataFrame
    bold: frozenset[tuple[int, int]] = frozenset()
    rules_above: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Table:
    """A table's long form, its blocks for readers, and its notes."""

    title: str
    long: pd.DataFrame
    blocks: Sequence[Block]
    notes: Sequence[str] = field(default=())


def write_table(table: Table, outputs: Sequence[Path]) -> None:
    """Write a table to every output; the suffix decides the format."""
    writers = {".csv": _csv, ".md": _markdown, ".tex": _latex}
    for path in outputs:
        if path.suffix not in writers:
            known = ", ".join(writers)
            raise UserError(f"{path}: cannot write {path.suffix!r} tables; use {known}")
    for path in outputs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(writers[path.suffix](table), encoding="utf-8")


def _csv(table: Table) -> str:
    """Return the long form; floats keep six significant digits."""
    return table.long.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def _markdown(table: Table) -> str:
    """Return titles, blocks and notes; the best cells are bold."""
    lines = [f"# {table.title}", ""]
    for block in table.blocks:
        if block.title:
            lines += [f"## {block.title}", ""]
        lines.append(_row(block.cells.columns))
        alignment = [":--", *["--:"] * (block.cells.shape[1] - 1)]
        lines.append(_row(alignment))
        for index, row in enumerate(block.cells.itertuples(index=False)):
            lines.append(
                _row(
                    f"**{value}**" if (index, column) in block.bold else value
                    for column, value in enumerate(row)
                )
            )
        lines.append("")
    return "\n".join([*lines, *(f"- {note}" for note in table.notes)]).rstrip() + "\n"


def _row(values: Sequence[object]) -> str:
    """Return one line of a Markdown table."""
    return "| " + " | ".join(str(value).replace("|", r"\|") for value in values) + " |"


def escape_latex(text: object) -> str:
    """Return text with LaTeX's special characters escaped, character by character."""
    return "".join(LATEX.get(character, character) for character in str(text))


def _latex(table: Table) -> str:
    """Return one booktabs tabular per block; notes follow as comments and text."""
    parts = [f"% {table.title}. Needs the booktabs package."]
    for block in table.blocks:
        title = rf"\paragraph{{{escape_latex(block.title)}}}" if block.title else ""
        parts.append(f"{title}\n{_tabular(block)}".strip())
    notes = "\n".join(rf"\item {escape_latex(note)}" for note in table.notes)
    if notes:
        parts.append(f"\\begin{{itemize}}\n{notes}\n\\end{{itemize}}")
    return "\n\n".join(parts) + "\n"


def _tabular(block: Block) -> str:
    """Return a block as a tabular with booktabs rules, the best cells bold."""
    cells = block.cells.map(escape_latex)
    cells.columns = [escape_latex(name) for name in cells.columns]
    styles = pd.DataFrame("", index=cells.index, columns=cells.columns)
    for row, column in block.bold:
        styles.iloc[row, column] = "textbf:--rwrap"
    styler = cells.style.hide(axis="index").apply(lambda _: styles, axis=None)
    lines = styler.to_latex(
        hrules=True, column_format="l" + "r" * (cells.shape[1] - 1)
    ).splitlines()
    body = next(i for i, line in enumerate(lines) if line == r"\midrule") + 1
    for row in sorted(block.rules_above, reverse=True):
        lines.insert(body + row, r"\midrule")
    return "\n".join(lines)
