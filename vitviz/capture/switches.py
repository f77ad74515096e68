"""Changing attention while a model runs: keys cut out before the softmax, heads' outputs scaled or replaced.

Hooks on each block put a `TorchFunctionMode` around that block alone, nearest to the model's own code, so that
whoever listens to the pass from outside hears the attention as changed. Weights are never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from vitviz.capture.fused_call import FUSED, FusedCall
from vitviz.capture.listener import MATMUL, SOFTMAX, over_scores


@dataclass(frozen=True, eq=False)
class HeadSwitch:
    """What becomes of a layer's heads: output * keep + fill * (1 - keep).

    keep  (batch or 1, heads): 1 leaves a head as it is, 0 switches it off
    fill  (heads, tokens, head_dim) that stands in for a head that is off, or None for zero
    """

    keep: Tensor
    fill: Tensor | None = None

    def apply(self, out: Tensor) -> Tensor:
        """(batch, heads, tokens, head_dim) -> the same shape."""
        keep = self.keep.to(out)[:, :, None, None]
        kept = out * keep
        return kept if self.fill is None else kept + self.fill.to(out) * (1 - keep)


@dataclass(frozen=True, eq=False)
class Switches:
    """All changes of one pass, by layer.

    heads  layer -> HeadSwitch
    cut    layer -> tokens whose key columns are set to minus infinity before the softmax
    num_tokens  length of the whole sequence; attention over its last part only (patches without prefix) cuts the
                same tokens
    hear   called with (layer, heads' output (batch, heads, tokens, head_dim)) after each attention of a layer;
           changes nothing
    """

    heads: Mapping[int, HeadSwitch] = field(default_factory=dict)
    cut: Mapping[int, Sequence[int]] = field(default_factory=dict)
    num_tokens: int | None = None
    hear: Callable[[int, Tensor], None] | None = None

    def touches(self, layer: int) -> bool:
        return layer in self.heads or bool(self.cut.get(layer)) or self.hear is not None


class _Switchboard(TorchFunctionMode):
    """Applies one layer's switches to the attention calls inside it."""

    def __init__(self, layer: int, switches: Switches) -> None:
        super().__init__()
        self.layer = layer
        self.head = switches.heads.get(layer)
        self.cut = tuple(switches.cut.get(layer, ()))
        self.num_tokens = switches.num_tokens
        self.hear = switches.hear
        self._softmaxed: torch.Size | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is FUSED:
            return self._after(self._fused(FusedCall(*args, **kwargs)))
        if func is F.multi_head_attention_forward and self.cut:  # torch's own, where it pools
            keys, batch, _ = args[1].shape  # (keys, batch, width)
            left_out = self._columns(args[1], keys)[0, 0] != 0  # (1, 1, 1, keys) -> (1, keys)
            kwargs["key_padding_mask"] = left_out.expand(batch, -1)
            return func(*args, **kwargs)
        if func in SOFTMAX and over_scores(args[0], args, kwargs):
            scores = args[0] if not self.cut else args[0] + self._columns(args[0], args[0].shape[-1])
            result = func(scores, *args[1:], **kwargs)
            self._softmaxed = result.shape
            return result
        if func in MATMUL and self._softmaxed is not None and len(args) == 2 and args[0].shape == self._softmaxed:
            self._softmaxed = None
            return self._after(func(*args, **kwargs))
        return func(*args, **kwargs)

    def _fused(self, asked: FusedCall) -> Tensor:
        if self.cut:
            mask, columns = asked.mask, self._columns(asked.query, asked.key.shape[-2])
            cut = columns if mask is None else mask.to(asked.query.dtype) + columns
            asked = asked._replace(attn_mask=cut, is_causal=False)
        return asked.run()

    def _columns(self, like: Tensor, keys: int) -> Tensor:
        """(1, 1, 1, keys): minus infinity on the keys that are cut."""
        missing = (self.num_tokens or keys) - keys  # prefix tokens that this attention does not see
        columns = torch.zeros(1, 1, 1, keys, device=like.device, dtype=like.dtype)
        columns[..., [token - missing for token in self.cut if token >= missing]] = float("-inf")
        return columns

    def _after(self, out: Tensor) -> Tensor:
        if self.head is not None:
            out = self.head.apply(out)
        if self.hear is not None:
            self.hear(self.layer, out)
        return out


@contextmanager
def switched(parts: Mapping[int, nn.Module], switches: Switches) -> Iterator[None]:
    """While inside, each of `parts` (layer -> module) attends with its switches. Hold the model's lock.

    Nothing is left on the modules, also after an exception.
    """
    handles: list[RemovableHandle] = []
    try:
        for layer, part in parts.items():
            if switches.touches(layer):
                handles += _wrap(part, layer, switches)
        yield
    finally:
        for handle in handles:
            handle.remove()


def _wrap(part: nn.Module, layer: int, switches: Switches) -> tuple[RemovableHandle, RemovableHandle]:
    inside: list[_Switchboard] = []

    def enter(*_: Any) -> None:
        board = _Switchboard(layer, switches)
        board.__enter__()
        inside.append(board)

    def leave(*_: Any) -> None:
        if inside:
            inside.pop().__exit__(None, None, None)

    return part.register_forward_pre_hook(enter), part.register_forward_hook(leave, always_call=True)
