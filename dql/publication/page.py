"""The results on one page, results/index.html: it loads nothing and works offline.

Verdicts come from results/claims.json, figures and tables from their files; a part that
is not there yet is left out, and said to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dql import paths
from dql.claims.file import FAILS, HOLDS, TOO_FEW, UNTESTED
from dql.claims.page import group_claims, reading_notes
from dql.claims.words import count_verdicts, in_words
from dql.config.project import Project
from dql.errors import UserError
from dql.files import write_bytes
from dql.publication.gallery import PageFigure, page_figures, page_tables
from dql.publication.kept import kept_verdicts
from dql.publication.origins import origins
from dql.publication.sentences import sentences
from dql.results.files import read_json

TITLE = "Diffusion-QL, reproduced"
SYMBOLS = {HOLDS: "holds", FAILS: "fails", TOO_FEW: "few", UNTESTED: "untested"}
"""Each verdict's class and shape in the page's style."""
HEADLINE = ("bandit_axes", "bandit_corners")
"""The first picture: the first of these that is there, else the first of all."""
NEEDED = ("name", "leading", "headline", "verdict", "where", "cost")


def write_page(project: Project, root: Path = Path()) -> Path:
    """Write results/index.html below `root` and return it; without claims it raises."""
    records = read_records(root / paths.ALL_CLAIMS)
    output = root / paths.PAGE
    write_bytes(output, render_page(project, records, root).encode())
    return output


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the judged claims; a missing file, or one of older code, raises."""
    if not path.is_file():
        raise UserError(
            f"nothing to show yet: {path} is not there. Make the results first: make "
            "(or, of what is there, dql claims)"
        )
    records = read_json(path).get("claims")
    whole = isinstance(records, list) and all(
        isinstance(record, dict) and all(key in record for key in NEEDED)
        for record in records
    )
    if not whole or not records:
        raise UserError(f"{path}: not as today's code writes it; again: dql claims")
    return records


def render_page(
    project: Project, records: Sequence[Mapping[str, Any]], root: Path
) -> str:
    """Return the page's HTML."""
    figures = page_figures(project, root)
    headline = _headline(figures)
    others = [figure for figure in figures if figure is not headline]
    environment = Environment(
        loader=FileSystemLoader(paths.REPORT),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["in_words"] = in_words
    return environment.get_template("page.html.j2").render(
        title=TITLE,
        style=_part("page.css"),
        script=_part("page.js"),
        scale=project.config.scale,
        sentences=sentences(records),
        counts=count_verdicts(records),
        notes=reading_notes(records),
        groups=group_claims(records),
        symbols=SYMBOLS,
        kept_verdicts=kept_verdicts(project, records),
        headline=headline,
        sections=[(s, list(f)) for s, f in groupby(others, lambda f: f.section)],
        tables=page_tables(project, root),
        origins=origins(project, root),
    )


def _headline(figures: Sequence[PageFigure]) -> PageFigure | None:
    by_name = {figure.name: figure for figure in figures}
    chosen = [by_name[name] for name in HEADLINE if name in by_name]
    return next(iter([*chosen, *figures]), None)


def _part(name: str) -> str:
    """Return a file of workflow/report as it stands."""
    return (paths.REPORT / name).read_text(encoding="utf-8")
