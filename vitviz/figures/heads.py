"""Attention head by head as figures: the board of all heads, and one head's map."""

from __future__ import annotations

import numpy as np

from vitviz.analysis.attention import attention_map, head_maps
from vitviz.analysis.queries import QueryLike, layers_asked, query_of
from vitviz.draw import LIGHT, Theme, draw_board
from vitviz.figure import Figure
from vitviz.figures.query_words import query_words
from vitviz.figures.rollout import map_figure
from vitviz.figures.subject import Subject, made


def heads_figure(
    subject: Subject,
    query: QueryLike | None = None,
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
    asked = query_of(subject.trace, query)
    maps = head_maps(subject.trace, asked) if maps is None else maps
    words = f"Attention of {query_words(asked)}"
    layers, heads = maps.shape[:2]
    strongest = np.unravel_index(maps.argmax(), maps.shape)
    return Figure(
        arrays={"maps": maps},
        drawing=draw_board(maps, shared=shared, robust=robust, chosen=chosen, width=width, theme=theme),
        alt=(
            f"{words} in all {layers} layers (rows) and {heads} heads (columns). The largest weight on a patch, "
            f"{maps.max():.3g}, is in layer {strongest[0]}, head {strongest[1]}."
        ),
        provenance=subject.provenance("attention weights", query=str(asked)),
        snippet=subject.snippet(
            "maps = " + made("vitviz.head_maps", "trace", query=str(asked)) + "  # (layers, heads, rows, cols)"
        ),
    )


def attention_figure(
    subject: Subject,
    layer: int,
    head: int | None,
    query: QueryLike | None = None,
    *,
    robust: bool = True,
    theme: Theme = LIGHT,
    width: int = 640,
) -> Figure:
    """Where `query` looks in one head, or in the mean of all heads of a layer. Raises UnsupportedError for an unknown query."""
    asked = query_of(subject.trace, query)
    source = "pooling" if asked.pools else "layers"
    heatmap = attention_map(layers_asked(subject.trace, asked)[layer], asked, head)
    place = "the mean of all heads" if head is None else f"head {head}"
    words = f"Attention of {query_words(asked)} in {'pooling ' * asked.pools}layer {layer}, {place}"
    line = "heatmap = " + made("vitviz.attention_map", f"trace.{source}[{layer}]", query=str(asked), head=head)
    return map_figure(
        subject, heatmap, words, line, robust=robust, theme=theme, width=width, query=asked, method="attention weights",
        layer=layer, head=head,
    )  # fmt: skip
