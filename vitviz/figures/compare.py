"""Two maps side by side, and their difference, as a figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from vitviz.draw import LIGHT, Scale, Theme, draw_heatmap
from vitviz.draw.scale import rounding
from vitviz.draw.sheet import beside
from vitviz.errors import DrawError
from vitviz.figure import Figure
from vitviz.figures.subject import Subject
from vitviz.heatmap import Heatmap
from vitviz.tokens import Query


@dataclass(frozen=True, eq=False)
class Side:
    """One of two maps.

    name     what it is called above its picture
    line     the Python that makes `heatmap` from `model` and `trace`
    details  provenance: layer, head, parameters
    """

    subject: Subject
    heatmap: Heatmap
    name: str
    query: Query | None
    line: str
    details: Mapping[str, Any]


def difference(one: Heatmap, two: Heatmap) -> Heatmap:
    """One minus two, patch by patch. Raises DrawError where the grids differ."""
    if one.grid != two.grid:
        raise DrawError(
            f"A grid of {one.grid[0]}x{one.grid[1]} patches and one of {two.grid[0]}x{two.grid[1]} have no difference patch by "
            "patch. Choose an input size at which both have the same grid."
        )
    return Heatmap(one.values - two.values, "difference, A \N{MINUS SIGN} B", signed=True)


def shared_scale(*maps: Heatmap, robust: bool = True) -> Scale:
    """One scale for several maps, so that a colour means the same in all of them."""
    return Scale.of(*(each.values for each in maps), robust=robust, signed=any(each.signed for each in maps))


def difference_scale(one: Heatmap, two: Heatmap, robust: bool = True) -> Scale:
    """The scale of `difference(one, two)`: symmetric about zero, and flat where the maps are equal but for rounding.

    Raises DrawError where the grids differ.
    """
    values = difference(one, two).values
    return Scale.of(values, robust=robust, signed=True, noise=rounding(one.values, two.values))


def comparison_figure(
    one: Side,
    two: Side,
    method: str,
    *,
    shared: bool = False,
    robust: bool = True,
    with_difference: bool = False,
    theme: Theme = LIGHT,
    width: int = 480,
) -> Figure:
    """Two maps beside each other, each over its own picture, and their difference where wanted.

    method  "attention weights", "rollout", "position similarity"
    shared  one scale for both, so that colours compare
    width   pixels of each picture

    Raises DrawError where a difference is wanted and the grids differ.
    """
    common = shared_scale(one.heatmap, two.heatmap, robust=robust) if shared else None
    drawn = [_drawn(side, side.heatmap, side.name, common, robust, theme, width) for side in (one, two)]
    arrays = {"a": one.heatmap.values, "b": two.heatmap.values}
    if with_difference:
        gap = difference(one.heatmap, two.heatmap)
        arrays["difference"] = gap.values
        scale = difference_scale(one.heatmap, two.heatmap, robust)
        drawn.append(_drawn(one, gap, gap.label, scale, robust, theme, width))
    peaks = [
        f"{side.name}: strongest at row {{}}, column {{}}, with {{:.3g}}".format(*side.heatmap.peak)
        for side in (one, two)
    ]
    what = f"comparison of {method}"
    other = two.subject.provenance(what, query=str(two.query or ""), **two.details)
    return Figure(
        arrays=arrays,
        drawing=beside(drawn, theme),
        alt=f"Two maps of {method}. {'. '.join(peaks)}.",
        provenance=one.subject.provenance(what, query=str(one.query or ""), **one.details, compared_with=other),
        snippet="\n".join(
            [
                one.subject.snippet(one.line, "a = heatmap"),
                "",
                *two.subject.snippet(two.line, "b = heatmap").splitlines()[2:],
                *(["difference = a - b"] if with_difference else []),
            ]
        ),
    )


def _drawn(
    side: Side, heatmap: Heatmap, name: str, scale: Scale | None, robust: bool, theme: Theme, width: int
) -> Image.Image:
    return draw_heatmap(
        heatmap,
        image=side.subject.prepared.shown,
        scale=scale or Scale.of(heatmap.values, robust=robust, signed=heatmap.signed),
        query=side.query.cell if side.query else None,
        title=name,
        theme=theme,
        width=width,
    )
