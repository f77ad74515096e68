"""Curves and clouds of points on numbered axes: similarity against distance, entropy of every head, deletion curves."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.typing import LineStyleType

from vitviz.draw.scale import Scale, finite
from vitviz.draw.theme import LIGHT, WIDTH, Theme
from vitviz.errors import DrawError

# Only matplotlib's objects, never pyplot: pyplot keeps every figure in one global list that threads would share.
DOTS = 100  # an inch, so that a hundredth of an inch is a pixel and font sizes can be given in pixels
POINTS = 72 / DOTS
DASHES: tuple[LineStyleType, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))


def _axes(width: int, height: int, x_label: str, y_label: str, title: str, theme: Theme) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width / DOTS, height / DOTS), dpi=DOTS, facecolor=theme.background)
    figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))  # inches
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(facecolor=theme.background)
    size = theme.font_size * POINTS
    axes.set_xlabel(x_label, parse_math=False, color=theme.foreground, fontsize=size)
    axes.set_ylabel(y_label, parse_math=False, color=theme.foreground, fontsize=size)
    if title:
        axes.set_title(title, parse_math=False, color=theme.foreground, fontsize=size, fontweight="bold", loc="left")
    axes.tick_params(colors=theme.foreground, labelsize=theme.small * POINTS)
    axes.grid(color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.muted)
    return figure, axes


def draw_curve(
    x: np.ndarray,
    lines: Mapping[str, np.ndarray],
    *,
    bands: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    x_label: str,
    y_label: str,
    y_range: tuple[float, float] | None = None,
    title: str = "",
    names_above: bool = False,
    width: int = WIDTH,
    height: int = 420,
    theme: Theme = LIGHT,
) -> Figure:
    """Lines over one axis, told apart by colour and by dash; drawn with matplotlib.

    x      (points,) in rising order
    lines  name -> (points,); a single line with an empty name has no legend
    bands  name of a line -> (lower, upper), (points,) each: shaded behind it
    names_above  the legend stands over the axes and not among the lines: for curves that leave no room

    Raises DrawError for arrays of different lengths, none at all, and values that are not finite.
    """
    x = finite(x)
    bands = bands or {}
    every = [*lines.values(), *(edge for band in bands.values() for edge in band)]
    if not lines or x.ndim != 1 or x.size == 0 or any(np.shape(each) != x.shape for each in every):
        raise DrawError(f"Every line needs a value for each of {x.size} points, not {[np.shape(e) for e in every]}.")
    figure, axes = _axes(width, height, x_label, y_label, title, theme)
    drawn: list[Any] = []
    for (name, values), colour, dash in zip(lines.items(), cycle(theme.lines), cycle(DASHES), strict=False):
        shown = theme.foreground if len(lines) == 1 else colour
        marker = "o" if x.size <= 15 else None
        # without a label: what begins with an underscore has no entry in a legend that matplotlib collects by itself
        drawn += axes.plot(x, finite(values), color=shown, linestyle=dash, linewidth=2.2, marker=marker, markersize=4)
        if name in bands:
            lower, upper = bands[name]
            axes.fill_between(x, finite(lower), finite(upper), color=shown, alpha=0.18, linewidth=0)
    if y_range is not None:
        axes.set_ylim(*y_range)
    if any(lines):
        size = theme.small * POINTS
        place: dict[str, Any] = (
            {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": len(lines), "borderaxespad": 0.2, "frameon": False}
            if names_above
            else {"loc": "best", "facecolor": theme.background, "framealpha": 0.8, "edgecolor": "none"}
        )
        legend = axes.legend(drawn, [*lines], labelcolor=theme.foreground, fontsize=size, handlelength=2.4, **place)
        for text in legend.get_texts():
            text.set_parse_math(False)  # a class may be called anything, dollar signs included
    return figure


def draw_scatter(
    x: np.ndarray,
    y: np.ndarray,
    *,
    shade: np.ndarray | None = None,
    shade_label: str = "",
    chosen: int | None = None,
    x_label: str,
    y_label: str,
    y_range: tuple[float, float] | None = None,
    title: str = "",
    width: int = WIDTH,
    height: int = 420,
    theme: Theme = LIGHT,
) -> Figure:
    """One dot for each (x, y), any shapes that agree: a head's layer and its attention distance, for instance.

    shade   a third value for each dot, as its colour, with a numbered colour bar called `shade_label`
    chosen  index, counted over all dots in order, of the one to ring

    Raises DrawError for arrays that differ in size, are empty, or hold values that are not finite, and for a dot that
    does not exist.
    """
    across, up = finite(x).ravel(), finite(y).ravel()
    third = None if shade is None else finite(shade).ravel()
    if across.size == 0 or across.size != up.size or (third is not None and third.size != up.size):
        raise DrawError(f"Every dot needs an x and a y: {across.size} and {up.size} were given.")
    if chosen is not None and not 0 <= chosen < up.size:
        raise DrawError(f"Dot {chosen} does not exist: there are {up.size}, counted from 0.")
    figure, axes = _axes(width, height, x_label, y_label, title, theme)
    look: dict[str, Any] = {"s": 42, "linewidths": 0.8, "edgecolors": theme.foreground}
    if third is None:
        axes.scatter(across, up, color=theme.lines[0], **look)
    else:
        scale = Scale.of(third)
        norm = Normalize(scale.low, scale.high)
        axes.scatter(across, up, c=third, cmap=theme.sequential, norm=norm, **look)
        bar = figure.colorbar(ScalarMappable(norm, theme.sequential), ax=axes, pad=0.02)
        bar.set_label(shade_label, parse_math=False, color=theme.foreground, fontsize=theme.font_size * POINTS)
        bar.ax.tick_params(colors=theme.foreground, labelsize=theme.small * POINTS)
        bar.outline.set_visible(False)
        if not scale.flat:
            bar.set_ticks([scale.low + place * (scale.high - scale.low) for place, _ in scale.ticks()])
            bar.set_ticklabels([text for _, text in scale.ticks()])
    if chosen is not None:
        axes.scatter(across[chosen], up[chosen], s=240, facecolors="none", edgecolors=theme.accent, linewidths=3)
    if y_range is not None:
        axes.set_ylim(*y_range)
    return figure
