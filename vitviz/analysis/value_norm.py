"""Value-weighted attention: how long the vector is that a key contributes, beside how much attention it gets.

Kobayashi et al. 2020, "Attention is not only a weight" (arXiv 2004.10102): ||A[q, k] v_k W_o|| per head.
Tells whether a token that draws much attention carries anything: the values of sinks are often nearly zero.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from vitviz.analysis.queries import Query, query_index
from vitviz.capture.attention import Attention
from vitviz.capture.parts import output_projection
from vitviz.errors import UnsupportedError


def projected_value_norms(attention: Attention, module: nn.Module) -> Tensor:
    """(heads, keys): ||v_k W_o|| of each head, W_o its slice of the output projection.

    Needs a trace with `keep_values=True`. Raises ValueError where values were not kept, UnsupportedError where the
    layer's values do not go straight into a linear projection.
    """
    if attention.v is None:
        raise ValueError("the trace kept no values; trace the image with keep_values=True")
    heads, _, size = attention.v.shape
    layer = module.get_submodule(attention.name)
    projection = output_projection(layer)
    between = getattr(layer, "norm", None)
    if (
        not isinstance(projection, nn.Linear)
        or projection.in_features != heads * size
        or isinstance(between, nn.LayerNorm)
    ):
        raise UnsupportedError(
            f"The values of {attention.name} do not go straight into one linear projection, so their share has no length."
        )
    # out = concat_h(A_h v_h) W^T: head h meets the columns h*size to (h+1)*size of the weight (width, heads * size)
    slices = projection.weight.detach().float().reshape(-1, heads, size).permute(1, 2, 0)  # (heads, size, width)
    return (attention.v.float() @ slices).norm(dim=-1)


def value_weighted(attention: Attention, module: nn.Module, query: Query) -> Tensor:
    """(heads, keys): ||A[q, k] v_k W_o|| of one query. Raises as `projected_value_norms`, UnsupportedError for an
    unknown query.
    """
    row = attention.row(query_index(query, attention.query_layout))
    return row * projected_value_norms(attention, module)


def value_weighted_maps(attention: Attention, module: nn.Module, query: Query) -> np.ndarray:
    """(heads, rows, cols): `value_weighted` on the patches."""
    return attention.key_layout.patches(value_weighted(attention, module, query).cpu().numpy())


def combined_norm(attention: Attention, module: nn.Module, query: Query) -> Tensor:
    """(keys,): ||sum_h A[h, q, k] v_{h, k} W_o^h||, the length of what a key adds through all heads together.

    Raises as `value_weighted`.
    """
    projected_value_norms(attention, module)  # refuses what cannot be answered
    assert attention.v is not None
    heads, keys, size = attention.v.shape
    projection = output_projection(module.get_submodule(attention.name))
    assert projection is not None
    weight = projection.get_parameter("weight").detach().float()
    row = attention.row(query_index(query, attention.query_layout))  # (heads, keys)
    weighted = (
        (row[..., None] * attention.v.float()).permute(1, 0, 2).reshape(keys, heads * size)
    )  # (heads, keys, size) -> (keys, heads*size)
    return torch.linalg.vector_norm(weighted @ weight.T, dim=-1)
