"""Changing attention while a model runs: keys left out before the softmax, heads' outputs scaled or replaced.

Hooks on each block enter an `AttentionCalls` around that block alone. It is the innermost mode, so an observer of the whole
pass sees the changed attention. The model's parameters are not modified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from vitviz.capture.calls import AttentionCalls
from vitviz.capture.events import AttentionEvents, FusedCall
from vitviz.capture.functions import WeightedSum
from vitviz.capture.modules import ModuleNames
from vitviz.errors import UnsupportedError


@dataclass(frozen=True, eq=False)
class HeadSwitch:
    """Scales or replaces a layer's heads: output * keep + fill * (1 - keep).

    Attributes:
        keep: (batch or 1, heads): 1 leaves a head unchanged, 0 switches it off.
        fill: (heads, tokens, head_dim) output of a head that is switched off; None for zero.
    """

    keep: Tensor
    fill: Tensor | None = None

    def fits(self, out: Tensor) -> bool:
        """Whether the output has as many heads as `keep`."""
        shape = out.shape if out.ndim == 4 else (1, *out.shape)
        return len(shape) == 4 and shape[1] == self.keep.shape[1] and len(self.keep) in (1, shape[0])

    def apply(self, out: Tensor) -> Tensor:
        """(batch, heads, tokens, head_dim), or (heads, tokens, head_dim) of one image -> the same shape."""
        folded = out.ndim == 3
        whole = out[None] if folded else out
        keep = self.keep.to(whole)[:, :, None, None]  # (batch or 1, heads) -> (batch or 1, heads, 1, 1)
        kept = whole * keep
        kept = kept if self.fill is None else kept + self.fill.to(whole) * (1 - keep)
        return kept[0] if folded else kept


@dataclass(frozen=True, eq=False)
class Ablation:
    """All changes of one pass, by layer.

    Attributes:
        heads: Layer -> HeadSwitch.
        cut: Layer -> tokens whose key columns are set to minus infinity before the softmax.
        num_tokens: Length of the whole sequence; attention over its last part only (patches without prefix) leaves out the
            same tokens.
        observe: Called with (layer, heads' output (batch, heads, tokens, head_dim)) after each attention of a
            layer; changes nothing.
    """

    heads: Mapping[int, HeadSwitch] = field(default_factory=dict)
    cut: Mapping[int, Sequence[int]] = field(default_factory=dict)
    num_tokens: int | None = None
    observe: Callable[[int, Tensor], None] | None = None

    def touches(self, layer: int) -> bool:
        return layer in self.heads or bool(self.cut.get(layer)) or self.observe is not None


class _LayerAblation(AttentionEvents):
    """One layer's changes to the attention calls inside it."""

    def __init__(self, layer: int, ablation: Ablation) -> None:
        self.layer = layer
        self.head = ablation.heads.get(layer)
        self.cut = tuple(ablation.cut.get(layer, ()))
        self.num_tokens = ablation.num_tokens
        self.observe = ablation.observe
        self.calls = 0

    def fused(self, call: FusedCall) -> Tensor:
        if self.cut:
            mask, columns = call.mask, self._columns(call.query, call.key.shape[-2])
            cut = columns if mask is None else mask.to(call.query.dtype) + columns
            call = call._replace(attn_mask=cut, is_causal=False)
        return self._changed(call.run())

    def pooled(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        if self.head is not None:
            raise UnsupportedError(
                "Heads of torch's own attention cannot be switched off. Choose heads of another layer."
            )
        if self.cut:
            keys, batch, _ = args[1].shape  # (keys, batch, width)
            left_out = self._columns(args[1], keys)[0, 0] != 0  # (1, 1, 1, keys) -> (1, keys)
            before = kwargs.get("key_padding_mask")
            left_out = left_out.expand(batch, -1)
            if before is not None:
                left_out = left_out | (before if before.dtype == torch.bool else before == float("-inf"))
            kwargs["key_padding_mask"] = left_out
        return F.multi_head_attention_forward(*args, **kwargs)

    def scores(self, scores: Tensor) -> Tensor:
        if not self.cut:
            return scores
        columns = self._columns(scores, scores.shape[-1])
        return scores + columns[(0,) * max(0, 4 - scores.ndim)]  # (1, 1, 1, keys) -> as many axes as scores have

    def output(self, call: WeightedSum, out: Tensor) -> Tensor:
        return self._changed(out)

    def _columns(self, like: Tensor, keys: int) -> Tensor:
        """(1, 1, 1, keys): minus infinity on the keys that are left out."""
        missing = (self.num_tokens or keys) - keys  # prefix tokens that this attention does not see
        if missing < 0:
            raise UnsupportedError(
                f"Tokens cannot be left out here: attention is over {keys} keys, and the sequence has {self.num_tokens} tokens."
            )
        columns = torch.zeros(1, 1, 1, keys, device=like.device, dtype=like.dtype)
        columns[..., [token - missing for token in self.cut if token >= missing]] = float("-inf")
        return columns

    def _changed(self, out: Tensor) -> Tensor:
        self.calls += 1
        if self.head is not None:
            if not self.head.fits(out):
                raise UnsupportedError(
                    f"Heads of layer {self.layer} cannot be switched off: its attention gives {tuple(out.shape)}, where "
                    f"(batch, {self.head.keep.shape[1]} heads, tokens, head_dim) is needed."
                )
            out = self.head.apply(out)
        if self.observe is not None:
            self.observe(self.layer, out)
        return out


@contextmanager
def ablated(parts: Mapping[int, nn.Module], ablation: Ablation) -> Iterator[None]:
    """Applies `ablation` inside the `with` block. Hold the model's lock.

    The hooks are removed at the end, also after an exception.

    Args:
        parts: Layer -> module whose attention is changed.
        ablation: The changes by layer.

    Raises:
        UnsupportedError: If no attention call was recognised in a part with a change. Raised after that part's forward pass;
            for a part that did not run although others did, at the end of the block.
    """
    handles: list[RemovableHandle] = []
    touched = [layer for layer in parts if ablation.touches(layer)]
    ran: set[int] = set()
    try:
        for layer in touched:
            handles += _wrap(parts[layer], layer, ablation, ran)
        yield
        missed = [layer for layer in touched if layer in ablation.heads and layer not in ran]
        if ran and missed:
            raise UnsupportedError(f"Heads of layer {missed[0]} were to be switched off, and this layer did not run.")
    finally:
        for handle in handles:
            handle.remove()


def _wrap(
    part: nn.Module, layer: int, ablation: Ablation, ran: set[int]
) -> tuple[RemovableHandle, RemovableHandle, RemovableHandle]:
    inside: list[tuple[AttentionCalls, _LayerAblation]] = []

    def enter(*_: Any) -> None:
        events = _LayerAblation(layer, ablation)
        calls = AttentionCalls(events, ModuleNames(part.named_modules(prefix=f"layer {layer}")))
        calls.__enter__()
        inside.append((calls, events))

    def check(*_: Any) -> None:
        """Not called if the part raised."""
        calls, events = inside.pop()
        calls.__exit__(None, None, None)
        ran.add(layer)
        if not events.calls:
            raise UnsupportedError(
                f"{type(part).__name__} (layer {layer}) was to attend with a change, and no attention was seen in it. Choose a "
                "model that calls scaled_dot_product_attention, or writes softmax(scores) @ values."
            )

    def leave(*_: Any) -> None:
        while inside:
            inside.pop()[0].__exit__(RuntimeError, None, None)

    return (
        part.register_forward_pre_hook(enter),
        part.register_forward_hook(check),
        part.register_forward_hook(leave, always_call=True),
    )
