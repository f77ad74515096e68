"""One layer of any kind: the keys that a query can attend to, its attention maps, and the layer's windows."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from vitviz.analysis.attention import query_weights
from vitviz.analysis.queries import QueryLike
from vitviz.capture.trace import Layer, Trace
from vitviz.capture.windows import WindowedAttention

GLOBAL, POOLED, POOLING = "global", "pooled", "pooling"
WINDOWS, SHIFTED, SPREAD = "windows", "shifted windows", "spread windows"

# Models mask a key by adding -100 or -infinity to its score; a trained bias is much smaller.
HIDDEN_BY = 50.0


def layer_kind(layer: Layer) -> str:
    """The kind of a layer.

    Returns:
        GLOBAL (every patch attends to every token of its own grid), POOLED (to a coarser or finer grid), POOLING (a pooling
        layer with learned queries), WINDOWS (attention within blocks of neighbours), SHIFTED (the same with blocks shifted
        against the previous layer's), or SPREAD (windows of patches that are not neighbours, MaxViT's grid attention).
    """
    if not layer.query_layout.num_patches:
        return POOLING
    labels = window_labels(layer)
    if labels is None:
        return GLOBAL if layer.query_layout == layer.key_layout else POOLED
    rows, cols = np.nonzero(labels == labels[labels.shape[0] // 2, labels.shape[1] // 2])  # of the window in the middle
    height, width = np.ptp(rows) + 1, np.ptp(cols) + 1
    if height * width != len(rows):
        return SPREAD
    return SHIFTED if rows[0] % height or cols[0] % width else WINDOWS


def stage_of(trace: Trace, index: int) -> int:
    """The stage of layer `index`, counted from 0. A stage begins where the queries' grid changes; pooling layers belong to the
    last one.
    """
    grids = [layer.query_layout.grid for layer in trace.layers[: index + 1]]
    return sum(one != two for one, two in pairwise(grids))


def window_labels(layer: Layer) -> np.ndarray | None:
    """(rows, cols) int64 over the queries' grid: the window of each query; None for a layer without windows."""
    if not isinstance(layer, WindowedAttention) or layer.num_windows < 2:
        return None
    tokens, layout = layer.query_tokens.cpu().numpy(), layer.query_layout  # (windows, queries), -1 for padding
    labels = np.zeros(layout.num_tokens, np.int64)
    window, slot = np.nonzero(tokens >= 0)
    labels[tokens[window, slot]] = window
    return layout.patches(labels)


def reached(layer: Layer, query: int) -> np.ndarray:
    """(rows, cols) bool over the keys' grid: the patches of the query's window that are not masked; all without windows."""
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
    """(..., rows, cols) -> (..., fewer rows, fewer cols): rows and columns without a reached patch are dropped."""
    return maps[..., reach.any(1), :][..., reach.any(0)]


def layer_maps(layer: Layer, query: QueryLike) -> np.ndarray:
    """Attention of `query` to every patch in every head; 0 outside its window.

    Args:
        layer: Any layer of a trace.
        query: Index or name of a token of this layer's own grid, "mean" over all its patches, or a weighted set.

    Returns:
        (heads, rows, cols) float32 over the keys' grid.

    Raises:
        UnsupportedError: For a query that this layer does not have.
    """
    return layer.key_layout.patches(query_weights(layer, query)).float().cpu().numpy()
