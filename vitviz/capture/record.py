"""One forward pass, recorded: the logits and the attention of every layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vitviz.capture.attention import Attention
from vitviz.capture.bias import compact_bias, position_index
from vitviz.capture.call import Call
from vitviz.capture.evaluation import unwrapped
from vitviz.capture.freed_memory import keep_freed_memory
from vitviz.capture.heard import KnownCall, NotFollowed, forget_calls, known_calls
from vitviz.capture.large_pages import LargePages
from vitviz.capture.layouts import layouts_of, refuse_other_than_tokens
from vitviz.capture.observe import observe
from vitviz.capture.trunk import finite
from vitviz.errors import CaptureError
from vitviz.tokens import TokenLayout

# Explicit weights whose rows miss 1 by more than this were changed after the softmax (talking heads, subtraction).
ROW_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Recording:
    """What one image left behind: layers over the token grid, attention that only collects, logits (classes,), states."""

    layers: tuple[Attention, ...]
    pooling: tuple[Attention, ...]
    logits: Tensor
    hidden: dict[str, Tensor] = field(default_factory=dict)


def record(
    module: nn.Module,
    x: Tensor,
    layout: TokenLayout,
    *,
    keep_values: bool = False,
    hidden: Sequence[str] = (),
    each: Callable[[int], None] | None = None,
) -> Recording:
    """Runs `module` on x (1, 3, height, width) as it is and keeps its attention.

    keep_values  also keep v (heads, keys, value_dim) of every layer
    hidden       dotted module names whose output (tokens, width) is kept
    each         called after each attention with how many there have been; raise from it to stop the pass

    Raises CaptureError where no attention was seen, NotFiniteError where an output is not finite, UnsupportedError
    where it is not attention over the token grid, ValueError for a batch (a recording is of one image; stream batches through
    `observe`) or an unknown module name.
    """
    if x.ndim != 4 or x.shape[0] != 1:
        raise ValueError(f"a recording is of one image, (1, 3, height, width), not {tuple(x.shape)}")
    keep_freed_memory()
    module = unwrapped(module)
    size = (x.shape[2], x.shape[3])
    unknown: NotFollowed | None = None
    expected: tuple[KnownCall, ...] = ()
    try:
        expected = known_calls(module, size)
    except NotFollowed as error:  # whatever the model raises for this input is more telling, where it does
        unknown = error
    heard: list[Attention] = []

    def run(only_fused: bool) -> Tensor:
        heard.clear()
        pages = LargePages(layout.num_tokens)

        def receive(call: Call) -> None:
            kind = expected[len(heard)].kind if len(heard) < len(expected) else None
            refuse_other_than_tokens(call.module, kind)
            heard.append(attention_of(call.of_a_batch(), module, layout, pages, keep_values=keep_values))
            if each:
                each(len(heard))

        with torch.inference_mode(), observe(module, receive, only_fused=only_fused):
            logits: Tensor = module(x)
        return logits

    kept: dict[str, Tensor] = {}
    known = dict(module.named_modules()) if hidden else {}
    if missing := [name for name in hidden if name not in known]:
        raise ValueError(f"the model has no module called {missing[0]!r}")
    handles = [known[name].register_forward_hook(_keeper(kept, name)) for name in hidden]
    try:
        only_fused = bool(expected) and all(call.fused for call in expected)
        logits = run(only_fused)
        # The model was changed since, or has a name of its own for the fused call: a mode sees what the replacement missed.
        if only_fused and len(heard) < len(expected):
            logits = run(only_fused=False)
        if heard and expected and len(heard) != len(expected):
            forget_calls(module)
            expected = known_calls(module, size)
            logits = run(only_fused=False)
    finally:
        for handle in handles:
            handle.remove()
    if not heard:
        raise CaptureError(
            f"No attention was seen in {type(module).__name__}: it neither calls scaled_dot_product_attention nor multiplies "
            "values by the softmax of scores, one row of weights for each token. Choose a Vision Transformer."
        )
    if unknown is not None:
        raise unknown
    if len(heard) != len(expected):
        raise CaptureError(
            f"{type(module).__name__} attends {len(heard)} times, and {len(expected)} times in a pass without numbers, so "
            "which token is which patch is not known. Choose a model whose layers do not depend on the values of its input."
        )
    layers = tuple(attention for attention in heard if attention.query_layout.num_patches)
    pooling = tuple(attention for attention in heard if not attention.query_layout.num_patches)
    return Recording(layers, pooling, finite(logits[0].float(), type(module).__name__), kept)


def attention_of(
    call: Call,
    module: nn.Module,
    layout: TokenLayout,
    pages: LargePages,
    *,
    keep_values: bool = False,
) -> Attention:
    """A call's attention for the one image, with its layouts; q, k and v are copied into `pages`.

    Raises UnsupportedError where the call does not relate tokens of the grid.
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
        # small, but left where the kernel put it, it would hold a whole layer's freed memory between it and the next one
        lse=None if call.lse is None else pages.keep(call.lse[0]),
    )


def _keeper(kept: dict[str, Tensor], name: str) -> Any:
    def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
        kept[name] = (output[0] if isinstance(output, tuple) else output)[0]

    return keep
