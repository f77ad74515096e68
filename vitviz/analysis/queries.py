"""Resolves the query of a map in the layers of a trace: a token, the mean over patches, the pooling query or a weighted set."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from vitviz.capture.readout import query_from_names
from vitviz.capture.trace import Layer, Trace
from vitviz.errors import UnsupportedError
from vitviz.tokens import MEAN as MEAN
from vitviz.tokens import POOL as POOL
from vitviz.tokens import Query as Query
from vitviz.tokens import QueryLike as QueryLike
from vitviz.tokens import TokenLayout, cell_name, cell_of_name

T = TypeVar("T")


def default_query(trace: Trace) -> Query:
    """The query that the model's output is computed from, as found when the trace was made.

    If the trace does not have it: the class token, else the pooling query, else the mean over patches.

    Args:
        trace: One image's trace.

    Returns:
        The query of maps that explain the output: a token, the mean over patches, the pooling query, or a weighted set.
    """
    if trace.output_query is not None:
        return trace.output_query
    return query_from_names(trace.layers[-1].query_layout if trace.layers else None, bool(trace.pooling))


def query_of(trace: Trace, query: QueryLike | None = None) -> Query:
    """`query` as a `Query`, by default `default_query`.

    Args:
        trace: The trace that must have the query.
        query: A token's index, a text form ("cls", "r3c5", "mean", "pool", "cls+dist"), or a `Query`.

    Raises:
        UnsupportedError: For a query that the trace does not have.
    """
    if trace.not_sequential:
        return layer_query(trace, query)
    if query is None:
        return default_query(trace)
    layout = trace.layers[-1].query_layout if trace.layers else trace.layout
    found = as_query(query, layout)
    if not found.pools:
        row_weights(found, layout)
    elif not trace.pooling:
        raise UnsupportedError(f"{trace.model_name} has no attention pooling; choose a token or the mean over patches.")
    return found


def as_query(query: QueryLike, layout: TokenLayout) -> Query:
    """`Query.of`. Raises UnsupportedError for text that is not a query, or a token that `layout` does not have."""
    return _in_words(lambda: Query.of(query, layout))


def row_weights(
    query: Query, layout: TokenLayout, device: torch.device | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """(1, tokens): the weight of each token's row. Raises UnsupportedError for a name that `layout` does not have."""
    weights = _in_words(lambda: query.weights(layout))
    return torch.from_numpy(weights).to(device, dtype)[None]


def query_index(query: QueryLike, layout: TokenLayout) -> int:
    """The index of a query that is one token of `layout`. Raises UnsupportedError for any other query."""
    asked = as_query(query, layout)
    if len(asked.parts) > 1 or asked.names[0] in (MEAN, POOL):
        raise UnsupportedError(f"This is answered for one token, such as r0c0, and {asked} is not one.")
    return _in_words(lambda: layout.token_named(asked.names[0]))


def layers_with_query(trace: Trace, query: Query) -> tuple[Layer, ...]:
    """The layers that have `query`: pooling layers for the pooling query, else the layers over the grid."""
    return trace.pooling if query.pools else trace.layers


def _in_words(compute: Callable[[], T]) -> T:
    """Calls `compute`; its ValueError and IndexError become an UnsupportedError with the same message."""
    try:
        return compute()
    except (ValueError, IndexError) as error:
        raise UnsupportedError(str(error)[0].upper() + str(error)[1:] + ".") from None


def layer_query(trace: Trace, query: QueryLike | None = None) -> Query:
    """`query` as a `Query` of the model's first grid, or of a token that one of the layers has.

    By default the query that the output is computed from. Raises UnsupportedError for a query that no layer has.
    """
    if query is None or query == "":
        return default_query(trace)
    found = as_query(query, trace.layout)
    known = {MEAN, *trace.layout.prefix, *(name for layer in trace.all_layers for name in layer.query_layout.prefix)}
    for name in found.names:
        if not (name in known or (found.pools and trace.pooling) or trace.layout.cell_named(name)):
            rows, cols = trace.layout.grid
            raise UnsupportedError(
                f"{trace.model_name} has no query called {name!r}. There are {', '.join(sorted(known))}, and the patches "
                f"{cell_name(0, 0)} to {cell_name(rows - 1, cols - 1)}."
            )
    return found


def nearest_query(layer: Layer, query: QueryLike, grid: tuple[int, int]) -> Query:
    """The query of this layer that corresponds to `query`, which is named on another grid.

    A patch becomes the patch that contains its centre; a prefix token stays itself, or becomes the mean over patches
    if the layer does not have it. In a pooling layer every query becomes the first learned query. A weighted set is
    mapped part by part.

    Args:
        layer: The layer.
        query: A query of `grid`.
        grid: (rows, cols) of the grid on which `query` is named.

    Raises:
        UnsupportedError: For text that is not a query, or a patch outside `grid`.
    """
    layout, asked = layer.query_layout, as_query(query, layer.query_layout)
    if not layout.num_patches:
        return Query(((next((name for name in asked.names if name in layout.prefix), layout.prefix[0]), 1.0),))
    parts: dict[str, float] = {}
    for name, weight in asked.parts:
        cell = cell_of_name(name)
        if cell is not None:
            if cell[0] >= grid[0] or cell[1] >= grid[1]:
                raise UnsupportedError(f"Patch {name} is outside the grid of {grid[0]} rows and {grid[1]} columns.")
            own = cell_name(*corresponding_cell(cell, grid, layout.grid))
        else:
            own = name if name in layout.prefix else MEAN
        parts[own] = parts.get(own, 0.0) + weight
    return Query(tuple(parts.items()))


def corresponding_cell(cell: tuple[int, int], grid: tuple[int, int], to: tuple[int, int]) -> tuple[int, int]:
    """The patch of grid `to` that contains the centre of patch `cell` of `grid`."""
    # floor((index + 1/2) / count * there), in integers, so that nothing is rounded
    row, col = ((2 * index + 1) * there // (2 * count) for index, count, there in zip(cell, grid, to, strict=True))
    return row, col
