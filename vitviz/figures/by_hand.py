"""Figures of one head as matrices: queries times keys, the softmax of every row, weights times values; one row is marked."""

from __future__ import annotations

from typing import Any

import numpy as np

from vitviz.analysis.by_hand import HeadByHand, OpenLayer
from vitviz.draw import LIGHT, Scale, Theme, draw_matrix
from vitviz.draw.matrix import Factor, draw_product
from vitviz.figure import Figure
from vitviz.figures.traced_image import TracedImage

OPEN = "opened = vitviz.open_layer(model, trace, {layer})"
HAND = "hand = vitviz.head_by_hand(opened, {head}, {query!r})"
LARGEST = 2048  # tokens: with at least one pixel for an entry, a larger matrix does not fit a page


def scores_figure(
    subject: TracedImage, opened: OpenLayer, hand: HeadByHand, *, theme: Theme = LIGHT, width: int = 700
) -> Figure:
    """All scores of the head: Q (tokens, head_dim) times K transposed, scaled, plus the bias if there is one.

    The row of `hand`'s query and the column of its key are marked.
    """
    scores = all_scores(opened, hand)
    name = hand.layout.name_of(hand.query)
    drawing = draw_product(
        Factor(hand.queries, "Q"),
        Factor(hand.keys.T, "Kᵀ"),
        Factor(scores, "scores", signed=False),
        row=hand.query,
        column=hand.key,
        label="score",
        width=width,
        theme=theme,
    )
    arrays = {"queries": hand.queries, "keys": hand.keys, "scores": scores}
    alt = (
        f"Queries, {_shape(hand.queries)}, times keys, {_shape(hand.keys.T)}, give the scores of all pairs of tokens, "
        f"{_shape(scores)}. Row {hand.query}, token {name}, is marked; its largest score is {hand.maximum:.3g}."
    )
    line = "scores = hand.queries @ hand.keys.T * hand.factor  # (queries, keys)"
    if hand.bias is not None:
        line = f"scores = opened.attention.scores(head={hand.head})[0]  # (queries, keys), bias included"
    return _figure(subject, hand, "attention scores", drawing, alt, arrays, line)


def weights_figure(
    subject: TracedImage, opened: OpenLayer, hand: HeadByHand, *, theme: Theme = LIGHT, width: int = 700
) -> Figure:
    """All weights of the head, the softmax of every row of scores, with `hand`'s row marked."""
    weights = opened.attention.weights(hand.head).double().cpu().numpy()  # (tokens, tokens)
    drawing = draw_matrix(
        weights, hand.layout, scale=Scale.of(weights, robust=True, low=0.0), query=hand.query, width=width, theme=theme
    )
    alt = (
        f"All weights of the head, {_shape(weights)}, queries down, keys across; every row sums to 1. Row {hand.query}, token "
        f"{hand.layout.name_of(hand.query)}, is marked; its largest weight is {hand.weights.max():.3g}."
    )
    line = f"weights = opened.attention.weights({hand.head})  # (queries, keys)"
    return _figure(subject, hand, "attention weights", drawing, alt, {"weights": weights}, line)


def output_figure(
    subject: TracedImage, opened: OpenLayer, hand: HeadByHand, *, theme: Theme = LIGHT, width: int = 700
) -> Figure:
    """The head's output for all tokens, weights times V (tokens, value_dim), with `hand`'s row marked."""
    weights = opened.attention.weights(hand.head).double().cpu().numpy()  # (tokens, tokens)
    output = weights @ hand.values  # (tokens, value_dim)
    drawing = draw_product(
        Factor(weights, "weights", signed=False),
        Factor(hand.values, "V"),
        Factor(output, "output"),
        row=hand.query,
        in_line=True,
        label="component of the output",
        width=width,
        theme=theme,
    )
    arrays = {"weights": weights, "values": hand.values, "output": output}
    alt = (
        f"Weights, {_shape(weights)}, times values, {_shape(hand.values)}, give the head's output for every token, "
        f"{_shape(output)}. Row {hand.query} is marked."
    )
    line = f"output = opened.attention.weights({hand.head}).cpu().numpy() @ hand.values  # (tokens, value_dim)"
    return _figure(subject, hand, "head output", drawing, alt, arrays, line)


def all_scores(opened: OpenLayer, hand: HeadByHand) -> np.ndarray:
    """(tokens, tokens): scores of every query with every key, scaled, plus the bias if there is one."""
    scores: np.ndarray = hand.queries @ hand.keys.T * hand.factor
    if opened.attention.bias is not None:
        bias = opened.attention.bias.rows(slice(None))  # (heads or 1, queries or 1, keys)
        scores = scores + bias[hand.head if bias.shape[0] > 1 else 0].double().cpu().numpy()
    return scores


def _shape(values: np.ndarray) -> str:
    return f"{values.shape[0]} by {values.shape[1]}"


def _figure(
    subject: TracedImage,
    hand: HeadByHand,
    method: str,
    drawing: Any,
    alt: str,
    arrays: dict[str, np.ndarray],
    line: str,
) -> Figure:
    query = hand.layout.name_of(hand.query)
    lines = OPEN.format(layer=hand.layer), HAND.format(head=hand.head, query=query), line
    return Figure(
        arrays=arrays,
        drawing=drawing,
        alt=alt,
        provenance=subject.provenance(method, layer=hand.layer, head=hand.head, query=query),
        snippet=subject.snippet(*lines),
    )
