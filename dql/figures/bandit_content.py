"""Every figure of the bandit by name: layouts, methods, the setting that varies."""

from __future__ import annotations

from dataclasses import dataclass

CLONING_METHODS = ("bc_mle", "bc_cvae", "bc_mmd", "bc_diffusion")
IMPROVEMENT_METHODS = ("td3_bc", "bcq", "bear_mmd", "diffusion_ql")
RELEASED_METHODS = ("td3_bc_as_released", "bcq_as_released")
DIFFUSION_METHODS = ("bc_diffusion", "diffusion_ql")
CLASS_METHODS = ("bet", "cvae_ql", "flow_ql", "consistency_ql", "diffusion_ql")
LAYOUT_NAMES = ("axes", "corners")


MIN_ETAS = 3
"""Values of eta that make a curve."""


@dataclass(frozen=True)
class FigureContent:
    """What a figure of the bandit shows: layouts, methods, the setting that may vary.

    It needs `min_values` values of that setting on a layout, the default's included,
    and one of the methods `required`, if there are any. `common` is the variant that
    all its methods are of, such as N=5.
    """

    module: str
    layouts: tuple[str, ...]
    methods: tuple[str, ...]
    varied: str | None = None
    min_values: int = 1
    common: str = ""
    required: tuple[str, ...] = ()

    def uses(self, task: str, method: str) -> bool:
        """Return whether the figure shows a method (with its variant) on a task."""
        if task not in {f"bandit-{layout}" for layout in self.layouts}:
            return False
        base, _, variant = method.partition("@")
        if base not in self.methods:
            return False
        if variant == self.common:
            return True
        common = f"{self.common}," if self.common else ""
        key, _, _ = variant.removeprefix(common).partition("=")
        num_commas = common.count(",")
        return (
            variant.startswith(common)
            and key == self.varied
            and variant.count(",") == num_commas
        )


PANEL_METHODS = CLONING_METHODS + IMPROVEMENT_METHODS

FIGURES: dict[str, FigureContent] = {
    "bandit_axes": FigureContent("bandit_panels", ("axes",), PANEL_METHODS),
    "bandit_corners": FigureContent("bandit_panels", ("corners",), PANEL_METHODS),
    "bandit_denoising_steps": FigureContent(
        "bandit_denoising_steps",
        LAYOUT_NAMES,
        DIFFUSION_METHODS,
        varied="N",
        min_values=2,
    ),  # fmt: skip
    "bandit_eta": FigureContent(
        "bandit_eta",
        LAYOUT_NAMES,
        ("diffusion_ql", "bc_diffusion"),
        varied="eta",
        min_values=2,
    ),  # fmt: skip
    "bandit_as_released": FigureContent(
        "bandit_as_released",
        LAYOUT_NAMES,
        ("td3_bc", "bcq", *RELEASED_METHODS),
        required=RELEASED_METHODS,
    ),  # fmt: skip
    "bandit_modes": FigureContent(
        "bandit_modes",
        LAYOUT_NAMES,
        ("diffusion_ql",),
        varied="eta",
        min_values=MIN_ETAS,
        common="N=5",
    ),  # fmt: skip
    "bandit_classes": FigureContent(
        "bandit_classes",
        LAYOUT_NAMES,
        CLASS_METHODS,
        varied="eta",
        required=("flow_ql", "consistency_ql"),
    ),  # fmt: skip
    "bandit_trajectories": FigureContent(
        "bandit_trajectories", LAYOUT_NAMES, DIFFUSION_METHODS
    ),
}
