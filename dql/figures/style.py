"""The look shared by all figures, and files that are equal when nothing changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import cycle
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from scipy.spatial import cKDTree

from dql import paths
from dql.errors import UserError

PAGE_WIDTH = 7.1
"""Inches: a page of text in two columns, or the full width of a single one."""

TITLE_HEIGHT = 0.3
"""Inches of a title above a whole figure, in one line."""
TITLE_WIDTH = 90
"""Characters of a line of title on a page's width."""
TITLE_LINE = 0.15
"""Inches of each further line."""

DATA_COLOR = "#4d4d4d"
BASELINE_COLOR = "#0072B2"
RELEASED_COLOR = "#56B4E9"
METHOD_COLORS = {"bc_diffusion": "#AA3377", "diffusion_ql": "#D55E00"}
"""The two diffusion policies; every other method is drawn in the baseline's colour."""

LINE_COLORS = METHOD_COLORS | {
    "td3_bc": BASELINE_COLOR,
    "iql": "#009E73",
    "bcq_diffusion": "#E69F00",
    "onestep": "#56B4E9",
    "awac": "#000000",
    "awr": "#8a8a8a",
    "idql": "#332288",
    "fql": "#999933",
    "sac": "#882255",
}
"""Colours of the methods that curves compare; others take what is left, in turn."""

SPARE_COLORS = ("#117733", "#CC6677", "#661100", "#44AA99")
MARKERS = ("s", "o", "^", "D", "v", "P", "X", "<", ">", "p", "*", "h", "d", "8")
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))

MODE_COLOR = "#b3b3b3"
BEST_MODE_COLOR = "#009E73"
NOTE_COLOR = "#333333"

COMMON_COLORS = 64
"""Colours of a PNG's largest areas, which its 256 hold exactly."""

STABLE_METADATA = {".pdf": {"CreationDate": None}, ".png": {}, ".svg": {"Date": None}}
"""What would make two drawings of the same numbers differ, left out per format."""


def method_color(method: str) -> str:
    """Return a method's colour, the same in every figure and for every variant."""
    if method.endswith("as_released"):
        return RELEASED_COLOR
    return METHOD_COLORS.get(method.partition("@")[0], BASELINE_COLOR)


class Look(NamedTuple):
    """How a method is drawn where several share a panel."""

    color: str
    linestyle: str | tuple
    marker: str


def method_looks(methods: Iterable[str]) -> dict[str, Look]:
    """Return looks that differ in marker, and mostly in colour or dashes as well.

    A known method looks the same in every figure, as does its run that went on online.
    A method's variants share its colour and differ in their dashes, so that a reader
    who sees no colour tells lines apart.
    """
    spare_colors = cycle(SPARE_COLORS)
    spare_markers = cycle(MARKERS[len(LINE_COLORS) :])
    known_markers = dict(zip(LINE_COLORS, MARKERS, strict=False))
    colors: dict[str, str] = {}
    dashes: dict[str, Iterator] = {}
    looks = {}
    for method in methods:
        base = method.partition("@")[0]
        if base not in colors:
            colors[base] = LINE_COLORS.get(base) or next(spare_colors)
            dashes[base] = cycle(DASHES)
        known = base if method.startswith(f"{base}@online=") else method
        marker = known_markers.get(known) or next(spare_markers)
        looks[method] = Look(colors[base], next(dashes[base]), marker)
    return looks


def numbered_looks(methods: Sequence[str]) -> dict[str, Look]:
    """Return looks by a method's place in a short list, all colours different."""
    colors = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
    marks = zip(colors, MARKERS, strict=False)
    return {
        method: Look(color, "-", marker)
        for method, (color, marker) in zip(methods, marks, strict=False)
    }


@contextmanager
def paper_style(style: Path = paths.STYLE) -> Iterator[None]:
    """Apply the style file over matplotlib's defaults, whatever the user has set."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            matplotlib.rc_params_from_file(style, use_default_template=False)
        )
        yield


def message_figure(lines: Sequence[str]) -> Figure:
    """Return a figure that says why there is nothing to draw."""
    figure = Figure(figsize=(PAGE_WIDTH, 0.5 + 0.2 * len(lines)))
    figure.text(0.5, 0.5, "\n".join(lines), ha="center", va="center", color=NOTE_COLOR)
    return figure


def add_title(figure: Figure, title: str) -> None:
    """Write a title above a finished figure, which grows by its height."""
    lines = wrap(title, TITLE_WIDTH, break_on_hyphens=False)
    added = TITLE_HEIGHT + TITLE_LINE * (len(lines) - 1)
    height = figure.get_figheight()
    share = height / (height + added)
    figure.set_figheight(height + added)
    for axes in figure.axes:
        left, bottom, width, tall = axes.get_position().bounds
        axes.set_position((left, bottom * share, width, tall * share))
    for text in figure.texts:
        text.set_y(text.get_position()[1] * share)
    for legend in figure.legends:
        box = legend.get_bbox_to_anchor().transformed(figure.transFigure.inverted())
        legend.set_bbox_to_anchor((box.x0, box.y0 * share), figure.transFigure)
    middle, text = 1.0 - 0.5 * added / (height + added), "\n".join(lines)
    figure.text(
        0.5, middle, text, ha="center", va="center", fontsize=8.5, weight="bold"
    )


def save_figure(figure: Figure, outputs: Sequence[Path]) -> None:
    """Write a figure to every output, byte for byte the same for the same content."""
    for path in outputs:
        if path.suffix not in STABLE_METADATA:
            known = ", ".join(STABLE_METADATA)
            raise UserError(f"{path}: cannot draw {path.suffix!r} files; use {known}")
    for path in outputs:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            _save_png(figure, path)
        else:
            figure.savefig(path, metadata=STABLE_METADATA[path.suffix])


def _save_png(figure: Figure, path: Path) -> None:
    """Write a PNG of 256 colours: lines and text need no more, and a third of the size.

    Kept figures are in git, and readers load them from there.
    """
    drawn = BytesIO()
    figure.savefig(drawn, format="png")
    with Image.open(drawn) as image:
        few = _of_few_colors(image.convert("RGB"))
        few.save(path, optimize=True, dpi=image.info["dpi"])


def _of_few_colors(image: Image.Image) -> Image.Image:
    """Return the image in 256 colours: the commonest as they are, the rest near by.

    Without the commonest, a pale band takes the colour of another method's. With median
    cut, Pillow's default, rare colours are averaged away: a few points turn red.
    """
    packed = np.asarray(image, dtype=np.int32) @ (1 << 16, 1 << 8, 1)
    colors, places, counts = np.unique(packed, return_inverse=True, return_counts=True)
    colors = np.stack([colors >> 16, colors >> 8 & 255, colors & 255], axis=1)
    common = colors[np.argsort(-counts, kind="stable")[:COMMON_COLORS]]
    rest = image.quantize(
        256 - len(common), Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )
    palette = np.concatenate([common, np.reshape(rest.getpalette(), (-1, 3))])
    # Pillow's own search takes colours four apart for one: white would turn grey.
    _, nearest = cKDTree(palette).query(colors)
    few = Image.fromarray(nearest[places].reshape(packed.shape).astype(np.uint8))
    few.putpalette(palette.astype(np.uint8).tobytes())
    return few
