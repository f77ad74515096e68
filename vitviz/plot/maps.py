"""Figures of attention weights and rollout, and of one head step by step."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from vitviz.analysis.attention import attention_distance as distance_of_heads
from vitviz.analysis.by_hand import head_by_hand, open_layer
from vitviz.analysis.queries import QueryLike, query_of
from vitviz.analysis.rollout import PAPER, RolloutOptions
from vitviz.capture.trace import Trace
from vitviz.figure import Figure
from vitviz.figures import attention as of_attention
from vitviz.figures import by_hand as of_one_head
from vitviz.figures import layers as of_layers
from vitviz.figures.microscope import TokenAttention, microscope_figure
from vitviz.figures.networks import distances_figure
from vitviz.figures.style import CurvesStyle, FigureStyle, HeadsStyle, MapStyle, MicroscopeStyle, RolloutStyle
from vitviz.figures.traced_image import subject_of


def heads(
    trace: Trace, layer: int | None = None, query: QueryLike | None = None, **style: Unpack[HeadsStyle]
) -> Figure:
    """Attention of a query to every patch, one small map for each head.

    Args:
        trace: Of `vitviz.trace`.
        layer: One layer, counted from 0 (-1 is the last); every layer by default.
        query: A token's name or index, or a Query; by default the query that the model's output is computed from.
        **style: See `HeadsStyle`.

    Returns:
        Figure with `maps` (layers, heads, rows, cols), or (heads, rows, cols) for one layer: attention weights.

    Raises:
        UnsupportedError: For a query that the model does not have; without `layer`, if layers differ in heads or grid.
    """
    if layer is None:
        return of_attention.heads_figure(subject_of(trace), query, **style)
    return of_layers.layer_heads_figure(subject_of(trace), layer, query, **style)


def microscope(
    trace: Trace,
    layer: int,
    token: str,
    head: int | str = "all",
    direction: str = "at",
    measure: str = "weight",
    **style: Unpack[MicroscopeStyle],
) -> Figure:
    """One token's attention in a layer: over the photograph with its strongest links, and as one small map for each head.

    Args:
        trace: Of `vitviz.trace`.
        layer: Counted from 0 (-1 is the last).
        token: "cls", "reg0" or "r3c5".
        head: One head, "mean", or "all".
        direction: "at" for the keys that the token attends to, "by" for the queries that attend to the token.
        measure: "weight", or "value" for weights times the norms of the value vectors.
        **style: See `MicroscopeStyle`.

    Returns:
        Figure with `maps` (heads, rows, cols) and `values` (rows, cols), the map over the photograph.

    Raises:
        ValueError: For a token, a direction or a measure that does not exist.
    """
    return microscope_figure(subject_of(trace), TokenAttention(layer, token, head, direction, measure), **style)


def attention(
    trace: Trace, layer: int = -1, head: int | None = None, query: QueryLike | None = None, **style: Unpack[MapStyle]
) -> Figure:
    """Attention of a query in one head, or in the mean of a layer's heads, beside the photograph with the query's patch.

    In a layer with windows the query's window is outlined.

    Args:
        trace: Of `vitviz.trace`.
        layer: Counted from 0 (-1 is the last).
        head: Counted from 0; the mean of all heads by default.
        query: A token's name or index, or a Query; by default the query that the model's output is computed from.
        **style: See `MapStyle`.

    Returns:
        Figure with `values` (rows, cols), attention weights, and `reach` (rows, cols), the patches that the query
        attends to.

    Raises:
        UnsupportedError: For a query that the layer does not have.
        IndexError: For a layer or head that does not exist.
    """
    return of_layers.layer_figure(subject_of(trace), layer, head, query, **style)


def layers(trace: Trace, query: QueryLike | None = None, **style: Unpack[MapStyle]) -> Figure:
    """Attention of a query in the mean of the heads of every layer, each layer on its own grid.

    Args:
        trace: Of `vitviz.trace`.
        query: A token's name or index, or a Query; by default the query that the model's output is computed from.
        **style: See `MapStyle`.

    Returns:
        Figure with `layer_0`, `layer_1`, ... (rows, cols): attention weights of each layer.

    Raises:
        UnsupportedError: For a query that the model does not have.
    """
    return of_layers.overview_figure(subject_of(trace), query, **style)


def attention_distance(trace: Trace, **style: Unpack[CurvesStyle]) -> Figure:
    """How far the heads of every layer attend: the mean distance from query to key in pixels, a dot for each head.

    Args:
        trace: Of `vitviz.trace`.
        **style: See `CurvesStyle`.

    Returns:
        Figure with `distances` (layers, heads) in input pixels; NaN in layers with fewer heads.

    Raises:
        UnsupportedError: If the layers do not share one grid.

    Source: Dosovitskiy et al. 2021, "An image is worth 16x16 words" (arXiv 2010.11929), figure 7 right.
    """
    rows = [distance_of_heads(layer).float().cpu().numpy() for layer in trace.sequence("Attention distance")]
    distances = np.full((len(rows), max(map(len, rows))), np.nan, np.float32)  # layers may differ in heads
    for layer, row in enumerate(rows):
        distances[layer, : len(row)] = row
    return distances_figure(subject_of(trace), distances, **style)


def rollout(
    trace: Trace, query: QueryLike | None = None, options: RolloutOptions = PAPER, **style: Unpack[RolloutStyle]
) -> Figure:
    """Attention rollout of a query over the photograph.

    Args:
        trace: Of `vitviz.trace`.
        query: A token's name or index, or a Query; by default the query that the model's output is computed from.
        options: Weight of the residual connection, fusion of heads, discarded share, range of layers.
        **style: See `RolloutStyle`.

    Returns:
        Figure with `values` (rows, cols), not rescaled.

    Raises:
        UnsupportedError: If the layers do not share one grid, or the query does not exist.

    Source: Abnar and Zuidema 2020 (arXiv 2005.00928), equation 1.
    """
    return of_attention.rollout_figure(subject_of(trace), query, options, **style)


def rollout_without_sinks(
    trace: Trace, query: QueryLike | None = None, options: RolloutOptions = PAPER, **style: Unpack[MapStyle]
) -> Figure:
    """Attention rollout of a query with its sinks set to zero and framed; the scale is that of the other patches.

    Args:
        trace: Of `vitviz.trace`.
        query: A token's name or index, or a Query; by default the query that the model's output is computed from.
        options: Weight of the residual connection, fusion of heads, discarded share, range of layers.
        **style: See `MapStyle`.

    Returns:
        Figure with `values` (rows, cols), 0 at the sinks.

    Raises:
        UnsupportedError: As `rollout`.
    """
    return of_attention.rollout_without_sinks_figure(subject_of(trace), query, options, **style)


def head_rollout(
    trace: Trace,
    layer: int,
    head: int,
    method: str = "last_hop",
    query: QueryLike | None = None,
    options: RolloutOptions = PAPER,
    **style: Unpack[MapStyle],
) -> Figure:
    """The rollout of one head.

    Args:
        trace: Of `vitviz.trace`.
        layer: Counted from 0.
        head: Counted from 0.
        method: "last_hop" or "leave_one_in" (see `vitviz.head_rollout`).
        query: A token's name or index, or a Query; by default the query that the model's output is computed from.
        options: Weight of the residual connection, fusion of heads, discarded share, range of layers.
        **style: See `MapStyle`.

    Returns:
        Figure with `values` (rows, cols), not rescaled.

    Raises:
        UnsupportedError: As `rollout`.
        ValueError: For another method.
        IndexError: For a layer or head that does not exist.
    """
    return of_attention.head_rollout_figure(subject_of(trace), layer, head, method, query, options, **style)


def scores(trace: Trace, layer: int, head: int, query: QueryLike | None = None, **style: Unpack[FigureStyle]) -> Figure:
    """All scores of one head, q kT * scale + bias, with the query's row marked.

    Args:
        trace: Of `vitviz.trace`.
        layer: Counted from 0.
        head: Counted from 0.
        query: The token whose row is marked; by default the query that the model's output is computed from.
        **style: See `FigureStyle`.

    Returns:
        Figure with `scores` (tokens, tokens), and `queries` and `keys` (tokens, head_dim) that they are products of.

    Raises:
        UnsupportedError: As `vitviz.open_layer` and `vitviz.head_by_hand`.
        IndexError: For a layer or head that does not exist.
    """
    return of_one_head.scores_figure(subject_of(trace), *_by_hand(trace, layer, head, query), **style)


def weights(
    trace: Trace, layer: int, head: int, query: QueryLike | None = None, **style: Unpack[FigureStyle]
) -> Figure:
    """All weights of one head, the softmax of each row of scores, with the query's row marked.

    Args:
        trace: Of `vitviz.trace`.
        layer: Counted from 0.
        head: Counted from 0.
        query: The token whose row is marked; by default the query that the model's output is computed from.
        **style: See `FigureStyle`.

    Returns:
        Figure with `weights` (tokens, tokens).

    Raises:
        UnsupportedError: As `vitviz.open_layer` and `vitviz.head_by_hand`.
        IndexError: For a layer or head that does not exist.
    """
    return of_one_head.weights_figure(subject_of(trace), *_by_hand(trace, layer, head, query), **style)


def output(trace: Trace, layer: int, head: int, query: QueryLike | None = None, **style: Unpack[FigureStyle]) -> Figure:
    """The output of one head for every token, weights times values, with the query's row marked.

    Args:
        trace: Of `vitviz.trace`.
        layer: Counted from 0.
        head: Counted from 0.
        query: The token whose row is marked; by default the query that the model's output is computed from.
        **style: See `FigureStyle`.

    Returns:
        Figure with `output` and `values` (tokens, value_dim), and `weights` (tokens, tokens).

    Raises:
        UnsupportedError: As `vitviz.open_layer` and `vitviz.head_by_hand`.
        IndexError: For a layer or head that does not exist.
    """
    return of_one_head.output_figure(subject_of(trace), *_by_hand(trace, layer, head, query), **style)


def _by_hand(trace: Trace, layer: int, head: int, query: QueryLike | None) -> tuple[Any, Any]:
    opened = open_layer(subject_of(trace).model, trace, layer)
    return opened, head_by_hand(opened, head, query_of(trace, query) if query is None else query)
