"""Attention head by head as figures: the board of all heads, and one head's map."""

from __future__ import annotations

import numpy as np

from vitviz.analysis.attention import attention_map, head_maps
from vitviz.analysis.queries import Query, default_query
from vitviz.draw import LIGHT, Theme, draw_board
from vitviz.figure import Figure
from vitviz.figures.rollout import map_figure, query_name, query_words
from vitviz.figures.subject import Subject, made


def heads_figure(
    subject: Subject,
    query: Query | None = None,
    *,
    maps: np.ndarray | None = None,
    chosen: tuple[int, int] | None = None,
    shared: bool = False,
    robust: bool = True,
    theme: Theme = LIGHT,
    width: int = 900,
) -> Figure:
    """Where `query` looks, every head of every layer as small multiples; `maps` (layers, heads, rows, cols) where known.

    Raises UnsupportedError as `head_maps`.
    """
    query = default_query(subject.trace) if query is None else query
    maps = head_maps(subject.trace, query) if maps is None else maps
    words = f"Attention of {query_words(subject.trace, query)}"
    layers, heads = maps.shape[:2]
    strongest = np.unravel_index(maps.argmax(), maps.shape)
    return Figure(
        arrays={"maps": maps},
        drawing=draw_board(maps, shared=shared, robust=robust, chosen=chosen, width=width, theme=theme),
        alt=(
            f"{words} in all {layers} layers (rows) and {heads} heads (columns). The largest weight on a patch, "
            f"{maps.max():.3g}, is in layer {strongest[0]}, head {strongest[1]}."
        ),
        provenance=subject.provenance("attention weights", query=query_name(subject.trace, query)),
        snippet=subject.snippet(
            "maps = " + made("vitviz.head_maps", "trace", query=query) + "  # (layers, heads, rows, cols)"
        ),
    )


def attention_figure(
    subject: Subject,
    layer: int,
    head: int | None,
    query: Query | None = None,
    *,
    robust: bool = True,
    theme: Theme = LIGHT,
    width: int = 640,
) -> Figure:
    """Where `query` looks in one head, or in the mean of all heads of a layer. Raises UnsupportedError for an unknown query."""
    query = default_query(subject.trace) if query is None else query
    source, asked = ("pooling", 0) if query == "pool" else ("layers", query)
    attention = getattr(subject.trace, source)[layer]
    heatmap = attention_map(attention, asked, head)
    place = "the mean of all heads" if head is None else f"head {head}"
    words = f"Attention of {query_words(subject.trace, query)} in layer {layer}, {place}"
    line = "heatmap = " + made("vitviz.attention_map", f"trace.{source}[{layer}]", query=asked, head=head)
    return map_figure(
        subject, heatmap, words, line, robust=robust, theme=theme, width=width, query=query, method="attention weights",
        layer=layer, head=head,
    )  # fmt: skip
