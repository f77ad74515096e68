"""A token before the first layer: pixels, patch embedding, position embedding, and their sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vitviz.analysis.by_hand.layer import OpenLayer, refuse_half_precision
from vitviz.analysis.by_hand.steps import Norm, normalised, numbers
from vitviz.analysis.positions import patch_embedding, position_embedding
from vitviz.analysis.queries import QueryLike, query_index
from vitviz.analysis.question import ModelLike
from vitviz.capture.modules import eval_mode, patch_filters
from vitviz.capture.trace import Trace
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout

# Largest relative difference from the model's own numbers: rounding of sums of hundreds of float32 products.
TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class EmbeddedToken:
    """The computation of one token up to the first layer, in float64.

    Attributes:
        pixels: (3, patch height, patch width) of the model's input, normalised; None for a prefix token.
        filters: (width, 3, patch height, patch width): embedding = sum of filter * pixels + filter_bias; None for a prefix
            token, and for a patch embedding of more than one layer.
        filter_bias: (width,), or None as `filters`.
        embedding: (width,): the patch embedding, or a prefix token's learned vector, which is the same for every image.
        position: (width,): the position embedding; None without one (rotary and relative positions act inside attention).
        norm: The norm before the first layer; None if there is none.
        token: (width,): input of the first layer.
    """

    pixels: np.ndarray | None
    filters: np.ndarray | None
    filter_bias: np.ndarray | None
    embedding: np.ndarray
    position: np.ndarray | None
    norm: Norm | None
    token: np.ndarray


def embedded_token(model: ModelLike, trace: Trace, opened: OpenLayer, query: QueryLike) -> EmbeddedToken:
    """The computation of the token `query` up to the first layer.

    Args:
        model: The model of the trace.
        trace: One image's trace.
        opened: Any layer of the trace, which has the input of the first layer.
        query: A token.

    Raises:
        UnsupportedError: If the first layer's input is not a patch embedding or learned token plus a position embedding, with
            or without a norm, and for a model in half precision.
    """
    refuse_half_precision(opened)
    index = query_index(query, trace.layout)
    cell = trace.layout.cell_of(index)
    patch = index - trace.layout.num_prefix
    arrived = numbers(opened.entrance[index])
    pixels = filters = bias = None
    with model.lock, eval_mode(model.module), torch.inference_mode():
        if cell is None:
            embedding, position = _prefix(model.module, trace.layout, index, arrived)
        else:
            embedding = numbers(patch_embedding(model, trace.input, trace.layout)[patch])
            position = _position(model, trace.layout, patch)
            pixels = _pixels(trace.input, trace.layout, cell)
            filters, bias = _filters(model.module, pixels, embedding)
    # The first layer's input decides whether the position table includes the prefix tokens.
    for added in (position, None) if cell is None else (position,):
        total = embedding if added is None else embedding + added
        norm = None if _close(total, arrived) else normalised(total, getattr(model.module, "norm_pre", None))
        if _close(total if norm is None else norm.result, arrived):
            return EmbeddedToken(pixels, filters, bias, embedding, added, norm, arrived)
    raise UnsupportedError(
        "Before the first layer, this model does more to its tokens than adding a position, so these steps are not shown."
    )


def _pixels(given: Tensor, layout: TokenLayout, cell: tuple[int, int]) -> np.ndarray:
    (row, col), (height, width) = cell, layout.patch_size
    return numbers(given[:, row * height : (row + 1) * height, col * width : (col + 1) * width])


def _position(model: ModelLike, layout: TokenLayout, patch: int) -> np.ndarray | None:
    try:
        return numbers(position_embedding(model, layout).vectors[patch])
    except UnsupportedError:
        return None


def _filters(
    module: nn.Module, pixels: np.ndarray, embedding: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(filters, bias) of the patch embedding, if they reproduce the embedding from the pixels; else (None, None)."""
    projection = patch_filters(module)
    weight = getattr(projection, "weight", None)
    if not isinstance(weight, Tensor) or weight.numel() != embedding.size * pixels.size:
        return None, None
    if weight.ndim == 2:  # a linear map over pixels laid out (height, width, channels)
        channels, height, width = pixels.shape
        # (filters, height * width * channels) -> (filters, channels, height, width)
        filters = numbers(weight).reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
    else:
        filters = numbers(weight)  # (width, channels, height, width of a patch)
    own: Any = getattr(projection, "bias", None)
    bias = numbers(own) if isinstance(own, Tensor) else np.zeros(embedding.size)
    made = np.tensordot(filters, pixels, 3) + bias  # (width,)
    return (filters, bias) if _close(made, embedding) else (None, None)


def _prefix(
    module: nn.Module, layout: TokenLayout, index: int, arrived: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """The learned vector of a prefix token, and its entry in the position table, or None."""
    name = layout.prefix[index]
    held = {"cls": "cls_token", "dist": "dist_token"}.get(name, "reg_token")
    table = getattr(module, held, None)
    if not isinstance(table, Tensor):
        return arrived, None
    place = int(name[3:]) if name.startswith("reg") else 0
    learned = numbers(table[0, place])  # (1, tokens of this kind, width)
    positions = getattr(module, "pos_embed", None)
    if isinstance(positions, Tensor) and positions.ndim == 3 and positions.shape[1] > index:
        position = numbers(positions[0, index])
        return learned, position if position.any() else None
    return learned, None


def _close(one: np.ndarray, two: np.ndarray) -> bool:
    return bool(one.shape == two.shape and np.abs(one - two).max() <= TOLERANCE * max(1.0, float(np.abs(two).max())))
