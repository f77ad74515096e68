"""Attention maps of one query, and statistics of heads: entropy, distance, attention on prefix tokens, sinks.

Attention distance: Dosovitskiy et al. 2021 (arXiv 2010.11929), figure 7 right; sinks: Darcet et al. 2024 (arXiv 2309.16588).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vitviz.analysis.queries import MEAN, QueryLike, as_query, layers_with_query, query_of, row_weights
from vitviz.capture.attention import Attention
from vitviz.capture.trace import Trace
from vitviz.capture.windows import WindowedAttention
from vitviz.errors import UnsupportedError, checked_index
from vitviz.heatmap import Heatmap

FEW_ROWS = 8  # up to this number, rows are computed one by one


def query_weights(attention: Attention | WindowedAttention, query: QueryLike) -> Tensor:
    """The weights of one query; of a weighted set, the weighted sum.

    Args:
        attention: One layer.
        query: "mean" is the mean over all patch queries, "pool" the mean over all queries of a pooling layer.

    Returns:
        (heads, keys) float32.

    Raises:
        UnsupportedError: For a query that this layer does not have.
    """
    layout = attention.query_layout
    asked = as_query(query, layout)
    if asked.pools:
        if layout.num_patches:
            raise UnsupportedError(
                f"The pooling query is none of the queries of {attention.name}; ask a layer that pools."
            )
        return attention.rows(slice(0, layout.num_tokens)).mean(1)
    if not layout.num_patches and MEAN in asked.names:
        raise UnsupportedError(
            f"The queries of {attention.name} are {', '.join(layout.prefix)} and no patches, so there is no mean over patch "
            "queries. Ask for one of them by name."
        )
    weights = row_weights(asked, layout, attention.device, attention.dtype)  # (1, tokens)
    chosen = weights[0].nonzero()[:, 0].tolist()
    if len(chosen) <= FEW_ROWS:
        if len(chosen) == 1:
            return attention.row(chosen[0])
        return sum(weights[0, token] * attention.row(token) for token in chosen)  # type: ignore[return-value]
    if isinstance(attention, WindowedAttention):
        chunks = attention.query_chunks()
        return sum(torch.einsum("q,hqk->hk", weights[0, chunk], attention.rows(chunk)) for chunk in chunks)  # type: ignore[return-value]
    return attention.left_multiply(weights)[0]


def head_maps(trace: Trace, query: QueryLike | None = None) -> np.ndarray:
    """Attention of a query to every patch, for every head of every layer.

    Weights are not rescaled: a map sums to 1 less the weight on prefix tokens.

    Args:
        trace: One image's trace.
        query: By default the query that the model's output is computed from. For the pooling query, layers are the
            pooling layers.

    Returns:
        (layers, heads, rows, cols) float32.

    Raises:
        UnsupportedError: For a query that does not exist, and if layers differ in heads or grid; use `attention_map` then.
    """
    asked = query_of(trace, query)
    layers = layers_with_query(trace, asked)
    if not layers:
        raise UnsupportedError(f"{trace.model_name} has no layer in which patches attend to each other.")
    if len({(layer.num_heads, layer.key_layout.grid) for layer in layers}) > 1:
        raise UnsupportedError(
            f"The layers of {trace.model_name} differ in heads or grid; look at one layer at a time."
        )
    rows = [layer.key_layout.patches(query_weights(layer, asked)) for layer in layers]  # each (heads, rows, cols)
    return torch.stack(rows).cpu().numpy()


def attention_map(attention: Attention | WindowedAttention, query: QueryLike, head: int | None = None) -> Heatmap:
    """Attention of a query to every patch of one layer's keys, in one head or in the mean of all heads.

    Args:
        attention: One layer.
        query: As `query_weights`.
        head: Counted from 0; the mean of all heads by default.

    Returns:
        Heatmap over the layer's grid of keys.

    Raises:
        IndexError: For a head that does not exist.
        UnsupportedError: As `query_weights`.
    """
    weights = query_weights(attention, query)  # (heads, keys)
    row = weights.mean(0) if head is None else weights[checked_index(head, len(weights), "head")]
    name = "mean of heads" if head is None else f"head {head}"
    return Heatmap(attention.key_layout.patches(row).cpu().numpy(), f"attention weight, {name}")


def entropy(attention: Attention) -> Tensor:
    """Entropy of every row of weights: 0 for weight on one key, 1 for equal weights.

    Args:
        attention: One layer over a whole grid.

    Returns:
        (heads, queries), divided by log(keys), from 0 to 1.

    Raises:
        UnsupportedError: For attention inside windows, and for rows that do not sum to 1.
    """
    _need_rows(attention, "Entropy")
    parts = [torch.special.entr(attention.rows(chunk)).sum(-1) for chunk in attention.query_chunks()]
    return torch.cat(parts, dim=1) / math.log(max(attention.num_keys, 2))


def prefix_mass(attention: Attention) -> Tensor:
    """The sum of each query's weights on prefix tokens (class token, registers).

    Args:
        attention: One layer.

    Returns:
        (heads, queries), from 0 to 1.
    """
    num_prefix = attention.key_layout.num_prefix
    parts = [attention.rows(chunk)[..., :num_prefix].sum(-1) for chunk in attention.query_chunks()]
    return torch.cat(parts, dim=1)


def attention_distance(attention: Attention) -> Tensor:
    """Mean over patch queries of sum_k A[q, k] * |position q - position k|, in input pixels.

    Prefix keys are dropped and rows renormalised.

    Args:
        attention: One layer over a whole grid.

    Returns:
        (heads,).

    Raises:
        UnsupportedError: If queries and keys are not on one grid.

    Source: Dosovitskiy et al. 2021, "An image is worth 16x16 words" (arXiv 2010.11929), figure 7 right.
    """
    return head_statistics(attention).distance


@dataclass(frozen=True, eq=False)
class HeadStatistics:
    """Statistics of every head of one layer, means over the patch queries.

    Attributes:
        entropy: (heads,) divided by log(keys), in [0, 1].
        distance: (heads,) attention distance between patches in input pixels.
        prefix_mass: (heads,) sum of the weights on prefix tokens.
        largest: (heads,) the largest weight of any patch query.
    """

    entropy: Tensor
    distance: Tensor
    prefix_mass: Tensor
    largest: Tensor


def head_statistics(attention: Attention) -> HeadStatistics:
    """Statistics of every head of a layer, from one computation of its weights in chunks.

    Args:
        attention: One layer over a whole grid.

    Returns:
        Mean entropy, attention distance in pixels, prefix mass and largest weight, (heads,) each.

    Raises:
        UnsupportedError: If queries and keys are not on one grid, or rows do not sum to 1.
    """
    _need_rows(attention, "This statistic")
    layout, keys = attention.query_layout, attention.key_layout
    if layout.grid != keys.grid or not layout.num_patches:
        raise UnsupportedError(
            f"{attention.name} has queries and keys on different grids, so there is no distance between them."
        )
    heads, first = attention.num_heads, layout.num_prefix
    sums = torch.zeros(3, heads, device=attention.device)
    largest = torch.zeros(heads, device=attention.device)
    for chunk in attention.query_chunks():
        start = max(chunk.start, first)  # patch queries only
        if start >= chunk.stop:
            continue
        rows, surprise = _rows_and_entropies(attention, slice(start, chunk.stop))  # (heads, chosen, keys), (heads,)
        distances = torch.from_numpy(layout.distances(slice(start - first, chunk.stop - first))).to(rows.device)
        on_patches = rows[..., keys.num_prefix :]  # (heads, chosen, patches)
        mass = on_patches.sum(-1)  # (heads, chosen)
        sums[0] += surprise
        sums[1] += ((on_patches * distances).sum(-1) / mass.clamp_min(1e-30)).sum(-1)
        sums[2] += rows[..., : keys.num_prefix].sum((1, 2))
        largest = torch.maximum(largest, rows.amax((1, 2)))
    mean = sums / layout.num_patches
    return HeadStatistics(mean[0] / math.log(max(attention.num_keys, 2)), mean[1], mean[2], largest)


def _rows_and_entropies(attention: Attention, queries: slice) -> tuple[Tensor, Tensor]:
    """Weights (heads, chosen, keys) and the sum of their entropies (heads,), from scores if there are any: no logarithm."""
    if attention.q is None or attention.bias is not None:  # a bias may mask keys, and 0 times infinity is NaN
        rows = attention.rows(queries)
        return rows, torch.special.entr(rows).sum((1, 2))
    logarithms = attention.scores(queries).sub_(attention.log_sum_exp()[:, queries, None])
    rows = logarithms.exp()
    return rows, -logarithms.mul_(rows).sum((1, 2))


@dataclass(frozen=True)
class Sink:
    """A token that receives far more attention than the median patch.

    Attributes:
        token: Its index.
        name: Its short name.
        share: Its share of all attention in the layer.
        times_median: `share` divided by the median patch's.
    """

    token: int
    name: str
    share: float
    times_median: float


def sink_tokens(attention: Attention, times: float = 10.0) -> list[Sink]:
    """Tokens whose share of all attention (mean over heads and queries) is over `times` the median patch's, largest first.

    The threshold is relative because the size of outliers does not transfer between models or layers.

    Args:
        attention: One layer over a whole grid.
        times: The smallest multiple of the median patch's share. 10 is a convention of this project, not a published number.

    Returns:
        One `Sink` for each such token, with its share of all attention; empty if there is none.

    Raises:
        UnsupportedError: For attention inside windows.
    """
    _need_whole(attention, "The share of all attention")
    uniform = torch.full((1, attention.num_queries), 1 / attention.num_queries, device=attention.device)
    share = attention.left_multiply(uniform)[0].mean(0)  # (keys,)
    median = share[attention.key_layout.num_prefix :].median().clamp_min(1e-30)
    outlying = (share > times * median).nonzero()[:, 0]
    order = outlying[share[outlying].argsort(descending=True)].tolist()
    return [
        Sink(token, attention.key_layout.name_of(token), float(share[token]), float(share[token] / median))
        for token in order
    ]


def _need_whole(attention: Attention | WindowedAttention, what: str) -> None:
    """Raises UnsupportedError for attention inside windows."""
    if isinstance(attention, WindowedAttention):
        raise UnsupportedError(
            f"{what} needs the keys of a whole grid; {attention.name} attends inside windows. Its weights can still be shown."
        )


def _need_rows(attention: Attention | WindowedAttention, what: str) -> None:
    """Raises UnsupportedError if rows are not a distribution over all keys of a grid."""
    _need_whole(attention, what)
    if not attention.rows_sum_to_one:
        raise UnsupportedError(
            f"{what} needs rows that sum to 1, but {attention.name} mixes or subtracts its maps after the softmax. "
            "Its weights can still be shown."
        )
