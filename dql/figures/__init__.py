"""Every figure by name: what it shows, which runs it needs, and how it is drawn.

Importing this module costs nothing: the plotting library is loaded when drawing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from dql.errors import UserError, nearest

CLONING_METHODS = ("bc_mle", "bc_cvae", "bc_mmd", "bc_diffusion")
IMPROVEMENT_METHODS = ("td3_bc", "bcq", "bear_mmd", "diffusion_ql")
RELEASED_METHODS = ("td3_bc_as_released", "bcq_as_released")
STEPS_VARIED = ("bc_diffusion", "diffusion_ql")
LAYOUT_NAMES = ("axes", "corners")


@dataclass(frozen=True)
class FigureContent:
    """What a figure is made from: layouts, methods, and the setting that may vary."""

    module: str
    layouts: tuple[str, ...]
    methods: tuple[str, ...]
    varied: str | None = None

    def uses(self, task: str, method: str) -> bool:
        """Return whether the figure shows a method (with its variant) on a task."""
        if task not in {f"bandit-{layout}" for layout in self.layouts}:
            return False
        base, _, variant = method.partition("@")
        if not variant:
            return base in self.methods
        key, _, _ = variant.partition("=")
        return base in self.methods and key == self.varied and "," not in variant


PANEL_METHODS = CLONING_METHODS + IMPROVEMENT_METHODS

FIGURES: dict[str, FigureContent] = {
    "bandit_axes": FigureContent("bandit_panels", ("axes",), PANEL_METHODS),
    "bandit_corners": FigureContent("bandit_panels", ("corners",), PANEL_METHODS),
    "bandit_denoising_steps": FigureContent(
        "bandit_denoising_steps", LAYOUT_NAMES, STEPS_VARIED, varied="N"
    ),
    "bandit_eta": FigureContent(
        "bandit_eta", LAYOUT_NAMES, ("diffusion_ql", "bc_diffusion"), varied="eta"
    ),
    "bandit_as_released": FigureContent(
        "bandit_as_released", LAYOUT_NAMES, ("td3_bc", "bcq", *RELEASED_METHODS)
    ),
}


def figure_content(name: str) -> FigureContent:
    """Return a figure's content; an unknown name raises."""
    if name not in FIGURES:
        raise UserError(f"unknown figure {name!r}{nearest(name, FIGURES)}")
    return FIGURES[name]


def figure_cells(name: str, cells: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return those of the given (task, method) pairs that a figure shows."""
    content = figure_content(name)
    return [(task, method) for task, method in cells if content.uses(task, method)]


def draw_figure(
    name: str,
    run_directories: Sequence[Path],
    summary: Path,
    outputs: Sequence[Path],
) -> None:
    """Draw a figure from stored runs into files; the suffix decides the format."""
    content = figure_content(name)
    module = import_module(f"dql.figures.{content.module}")
    style = import_module("dql.figures.style")
    runs = import_module("dql.figures.bandit_runs").BanditRuns.load(
        run_directories, summary, content
    )
    with style.paper_style():
        style.save_figure(module.draw(runs, content), outputs)
