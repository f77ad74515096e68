"""One forward pass, recorded: the logits and the attention of every layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vitviz.capture.attention import Attention
from vitviz.capture.blocks import finite
from vitviz.capture.coordinates.layouts import KnownCall, NotFollowed, forget_calls, known_calls, placements_of
from vitviz.capture.coordinates.placement import Placement
from vitviz.capture.events import Call
from vitviz.capture.layers import attention_at, attention_of, joined, refuse_other_than_tokens
from vitviz.capture.memory import LargePages, keep_freed_memory
from vitviz.capture.modules import evaluating, unwrapped
from vitviz.capture.observe import observe
from vitviz.capture.windows import WindowedAttention
from vitviz.errors import NOT_TAKEN, CaptureError, UnsupportedError
from vitviz.tokens import TokenLayout


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


def _keeper(kept: dict[str, Tensor], name: str) -> Any:
    def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
        kept[name] = (output[0] if isinstance(output, tuple) else output)[0]

    return keep


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
    layers = joined([a for p, a in made if p.kind != "collecting"])
    pooling = tuple(a for p, a in made if p.kind == "collecting" and isinstance(a, Attention))
    return StagedRecording(layers, pooling, left_out, finite(logits[0].float(), type(module).__name__))
