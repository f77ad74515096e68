"""Keyword arguments of `vitviz.plot` and of the functions of `vitviz.figures`, typed so that an editor completes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from vitviz.draw import Theme
from vitviz.progress import Progress


class FigureStyle(TypedDict, total=False):
    """Arguments of every figure.

    Attributes:
        theme: Colours and font size, `vitviz.draw.LIGHT` (the default) or `DARK`.
        width: Width of the figure in pixels.
    """

    theme: Theme
    width: int


class MapStyle(FigureStyle, total=False):
    """Arguments of figures that draw a map over the photograph.

    Attributes:
        robust: End the colour scale at the 99th percentile of the values.
    """

    robust: bool


class HeadsStyle(MapStyle, total=False):
    """Arguments of `heads`.

    Attributes:
        shared: Use one colour scale for all heads.
    """

    shared: bool


class MicroscopeStyle(HeadsStyle, total=False):
    """Arguments of `microscope`.

    Attributes:
        links: Draw the strongest links.
    """

    links: bool


class RolloutStyle(MapStyle, total=False):
    """Arguments of `rollout`.

    Attributes:
        progress: Called with (layers done, layers in all).
    """

    progress: Progress


class CompareStyle(HeadsStyle, total=False):
    """Arguments of `compare`; `shared` is one colour scale for both sides.

    Attributes:
        with_difference: Also draw the difference of the two maps.
    """

    with_difference: bool


class PatchesStyle(FigureStyle, total=False):
    """Arguments of `patches`.

    Attributes:
        highlight: Indices of tokens to frame; prefix tokens have no patch and are ignored.
        line_width: Width of the grid's lines in pixels.
        dim: Share of the page's colour blended into the other patches, from 0 to 1.
        numbers: Write each token's index on its patch; on small patches only every fifth, tenth, ... index.
    """

    highlight: Iterable[int]
    line_width: int
    dim: float
    numbers: bool


class SequenceStyle(FigureStyle, total=False):
    """Arguments of `sequence`.

    Attributes:
        highlight: Index of the token to frame.
        columns: Tokens in a row.
    """

    highlight: int
    columns: int


class KernelStyle(FigureStyle, total=False):
    """Arguments of `rotary_kernel`.

    Attributes:
        raw: Scale the colours from the smallest to the largest value instead of from -1 to 1.
    """

    raw: bool


class BiasStyle(FigureStyle, total=False):
    """Arguments of `relative_bias`.

    Attributes:
        shared: Use one colour scale for all heads, if all are drawn.
    """

    shared: bool


class CurvesStyle(FigureStyle, total=False):
    """Arguments of figures with curves.

    Attributes:
        height: Height of the curves in pixels.
    """

    height: int


class OutliersStyle(FigureStyle, total=False):
    """Arguments of `outliers`.

    Attributes:
        count: Number of tokens drawn.
    """

    count: int


class ComponentsStyle(TypedDict, total=False):
    """Arguments of `components`.

    Attributes:
        width: Width of the figure in pixels.
        foreground: Leave out patches of the background, as `principal_components`.
        smooth: Interpolate between the patches' centres instead of one rectangle for each patch.
    """

    width: int
    foreground: bool
    smooth: bool


class ObjectsStyle(TypedDict, total=False):
    """Arguments of `objects`.

    Attributes:
        width: Width of the figure in pixels.
        centred: Subtract the mean patch first, as by default; the methods' papers do not.
    """

    width: int
    centred: bool
