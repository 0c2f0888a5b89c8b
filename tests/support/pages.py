"""The pages that a person reads, README.md and docs/*.md, and the commands in them."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = {
    path.name: path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
PROGRAMS = ("make", "dql", "snakemake", "python", "dvc")


def console_lines(page: str) -> list[str]:
    """Return every command of a page's console blocks, comments left out."""
    blocks = re.findall(r"(?ms)^```console\n(.*?)^```", PAGES[page])
    lines = [line for block in blocks for line in block.splitlines()]
    return [
        shlex.join(shlex.split(line.removeprefix("$ "), comments=True))
        for line in lines
        if line.startswith("$ ")
    ]


def commands() -> list[str]:
    """Return the distinct commands of all pages but the one that is a worked example.

    `test_extending.py` carries out that one.
    """
    pages = [page for page in PAGES if page != "extending.md"]
    return list(dict.fromkeys(line for page in pages for line in console_lines(page)))


def commands_of(program: str) -> list[list[str]]:
    """Return the words after the program's name, of each of its commands."""
    split = [shlex.split(line) for line in commands()]
    return [words[1:] for words in split if words[0] == program]


def tables(page: str) -> list[list[dict[str, str]]]:
    """Return a page's tables as rows by heading."""
    found = re.findall(r"(?m)(?:^\|.*\|$\n?)+", PAGES[page])
    return [_rows(table.strip().splitlines()) for table in found]


def _rows(lines: list[str]) -> list[dict[str, str]]:
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]
