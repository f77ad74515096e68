"""Figures of layers of any kind, with windows, stages or pooled keys: one layer, all its heads, and all layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vitviz.analysis.attention import attention_map
from vitviz.analysis.layers import (
    POOLING,
    layer_kind,
    layer_maps,
    reached,
    stage_of,
    window_labels,
    within_window,
)
from vitviz.analysis.queries import Query, QueryLike, layer_query, nearest_query
from vitviz.capture.trace import Layer, Trace
from vitviz.draw import LIGHT, Scale, Theme, draw_board
from vitviz.draw.layer import LayerMap, QuerySide, draw_layer, draw_overview
from vitviz.errors import UnsupportedError
from vitviz.figure import Figure
from vitviz.figures.traced_image import TracedImage, made, query_words

# Pixels: wanted width of one head's map, so that a layer of one head is not enlarged too much, and smallest width of a figure.
TILE, MIN_WIDTH = 240, 420


def layer_name(trace: Trace, index: int) -> str:
    """The display name of a layer: "stage 1, layer 3: shifted windows, 28×28". Layers are counted over all stages."""
    layer = trace.all_layers[index]
    kind, grid = layer_kind(layer), layer.key_layout.grid
    if kind == POOLING:
        return f"layer {index}: attention pooling over {grid[0]}×{grid[1]}"
    own = layer.query_layout.grid
    place = f"{own[0]}×{own[1]}" if own == grid else f"{own[0]}×{own[1]} on {grid[0]}×{grid[1]}"
    return f"stage {stage_of(trace, index)}, layer {index}: {kind}, {place}"


def reach_of(layer: Layer, query: Query) -> np.ndarray:
    """(rows, cols) bool over the keys' grid: the keys that a query can attend to; all for a query that is not one patch."""
    if query.cell is None:
        return np.ones(layer.key_layout.grid, bool)
    return reached(layer, layer.query_layout.token_at(*query.cell))


def layer_figure(
    subject: TracedImage,
    index: int = -1,
    head: int | None = None,
    query: QueryLike | None = None,
    *,
    robust: bool = True,
    theme: Theme = LIGHT,
    width: int = 900,
) -> Figure:
    """One layer: the query's patch, and its attention on the keys' grid with the window outlined.

    Args:
        subject: The traced image.
        index: Index into `trace.all_layers`; -1 is the last layer.
        head: Counted from 0; None is the mean of all heads.
        query: A query of the model's first grid, by default the one that the output is computed from; `nearest_query` maps it
            to this layer's grid.
        robust: The scale ends at the 99th percentile.
        theme: Colours and font size.
        width: Pixels.

    Raises:
        UnsupportedError: For a query that the model does not have.
    """
    trace, index = subject.trace, _checked(subject, index)
    layer = trace.all_layers[index]
    own = nearest_query(layer, layer_query(trace, query), trace.layout.grid)
    heatmap = attention_map(layer, own, head)
    reach = reach_of(layer, own)
    asked = QuerySide(layer.query_layout.grid, own.cell, window_labels(layer))
    words = query_words(own)
    drawing = draw_layer(
        subject.prepared.shown,
        heatmap,
        asked,
        reach,
        captions=(f"Query: {words}", "Where it looks"),
        scale=Scale.of(heatmap.values[reach], robust=robust),
        title=_sentence(layer_name(trace, index)),
        width=width,
        theme=theme,
    )
    row, col, value = heatmap.peak
    within = "" if reach.all() else f" It attends to {int(reach.sum())} patches of its window, which is outlined."
    return Figure(
        arrays={"values": heatmap.values, "reach": reach},
        drawing=drawing,
        alt=(
            f"{_sentence(layer_name(trace, index))}. {_sentence(heatmap.label)} of {words}, over the photograph."
            f"{within} Strongest at row {row}, column {col}, with {value:.3g}."
        ),
        provenance=subject.provenance("attention weights", layer=index, head=head, query=str(own)),
        snippet=subject.snippet(
            "heatmap = " + made("vitviz.attention_map", f"trace.all_layers[{index}]", query=str(own), head=head),
            "print(heatmap.peak)  # (row, column, value) of the strongest patch",
        ),
    )


def layer_heads_figure(
    subject: TracedImage,
    index: int = -1,
    query: QueryLike | None = None,
    *,
    maps: np.ndarray | None = None,
    shared: bool = False,
    robust: bool = True,
    theme: Theme = LIGHT,
    width: int = 900,
) -> Figure:
    """All heads of one layer as small multiples; of a windowed layer only the query's window.

    `maps` are the (heads, rows, cols) of `layer_maps`, if computed already. Other arguments are as in `layer_figure`.
    """
    trace, index = subject.trace, _checked(subject, index)
    layer = trace.all_layers[index]
    own = nearest_query(layer, layer_query(trace, query), trace.layout.grid)
    maps = layer_maps(layer, own) if maps is None else maps
    strongest = np.unravel_index(maps.argmax(), maps.shape)
    reach = reach_of(layer, own)
    title = _sentence(layer_name(trace, index)) + ("" if reach.all() else ", the window alone")
    return Figure(
        arrays={"maps": maps},
        drawing=draw_board(
            within_window(maps, reach)[None],
            shared=shared,
            robust=robust,
            first_layer=index,
            title=title,
            width=max(MIN_WIDTH, min(width, TILE * len(maps))),
            theme=theme,
        ),
        alt=(
            f"Attention of {query_words(own)} in the {len(maps)} heads of {layer_name(trace, index)}. "
            f"The largest weight on a patch, {maps.max():.3g}, is in head {strongest[0]}."
        ),
        provenance=subject.provenance("attention weights", layer=index, query=str(own)),
        snippet=subject.snippet(
            "maps = "
            + made("vitviz.layer_maps", f"trace.all_layers[{index}]", query=str(own))
            + "  # (heads, rows, cols)"
        ),
    )


def overview_figure(
    subject: TracedImage,
    query: QueryLike | None = None,
    *,
    robust: bool = True,
    theme: Theme = LIGHT,
    width: int = 900,
) -> Figure:
    """Attention of a query in every layer, mean over heads, each layer on its own grid. Arguments as in `layer_figure`."""
    trace, _ = subject.trace, _checked(subject, -1)
    asked = layer_query(trace, query)
    shown: list[LayerMap] = []
    asked_in: dict[str, list[int]] = {}
    for index, layer in enumerate(trace.all_layers):
        own = nearest_query(layer, asked, trace.layout.grid)
        at_place = asked.cell is not None and own.cell is not None  # on a coarser grid the patch has another name
        asked_in.setdefault(query_words(asked if at_place else own), []).append(index)
        cell = own.cell if layer.query_layout.grid == layer.key_layout.grid else None
        name = _sentence(layer_name(trace, index))
        shown.append(LayerMap(name, attention_map(layer, own).values, reach_of(layer, own), cell))
    return Figure(
        arrays={f"layer_{index}": layer.values for index, layer in enumerate(shown)},
        drawing=draw_overview(subject.prepared.shown, shown, robust=robust, theme=theme, width=width),
        alt=(
            f"Where {_query_words(asked_in)}, in the mean of all heads, in each of {len(trace.all_layers)} layers "
            f"on its own grid: {'; '.join(layer.name for layer in shown)}."
        ),
        provenance=subject.provenance("attention weights of every layer", query=str(asked)),
        snippet=subject.snippet(
            f"queries = [nearest_query(layer, {str(asked)!r}, trace.layout.grid) for layer in trace.all_layers]",
            "maps = [vitviz.attention_map(*asked) for asked in zip(trace.all_layers, queries)]",
            imports=["from vitviz.analysis.queries import nearest_query"],
        ),
    )


def _query_words(asked_in: Mapping[str, Sequence[int]]) -> str:
    """ "the class token looks", or "the patch in row 3, column 5 looks in layers 0 to 11, the class token in layers 12, 13"."""
    if len(asked_in) == 1:
        return f"{next(iter(asked_in))} looks"
    return ", ".join(
        f"{words}{' looks' if number == 0 else ''} in layer{'s' * (len(layers) > 1)} {', '.join(map(str, layers))}"
        for number, (words, layers) in enumerate(asked_in.items())
    )


def _checked(subject: TracedImage, index: int) -> int:
    """`index` counted from 0.

    Raises:
        UnsupportedError: For a model without a layer.
        IndexError: For a layer that does not exist.
    """
    count = len(subject.trace.all_layers)
    if not count:
        raise UnsupportedError(
            f"{subject.model.name} has no attention that relates patches of the picture: `vitviz support` says why."
        )
    return range(count)[index]


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]
