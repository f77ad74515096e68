"""The picture as patches, as figures: the grid, the sequence, and the learned filters."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vitviz.analysis.patches import filter_components, patch_pixels
from vitviz.draw import LIGHT, Theme, draw_filters, draw_grid, draw_sequence
from vitviz.figure import Figure
from vitviz.figures.subject import Sight

PREPARED = "prepared = vitviz.prepare(model, image, framing={!r})"
PATCHES = "patches = vitviz.patch_pixels(np.asarray(prepared.shown), trace.layout)  # (patches, height, width, 3)"


def grid_figure(
    subject: Sight,
    *,
    highlight: Iterable[int] = (),
    line_width: int = 2,
    dim: float = 0.0,
    numbers: bool = False,
    theme: Theme = LIGHT,
    width: int = 640,
) -> Figure:
    """What the model saw, cut into its patches; tokens in `highlight` are framed."""
    layout, shown = subject.layout, subject.prepared.shown
    (rows, cols), (height, side) = layout.grid, layout.patch_size
    drawing = draw_grid(
        shown, layout, line_width=line_width, dim=dim, numbers=numbers, highlight=highlight, theme=theme, width=width
    )
    return Figure(
        arrays={"patches": patch_pixels(np.asarray(shown), layout)},
        drawing=drawing,
        alt=f"The photograph as the model sees it, cut into {rows} rows and {cols} columns of {height} by {side} pixels.",
        provenance=subject.provenance("patch grid"),
        snippet=_snippet(subject),
    )


def sequence_figure(
    subject: Sight, *, highlight: int | None = None, columns: int = 10, theme: Theme = LIGHT, width: int = 900
) -> Figure:
    """The sequence that the picture unrolls into, prefix tokens in front."""
    layout, shown = subject.layout, subject.prepared.shown
    prefix = f"{layout.num_prefix} learned tokens ({', '.join(layout.prefix)}) and " if layout.prefix else ""
    return Figure(
        arrays={"patches": patch_pixels(np.asarray(shown), layout)},
        drawing=draw_sequence(shown, layout, highlight=highlight, columns=columns, theme=theme, width=width),
        alt=f"The picture as a sequence of {layout.num_tokens} tokens: {prefix}{layout.num_patches} patches, row by row.",
        provenance=subject.provenance("patch sequence"),
        snippet=_snippet(subject),
    )


def filters_figure(subject: Sight, count: int = 28, *, theme: Theme = LIGHT, width: int = 900) -> Figure:
    """The leading principal components of the patch filters. Raises UnsupportedError where a model has none over pixels."""
    found = filter_components(subject.model, count)
    return Figure(
        arrays={"components": found.components, "explained": found.explained},
        drawing=draw_filters(found.components, shares=found.explained, theme=theme, width=width),
        alt=f"The {len(found.explained)} leading principal components of the learned patch filters, as small colour tiles.",
        provenance=subject.provenance("filter components", parameters={"count": count}),
        snippet=subject.snippet(f"found = vitviz.filter_components(model, {count})", "print(found.explained)"),
    )


def _snippet(subject: Sight) -> str:
    framing = "squash" if subject.prepared.framing == "fit" else subject.prepared.framing
    return subject.snippet(PREPARED.format(framing), PATCHES, imports=["import numpy as np"])
