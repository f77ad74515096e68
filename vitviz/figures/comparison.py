"""Figures of two maps side by side with their difference, and of one patch in two pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from vitviz.analysis.patches import Paste, TwoScenes, two_scenes
from vitviz.draw import LIGHT, Scale, Theme, draw_curve, draw_heatmap
from vitviz.draw.charts import count_layers
from vitviz.draw.scale import rounding
from vitviz.draw.sheet import beside
from vitviz.errors import DrawError
from vitviz.figure import Figure
from vitviz.figures.traced_image import TracedImage, literal, made, snippet_framing
from vitviz.heatmap import Heatmap
from vitviz.models import Prepared
from vitviz.tokens import Query, cell_name


@dataclass(frozen=True, eq=False)
class Side:
    """One of two maps.

    Attributes:
        subject: The traced image.
        heatmap: The map over the image.
        name: Written above its picture.
        query: The map's query, if it has one.
        line: The Python that computes `heatmap` from `model` and `trace`.
        details: Provenance: layer, head, parameters.
    """

    subject: TracedImage
    heatmap: Heatmap
    name: str
    query: Query | None
    line: str
    details: Mapping[str, Any]


def difference(one: Heatmap, two: Heatmap) -> Heatmap:
    """`one` - `two`, patch by patch.

    Raises:
        DrawError: If the grids differ.
    """
    if one.grid != two.grid:
        raise DrawError(
            f"A grid of {one.grid[0]}x{one.grid[1]} patches and one of {two.grid[0]}x{two.grid[1]} cannot be compared patch "
            "by patch. Choose an input size at which both have the same grid."
        )
    return Heatmap(one.values - two.values, "difference, A \N{MINUS SIGN} B", signed=True)


def shared_scale(*maps: Heatmap, robust: bool = True) -> Scale:
    """One scale for several maps, so that equal values have equal colours."""
    return Scale.of(*(each.values for each in maps), robust=robust, signed=any(each.signed for each in maps))


def difference_scale(one: Heatmap, two: Heatmap, robust: bool = True) -> Scale:
    """The scale of `difference(one, two)`: symmetric about zero, and flat if the maps are equal except for rounding.

    Raises:
        DrawError: If the grids differ.
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
    """Two maps beside each other, each over its own picture, and optionally their difference.

    Args:
        one: The left map.
        two: The right map.
        method: "attention weights", "rollout", "position similarity".
        shared: One scale for both, so that their colours can be compared.
        robust: Scales end at the 99th percentile.
        with_difference: Also draw `one` - `two`.
        theme: Colours and font size.
        width: Pixels of each picture.

    Raises:
        DrawError: For `with_difference` with maps of different grids.
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


# Largest number of tick labels below a curve of the default width.


@dataclass(frozen=True, eq=False)
class Scene:
    """The picture that a patch is pasted into, prepared for the model of the picture that the patch comes from.

    Attributes:
        prepared: The model's input.
        image_hash: Hash of the picture's pixels.
        image_name: Its path in Python snippets.
    """

    prepared: Prepared
    image_hash: str
    image_name: str

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays, without the model."""
        return self.prepared.input.nbytes + self.prepared.shown.width * self.prepared.shown.height * 3


def scenes_figure(
    subject: TracedImage,
    other: Scene,
    paste: Paste,
    found: TwoScenes | None = None,
    *,
    theme: Theme = LIGHT,
    width: int = 640,
    height: int = 400,
) -> Figure:
    """Cosine similarity, layer by layer, of a patch's tokens in two pictures. Raises as `two_scenes`.

    Args:
        subject: The picture that the patch comes from.
        other: The picture that it is pasted into.
        paste: The patch, and where it is pasted.
        found: The result of `two_scenes`, if computed already.
        theme: Colours and font size.
        width: Pixels.
        height: Pixels of the curves.
    """
    found = two_scenes(subject.model, subject.trace.input, other.prepared.input, paste) if found is None else found
    itself, control = "itself", "others"
    x = np.arange(len(found.itself))
    lowest = float(min(found.itself.min(), found.other_low.min()))
    drawing = draw_curve(
        x,
        {itself: found.itself, control: found.other},
        bands={control: (found.other_low, found.other_high)},
        x_label="after layer",
        y_label="cosine similarity",
        y_range=(min(0.0, lowest - 0.05), 1.05),
        theme=theme,
        width=width,
        height=height,
    )
    count_layers(drawing, len(x))
    (row, col), (to_row, to_col) = paste.source, paste.place
    return Figure(
        arrays={
            "itself": found.itself,
            "other": found.other,
            "other_low": found.other_low,
            "other_high": found.other_high,
        },
        drawing=drawing,
        alt=(
            f"The patch of row {row}, column {col} in another picture, at row {to_row}, column {to_col}: the cosine similarity "
            f"of its two tokens goes from {found.itself[0]:.2f} before the first layer to {found.itself[-1]:.2f} after the "
            f"last; for the other patches there it is {found.other[-1]:.2f} on average."
        ),
        provenance=subject.provenance(
            "the same patch in two scenes",
            query=cell_name(row, col),
            parameters={"into": cell_name(to_row, to_col), "block": paste.block, "other image": other.image_hash},
        ),
        snippet=subject.snippet(
            f"other = vitviz.load_image({other.image_name!r})",
            f"scene = vitviz.prepare(model, other, framing={snippet_framing(other.prepared)!r})",
            "paste = " + made("vitviz.Paste", literal(paste.source), literal(paste.place), block=paste.block),
            "found = vitviz.two_scenes(model, trace.input, scene.input, paste)",
            "print(found.itself)  # embedded, with its position, then after each layer",
        ),
    )


def pasted_picture(subject: TracedImage, other: Scene, paste: Paste) -> Image.Image:
    """The model input before normalisation: the other picture with the block of this one pasted in."""
    layout = subject.trace.layout
    height, width = layout.patch_size
    picture = other.prepared.shown.copy()
    for (row, col), (to_row, to_col) in paste.cells(layout.grid):
        block = subject.prepared.shown.crop((col * width, row * height, (col + 1) * width, (row + 1) * height))
        picture.paste(block, (to_col * width, to_row * height))
    return picture
