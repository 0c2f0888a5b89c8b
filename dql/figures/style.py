"""The look shared by all figures, and files that are equal when nothing changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from dql import paths
from dql.errors import UserError

PAGE_WIDTH = 7.1
"""Inches: a page of text in two columns, or the full width of a single one."""

DATA_COLOR = "#4d4d4d"
BASELINE_COLOR = "#0072B2"
RELEASED_COLOR = "#56B4E9"
METHOD_COLORS = {"bc_diffusion": "#AA3377", "diffusion_ql": "#D55E00"}
"""The two diffusion policies; every other method is drawn in the baseline's colour."""

MODE_COLOR = "#b3b3b3"
BEST_MODE_COLOR = "#009E73"
NOTE_COLOR = "#333333"

STABLE_METADATA = {
    ".pdf": {"CreationDate": None},
    ".png": {"Software": None},
    ".svg": {"Date": None},
}
"""What would make two drawings of the same numbers differ, left out per format."""


def method_color(method: str) -> str:
    """Return a method's colour, the same in every figure and for every variant."""
    if method.endswith("as_released"):
        return RELEASED_COLOR
    return METHOD_COLORS.get(method.partition("@")[0], BASELINE_COLOR)


@contextmanager
def paper_style(style: Path = paths.STYLE) -> Iterator[None]:
    """Apply the style file over matplotlib's defaults, whatever the user has set."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            matplotlib.rc_params_from_file(style, use_default_template=False)
        )
        yield


def save_figure(figure: Figure, outputs: Sequence[Path]) -> None:
    """Write a figure to every output, byte for byte the same for the same content."""
    for path in outputs:
        if path.suffix not in STABLE_METADATA:
            known = ", ".join(STABLE_METADATA)
            raise UserError(f"{path}: cannot draw {path.suffix!r} files; use {known}")
    for path in outputs:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata=STABLE_METADATA[path.suffix])
