"""Attention rollout: the share of each input token in a token of the last layer, if attention were the only mixing.

Abnar and Zuidema 2020, "Quantifying attention flow in transformers" (arXiv 2005.00928), section 3. With A[l, h] the weights of
layer l and head h, Â_l = alpha I + (1 - alpha) fused_h A[l, h] and R = Â_L ... Â_1; the map of query q is R[q, patches].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import torch
from torch import Tensor

from vitviz.analysis.queries import QueryLike, query_of, row_weights
from vitviz.capture.attention import Attention
from vitviz.capture.trace import Trace
from vitviz.errors import UnsupportedError
from vitviz.heatmap import Heatmap
from vitviz.progress import Progress
from vitviz.tokens import TokenLayout

FUSIONS = ("mean", "max", "min")


@dataclass(frozen=True)
class RolloutOptions:
    """The options of rollout.

    Attributes:
        alpha: Weight of the residual connection, 0.5 in the paper: an assumption, not a measurement.
        fusion: How heads are fused: "mean" (the paper), "max" or "min"; after the last two, rows are normalised again.
        discard: Share of each fused row's patch entries that is set to 0, the smallest ones. Prefix columns are kept, and
            entries equal to the smallest kept one, so that equal entries are treated alike.
        first_layer, last_layer: Range of layers, counted from 0, both included; last_layer None is the last one.

    Raises:
        ValueError: For an option out of range.
    """

    alpha: float = 0.5
    fusion: str = "mean"
    discard: float = 0.0
    first_layer: int = 0
    last_layer: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < 1:
            raise ValueError(f"alpha is the share of the residual stream, from 0 to below 1, not {self.alpha}")
        if self.fusion not in FUSIONS:
            raise ValueError(f"heads are fused by one of {', '.join(FUSIONS)}, not {self.fusion!r}")
        if not 0 <= self.discard < 1:
            raise ValueError(f"discard is a share of the patches, from 0 to below 1, not {self.discard}")

    def discarded(self, patches: int) -> int:
        """How many of `patches` entries are set to 0: the exact share rounded down, so that 0.29 of 100 is 29."""
        return int(Decimal(str(self.discard)) * patches)

    def layers(self, trace: Trace) -> Sequence[Attention]:
        """The layers of the range, first layer first.

        Raises:
            UnsupportedError: If a product of the layers' weights is not defined; the message has the reason.
            ValueError: For a range outside the model.
        """
        layers = trace.sequence("Rollout")
        last = trace.num_layers - 1 if self.last_layer is None else self.last_layer
        if not 0 <= self.first_layer <= last < trace.num_layers:
            raise ValueError(f"layers {self.first_layer} to {last} are not in a model of {trace.num_layers} layers")
        chosen = layers[self.first_layer : last + 1]
        check_defined(chosen, trace.model_name)
        return chosen


PAPER = RolloutOptions()


def fuse_heads(rows: Tensor, fusion: str) -> Tensor:
    """(heads, queries, keys) -> (queries, keys): mean, maximum or minimum over heads.

    For a single head the result is a view of `rows`: do not write to it.
    """
    if len(rows) == 1:
        return rows[0]
    if fusion == "mean":
        return rows.mean(0)
    return rows.amax(0) if fusion == "max" else rows.amin(0)


def head_fused_rows(attention: Attention, chunk: slice, options: RolloutOptions = PAPER) -> Tensor:
    """(chunk, keys): head-fused weights of a chunk of queries, without discarded entries; rows sum to 1."""
    fused, sums = _fused_rows_and_sums(attention, chunk, options)
    return fused if sums is None else fused / sums[:, None]


def _fused_rows_and_sums(attention: Attention, chunk: slice, options: RolloutOptions) -> tuple[Tensor, Tensor | None]:
    """((chunk, keys), (chunk,)): fused rows before normalisation, and the sums to divide them by; None if they sum to 1."""
    fused = fuse_heads(attention.rows(chunk), options.fusion)
    num_prefix = attention.key_layout.num_prefix
    dropped = options.discarded(attention.key_layout.num_patches)
    if dropped:
        on_patches = fused[:, num_prefix:]  # (chunk, patches)
        too_small = on_patches < _nth_smallest(on_patches, dropped)
        fused = fused.clone()
        fused[:, num_prefix:].masked_fill_(too_small, 0.0)
    if dropped or options.fusion != "mean":
        return fused, fused.sum(-1).clamp_min(1e-30)
    return fused, None


def _nth_smallest(values: Tensor, n: int) -> Tensor:
    """(rows, columns) -> (rows, 1): the value at index n in ascending order."""
    if values.is_cpu:  # numpy's selection is several times faster than torch's on a CPU
        return torch.from_numpy(np.partition(values.numpy(), n, axis=-1)[:, n : n + 1])
    return values.kthvalue(n + 1, dim=-1, keepdim=True).values


def left_multiply_head_fused(attention: Attention, vectors: Tensor, options: RolloutOptions = PAPER) -> Tensor:
    """(n, queries) -> (n, keys): vectors times Â of this layer, alpha v + (1 - alpha) v fused(A), in chunks of queries."""
    mixed = options.alpha * vectors
    if options.fusion == "mean" and not options.discard and vectors.shape[0] == 1:
        # For one vector: the mean over heads after the product is cheaper than before, and equal.
        return mixed + (1 - options.alpha) * attention.left_multiply(vectors).mean(1)
    for chunk in attention.query_chunks():
        fused, sums = _fused_rows_and_sums(attention, chunk, options)
        # Dividing the few vectors is cheaper than dividing every row.
        shares = vectors[:, chunk] if sums is None else vectors[:, chunk] / sums
        mixed.addmm_(shares, fused, alpha=1 - options.alpha)
    return mixed


def rollout_row(
    trace: Trace, query: QueryLike | None = None, options: RolloutOptions = PAPER, progress: Progress | None = None
) -> Tensor:
    """The rollout of one query by the recursion r <- r Â_l from the last layer down, without a (tokens, tokens) matrix.

    Args:
        trace: Of a model whose layers relate one grid of patches.
        query: Token index or name ("cls", "r3c5"), "mean" (mean over patch queries), "pool" (the pooling query), or a weighted
            set ("cls+dist"); by default the query that the model's output is computed from.
        options: Weight of the residual connection (alpha), fusion of heads, discarded share, range of layers.
        progress: Called with (layers done, layers in all); an exception that it raises stops the work.

    Returns:
        (tokens,) in the layers' precision.

    Raises:
        UnsupportedError: If rollout is not defined for this model.
        ValueError: For a range of layers outside the model.

    Source: Abnar and Zuidema 2020 (arXiv 2005.00928), equation 1.
    """
    vector = start_vector(trace, query, options)
    layers = options.layers(trace)
    for done, layer in enumerate(reversed(layers), start=1):
        vector = left_multiply_head_fused(layer, vector, options)
        if progress:
            progress(done, len(layers))
    return vector[0]


def rollout_matrix(trace: Trace, options: RolloutOptions = PAPER, progress: Progress | None = None) -> Tensor:
    """The rollout of every query, R = Â_L ... Â_1.

    Args:
        trace: Of a model whose layers relate one grid of patches.
        options: As for `rollout`.
        progress: Called with (layers done, layers in all); an exception that it raises stops the work.

    Returns:
        (tokens, tokens) in the layers' precision; row q is the rollout of query q.

    Raises:
        UnsupportedError: If rollout is not defined for this model.
        ValueError: For a range of layers outside the model.

    Source: Abnar and Zuidema 2020 (arXiv 2005.00928), equation 1.
    """
    layers = options.layers(trace)
    matrix = torch.eye(layers[0].num_queries, device=trace.device, dtype=layers[0].dtype)
    for done, layer in enumerate(layers, start=1):
        above = options.alpha * matrix
        for chunk in layer.query_chunks():
            above[chunk].addmm_(head_fused_rows(layer, chunk, options), matrix, alpha=1 - options.alpha)
        matrix = above
        if progress:
            progress(done, len(layers))
    return matrix


def rollout(
    trace: Trace, query: QueryLike | None = None, options: RolloutOptions = PAPER, progress: Progress | None = None
) -> Heatmap:
    """Attention rollout from one query to the patches.

    Args:
        trace: Of a model whose layers relate one grid of patches.
        query: A token, or a weighted set of tokens; by default the query that the model's output is computed from.
        options: Fusion of heads, weight of the residual connection, discarded share and range of layers.
        progress: Called with (layers done, layers in all).

    Returns:
        Heatmap (rows, cols), not rescaled: it sums to 1 minus the share of the prefix tokens.

    Raises:
        UnsupportedError: For windows or several grids, and for a query that the model does not have.

    Source: Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers" (arXiv 2005.00928), equation 1.
    """
    row = rollout_row(trace, query, options, progress)
    return Heatmap(trace.layers[0].key_layout.patches(row).cpu().numpy(), "attention rollout")


def start_vector(trace: Trace, query: QueryLike | None = None, options: RolloutOptions = PAPER) -> Tensor:
    """(1, tokens): the start of the recursion, one-hot for a token. Raises UnsupportedError for an unknown query."""
    layers = options.layers(trace)
    layout, asked = layers[-1].query_layout, query_of(trace, query)
    if not asked.pools:
        return row_weights(asked, layout, trace.device, layers[-1].dtype)
    if len(trace.pooling) != 1 or trace.pooling[0].key_layout.grid != layout.grid:
        raise UnsupportedError(
            f"{trace.model_name} pools its patches in {len(trace.pooling)} layers, and not in one layer over the grid of all "
            "others; choose a token or the mean over patches."
        )
    pooling = trace.pooling[0]
    weights = pooling.rows(slice(None)).mean((0, 1))  # (heads, queries, keys) -> (keys,)
    return among_tokens(weights, pooling.key_layout, layout)[None].to(layers[-1].dtype)


def among_tokens(weights: Tensor, keys: TokenLayout, layout: TokenLayout) -> Tensor:
    """(keys,) -> (tokens,): weights on a pooling layer's keys as weights on the tokens of the layers before it.

    Tokens that are not among the keys get zero. A class token that is added after these layers is dropped.
    """
    spread = weights.new_zeros(layout.num_tokens)
    spread[layout.num_prefix :] = weights[keys.num_prefix :]
    for token, name in enumerate(keys.prefix):
        if name in layout.prefix:
            spread[layout.prefix.index(name)] = weights[token]
    return spread


def check_defined(layers: Sequence[Attention], model_name: str) -> None:
    """Raises UnsupportedError, with the reason, if a product of these layers' weights is not defined."""
    if not layers:
        raise UnsupportedError(
            f"{model_name} has no layer in which patches attend to each other, so there is nothing to roll out."
        )
    for layer in layers:
        if not layer.rows_sum_to_one:
            raise UnsupportedError(
                f"Rollout follows shares that sum to 1, and {layer.name} of {model_name} changes its maps after the softmax "
                "(talking heads or a difference of maps). Look at the layers one by one."
            )
    shapes = {(layer.num_queries, layer.num_keys, layer.query_layout, layer.key_layout) for layer in layers}
    if len(shapes) > 1 or layers[0].num_queries != layers[0].num_keys:
        raise UnsupportedError(
            f"Rollout multiplies one layer's weights with the next, and the layers of {model_name} do not share one grid. "
            "Look at the layers one by one."
        )


def last_to_first(layers: Sequence[Attention]) -> Iterator[tuple[int, Attention]]:
    """(index, layer) from the last layer to the first."""
    return zip(reversed(range(len(layers))), reversed(layers), strict=True)


def head_fused_nbytes(trace: Trace) -> int:
    """Bytes of one trace of `head_fused_traces`."""
    return sum(4 * layer.num_queries * layer.num_keys for layer in trace.sequence("Rollout"))


def head_fused_traces(
    trace: Trace, fusions: Sequence[str] = FUSIONS, progress: Progress | None = None
) -> dict[str, Trace]:
    """Fusion -> the trace with the fused weights of each layer as its only head, stored as a matrix.

    With the same fusion, its rollout is that of `trace` for every query, alpha, discarded share and range of layers, since
    mean, maximum and minimum of one head are that head. It takes one product of a vector and a matrix for each layer. Several
    fusions take little more time than one, because the weights are computed once.

    Args:
        trace: Of a model whose layers relate one grid of patches.
        fusions: Those of "mean", "max" and "min" to compute.
        progress: Called with (layers done, layers in all); an exception that it raises stops the work.
    """
    layers: dict[str, list[Attention]] = {fusion: [] for fusion in fusions}
    given = trace.sequence("Rollout")
    for done, layer in enumerate(given, start=1):
        shape = (1, layer.num_queries, layer.num_keys)
        matrices = {fusion: torch.empty(shape, device=layer.device, dtype=layer.dtype) for fusion in fusions}
        for chunk in layer.query_chunks():
            rows = layer.rows(chunk)  # (heads, chunk, keys)
            for fusion, matrix in matrices.items():
                matrix[0, chunk] = fuse_heads(rows, fusion)
        for fusion, matrix in matrices.items():
            fused = Attention(
                layer.name, layer.query_layout, layer.key_layout, explicit=matrix, rows_sum_to_one=layer.rows_sum_to_one
            )
            layers[fusion].append(fused)
        if progress:
            progress(done, len(given))
    return {fusion: replace(trace, layers=tuple(layers[fusion])) for fusion in fusions}
