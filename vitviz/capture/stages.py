"""One forward pass of a model with several grids, pooled keys or windows: every layer exact, on its own grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from vitviz.capture.attention import Attention, DenseBias
from vitviz.capture.bias import compact_bias, position_index
from vitviz.capture.call import Call
from vitviz.capture.evaluation import evaluating, unwrapped
from vitviz.capture.heard import NotFollowed, placements_of
from vitviz.capture.observe import observe
from vitviz.capture.placement import Placement
from vitviz.capture.record import ROW_SUM_TOLERANCE
from vitviz.capture.trunk import finite
from vitviz.capture.windows import WindowedAttention
from vitviz.errors import NOT_TAKEN, CaptureError, UnsupportedError


@dataclass(frozen=True, eq=False)
class StagedRecording:
    """What one image left behind in a model of any shape.

    layers     attention whose queries are patches, first layer first, each with its own layouts
    pooling    attention that only collects (class attention, attention pooling)
    left_out   placements of the calls that cannot be shown, with why
    logits     (classes,) float32
    """

    layers: tuple[Attention | WindowedAttention, ...]
    pooling: tuple[Attention, ...]
    left_out: tuple[Placement, ...]
    logits: Tensor


def record_stages(
    module: nn.Module, x: Tensor, *, keep_values: bool = False, each: Callable[[int], None] | None = None
) -> StagedRecording:
    """Runs `module` on x (1, 3, height, width) as it is and keeps every layer's attention on its own grid.

    keep_values  also keep v of every layer
    each         called after each attention with how many there have been; raise from it to stop the pass

    Raises CaptureError where no attention was seen or where it was not the same as in the pass over places,
    UnsupportedError where none of it can be shown, ValueError for a batch.
    """
    if x.ndim != 4 or x.shape[0] != 1:
        raise ValueError(f"a recording is of one image, (1, 3, height, width), not {tuple(x.shape)}")
    module = unwrapped(module)
    try:
        placements = placements_of(module, (x.shape[2], x.shape[3]))
    except NOT_TAKEN as error:
        with torch.inference_mode(), evaluating(module):
            module(x)  # whatever the model raises for this input is more telling
        raise NotFollowed.of(module, error) from error
    made: list[tuple[Placement, Attention | WindowedAttention]] = []
    number = 0

    def receive(call: Call) -> None:
        nonlocal number
        if number >= len(placements) or (call.module, call.shape) != (
            placements[number].module,
            placements[number].shape,
        ):
            raise CaptureError(
                f"The attention in {call.module or 'the model'!r} changes from one pass to the next; "
                "it cannot be placed."
            )
        placement, number = placements[number], number + 1
        if placement.placed:
            made.append((placement, attention_at(call, placement, module, keep_values=keep_values)))
        if each:
            each(number)

    with torch.inference_mode(), observe(module, receive):
        logits = module(x)
    left_out = tuple(p for p in placements if not p.placed)
    if not made:
        if left_out:
            raise UnsupportedError(
                f"The attention in {left_out[0].module!r} does not relate patches of the picture ({left_out[0].kind})."
            )
        raise CaptureError(f"No attention was seen in {type(module).__name__}. Choose a Vision Transformer.")
    layers = _joined([a for p, a in made if p.kind != "collecting"])
    pooling = tuple(a for p, a in made if p.kind == "collecting" and isinstance(a, Attention))
    return StagedRecording(layers, pooling, left_out, finite(logits[0].float(), type(module).__name__))


def attention_at(
    call: Call, placement: Placement, module: nn.Module, *, keep_values: bool = False
) -> Attention | WindowedAttention:
    """A call for one image, with its tokens in their places: windows where there are several, plain attention
    otherwise.
    """
    members = placement.members
    assert members is not None and placement.query_layout is not None and placement.key_layout is not None
    assert placement.query_tokens is not None and placement.key_tokens is not None
    lead = call.shape[:-2]
    parts = {"q": call.q, "k": call.k, "v": call.v if keep_values else None}
    tensors: dict[str, Any] = {
        name: None if part is None else _sorted(part, lead, members) for name, part in parts.items()
    }
    # weights share their memory with nothing, and are the largest by far
    tensors["explicit"] = None if call.explicit is None else _regrouped(call.explicit, lead, members)
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
    """One window over the whole grid, its tokens brought into the order of the layout where the model keeps another."""
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


def _sorted(tensor: Tensor, lead: tuple[int, ...], members: Tensor) -> Tensor:
    """(*lead, a, b) -> (windows, heads, a, b): a copy, because queries and keys share their memory with what nobody keeps."""
    return tensor.reshape(-1, *tensor.shape[-2:])[members.to(tensor.device)]


def _regrouped(tensor: Tensor, lead: tuple[int, ...], members: Tensor) -> Tensor:
    """The same without a copy, where that is how the model keeps it."""
    if torch.equal(members.flatten(), torch.arange(members.numel())):
        return tensor.reshape(*members.shape, *tensor.shape[-2:])
    return _sorted(tensor, lead, members)


def _sorted_bias(mask: Tensor, lead: tuple[int, ...], members: Tensor) -> Tensor:
    """A mask that broadcasts to (*lead, queries, keys) -> (windows or 1, heads or 1, queries or 1, keys), no larger
    than need be.
    """
    mask = mask.detach()
    mask = mask.reshape(*((1,) * (len(lead) + 2 - mask.ndim)), *mask.shape)
    few = mask.reshape(-1, *mask.shape[-2:])  # (entries, queries or 1, keys)
    entry = torch.arange(len(few)).reshape(mask.shape[:-2]).expand(lead).reshape(-1)[members]  # (windows, heads)
    if bool((entry == entry[:1]).all()):
        entry = entry[:1]
    if bool((entry == entry[:, :1]).all()):
        entry = entry[:, :1]
    return few[entry.to(mask.device)]


def _joined(layers: Sequence[Attention | WindowedAttention]) -> tuple[Attention | WindowedAttention, ...]:
    """Heads that a module works out one after the other are the heads of one layer."""
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
