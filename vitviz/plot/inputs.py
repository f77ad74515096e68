"""Figures of a model's input and of the positions of its patches."""

from __future__ import annotations

from typing import Unpack, cast

from vitviz.capture.trace import Trace
from vitviz.figure import Figure
from vitviz.figures import embeddings
from vitviz.figures.style import BiasStyle, FigureStyle, KernelStyle, PatchesStyle, SequenceStyle
from vitviz.figures.traced_image import subject_of


def patches(trace: Trace, **style: Unpack[PatchesStyle]) -> Figure:
    """The pixels that went into the model, cut into its patches.

    Args:
        trace: Of `vitviz.trace`.
        **style: See `PatchesStyle`.

    Returns:
        Figure with `patches` (patches, patch height, patch width, 3) uint8.
    """
    return embeddings.grid_figure(subject_of(trace), **style)


def sequence(trace: Trace, **style: Unpack[SequenceStyle]) -> Figure:
    """The sequence of tokens, prefix tokens first, then the patches row by row.

    Args:
        trace: Of `vitviz.trace`.
        **style: See `SequenceStyle`.

    Returns:
        Figure with `patches` (patches, patch height, patch width, 3) uint8.
    """
    return embeddings.sequence_figure(subject_of(trace), **style)


def filters(trace: Trace, count: int = 28, **style: Unpack[FigureStyle]) -> Figure:
    """The leading principal components of the patch embedding's filters.

    Args:
        trace: Of a model that embeds patches of pixels.
        count: How many components.
        **style: See `FigureStyle`.

    Returns:
        Figure with `components` (count, height, width, 3) and `explained` (count,), shares of the filters' variance.

    Raises:
        UnsupportedError: If the model has no filters over pixels.

    Source: Dosovitskiy et al. 2021, "An image is worth 16x16 words" (arXiv 2010.11929), figure 7 left.
    """
    return embeddings.filters_figure(subject_of(trace), count, **style)


def positions(trace: Trace, **style: Unpack[FigureStyle]) -> Figure:
    """Cosine similarity of every added position embedding with every other, one small map for each patch.

    Args:
        trace: Of `vitviz.trace`.
        **style: See `FigureStyle`.

    Returns:
        Figure with `similarity` (patches, patches), from -1 to 1.

    Raises:
        UnsupportedError: If no position embedding is added to the patches.

    Source: Dosovitskiy et al. 2021, "An image is worth 16x16 words" (arXiv 2010.11929), figure 7 centre.
    """
    return embeddings.atlas_figure(subject_of(trace), **style)


def position(trace: Trace, row: int, col: int, **style: Unpack[FigureStyle]) -> Figure:
    """Cosine similarity of one patch's position embedding with all others, as a map.

    Args:
        trace: Of `vitviz.trace`.
        row: Of the patch, counted from 0.
        col: Of the patch, counted from 0.
        **style: See `FigureStyle`.

    Returns:
        Figure with `similarity` (rows, cols), from -1 to 1.

    Raises:
        IndexError: Outside the grid.
        UnsupportedError: If no position embedding is added to the patches.
    """
    return embeddings.position_figure(subject_of(trace), row, col, **style)


def position_distance(trace: Trace, **style: Unpack[FigureStyle]) -> Figure:
    """Cosine similarity of position embeddings against the distance between their patches in pixels.

    Args:
        trace: Of `vitviz.trace`.
        **style: See `FigureStyle`.

    Returns:
        Figure with `distance` in input pixels, and `mean`, `low` and `high` of the similarity, (bins,) each.

    Raises:
        UnsupportedError: If no position embedding is added to the patches.
    """
    return embeddings.distance_figure(subject_of(trace), **style)


def rotary_kernel(trace: Trace, layer: int = 0, head: int = 0, **style: Unpack[KernelStyle]) -> Figure:
    """The contribution of rotary positions alone to a score, for every displacement on the grid.

    Args:
        trace: Of `vitviz.trace`.
        layer: Counted from 0.
        head: Counted from 0.
        **style: See `KernelStyle`.

    Returns:
        Figure with `kernel` (2 rows - 1, 2 cols - 1), from -1 to 1; no displacement is in the centre.

    Raises:
        UnsupportedError: For a model without rotary positions.
        IndexError: For a layer or head that does not exist.

    Source: Su et al. 2021, "RoFormer" (arXiv 2104.09864), equation 16.
    """
    return embeddings.kernel_figure(subject_of(trace), layer, head, **style)


def relative_bias(trace: Trace, number: int = 0, head: int | None = None, **style: Unpack[BiasStyle]) -> Figure:
    """The relative position bias of a layer, for every displacement.

    Args:
        trace: Of a model that adds such a bias to its scores.
        number: Counts the layers that add a bias, from 0.
        head: One head; all heads of the layer by default.
        **style: See `BiasStyle`.

    Returns:
        Figure with `bias` (heads, 2 rows - 1, 2 cols - 1) in the unit of the scores; of one head without the first axis.

    Raises:
        UnsupportedError: For a model without relative biases.
    """
    about = subject_of(trace)
    bias = embeddings.biases_of(about)[number]
    if head is None:
        return embeddings.bias_heads_figure(about, number, bias, **style)
    style.pop("shared", None)  # one head has one scale
    return embeddings.bias_figure(about, number, head, bias, **cast(FigureStyle, style))
