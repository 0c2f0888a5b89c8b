"""The figures and tables of a scale that are there, ready to be put into a page."""

from __future__ import annotations

import io
import os
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

from docutils.core import publish_parts
from jinja2 import Environment, StrictUndefined
from PIL import Image

from dql import paths
from dql.config.data_schema import is_varied
from dql.config.project import Project
from dql.config.schema import SuiteName
from dql.figures.registry import FIGURES, all_figures, split_suite_figure, stills_task
from dql.figures.titles import TITLES
from dql.tables.suite_titles import suite_name

MAX_IMAGE_BYTES = 1_900_000
"""Of all figures of a page; encoded they take a third more, and a page stays small."""
SHRUNK_WIDTH = 1000
"""Pixels that a figure is reduced to where all of them together are too large."""


@dataclass(frozen=True)
class PageFigure:
    """A figure with its words; `file` and `image` are both its png."""

    name: str
    section: str
    title: str
    caption: str
    file: Path
    image: bytes

    @property
    def data(self) -> str:
        """Return the picture as a page holds it."""
        return f"data:image/png;base64,{b64encode(self.image).decode()}"

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height in pixels."""
        return Image.open(io.BytesIO(self.image)).size

    @property
    def pdf(self) -> str:
        """Return the pdf's place, seen from the page."""
        return os.path.relpath(self.file.with_suffix(".pdf"), paths.RESULTS)


@dataclass(frozen=True)
class PageTable:
    """A table of results/tables: its body for a page, and its files."""

    name: str
    title: str
    body: str
    files: Sequence[str]


def page_figures(project: Project, root: Path = Path()) -> list[PageFigure]:
    """Return the figures of the scale that are there, with captions, in reading order.

    Where all of them together take more than `MAX_IMAGE_BYTES`, each is reduced.
    """
    there = [
        (name, path)
        for name in _names(project)
        if (path := root / paths.figure_file(name, "png")).is_file()
    ]
    images = [path.read_bytes() for _, path in there]
    if sum(map(len, images)) > MAX_IMAGE_BYTES:
        images = [shrunk(image) for image in images]
    return [
        _figure(project, name, image)
        for (name, _), image in zip(there, images, strict=True)
    ]


def _names(project: Project) -> list[str]:
    """Return the names of all figures that the workflow draws at this scale."""
    suites = {suite: project.cells([suite]) for suite in project.scale.suites}
    drawn = all_figures({"bandit": [], **suites})
    of_bandit = [name for name in FIGURES if name in drawn]
    others = [name for name in drawn if name not in FIGURES]
    order = list(get_args(SuiteName))
    others.sort(key=lambda name: (order.index(_suite(name)), _title(name)[0]))
    described = {"local": paths.data_figure, "remade": paths.comparison_figure}
    tasks = [
        name(task)
        for suite, name in described.items()
        if suite in project.scale.suites
        for task in project.suite(suite).tasks
        if not is_varied(task)
    ]
    return [*of_bandit, *others, *tasks]


def _suite(name: str) -> str:
    found = split_suite_figure(name)
    return found[0] if found else "bandit"


def _title(name: str) -> tuple[str, str]:
    """Return a figure's title as it sorts, and its words alone."""
    found = split_suite_figure(name)
    kind = found[1] if found else name
    title = TITLES.get(kind, kind.replace("_", " "))
    task = stills_task(name)
    title += f" on {task}" if task else ""
    words = re.sub(r"^\d+ ", "", title)
    return title, f"{words[0].upper()}{words[1:]}"


def _figure(project: Project, name: str, image: bytes) -> PageFigure:
    """Return a figure with its section, title and caption."""
    file = paths.figure_file(name, "png")
    for prefix, title in (("remade_data_", "beside D4RL's set"), ("data_", "the data")):
        if name.startswith(prefix):
            task = name.removeprefix(prefix)
            caption = _caption(project, prefix.rstrip("_"), task=task)
            return PageFigure(
                name, "Data made here", f"{task}, {title}", caption, file, image
            )
    suite, kind = split_suite_figure(name) or ("bandit", name)
    known = {"bandit": "2-D bandit"}
    section = known.get(suite) or suite_name(suite) or f"D4RL, {suite}"
    wildcards = {"suite": suite, "task": stills_task(name)}
    caption = _caption(project, kind, **wildcards)
    return PageFigure(name, section, _title(name)[1], caption, file, image)


def _caption(project: Project, kind: str, **wildcards: str) -> str:
    """Return the report's caption of a kind of figures as HTML; empty without one."""
    path = paths.REPORT / f"{kind}.rst"
    if not path.is_file():
        return ""
    workflow = SimpleNamespace(
        config=project.config.model_dump(), wildcards=SimpleNamespace(**wildcards)
    )
    environment = Environment(undefined=StrictUndefined)
    template = environment.from_string(path.read_text(encoding="utf-8"))
    text = template.render(snakemake=workflow)
    settings = {"report_level": 5, "initial_header_level": 4}
    return publish_parts(text, writer="html5", settings_overrides=settings)["body"]


def shrunk(image: bytes) -> bytes:
    """Return a png at most `SHRUNK_WIDTH` pixels wide, in at most 256 colours."""
    picture = Image.open(io.BytesIO(image)).convert("RGB")
    picture.thumbnail((SHRUNK_WIDTH, picture.height), Image.Resampling.LANCZOS)
    reduced = io.BytesIO()
    picture.quantize(256).save(reduced, "PNG", optimize=True)
    return reduced.getvalue()


def page_tables(project: Project, root: Path = Path()) -> list[PageTable]:
    """Return the scale's tables that are there, as parts of a page."""
    return list(_tables([*project.tables, "remade_data"], root))


def _tables(names: Sequence[str], root: Path) -> Iterator[PageTable]:
    for name in names:
        path = root / paths.table_file(name, "html")
        if not path.is_file():
            continue
        page = path.read_text(encoding="utf-8")
        title = unescape(re.search(r"<h1>(.*?)</h1>", page)[1])
        body = re.search(r"(?s)</h1>\n?(.*)</body>", page)[1]
        body = body.replace("<h2>", "<h3>").replace("</h2>", "</h3>")
        body = body.replace("<div>", '<div class="wide" tabindex="0">')
        files = [
            path.with_suffix(suffix).relative_to(root / paths.RESULTS).as_posix()
            for suffix in (".csv", ".md", ".tex", ".html")
            if path.with_suffix(suffix).is_file()
        ]
        yield PageTable(name, title, body, files)
