"""How the position of one patch compares with those of all others, in the terms of the model's own kind of positions: the
numbers of the map that the start page's figure opens in the place of the sequence.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import nn

from vitviz.analysis.positions import position_embedding
from vitviz.analysis.question import ModelLike
from vitviz.analysis.relative import OffsetBias, RotaryTable, offset_biases, rotary_table
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout
from vitviz.ui.context import PageContext
from vitviz.ui.controls.captions import kinds_of_positions
from vitviz.ui.server.payloads import pack

MOST_BYTES = 8 * 2**20  # of the vectors of all patches, in half precision; beyond, no map opens


def kind_of(context: PageContext) -> str:
    """ "added" where each patch gets a position before the first layer, else "rotary", "relative" or "none"."""
    kinds = kinds_of_positions(context)
    return "added" if kinds[0] in ("learned", "sin-cos") else kinds[0]


def offered(context: PageContext) -> str:
    """The address of the numbers, which are computed when the map is opened; "" where there is none to open."""
    kind = kind_of(context)
    width = getattr(context.model.module, "num_features", None) or 0
    nbytes = {"added": 2 * width, "rotary": 2 * 2 * width}.get(
        kind, 0
    )  # of a patch; a rotary vector is a cosine and a sine
    if kind not in ARRAYS or nbytes * context.layout.num_patches > MOST_BYTES:
        return ""
    kept, layout = weakref.ref(context.model), context.layout

    def build() -> bytes | None:
        model = kept()
        return None if model is None else pack(*ARRAYS[kind](model, layout))

    return context.of_model.offer_later("journey position map", build, grid=layout.grid)


Arrays = tuple[Mapping[str, np.ndarray], Mapping[str, Any]]


def _added(model: ModelLike, layout: TokenLayout) -> Arrays:
    """Unit vectors, whose dot products are the cosine similarities of the position embeddings: (patches, width)."""
    vectors = nn.functional.normalize(position_embedding(model, layout).vectors, dim=-1)
    return {"features": vectors.cpu().numpy().astype(np.float16)}, {}


def _rotary(model: ModelLike, layout: TokenLayout) -> Arrays:
    """Unit vectors, whose dot products are the rotary kernel; where heads differ, the mean of the first layer's."""
    with model.lock:
        table = rotary_table(model, layout)
    return {"features": rotary_vectors(table)}, {"heads": int(table.sin.shape[1])}


def rotary_vectors(table: RotaryTable) -> np.ndarray:
    """(patches, width) float16: cos(a - b) = cos a cos b + sin a sin b, averaged over the channels and the heads of layer 0."""
    both = np.concatenate(
        [part[0].float().cpu().numpy() for part in (table.cos, table.sin)], -1
    )  # (heads, patches, width)
    heads, patches, width = both.shape
    vectors = both.transpose(1, 0, 2).reshape(patches, heads * width)  # -> (patches, heads * width)
    return (vectors / np.sqrt(heads * width / 2)).astype(np.float16)


def _relative(model: ModelLike, layout: TokenLayout) -> Arrays:
    """The bias over displacements of the first layer that adds one, as the mean of its heads: (down, right)."""
    try:
        with model.lock:
            first: OffsetBias = offset_biases(model, getattr(model, "input_size", layout.input_size))[0]
    except UnsupportedError:  # it depends on more than the displacement
        return {"bias": np.full((1, 1), np.nan, np.float32)}, {"step": [1, 1], "window": [1, 1], "whole": False}
    window = [side * step for side, step in zip(first.window, first.step, strict=True)]
    meta = {"step": list(first.step), "window": window, "whole": window == list(layout.grid)}
    return {"bias": first.values.mean(0)}, meta


ARRAYS: dict[str, Callable[[ModelLike, TokenLayout], Arrays]] = {
    "added": _added,
    "rotary": _rotary,
    "relative": _relative,
}
