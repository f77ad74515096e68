"""One layer of any kind: whom its query may look at, where it looks, and which windows the layer works in."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from vitviz.analysis.attention import query_weights
from vitviz.analysis.queries import MEAN, Query, QueryLike, as_query, default_query
from vitviz.capture.trace import Layer, StagedTrace
from vitviz.capture.windows import WindowedAttention
from vitviz.errors import UnsupportedError
from vitviz.tokens import cell_name, cell_of_name

GLOBAL, POOLED, COLLECTING = "global", "pooled", "collecting"
WINDOWS, SHIFTED, SPREAD = "windows", "shifted windows", "spread windows"

# Models hide a key by adding -100 or -infinity to its score, which is far more than training puts into a bias.
HIDDEN_BY = 50.0


def layer_kind(layer: Layer) -> str:
    """GLOBAL: every patch attends to every token of its own grid. POOLED: to a coarser or finer grid. COLLECTING: learned
    queries gather from the patches. WINDOWS: blocks of neighbours attend to each other; SHIFTED: the same, the blocks moved
    so that they straddle those of the layer before; SPREAD: windows of patches that lie apart (MaxViT's grid attention).
    """
    if not layer.query_layout.num_patches:
        return COLLECTING
    labels = window_labels(layer)
    if labels is None:
        return GLOBAL if layer.query_layout == layer.key_layout else POOLED
    rows, cols = np.nonzero(labels == labels[labels.shape[0] // 2, labels.shape[1] // 2])  # of the window in the middle
    height, width = np.ptp(rows) + 1, np.ptp(cols) + 1
    if height * width != len(rows):
        return SPREAD
    return SHIFTED if rows[0] % height or cols[0] % width else WINDOWS


def stage_of(trace: StagedTrace, index: int) -> int:
    """The stage of a layer, counted from 0: a new one begins wherever the queries' grid changes; layers that only collect
    belong to the last.
    """
    grids = [layer.query_layout.grid for layer in trace.layers[: index + 1]]
    return sum(one != two for one, two in pairwise(grids))


def window_labels(layer: Layer) -> np.ndarray | None:
    """(rows, cols) int64 over the queries' grid: the window in which each patch asks; None where there is one for all."""
    if not isinstance(layer, WindowedAttention) or layer.num_windows < 2:
        return None
    tokens, layout = layer.query_tokens.cpu().numpy(), layer.query_layout  # (windows, queries), -1 for padding
    labels = np.zeros(layout.num_tokens, np.int64)
    window, slot = np.nonzero(tokens >= 0)
    labels[tokens[window, slot]] = window
    return layout.patches(labels)


def reached(layer: Layer, query: int) -> np.ndarray:
    """(rows, cols) bool over the keys' grid: the patches that `query`'s attention can reach, those of its window that no
    mask hides from it. All of them where there are no windows.
    """
    layout = layer.key_layout
    if not isinstance(layer, WindowedAttention):
        return np.ones(layout.grid, bool)
    window = layer.window_of(query)
    slot = int((layer.query_tokens[window] == query).nonzero()[0, 0])
    keys = layer.key_tokens[window]
    shown = keys >= 0
    if layer.explicit is not None:
        shown = shown & (layer.explicit[window, :, slot].amax(0) > math.exp(-HIDDEN_BY))
    elif layer.bias is not None:
        bias = layer.bias[window if layer.bias.shape[0] > 1 else 0]  # (heads or 1, queries or 1, keys)
        row = bias[:, slot if bias.shape[1] > 1 else 0].float().amax(0)  # (keys,)
        shown = shown & (row > row.max() - HIDDEN_BY)
    reach = np.zeros(layout.num_tokens, bool)
    reach[keys[shown].cpu().numpy()] = True
    return layout.patches(reach)


def within_window(maps: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """(..., rows, cols) -> (..., fewer rows, fewer cols): the rows and columns that hold a reached patch, and no others."""
    return maps[..., reach.any(1), :][..., reach.any(0)]


def layer_maps(layer: Layer, query: QueryLike) -> np.ndarray:
    """(heads, rows, cols) float32 over the keys' grid: where `query` looks in every head; 0 outside its window.

    query  index or name of a token of this layer's own grid, "mean" over all its patches, or a mixture

    Raises UnsupportedError for a query that this layer does not have.
    """
    return layer.key_layout.patches(query_weights(layer, query)).float().cpu().numpy()


def staged_query(trace: StagedTrace, query: QueryLike | None = None) -> Query:
    """`query` as a `Query` of the model's first grid or of a token that some layer has, by default what the output is computed
    from. Raises UnsupportedError for a query that no layer has.
    """
    if query is None or query == "":
        return default_query(trace)
    found = as_query(query, trace.layout)
    known = {MEAN, *trace.layout.prefix, *(name for layer in trace.every for name in layer.query_layout.prefix)}
    for name in found.names:
        if not (name in known or (found.pools and trace.pooling) or trace.layout.cell_named(name)):
            rows, cols = trace.layout.grid
            raise UnsupportedError(
                f"{trace.model_name} has no query called {name!r}. There are {', '.join(sorted(known))}, and the patches "
                f"{cell_name(0, 0)} to {cell_name(rows - 1, cols - 1)}."
            )
    return found


def nearest_query(layer: Layer, query: QueryLike, grid: tuple[int, int]) -> Query:
    """What stands for `query`, whose patches are named on `grid`, in this layer: the patch in which its centre lies, and tokens
    of the same name. In a layer that only collects, its first learned query, because nothing else asks there; where patches ask
    and the layer has no token of that name, the mean over them. In a mixture, this holds of each part. Raises UnsupportedError
    for what is no query or outside `grid`.
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
            own = cell_name(*moved(cell, grid, layout.grid))
        else:
            own = name if name in layout.prefix else MEAN
        parts[own] = parts.get(own, 0.0) + weight
    return Query(tuple(parts.items()))


def moved(cell: tuple[int, int], grid: tuple[int, int], to: tuple[int, int]) -> tuple[int, int]:
    """The patch of grid `to` in which the centre of this one lies."""
    # floor((index + 1/2) / count * there), in whole numbers so that nothing is rounded
    row, col = ((2 * index + 1) * there // (2 * count) for index, count, there in zip(cell, grid, to, strict=True))
    return row, col
