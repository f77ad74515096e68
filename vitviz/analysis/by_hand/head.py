"""One query in one head: from the layer's input to the weighted sum of values, compared with the model's own results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from vitviz.analysis.by_hand.layer import OpenLayer, refuse_half_precision
from vitviz.analysis.by_hand.steps import Norm, Projection, Slice, normalised, numbers, rotated, slices
from vitviz.analysis.queries import QueryLike, query_index
from vitviz.capture.attention import Attention
from vitviz.capture.modules import output_projection
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout

# Largest difference of weights from the model's own: float32 rounding, which the exponential enlarges for large scores.
TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class SoftmaxByHand:
    """From the products of one query with all keys to its weights, float64.

    Attributes:
        dots: (tokens,): q . k for every key.
        factor: The factor on the dot products: 1 / sqrt(head_dim), unless the model has its own.
        bias: (tokens,): added to the scores of this query; None without a bias.
        scores: (tokens,): dots * factor + bias.
        maximum: The largest score.
        exps: (tokens,): exp(score - maximum).
        total: Their sum.
        weights: (tokens,): exps / total; they sum to 1.
    """

    dots: np.ndarray
    factor: float
    bias: np.ndarray | None
    scores: np.ndarray
    maximum: float
    exps: np.ndarray
    total: float
    weights: np.ndarray

    @classmethod
    def of(cls, dots: np.ndarray, factor: float, bias: np.ndarray | None) -> SoftmaxByHand:
        scores = dots * factor if bias is None else dots * factor + bias
        maximum = float(scores.max())
        exps = np.exp(scores - maximum)
        total = float(exps.sum())
        return cls(dots, factor, bias, scores, maximum, exps, total, exps / total)


@dataclass(frozen=True, eq=False)
class HeadByHand(SoftmaxByHand):
    """Every step of one query in one head, float64.

    Attributes:
        layer, head: Counted from 0.
        query, key: Token indices; `key` is the token whose products are written out.
        layout: Which token is which patch.
        residual: (width,): the query's token at the layer's input.
        norm: The norm before the attention; None if there is none.
        given: (width,): input of W_q, W_k and W_v.
        q, k, v: Query vector of `query`, key vector and value vector of `key`, each with its steps.
        queries, keys: (tokens, head_dim) of all tokens, after norm and rotation.
        values: (tokens, value_dim).
        rotates: Whether this layer rotates the queries and keys of its patches.
        output: (value_dim,): the sum over all keys of weight * value.
        scale: (width,): LayerScale; None if the block has none.
        added: (width,): the head's contribution to the token: its part of W_o times the output, times LayerScale; None if a
            norm is applied to the outputs before they are added, or if there is no linear W_o.
        weights_off, output_off: Largest absolute difference from the model's own weights and output.
    """

    layer: int
    head: int
    query: int
    key: int
    layout: TokenLayout
    residual: np.ndarray
    norm: Norm | None
    given: np.ndarray
    q: Projection
    k: Projection
    v: Projection
    queries: np.ndarray
    keys: np.ndarray
    values: np.ndarray
    rotates: bool
    output: np.ndarray
    scale: np.ndarray | None
    added: np.ndarray | None
    weights_off: float
    output_off: float

    @property
    def head_dim(self) -> int:
        return self.keys.shape[1]

    def strongest(self, patches: int = 5) -> list[int]:
        """Tokens by decreasing weight: the `patches` patches with the largest weights, the class token, and any other prefix
        token with a larger weight than the last of those patches.
        """
        first = self.layout.num_prefix
        best = first + np.argsort(-self.weights[first:], kind="stable")[:patches]  # (patches,)
        least = self.weights[best].min()
        beside = [t for t in range(first) if self.layout.prefix[t] == "cls" or self.weights[t] > least]
        return sorted([*best.tolist(), *beside], key=lambda token: -self.weights[token])


def head_by_hand(opened: OpenLayer, head: int, query: QueryLike, key: QueryLike | None = None) -> HeadByHand:
    """Computes the weights and the output of `query` in `head` from the layer's input and the model's own parameters.

    Args:
        opened: The layer with its inputs.
        head: Counted from 0.
        query: A token.
        key: The token whose key and value are written out; by default the one with the largest weight.

    Returns:
        Every step of the computation, and the largest differences from the model's own weights and output.

    Raises:
        IndexError: For a head that does not exist.
        UnsupportedError: For a token that does not exist, for a model in half precision, and for a layer whose own weights or
            output differ from this computation.

    Source: Vaswani et al. 2017, "Attention is all you need" (arXiv 1706.03762), equation 1.
    """
    attention = opened.attention
    if not 0 <= head < attention.num_heads:
        raise IndexError(f"head {head} does not exist: this layer has {attention.num_heads}, counted from 0")
    refuse_half_precision(opened)
    layout = attention.query_layout
    token = query_index(query, layout)
    given = numbers(opened.given)  # (tokens, width)
    w_q, w_k, w_v = slices(opened.module, attention.num_heads, head)
    rotary = None if opened.rotary is None else _table(opened, head)
    queries, keys = _all(opened, given, w_q, "q_norm", rotary), _all(opened, given, w_k, "k_norm", rotary)
    values = w_v(given)  # (tokens, value_dim)

    factor = (
        attention.scale if attention.q is not None else float(getattr(opened.module, "scale", keys.shape[1] ** -0.5))
    )
    softmax = SoftmaxByHand.of(keys @ queries[token], factor, _bias(attention, head, token))  # of (tokens,)
    output = softmax.weights @ values  # (value_dim,)

    residual = numbers(opened.residual[token])
    norm = normalised(residual, opened.norm)
    entered_off = _off(residual if norm is None else norm.result, given[token])
    weights_off = _off(softmax.weights, numbers(attention.rows(slice(token, token + 1), head)[0, 0]))
    output_off = _off(output, numbers(opened.heads_out[token, head * output.size : (head + 1) * output.size]))
    if entered_off > TOLERANCE or weights_off > TOLERANCE or output_off > TOLERANCE * max(1.0, np.abs(values).max()):
        raise UnsupportedError(
            f"Layer {opened.index} does more than normalise, project and take a softmax of q·k, so a computation by hand does "
            "not give the model's own numbers. The page Who looks at whom still shows its weights."
        )
    written = int(softmax.weights.argmax()) if key is None else query_index(key, layout)
    return HeadByHand(
        layer=opened.index,
        head=head,
        query=token,
        key=written,
        layout=layout,
        residual=residual,
        norm=norm,
        given=given[token],
        q=_one(opened, given, token, w_q, "q_norm", rotary),
        k=_one(opened, given, written, w_k, "k_norm", rotary),
        v=_one(opened, given, written, w_v, "", None),
        queries=queries,
        keys=keys,
        values=values,
        rotates=rotary is not None,
        output=output,
        scale=None if opened.scale is None else numbers(opened.scale),
        added=_added(opened, head, output),
        weights_off=weights_off,
        output_off=output_off,
        **vars(softmax),
    )


def at_temperature(scores: np.ndarray, temperature: float) -> np.ndarray:
    """The softmax of scores / temperature. The model's own weights have a temperature of 1.

    Returns:
        (tokens,).

    Raises:
        ValueError: For a temperature that is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"a temperature is above 0, not {temperature}")
    exps = np.exp((scores - scores.max()) / temperature)
    return exps / exps.sum()


def _added(opened: OpenLayer, head: int, output: np.ndarray) -> np.ndarray | None:
    """(width,): the contribution to the token of a head with this output; None as in `HeadByHand.added`."""
    projection, size = output_projection(opened.module), output.size
    joined = opened.attention.num_heads * size
    if not isinstance(projection, nn.Linear) or projection.in_features != joined or opened.normed_after:
        return None
    if isinstance(getattr(opened.module, "norm", None), nn.LayerNorm):  # over all heads together, before W_o
        return None
    added: np.ndarray = numbers(projection.weight[:, head * size : (head + 1) * size]) @ output  # (width,)
    return added if opened.scale is None else added * numbers(opened.scale)


def _off(one: np.ndarray, two: np.ndarray) -> float:
    """The largest absolute difference; infinite for arrays of different shapes."""
    return float(np.abs(one - two).max()) if one.shape == two.shape else float("inf")


def _one(
    opened: OpenLayer, given: np.ndarray, token: int, part: Slice, norm_name: str, rotary: np.ndarray | None
) -> Projection:
    plain = part(given[token])  # (head_dim,)
    norm = normalised(plain, getattr(opened.module, norm_name, None)) if norm_name else None
    result = plain if norm is None else norm.result
    place = token - _unturned(opened)
    turned = rotated(result, rotary[place], opened.halves) if rotary is not None and place >= 0 else None
    return Projection(token, part, plain, norm, turned, result if turned is None else turned.result)


def _all(opened: OpenLayer, given: np.ndarray, part: Slice, norm_name: str, rotary: np.ndarray | None) -> np.ndarray:
    """(tokens, head_dim): every token's query or key, after norm and rotation."""
    made = part(given)
    norm = getattr(opened.module, norm_name, None)
    if norm is not None:
        normed = [normalised(row, norm) for row in made]
        made = np.stack([row if n is None else n.result for row, n in zip(made, normed, strict=True)])
    if rotary is not None:
        first = _unturned(opened)
        made = np.concatenate([made[:first], rotated(made[first:], rotary, opened.halves).result])
    return made


def _table(opened: OpenLayer, head: int) -> np.ndarray:
    """(patches, 2 * head_dim): sines, then cosines, of this head."""
    assert opened.rotary is not None
    table = opened.rotary
    while table.ndim > 2:  # (batch 1 or heads, ..., patches, 2 * head_dim): one table for all heads, or one each
        table = table[head if table.shape[0] == opened.attention.num_heads else 0]
    return numbers(table)


def _unturned(opened: OpenLayer) -> int:
    """How many prefix tokens are not rotated."""
    return int(getattr(opened.module, "num_prefix_tokens", opened.attention.query_layout.num_prefix))


def _bias(attention: Attention, head: int, token: int) -> np.ndarray | None:
    if attention.bias is None:
        return None
    rows = attention.bias.rows(slice(token, token + 1))  # (heads or 1, 1, keys)
    return numbers(rows[head if rows.shape[0] > 1 else 0, 0])
