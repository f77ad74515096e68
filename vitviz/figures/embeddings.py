"""Figures of patches, filters of the patch embedding, position embeddings, rotary and relative positions."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vitviz.analysis.patches import filter_components, patch_pixels
from vitviz.analysis.positions import position_embedding, position_similarity, similarity_by_distance
from vitviz.analysis.relative import OffsetBias, RotaryTable, offset_biases, rotary_table
from vitviz.draw import (
    LIGHT,
    Scale,
    Theme,
    draw_atlas,
    draw_board,
    draw_curve,
    draw_filters,
    draw_grid,
    draw_heatmap,
    draw_sequence,
)
from vitviz.draw.heatmap import draw_offsets
from vitviz.figure import Figure
from vitviz.figures.traced_image import TracedImage, snippet_framing
from vitviz.heatmap import Heatmap
from vitviz.tokens import cell_name

PREPARED_LINE = "prepared = vitviz.prepare(model, image, framing={!r})"
PATCHES_LINE = "patches = vitviz.patch_pixels(np.asarray(prepared.shown), trace.layout)  # (patches, height, width, 3)"


def grid_figure(
    subject: TracedImage,
    *,
    highlight: Iterable[int] = (),
    line_width: int = 2,
    dim: float = 0.0,
    numbers: bool = False,
    theme: Theme = LIGHT,
    width: int = 640,
) -> Figure:
    """The model input cut into its patches; patches of tokens in `highlight` are framed."""
    layout, shown = subject.layout, subject.prepared.shown
    (rows, cols), (height, side) = layout.grid, layout.patch_size
    drawing = draw_grid(
        shown, layout, line_width=line_width, dim=dim, numbers=numbers, highlight=highlight, theme=theme, width=width
    )
    return Figure(
        arrays={"patches": patch_pixels(np.asarray(shown), layout)},
        drawing=drawing,
        alt=(
            f"The photograph as the model sees it, cut into {rows} rows and {cols} columns of {height} by {side} "
            f"pixels."
        ),
        provenance=subject.provenance("patch grid"),
        snippet=_snippet(subject),
    )


def sequence_figure(
    subject: TracedImage, *, highlight: int | None = None, columns: int = 10, theme: Theme = LIGHT, width: int = 900
) -> Figure:
    """The sequence of tokens: prefix tokens, then the patches row by row."""
    layout, shown = subject.layout, subject.prepared.shown
    prefix = f"{layout.num_prefix} prefix tokens ({', '.join(layout.prefix)}) and " if layout.prefix else ""
    return Figure(
        arrays={"patches": patch_pixels(np.asarray(shown), layout)},
        drawing=draw_sequence(shown, layout, highlight=highlight, columns=columns, theme=theme, width=width),
        alt=(
            f"The picture as a sequence of {layout.num_tokens} tokens: {prefix}{layout.num_patches} patches, row by "
            f"row."
        ),
        provenance=subject.provenance("patch sequence"),
        snippet=_snippet(subject),
    )


def filters_figure(subject: TracedImage, count: int = 28, *, theme: Theme = LIGHT, width: int = 900) -> Figure:
    """The leading principal components of the patch filters.

    Raises:
        UnsupportedError: For a model without filters over pixels.
    """
    found = filter_components(subject.model, count)
    return Figure(
        arrays={"components": found.components, "explained": found.explained},
        drawing=draw_filters(found.components, shares=found.explained, theme=theme, width=width),
        alt=f"The {len(found.explained)} leading principal components of the patch filters, as small colour tiles.",
        provenance=subject.provenance("filter components", parameters={"count": count}),
        snippet=subject.snippet(f"found = vitviz.filter_components(model, {count})", "print(found.explained)"),
    )


def _snippet(subject: TracedImage) -> str:
    return subject.snippet(
        PREPARED_LINE.format(snippet_framing(subject.prepared)), PATCHES_LINE, imports=["import numpy as np"]
    )


SIMILARITY_LINE = "similarity = vitviz.position_similarity(model, trace.layout)  # (patches, patches)"
SIMILARITY_METHOD = "position similarity"


def similarity_of(subject: TracedImage) -> np.ndarray:
    """(patches, patches) position similarity of the subject's grid.

    Raises:
        UnsupportedError: If no position embedding is added.
    """
    return position_similarity(subject.model, subject.layout)


def atlas_figure(
    subject: TracedImage,
    similarity: np.ndarray | None = None,
    *,
    chosen: tuple[int, int] | None = None,
    theme: Theme = LIGHT,
    width: int = 900,
) -> Figure:
    """A small map for each patch of its position's similarity to all others.

    Source: Dosovitskiy et al. 2021 (arXiv 2010.11929), figure 7 centre.
    """
    similarity = similarity_of(subject) if similarity is None else similarity
    kind = position_embedding(subject.model, subject.layout).kind
    rows, cols = subject.layout.grid
    return Figure(
        arrays={"similarity": similarity},
        drawing=draw_atlas(similarity, (rows, cols), chosen=chosen, theme=theme, width=width),
        alt=(
            f"Cosine similarity of every position embedding ({kind}) with every other: {rows} by {cols} tiles, one "
            f"a position."
        ),
        provenance=subject.provenance(SIMILARITY_METHOD, parameters={"kind": kind}),
        snippet=subject.snippet(SIMILARITY_LINE),
    )


def position_figure(
    subject: TracedImage,
    row: int,
    col: int,
    similarity: np.ndarray | None = None,
    *,
    theme: Theme = LIGHT,
    width: int = 640,
) -> Figure:
    """The similarity of one patch's position to all others, as a map.

    Raises:
        IndexError: Outside the grid.
    """
    layout = subject.layout
    patch = layout.token_at(row, col) - layout.num_prefix
    values = position_similarity(subject.model, layout, [patch])[0] if similarity is None else similarity[patch]
    heatmap = Heatmap(layout.patches(values), "cosine similarity", signed=True)
    return Figure(
        arrays={"similarity": heatmap.values},
        drawing=draw_heatmap(heatmap, scale=Scale(-1, 1, signed=True), query=(row, col), theme=theme, width=width),
        alt=f"Cosine similarity of the position embedding in row {row}, column {col} with every other, from -1 to 1.",
        provenance=subject.provenance(SIMILARITY_METHOD, query=cell_name(row, col)),
        snippet=subject.snippet(
            f"similarity = vitviz.position_similarity(model, trace.layout, [{patch}])[0]  # of row {row}, column {col}",
            "similarity = trace.layout.patches(similarity)  # (rows, cols)",
        ),
    )


def distance_figure(
    subject: TracedImage, similarity: np.ndarray | None = None, *, theme: Theme = LIGHT, width: int = 640
) -> Figure:
    """Similarity as a function of the distance between positions: the mean, and a band with 80% of the pairs."""
    similarity = similarity_of(subject) if similarity is None else similarity
    curve = similarity_by_distance(similarity, subject.layout)
    name = "mean of all pairs"
    return Figure(
        arrays={"distance": curve.distance, "mean": curve.mean, "low": curve.low, "high": curve.high},
        drawing=draw_curve(
            curve.distance,
            {name: curve.mean},
            bands={name: (curve.low, curve.high)},
            x_label="distance between patches, pixels",
            y_label="cosine similarity",
            theme=theme,
            width=width,
        ),
        alt=(
            f"The mean cosine similarity of positions goes from {curve.mean[0]:.2f} at distance 0 to "
            f"{curve.mean[-1]:.2f} "
            f"at {curve.distance[-1]:.0f} pixels."
        ),
        provenance=subject.provenance(f"{SIMILARITY_METHOD} by distance"),
        snippet=subject.snippet(SIMILARITY_LINE, "curve = vitviz.similarity_by_distance(similarity, trace.layout)"),
    )


KERNEL_LINE = "kernel = vitviz.rotary_table(model, trace.layout).kernel(layer={layer}, head={head})"
BIAS_LINE = (
    "bias = vitviz.offset_biases(model, model.input_size)[{number}]  # bias.values: (heads, displacements down, right)"
)
# Pixels: wanted width of one head's map, and smallest width of the figure.
BIAS_TILE, MIN_BOARD_WIDTH = 220, 420
BIAS_LABEL = "bias added to the score"


def straddles(values: np.ndarray) -> bool:
    """Whether values lie on both sides of zero, so that a diverging scale is used."""
    return bool(values.min() < 0 < values.max())


def kernel_figure(
    subject: TracedImage,
    layer: int = 0,
    head: int = 0,
    *,
    table: RotaryTable | None = None,
    raw: bool = False,
    theme: Theme = LIGHT,
    width: int = 640,
) -> Figure:
    """The rotary kernel K for every displacement on the grid.

    With `raw` the scale ends at the smallest and largest value instead of -1 and 1.

    Raises:
        UnsupportedError: For a model without rotary positions.
    """
    table = rotary_table(subject.model, subject.layout) if table is None else table
    kernel = table.kernel(layer, head)
    rows, cols = table.grid
    one = {} if len(table.sin) == 1 else {"layer": layer}
    own = one if table.sin.shape[1] == 1 else one | {"head": head}
    return Figure(
        arrays={"kernel": kernel},
        drawing=draw_offsets(
            kernel,
            label="rotary kernel K",
            scale=Scale.of(kernel) if raw else Scale(-1, 1, signed=True),
            theme=theme,
            width=width,
        ),
        alt=(
            f"Rotary kernel over displacements of up to {rows - 1} rows and {cols - 1} columns: 1 at none, "
            f"{kernel[rows - 1, min(cols, 2 * cols - 2)]:.2f} one column away, smallest {kernel.min():.2f}."
        ),
        provenance=subject.provenance("rotary kernel", **own),
        snippet=subject.snippet(KERNEL_LINE.format(layer=layer, head=head)),
    )


def biases_of(subject: TracedImage) -> tuple[OffsetBias, ...]:
    """Every layer's bias as a function of displacement.

    Raises:
        UnsupportedError: If no layer has one.
    """
    with subject.model.lock:
        return offset_biases(subject.model, subject.model.input_size)


def bias_figure(
    subject: TracedImage, number: int, head: int, bias: OffsetBias, *, theme: Theme = LIGHT, width: int = 640
) -> Figure:
    """One head's bias for every displacement. `number` counts the layers that add a bias, from 0."""
    values = bias.values[head]
    rows, cols = bias.window
    return Figure(
        arrays={"bias": values},
        drawing=draw_offsets(
            values, label=BIAS_LABEL, signed=straddles(values), step=bias.step, theme=theme, width=width
        ),
        alt=(
            f"Relative position bias of head {head} in {bias.layer}, over displacements within a window of "
            f"{rows} by {cols} "
            f"patches: {values[rows - 1, cols - 1]:.3g} at none, from {values.min():.3g} to {values.max():.3g}."
        ),
        provenance=subject.provenance("relative position bias", head=head, parameters={"module": bias.layer}),
        snippet=subject.snippet(BIAS_LINE.format(number=number), f"values = bias.values[{head}]"),
    )


def bias_heads_figure(
    subject: TracedImage, number: int, bias: OffsetBias, *, shared: bool = True, theme: Theme = LIGHT, width: int = 900
) -> Figure:
    """The bias of all heads of one layer for every displacement, with `shared` on one scale."""
    return Figure(
        arrays={"bias": bias.values},
        drawing=draw_board(
            bias.values[None],
            label=BIAS_LABEL,
            shared=shared,
            signed=straddles(bias.values),
            first_layer=number,
            width=max(MIN_BOARD_WIDTH, min(width, BIAS_TILE * bias.num_heads)),
            theme=theme,
        ),
        alt=(
            f"Relative position bias of the {bias.num_heads} heads of {bias.layer} over displacements, the "
            f"query in the middle "
            f"of each map; from {bias.values.min():.3g} to {bias.values.max():.3g}."
        ),
        provenance=subject.provenance("relative position bias", parameters={"module": bias.layer}),
        snippet=subject.snippet(BIAS_LINE.format(number=number)),
    )
