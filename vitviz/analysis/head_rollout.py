"""Rollout of one head. The literature has no standard definition; here are two, and every figure names its own.

last_hop       A[l, h] Â_{l-1} ... Â_1: the keys that this head reads, traced back to the input
leave_one_in   Â_L ... (alpha I + (1 - alpha) A[l, h]) ... Â_1: rollout with this head as the only one of layer l

A product of "head 3" of every layer is not defined here: heads of different layers do not correspond.
"""

from __future__ import annotations

import numpy as np
import torch

from vitviz.analysis.attention import query_weights
from vitviz.analysis.queries import QueryLike, query_of
from vitviz.analysis.rollout import PAPER, RolloutOptions, last_to_first, left_multiply_head_fused, start_vector
from vitviz.capture.trace import Trace
from vitviz.errors import UnsupportedError
from vitviz.heatmap import Heatmap
from vitviz.progress import Progress

METHODS = ("last_hop", "leave_one_in")


def head_rollouts(
    trace: Trace,
    method: str = "last_hop",
    query: QueryLike | None = None,
    options: RolloutOptions = PAPER,
    progress: Progress | None = None,
    head_fused: Trace | None = None,
) -> np.ndarray:
    """The rollout of every head, computed together from the last layer down.

    The vectors of all heads are multiplied with each layer together, which takes about the time of one rollout and no
    (tokens, tokens) matrix.

    Args:
        trace: Of a model whose layers relate one grid of patches.
        method: One of METHODS.
        query: As for `rollout`.
        options: As for `rollout`; all layers must have the same number of heads.
        progress: Called with (layers done, layers in all).
        head_fused: The trace's entry of `head_fused_traces` for the same fusion, which saves most of the time.

    Returns:
        (layers, heads, rows, cols) float32, not rescaled.

    Raises:
        UnsupportedError: As `head_rollout`.
    """
    vectors = _recursion(trace, method, query, options, wanted=None, progress=progress, head_fused=head_fused)
    return (
        trace.layers[0].key_layout.patches(vectors).cpu().numpy()
    )  # (layers, heads, tokens) -> (layers, heads, rows, cols)


def head_rollout(
    trace: Trace,
    layer: int,
    head: int,
    method: str = "last_hop",
    query: QueryLike | None = None,
    options: RolloutOptions = PAPER,
) -> Heatmap:
    """The rollout of one head.

    Args:
        trace: Of layers that share one grid.
        layer: Number of the layer in the trace (not in the range of `options`), counted from 0.
        head: Of the layer, counted from 0.
        method: "last_hop" or "leave_one_in".
        query: Token index, name or weighted set; by default the query that the model's output is computed from.
        options: As for `rollout`.

    Returns:
        Heatmap (rows, cols), not rescaled.

    Raises:
        UnsupportedError: If rollout is not defined for this model.
        ValueError: For an unknown method.
        IndexError: For a head or layer that does not exist.
    """
    last = trace.num_layers - 1 if options.last_layer is None else options.last_layer
    if not options.first_layer <= layer <= last:
        raise IndexError(f"layer {layer} is not among the layers rolled out, {options.first_layer} to {last}")
    if not 0 <= head < trace.layers[layer].num_heads:
        raise IndexError(f"head {head} is not in layer {layer}, which has {trace.layers[layer].num_heads} heads")
    vectors = _recursion(trace, method, query, options, wanted=(layer - options.first_layer, head))
    label = f"head rollout ({method.replace('_', ' ')}), layer {layer}, head {head}"
    return Heatmap(trace.layers[0].key_layout.patches(vectors[0, 0]).cpu().numpy(), label)


def _recursion(
    trace: Trace,
    method: str,
    query: QueryLike | None,
    options: RolloutOptions,
    wanted: tuple[int, int] | None,
    progress: Progress | None = None,
    head_fused: Trace | None = None,
) -> torch.Tensor:
    """(layers, heads, tokens), or (1, 1, tokens) for the one `wanted` (layer, head)."""
    if method not in METHODS:
        raise ValueError(f"per-head rollout is one of {', '.join(METHODS)}, not {method!r}")
    asks = query_of(trace, query)
    layers, through = options.layers(trace), options.layers(head_fused or trace)
    main = start_vector(trace, asks, options)  # (1, tokens): the query's row of the product of the layers above
    if method == "last_hop" and asks.pools:
        raise UnsupportedError(
            "The last hop starts at a token of the layer; for a model that pools, choose a token or leave one in."
        )
    if wanted is None and len({layer.num_heads for layer in layers}) > 1:
        raise UnsupportedError(f"The layers of {trace.model_name} differ in heads; ask for one head at a time.")
    travelling = main[:0]  # (n, tokens): vectors of the heads of the layers done, last layer first
    for index, layer in last_to_first(layers):
        asked = wanted is None or wanted[0] == index
        if method == "leave_one_in":
            apart = layer.left_multiply(main)[0] if asked else None  # (heads, tokens)
            fresh = None if apart is None else options.alpha * main + (1 - options.alpha) * apart
            plain = options.fusion == "mean" and not options.discard and apart is not None
            below = options.alpha * main + (1 - options.alpha) * apart.mean(0, keepdim=True) if plain else None  # type: ignore[union-attr]
            if below is None:
                below = left_multiply_head_fused(through[index], main, options)
            main = below
        else:
            fresh = query_weights(layer, asks) if asked else None  # (heads, tokens)
        if travelling.shape[0]:
            travelling = left_multiply_head_fused(through[index], travelling, options)
        if fresh is not None:
            travelling = torch.cat([travelling, fresh if wanted is None else fresh[wanted[1] : wanted[1] + 1]])
        if progress:
            progress(len(layers) - index, len(layers))
    if wanted is not None:
        return travelling[None]  # (1, 1, tokens)
    return travelling.reshape(len(layers), layers[0].num_heads, -1).flip(0)  # (layers, heads, tokens), first first
