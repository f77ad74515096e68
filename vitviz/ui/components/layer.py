"""One layer's attention as the arrays a browser needs to compute any weight of it: O(tokens x width), not tokens squared."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from vitviz.capture.attention import Attention, BiasTable, DenseBias
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout

# What a browser can hold and a network at home can carry: 1,370 tokens and 12 heads of explicit weights are 45 MB, and the
# queries and keys of 21,905 tokens and 6 heads 68 MB.
MAX_BYTES = 72 * 2**20
# Explicit weights travel as 16-bit codes of each head's range: for weights in [0, 1] no code is further than 8e-6 off.
CODES = 65535


def layer_arrays(
    attention: Attention, value_norm: Tensor | None = None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and meta of one payload (see `wire.pack`); `js/attention.js` is the reader.

    From queries and keys: "q" (heads, queries, head_dim), "k" (heads, keys, head_dim), "lse" (heads, queries) float32, and
    the bias as "bias_table" (entries, heads) float32 with "bias_index" (queries, keys) uint16 or int32, or as "bias"
    (heads or 1, queries or 1, keys) float32.
    From explicit weights: "explicit" (heads, queries, keys) uint16 codes, "explicit_range" (heads, 2) float32: the value is
    range[h, 0] + code * range[h, 1].
    value_norm (heads, keys), where given, goes along as "value_norm": ||v_k W_o|| of each head, so that weight times norm
    is the value-weighted attention of Kobayashi et al. (2020, arXiv 2004.10102).

    Raises UnsupportedError where that is more than a browser should be sent.
    """
    arrays = _explicit(attention.explicit) if attention.explicit is not None else _from_queries_and_keys(attention)
    if value_norm is not None:
        arrays["value_norm"] = _float32(value_norm)
    size = sum(array.nbytes for array in arrays.values())
    if size > MAX_BYTES:
        raise UnsupportedError(
            f"The weights of {attention.name} need {size / 2**20:,.0f} MB in the browser, more than the "
            f"{MAX_BYTES / 2**20:,.0f} MB allowed. Choose a smaller input size."
        )
    meta = {
        "name": attention.name,
        "num_heads": attention.num_heads,
        "scale": float(attention.scale),
        "rows_sum_to_one": attention.rows_sum_to_one,
        "query": _layout(attention.query_layout),
        "key": _layout(attention.key_layout),
    }
    return arrays, meta


def _from_queries_and_keys(attention: Attention) -> dict[str, np.ndarray]:
    assert attention.q is not None and attention.k is not None
    arrays = {"q": _float32(attention.q), "k": _float32(attention.k), "lse": _float32(attention.log_sum_exp())}
    if isinstance(attention.bias, BiasTable):
        index = attention.bias.index.cpu().numpy()
        arrays["bias_table"] = _float32(attention.bias.table)
        arrays["bias_index"] = index.astype(np.uint16 if len(attention.bias.table) <= CODES else np.int32)
    elif isinstance(attention.bias, DenseBias):
        arrays["bias"] = _float32(attention.bias.values)
    return arrays


def _explicit(weights: Tensor) -> dict[str, np.ndarray]:
    # Head by head: a stack of float32 copies would hold several times what is sent.
    codes = np.empty(tuple(weights.shape), np.uint16)  # (heads, queries, keys)
    ranges = np.empty((len(codes), 2), np.float32)
    for head, matrix in enumerate(weights):
        values = _float32(matrix)
        low = min(0.0, float(values.min()))
        step = (float(values.max()) - low) / CODES or 1.0
        codes[head] = np.rint((values - low) / step)
        ranges[head] = low, step
    return {"explicit": codes, "explicit_range": ranges}


def _float32(tensor: Tensor) -> np.ndarray:
    return tensor.detach().to("cpu", torch.float32).contiguous().numpy()


def _layout(layout: TokenLayout) -> dict[str, Any]:
    return {"prefix": list(layout.prefix), "grid": list(layout.grid), "patch_size": list(layout.patch_size)}
