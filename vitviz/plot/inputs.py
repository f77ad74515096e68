"""Figures of a model's input and of the positions of its patches."""

from __future__ import annotations

from typing import Unpack, cast

from vitviz.capture.trace import Trace
from vitviz.figure import Figure
from vitviz.figures import embeddings
from vitviz.figures.style import BiasStyle, FigureStyle, KernelStyle, PatchesStyle, SequenceStyle
from vitviz.figures.traced_image import subject_of


def patches(trace: Trace, **style: Unpack[PatchesStyle]) -> Figure:
    """The pixels that went into the model, cut into its patches."""
    return embeddings.grid_figure(subject_of(trace), **style)


def sequence(trace: Trace, **style: Unpack[SequenceStyle]) -> Figure:
    """The sequence of tokens, prefix tokens first, then the patches row by row."""
    return embeddings.sequence_figure(subject_of(trace), **style)


def filters(trace: Trace, count: int = 28, **style: Unpack[FigureStyle]) -> Figure:
    """The leading principal components of the patch embedding's filters.

    Args:
        trace: Of a model that embeds patches of pixels.
        count: How many components.
        **style: See `FigureStyle`.

    Raises:
        UnsupportedError: If the model has no filters over pixels.
    """
    return embeddings.filters_figure(subject_of(trace), count, **style)


def positions(trace: Trace, **style: Unpack[FigureStyle]) -> Figure:
    """Cosine similarity of every added position embedding with every other, one small map for each patch.

    Raises:
        UnsupportedError: If no position embedding is added to the patches.
    """
    return embeddings.atlas_figure(subject_of(trace), **style)


def position(trace: Trace, row: int, col: int, **style: Unpack[FigureStyle]) -> Figure:
    """Cosine similarity of one patch's position embedding with all others, as a map.

    Raises:
        IndexError: Outside the grid.
        UnsupportedError: If no position embedding is added to the patches.
    """
    return embeddings.position_figure(subject_of(trace), row, col, **style)


def position_distance(trace: Trace, **style: Unpack[FigureStyle]) -> Figure:
    """Cosine similarity of position embeddings against the distance between their patches in pixels."""
    return embeddings.distance_figure(subject_of(trace), **style)


def rotary_kernel(trace: Trace, layer: int = 0, head: int = 0, **style: Unpack[KernelStyle]) -> Figure:
    """The contribution of rotary positions alone to a score, for every displacement on the grid.

    Raises:
        UnsupportedError: For a model without rotary positions.
    """
    return embeddings.kernel_figure(subject_of(trace), layer, head, **style)


def relative_bias(trace: Trace, number: int = 0, head: int | None = None, **style: Unpack[BiasStyle]) -> Figure:
    """The relative position bias of a layer, for every displacement.

    Args:
        trace: Of a model that adds such a bias to its scores.
        number: Counts the layers that add a bias, from 0.
        head: One head; all heads of the layer by default.
        **style: See `BiasStyle`.

    Raises:
        UnsupportedError: For a model without relative biases.
    """
    about = subject_of(trace)
    bias = embeddings.biases_of(about)[number]
    if head is None:
        return embeddings.bias_heads_figure(about, number, bias, **style)
    style.pop("shared", None)  # one head has one scale
    return embeddings.bias_figure(about, number, head, bias, **cast(FigureStyle, style))
