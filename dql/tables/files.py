"""Write tables as CSV, Markdown, LaTeX (booktabs) and HTML from one description.

A table has one long CSV form for machines and several blocks of formatted cells for
readers; notes say what a reader must know to judge the numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import pandas as pd

from dql.errors import UserError
from dql.files import write_bytes

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
    "√": r"$\surd$",
    "²": "$^2$",
    "–": "--",
}

HTML_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{style}</style></head>
<body>
{body}
</body></html>
"""
TEXT_COLUMNS = ("task", "method", "device", "D4RL set")
"""Columns of words in tables of numbers; the first column is one, whatever its name."""

HTML_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5em; color: #1a1a1a; }
h1 { font-size: 1.35em; } h2 { font-size: 1.1em; margin-top: 1.8em; }
div { overflow-x: auto; } table { border-collapse: collapse; }
th { border-bottom: 2px solid #444; text-align: left; vertical-align: bottom; }
td { border-bottom: 1px solid #ddd; vertical-align: top; }
th, td { padding: .3em .7em; overflow-wrap: break-word; }
.numbers td, .numbers th { text-align: right; white-space: nowrap; }
.numbers td.words, .numbers th.words { text-align: left; }
.prose td { min-width: 7em; max-width: 26em; overflow-wrap: anywhere; }
.sum td { border-top: 2px solid #444; }
ul { max-width: 60em; padding-left: 1.2em; }
@media (max-width: 640px) {  /* sentences: a card per row, as wide as the phone */
  body { margin: 1em; }
  .prose thead { display: none; }
  .prose tr, .prose td { display: block; max-width: none; }
  .prose tr { border-bottom: 2px solid #444; padding: .6em 0; }
  .prose td { border: 0; padding: .15em 0; }
  .prose td::before { content: attr(data-name) ": "; color: #666; }
}
"""


@dataclass(frozen=True)
class Block:
    """Formatted cells under a title; `bold` marks cells by (row, column) position.

    Numbers stand to the right, sentences (`prose`) to the left.
    """

    title: str
    cells: pd.DataFrame
    bold: frozenset[tuple[int, int]] = frozenset()
    rules_above: frozenset[int] = frozenset()
    prose: bool = False

    @property
    def has_words(self) -> list[bool]:
        """Return for every column whether words, which stand to the left, fill it."""
        return [
            self.prose or index == 0 or name in TEXT_COLUMNS
            for index, name in enumerate(self.cells.columns)
        ]


@dataclass(frozen=True)
class Table:
    """A table's long form, its blocks for readers, and its notes."""

    title: str
    long: pd.DataFrame
    blocks: Sequence[Block]
    notes: Sequence[str] = field(default=())


def write_table(table: Table, outputs: Sequence[Path]) -> None:
    """Write a table to every output; the suffix decides the format."""
    writers = {".csv": _csv, ".md": markdown_text, ".tex": _latex, ".html": _html}
    for path in outputs:
        if path.suffix not in writers:
            known = ", ".join(writers)
            raise UserError(f"{path}: cannot write {path.suffix!r} tables; use {known}")
    for path in outputs:
        write_bytes(path, writers[path.suffix](table).encode())


def _csv(table: Table) -> str:
    """Return the long form; floats keep six significant digits."""
    return table.long.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def markdown_text(table: Table) -> str:
    """Return titles, blocks and notes; the best cells are bold."""
    lines = [f"# {table.title}", ""]
    for block in table.blocks:
        if block.title:
            lines += [f"## {block.title}", ""]
        lines.append(markdown_row(block.cells.columns))
        lines.append(
            markdown_row(":--" if words else "--:" for words in block.has_words)
        )
        for index, row in enumerate(block.cells.itertuples(index=False)):
            lines.append(
                markdown_row(
                    f"**{value}**" if (index, column) in block.bold else value
                    for column, value in enumerate(row)
                )
            )
        lines.append("")
    return "\n".join([*lines, *(f"- {note}" for note in table.notes)]).rstrip() + "\n"


def markdown_row(values: Iterable[object]) -> str:
    """Return one line of a Markdown table."""
    return "| " + " | ".join(str(value).replace("|", r"\|") for value in values) + " |"


def _html(table: Table) -> str:
    """Return a page of its own: nothing is loaded, wide tables scroll on a phone."""
    parts = [f"<h1>{escape(table.title)}</h1>"]
    for block in table.blocks:
        if block.title:
            parts.append(f"<h2>{escape(block.title)}</h2>")
        names = map(escape, map(str, block.cells.columns))
        head = "".join(
            f'<th class="words">{name}</th>' if words else f"<th>{name}</th>"
            for name, words in zip(names, block.has_words, strict=True)
        )
        rows = [
            _html_row(block, index, row)
            for index, row in enumerate(block.cells.itertuples(index=False))
        ]
        kind = "prose" if block.prose else "numbers"
        parts.append(
            f'<div><table class="{kind}">\n<thead><tr>{head}</tr></thead>\n<tbody>\n'
            + "\n".join(rows)
            + "\n</tbody></table></div>"
        )
    if table.notes:
        notes = "\n".join(f"<li>{escape(note)}</li>" for note in table.notes)
        parts.append(f"<ul>\n{notes}\n</ul>")
    title = escape(table.title)
    return HTML_PAGE.format(title=title, style=HTML_STYLE, body="\n".join(parts))


def _html_row(block: Block, index: int, row: Sequence[object]) -> str:
    """Return one line of an HTML table."""
    start = '<tr class="sum">' if index in block.rules_above else "<tr>"
    cells = []
    for column, value in enumerate(row):
        text = escape(str(value))
        text = f"<b>{text}</b>" if (index, column) in block.bold else text
        kind = ' class="words"' if block.has_words[column] else ""
        if block.prose:
            kind += f' data-name="{escape(str(block.cells.columns[column]))}"'
        cells.append(f"<td{kind}>{text}</td>")
    return f"{start}{''.join(cells)}</tr>"


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
    sides = "".join("l" if words else "r" for words in block.has_words)
    lines = styler.to_latex(hrules=True, column_format=sides).splitlines()
    body = next(i for i, line in enumerate(lines) if line == r"\midrule") + 1
    for row in sorted(block.rules_above, reverse=True):
        lines.insert(body + row, r"\midrule")
    return "\n".join(lines)
