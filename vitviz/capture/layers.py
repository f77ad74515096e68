"""Turns an attention call into a layer of a trace: its layouts, and its tensors in the order of the layouts' tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from vitviz.capture.attention import Attention, DenseBias
from vitviz.capture.bias import compact_bias, position_index
from vitviz.capture.coordinates.placement import CHANNELS, NEGATIVE, PARALLEL, REORDERED, Placement
from vitviz.capture.events import Call
from vitviz.capture.memory import LargePages
from vitviz.capture.windows import WindowedAttention
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout


@lru_cache(maxsize=256)
def token_layout(length: int, layout: TokenLayout) -> TokenLayout | None:
    """The layout of a sequence of `length` tokens inside a model with `layout`; None if it is not that grid.

    A model may append its prefix tokens late (class attention) or pool without them: the patches alone, or with the first few
    prefix tokens, are also accepted.
    """
    num_prefix = length - layout.num_patches
    if 0 <= num_prefix <= layout.num_prefix:
        return TokenLayout(layout.prefix[:num_prefix], layout.grid, layout.patch_size)
    return None


def pooling_layout(length: int, layout: TokenLayout) -> TokenLayout:
    """The layout of `length` learned queries of a pooling layer. They are not tokens of the earlier layers."""
    return TokenLayout(tuple(f"pool{i}" for i in range(length)), (0, 0), layout.patch_size)


def layouts_of(call: Call, layout: TokenLayout) -> tuple[TokenLayout, TokenLayout]:
    """(layout of the queries, layout of the keys) of a call over the token grid.

    Raises:
        UnsupportedError: If the call does not relate tokens of that grid; the message has its shape.
    """
    shape = call.shape
    if len(shape) == 4 and shape[0] == 1:
        queries, keys = shape[2:]
        key_layout = token_layout(keys, layout)
        query_layout = token_layout(queries, layout)
        if key_layout is not None and query_layout is not None:
            return query_layout, key_layout
        if key_layout is not None and queries < layout.num_patches:
            return pooling_layout(queries, layout), key_layout
    rows, cols = layout.grid
    raise UnsupportedError(
        f"The attention in {call.module or 'the model'!r} has the shape {tuple(shape)} (batch, heads, queries, keys), "
        f"which is not the model's grid of {rows}x{cols} patches with {layout.num_prefix} prefix tokens. "
        "Models with windows, several stages or pooled keys cannot be shown this way; choose one that attends globally."
    )


_WHY_NOT = {
    CHANNELS: "relates channels to each other, not patches, so there is no map of where a patch looks",
    NEGATIVE: "subtracts one map from another, so that weights can be negative",
    REORDERED: "keeps its patches in another order",
    PARALLEL: "is one of several calls on the same input, as heads that are computed one by one, and no layer by itself",
    "pooled": "is between two grids of patches, or of some patches at a time",
}


def refuse_other_than_tokens(module: str, kind: str | None) -> None:
    """Raises UnsupportedError if a call's `kind` does not relate tokens row by row; None for an unknown kind.

    The shape alone does not decide it: attention over channels has that of attention over as many tokens.
    """
    why = _WHY_NOT.get(kind or "")
    if why:
        raise UnsupportedError(
            f"The attention in {module or 'the model'!r} {why}. Choose a model whose attention relates all patches."
        )


NO_LAYER = "has no layer in which patches attend to each other"


def why_not_sequential(placements: Sequence[Placement]) -> str:
    """Why the attention calls are not a sequence of layers over one grid, as the end of a sentence about the model."""
    for placement in placements:
        why = _WHY_NOT.get(placement.sequence_kind)
        if placement.kind == "windowed":
            why = "relates patches inside windows only"
        elif why is None and not placement.placed:
            why = "could not be placed in the picture"
        if why:
            return f"has attention, in {placement.module or 'the model'!r}, that {why}"
    layouts = {placement.query_layout for placement in placements if placement.kind != "pooling"}
    if not layouts:
        return NO_LAYER
    if len(layouts) == 1:
        return "pools its patches by attention over tokens that its layers do not have"
    return "has layers over several grids"


# Explicit weights whose rows miss 1 by more than this were changed after the softmax (talking heads, subtraction).
ROW_SUM_TOLERANCE = 1e-3


def attention_of(
    call: Call,
    module: nn.Module,
    layout: TokenLayout,
    pages: LargePages,
    *,
    keep_values: bool = False,
) -> Attention:
    """A call over the grid of `layout` as an `Attention`; q, k and v are copied into `pages`.

    Raises:
        UnsupportedError: If the call does not relate tokens of the grid.
    """
    query_layout, key_layout = layouts_of(call, layout)
    values = pages.keep(call.v[0]) if keep_values and call.v is not None else None
    if call.explicit is not None:
        explicit = call.explicit[0].detach()  # (heads, queries, keys)
        stray = (explicit.sum(-1) - 1).abs().max().item() if explicit.device.type != "meta" else 0.0
        whole = stray <= ROW_SUM_TOLERANCE
        return Attention(call.module, query_layout, key_layout, v=values, explicit=explicit, rows_sum_to_one=whole)
    assert call.q is not None and call.k is not None
    mask = None
    if call.mask is not None:
        mask = call.mask.detach()
        mask = mask.expand(*((1,) * (4 - mask.ndim)), *mask.shape)  # (batch or 1, heads or 1, queries or 1, keys)
        mask = mask[0]  # (heads or 1, queries or 1, keys)
    index = None
    if mask is not None:
        index = position_index(module.get_submodule(call.module), query_layout.num_tokens, key_layout.num_tokens)
    return Attention(
        call.module,
        query_layout,
        key_layout,
        q=pages.keep(call.q[0]),
        k=pages.keep(call.k[0]),
        v=values,
        bias=compact_bias(mask, index),
        scale=call.scale,
        # Copied although small: left in place, it would keep the allocator from reusing the freed memory around it.
        lse=None if call.lse is None else pages.keep(call.lse[0]),
    )


def attention_at(
    call: Call, placement: Placement, module: nn.Module, *, keep_values: bool = False
) -> Attention | WindowedAttention:
    """A call with its `placement` as a layer: `WindowedAttention` for several windows, else `Attention`."""
    members = placement.members
    assert members is not None and placement.query_layout is not None and placement.key_layout is not None
    assert placement.query_tokens is not None and placement.key_tokens is not None
    lead = call.shape[:-2]
    parts = {"q": call.q, "k": call.k, "v": call.v if keep_values else None}
    tensors: dict[str, Any] = {name: None if part is None else _sorted(part, members) for name, part in parts.items()}
    # Explicit weights are the largest tensor and a storage of their own, so that they are not copied unless reordered.
    tensors["explicit"] = None if call.explicit is None else _regrouped(call.explicit, members)
    bias = None if call.mask is None else _sorted_bias(call.mask, lead, members)
    padded = bool((placement.key_tokens < 0).any())
    whole = not padded
    if call.explicit is not None and not call.explicit.is_meta:
        whole = whole and (call.explicit.sum(-1) - 1).abs().max().item() <= ROW_SUM_TOLERANCE
    device = call.explicit.device if call.explicit is not None else call.q.device  # type: ignore[union-attr]
    if placement.num_windows > 1 or padded:
        return WindowedAttention(
            placement.module,
            placement.query_layout,
            placement.key_layout,
            placement.query_tokens.to(device),
            placement.key_tokens.to(device),
            bias=bias,
            scale=call.scale,
            rows_sum_to_one=whole,
            **tensors,
        )
    return _unwindowed(
        call, placement, module, {n: None if t is None else t[0] for n, t in tensors.items()}, bias, whole
    )


def _unwindowed(
    call: Call,
    placement: Placement,
    module: nn.Module,
    tensors: dict[str, Any],
    bias: Tensor | None,
    whole: bool,
) -> Attention:
    """Attention of one window over the whole grid, with tokens in the order of the layout."""
    assert placement.query_layout is not None and placement.key_layout is not None
    dense = None if bias is None else bias[0]  # (heads or 1, queries or 1, keys)
    lse = call.lse.reshape(-1, call.lse.shape[-1])[placement.members[0]] if call.lse is not None else None  # type: ignore[index]
    index = None
    if placement.in_order:
        if dense is not None and dense.shape[1] > 1:
            attention = module.get_submodule(placement.module)
            index = position_index(attention, placement.query_layout.num_tokens, placement.key_layout.num_tokens)
    else:
        queries, keys = placement.query_tokens[0].argsort(), placement.key_tokens[0].argsort()  # type: ignore[index]
        order = {"q": queries, "k": keys, "v": keys}
        tensors = {n: t if t is None or n == "explicit" else t[:, order[n].to(t.device)] for n, t in tensors.items()}
        if tensors["explicit"] is not None:
            tensors["explicit"] = tensors["explicit"][:, queries][:, :, keys]
        if dense is not None:
            dense = (dense if dense.shape[1] == 1 else dense[:, queries])[:, :, keys]
        lse = None if lse is None else lse[:, queries]
    table = compact_bias(dense, index) if index is not None else None if dense is None else DenseBias(dense)
    return Attention(
        placement.module,
        placement.query_layout,
        placement.key_layout,
        bias=table,
        scale=call.scale,
        lse=lse,
        rows_sum_to_one=whole,
        **tensors,
    )


def _sorted(tensor: Tensor, members: Tensor) -> Tensor:
    """(*lead, a, b) -> (windows, heads, a, b): a copy, so that a larger storage is not kept in memory."""
    return tensor.reshape(-1, *tensor.shape[-2:])[members.to(tensor.device)]  # (entries, a, b) -> that


def _regrouped(tensor: Tensor, members: Tensor) -> Tensor:
    """`_sorted`, without a copy if the model's order of axes is the same."""
    if torch.equal(members.flatten(), torch.arange(members.numel())):
        return tensor.reshape(*members.shape, *tensor.shape[-2:])  # (*lead, a, b) -> (windows, heads, a, b)
    return _sorted(tensor, members)


def _sorted_bias(mask: Tensor, lead: tuple[int, ...], members: Tensor) -> Tensor:
    """A mask that broadcasts to (*lead, queries, keys) -> (windows or 1, heads or 1, queries or 1, keys).

    Axes along which all entries are equal keep one entry.
    """
    mask = mask.detach()
    mask = mask.reshape(*((1,) * (len(lead) + 2 - mask.ndim)), *mask.shape)  # as many axes as (*lead, queries, keys)
    few = mask.reshape(-1, *mask.shape[-2:])  # (entries, queries or 1, keys)
    # (entries,) -> the mask's leading axes -> (*lead) -> (product of lead,) -> (windows, heads)
    entry = torch.arange(len(few)).reshape(mask.shape[:-2]).expand(lead).reshape(-1)[members]
    if bool((entry == entry[:1]).all()):
        entry = entry[:1]
    if bool((entry == entry[:, :1]).all()):
        entry = entry[:, :1]
    return few[entry.to(mask.device)]


def joined(layers: Sequence[Attention | WindowedAttention]) -> tuple[Attention | WindowedAttention, ...]:
    """Joins consecutive calls of one module that computes its heads one by one to a single layer."""
    joined: list[Attention | WindowedAttention] = []
    for _, group in groupby(
        layers, lambda layer: (layer.name, layer.query_layout, layer.key_layout, layer.explicit is None)
    ):
        same = list(group)
        axis = 1 if isinstance(same[0], WindowedAttention) else 0
        if len(same) > 1 and same[0].explicit is not None and all(layer.explicit.shape[axis] == 1 for layer in same):  # type: ignore[union-attr]
            joined.append(replace(same[0], explicit=torch.cat([layer.explicit for layer in same], axis)))  # type: ignore[misc]
        else:
            joined += same
    return tuple(joined)
