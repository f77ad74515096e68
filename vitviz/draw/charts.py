"""Charts: bars with names and values, curves and scatter plots on numbered axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import LineStyleType
from PIL import Image, ImageDraw

from vitviz.draw.scale import finite, number
from vitviz.draw.sheet import sheet
from vitviz.draw.theme import FACE, LIGHT, WIDTH, Theme, font, font_file, line_height, paragraph, shortened, wrapped
from vitviz.errors import DrawError


def draw_bars(
    names: Sequence[str],
    values: np.ndarray | Sequence[float],
    *,
    percent: bool = False,
    full: float | None = None,
    chosen: int | None = None,
    label: str = "",
    title: str = "",
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """A bar for each value in the given order; bars start at zero, which is in the middle if a value is negative.

    Args:
        names: Written beside the bars.
        values: (bars,).
        percent: Writes 0.42 as 42.0 %.
        full: Value of a bar of full length; by default the largest absolute value (1 with `percent`).
        chosen: Index of the bar in the accent colour.
        label: Name of the quantity.
        title: Written above.
        width: Pixels of the picture inside the margin.
        theme: Colours and font size.

    Raises:
        DrawError: For values that are not finite, without a value, and for another number of names.
    """
    names = [" ".join(name.split()) for name in names]  # a name is drawn on one line
    numbers = finite(np.asarray(values))
    if numbers.ndim != 1 or numbers.size == 0 or numbers.size != len(names):
        raise DrawError(f"Bars need one value a name, not {len(names)} names and values of shape {numbers.shape}.")
    largest = float(np.abs(numbers).max())
    full = full if full is not None else 1.0 if percent else largest
    if largest > full * 1.0001:
        raise DrawError(f"A bar of {number(largest)} is longer than the full length of {number(full)}.")
    texts = [percentage(float(v)) if percent else number(float(v)) for v in numbers]

    size = theme.font_size
    face = font(size)
    value_width = int(max(face.getlength(text) for text in texts)) + 10
    name_width = min(int(max(face.getlength(name) for name in names)) + 12, int(0.45 * width))
    track = max(width - name_width - value_width, 20)
    height = round(1.25 * line_height(size))
    picture = Image.new("RGB", (width, height * len(names)), theme.background)
    pen = ImageDraw.Draw(picture)
    zero = name_width + (track // 2 if numbers.min() < 0 else 0)
    reach = track // 2 if numbers.min() < 0 else track
    for index, (name, value, text) in enumerate(zip(names, numbers, texts, strict=True)):
        top, bottom = index * height + 4, (index + 1) * height - 5
        pen.rectangle((name_width, top, name_width + track - 1, bottom), fill=theme.grid)
        length = round(reach * float(value) / full) if full else 0
        if length:
            left, right = sorted((zero, zero + length))
            pen.rectangle((left, top, right - 1, bottom), fill=theme.accent if index == chosen else theme.bar)
        middle = index * height + height / 2
        words = shortened(name, name_width - 12, size)
        pen.text((0, middle), words, font=font(size), fill=theme.foreground, anchor="lm")
        pen.text((width, middle), text, font=face, fill=theme.foreground, anchor="rm")
    pieces = [picture, paragraph(label, width, theme, quiet=True)] if label else [picture]
    return sheet(pieces, theme, title=title)


def percentage(share: float) -> str:
    """0.873 as "87.3 %"; a value that would round to 0 or 100 without being equal is written as an inequality."""
    if 0 < abs(share) < 0.0005:
        return "< 0.1 %" if share > 0 else "> \N{MINUS SIGN}0.1 %"
    if 0.9995 <= share < 1:
        return "> 99.9 %"
    return f"{100 * share:.1f} %".replace("-", "\N{MINUS SIGN}")


# matplotlib's objects without pyplot, which keeps all figures in a global list.
DOTS = 100  # dots per inch, so that sizes in pixels are hundredths of an inch
POINTS = 72 / DOTS
DASHES: tuple[LineStyleType, ...] = (
    "-",
    "--",
    "-.",
    ":",
    (0, (6, 1, 1, 1, 1, 1)),
    (0, (9, 2)),
    (0, (3, 1, 1, 1)),
    (0, (1, 3)),
    (0, (9, 2, 3, 2)),
    (0, (5, 2, 5, 4)),
    (0, (2, 2)),
    (0, (9, 1, 1, 1, 1, 1, 1, 1)),
)
for _bold in (False, True):
    fontManager.addfont(font_file(_bold))
NAME_SPACE = 0.3  # share of the width for names at the ends of lines


def _axes(width: int, height: int, x_label: str, y_label: str, title: str, theme: Theme) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width / DOTS, height / DOTS), dpi=DOTS, facecolor=theme.background)
    figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))  # inches
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(facecolor=theme.background)
    style = _lettering(theme)
    axes.set_xlabel(x_label, **style)
    axes.set_ylabel(y_label, **style)
    if title:
        axes.set_title(title, fontweight="bold", loc="left", **style)
    _ticks(axes, theme)
    axes.grid(color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.muted)
    return figure, axes


def _lettering(theme: Theme) -> dict[str, Any]:
    """Keyword arguments of every text, because rcParams belong to the calling program."""
    size = theme.font_size * POINTS
    return {"parse_math": False, "color": theme.foreground, "fontsize": size, "fontfamily": FACE}


def _ticks(axes: Axes, theme: Theme) -> None:
    axes.tick_params(colors=theme.foreground, labelsize=theme.small * POINTS, labelfontfamily=FACE)


MOST_TICKS = 7


def count_layers(figure: Figure, states: int) -> Figure:
    """Labels the points of a curve over states "input", 0, 1, ...: the state before the first layer, then after each layer.

    Args:
        figure: The figure, which is modified.
        states: Number of layers plus 1.

    Returns:
        The same figure.
    """
    step = -(-(states - 1) // MOST_TICKS)
    shown = [0, *sorted(range(states - 1, step - 1, -step))]  # always the last layer, and none next to "input"
    figure.axes[0].set_xticks(shown, ["input", *(str(state - 1) for state in shown[1:])])
    return figure


def draw_curve(
    x: np.ndarray,
    lines: Mapping[str, np.ndarray],
    *,
    bands: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    x_label: str,
    y_label: str,
    y_range: tuple[float, float] | None = None,
    title: str = "",
    width: int = WIDTH,
    height: int = 420,
    theme: Theme = LIGHT,
) -> Figure:
    """Lines over one axis, each with its own colour and dash pattern, drawn with matplotlib.

    Args:
        x: (points,) ascending.
        lines: Name -> (points,); names are written at the ends of the lines; the name of a single line may be empty.
        bands: Name of a line -> (lower, upper), (points,) each: shaded behind the line.
        x_label: Label of the horizontal axis.
        y_label: Label of the vertical axis.
        y_range: Ends of the vertical axis; by default those of the values.
        title: Written above.
        width: Pixels of the figure.
        height: Pixels of the figure.
        theme: Colours and font size.

    Raises:
        DrawError: For arrays of different lengths, without a line, and for values that are not finite.
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
        # without a label: matplotlib's legend skips labels that begin with an underscore
        drawn += axes.plot(x, finite(values), color=shown, linestyle=dash, linewidth=2.2, marker=marker, markersize=4)
        if name in bands:
            lower, upper = bands[name]
            axes.fill_between(x, finite(lower), finite(upper), color=shown, alpha=0.18, linewidth=0)
    if np.array_equal(x, np.rint(x)):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # integers, such as layers
    if y_range is not None:
        axes.set_ylim(*y_range)
    if any(lines):
        _name_ends(figure, axes, drawn, [*lines], width, theme)
    return figure


def _name_ends(
    figure: Figure, axes: Axes, drawn: Sequence[Any], names: Sequence[str], width: int, theme: Theme
) -> None:
    """Writes every name beside the axes at its line's end, without overlap."""
    axes.margins(x=0.02)
    low, high = axes.get_ylim()
    texts = [wrapped(name, NAME_SPACE * width, theme.small) for name in names]
    ends = [(float(line.get_ydata()[-1]) - low) / (high - low) for line in drawn]
    named = []
    for line, text, place in zip(drawn, texts, ends, strict=True):
        leader = {"arrowstyle": "-", "color": line.get_color(), "linewidth": 1.2, "shrinkA": 1, "shrinkB": 2}
        leader |= {"relpos": (0, 0.5)}  # ends at the edge of its own name and crosses no other
        named.append(
            axes.annotate(
                "\n".join(text),
                xy=(line.get_xdata()[-1], line.get_ydata()[-1]),
                xytext=(1.035, place),
                textcoords="axes fraction",
                va="center",
                color=theme.foreground,
                fontsize=theme.small * POINTS,
                fontfamily=FACE,
                arrowprops=leader,
                annotation_clip=False,
            )
        )
        named[-1].set_parse_math(False)  # class names may contain dollar signs
    figure.draw_without_rendering()  # the layout determines the height of the axes
    heights = [1.1 * Text.get_window_extent(name).height / axes.bbox.height for name in named]
    for name, place in zip(named, spread_labels(ends, heights), strict=True):
        name.set_position((1.035, place))


def spread_labels(places: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Centres of labels of these heights, in the order of `places` and as near to them as possible without overlap.

    Centres are between 0 and 1 if there is space for all labels.
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    found = [0.0] * len(places)
    edge = 0.0  # upper end of the label below
    for i in order:
        found[i] = max(places[i], edge + heights[i] / 2)
        edge = found[i] + heights[i] / 2
    edge = 1.0  # lower end of the label above
    for i in reversed(order):
        found[i] = min(found[i], edge - heights[i] / 2)
        edge = found[i] - heights[i] / 2
    return found


def draw_scatter(
    x: np.ndarray,
    y: np.ndarray,
    *,
    x_label: str,
    y_label: str,
    y_range: tuple[float, float] | None = None,
    title: str = "",
    width: int = WIDTH,
    height: int = 420,
    theme: Theme = LIGHT,
) -> Figure:
    """A dot for each (x, y), such as a head's layer and its attention distance.

    Args:
        x: Of any shape.
        y: Of the same size.
        x_label: Label of the horizontal axis.
        y_label: Label of the vertical axis.
        y_range: Ends of the vertical axis; by default those of the values.
        title: Written above.
        width: Pixels of the figure.
        height: Pixels of the figure.
        theme: Colours and font size.

    Raises:
        DrawError: For arrays of different sizes, empty ones, and values that are not finite.
    """
    across, up = finite(x).ravel(), finite(y).ravel()
    if across.size == 0 or across.size != up.size:
        raise DrawError(f"Every dot needs an x and a y: {across.size} and {up.size} were given.")
    figure, axes = _axes(width, height, x_label, y_label, title, theme)
    axes.scatter(across, up, color=theme.lines[0], s=42, linewidths=0.8, edgecolors=theme.foreground)
    if np.array_equal(across, np.rint(across)):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if y_range is not None:
        axes.set_ylim(*y_range)
    return figure
