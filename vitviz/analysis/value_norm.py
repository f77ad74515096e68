"""Value-weighted attention: how long the vector is that a key contributes, beside how much attention it gets.

Kobayashi et al. 2020, "Attention is not only a weight" (arXiv 2004.10102): ||A[q, k] v_k W_o|| per head.
Tells whether a token that draws much attention carries anything: the values of sinks are often nearly zero.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from vitviz.analysis.attention import query_weights
from vitviz.analysis.queries import QueryLike
from vitviz.analysis.question import Subject
from vitviz.capture.attention import Attention
from vitviz.capture.events import Call
from vitviz.capture.layers import layouts_of
from vitviz.capture.modules import output_projection
from vitviz.capture.observe import observe
from vitviz.errors import UnsupportedError

KEYS_AT_ONCE = 2048  # a projected value is as wide as the model, for each head


def projected_value_norms(attention: Attention, module: nn.Module) -> Tensor:
    """(heads, keys): ||v_k W_o|| of each head, W_o its slice of the output projection.

    Needs a trace with `keep_values=True`. Raises ValueError where values were not kept, UnsupportedError where the
    layer's values do not go straight into a linear projection.
    """
    if attention.v is None:
        raise ValueError("the trace kept no values; trace the image with keep_values=True")
    return _norms(attention.v, module, attention.name)


def value_norms(model: Subject, pixels: Tensor, progress: Callable[[int], None] | None = None) -> list[Tensor]:
    """(heads, keys) of every layer over the token grid, `projected_value_norms` of one forward pass that keeps no values.

    pixels    (3, height, width), normalised
    progress  called after each layer with how many there have been; raise from it to stop

    Raises UnsupportedError as `projected_value_norms`.
    """
    norms: list[Tensor] = []

    def receive(call: Call) -> None:
        if call.v is not None and layouts_of(call, model.layout)[0].num_patches:
            norms.append(_norms(call.v[0], model.module, call.module))
        if progress:
            progress(len(norms))

    with model.lock, torch.inference_mode(), observe(model.module, receive):
        model.module(pixels.to(next(model.module.parameters()))[None])
    return norms


def _norms(values: Tensor, module: nn.Module, name: str) -> Tensor:
    """(heads, keys) from values (heads, keys, value_dim) of the attention called `name`."""
    heads, _, size = values.shape
    layer = module.get_submodule(name)
    projection = output_projection(layer)
    between = getattr(layer, "norm", None)
    if (
        not isinstance(projection, nn.Linear)
        or projection.in_features != heads * size
        or isinstance(between, nn.LayerNorm)
    ):
        raise UnsupportedError(
            f"The values of {name} do not go straight into one linear projection, so their share has no length."
        )
    # out = concat_h(A_h v_h) W^T: head h meets the columns h*size to (h+1)*size of the weight (width, heads * size)
    slices = projection.weight.detach().float().reshape(-1, heads, size).permute(1, 2, 0)  # (heads, size, width)
    chunks = values.split(KEYS_AT_ONCE, dim=1)  # each (heads, some keys, value_dim)
    return torch.cat([(chunk.float() @ slices).norm(dim=-1) for chunk in chunks], dim=1)


def value_weighted(attention: Attention, module: nn.Module, query: QueryLike) -> Tensor:
    """(heads, keys): ||A[q, k] v_k W_o|| of one query. Raises as `projected_value_norms`, UnsupportedError for an
    unknown query.
    """
    row = query_weights(attention, query)
    return row * projected_value_norms(attention, module)


def value_weighted_maps(attention: Attention, module: nn.Module, query: QueryLike) -> np.ndarray:
    """(heads, rows, cols): `value_weighted` on the patches."""
    return attention.key_layout.patches(value_weighted(attention, module, query).cpu().numpy())


def combined_norm(attention: Attention, module: nn.Module, query: QueryLike) -> Tensor:
    """(keys,): ||sum_h A[h, q, k] v_{h, k} W_o^h||, the length of what a key adds through all heads together.

    Raises as `value_weighted`.
    """
    projected_value_norms(attention, module)  # refuses what cannot be answered
    assert attention.v is not None
    heads, keys, size = attention.v.shape
    projection = output_projection(module.get_submodule(attention.name))
    assert projection is not None
    weight = projection.get_parameter("weight").detach().float()
    row = query_weights(attention, query)  # (heads, keys)
    weighted = (
        (row.float()[..., None] * attention.v.float()).permute(1, 0, 2).reshape(keys, heads * size)
    )  # (heads, keys, size) -> (keys, heads*size)
    return torch.linalg.vector_norm(weighted @ weight.T, dim=-1)
