"""An attention call as the model makes it, and the events at which it can be observed, changed or replaced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vitviz.capture.functions import WeightedSum


class AttentionEvents:
    """Callbacks of `AttentionCalls`; these defaults change nothing. An exception raised in one ends the pass."""

    def fused(self, call: FusedCall) -> Tensor:
        """Returns the result of a fused call, (.., heads, queries, value_dim). A fused call computes no weights."""
        return call.run()

    def pooled(self, *args: Any, **kwargs: Any) -> Any:
        """Returns the result of a call of torch's `multi_head_attention_forward`."""
        return F.multi_head_attention_forward(*args, **kwargs)

    def product(self, result: Tensor, added: Tensor | None) -> None:
        """Called with a product of two tensors of the pass, which may become scores.

        Args:
            result: The product, with `added`.
            added: The tensor that the same function (torch.baddbmm) added to the product, or None.
        """

    def scores(self, scores: Tensor) -> Tensor:
        """Returns the scores to use in place of `scores`, which are about to be normalised over their last axis, the keys.

        May be called more than once for a softmax written in steps, so a change has to be idempotent.
        """
        return scores

    def weights(self, weights: Tensor) -> Tensor:
        """Returns the weights, of the same shape, to multiply with values in place of `weights` (the model's order of axes)."""
        return weights

    def output(self, call: WeightedSum, out: Tensor) -> Tensor:
        """Returns the output to use in place of `out` (.., queries, value_dim), the weights times the values."""
        return out


@dataclass(frozen=True, eq=False)
class Call:
    """One application of attention inside a forward pass, batched, exactly as applied: q and k, or explicit weights.

    Attributes:
        module: Dotted name of the innermost module whose code made the call ("" for the model itself).
        q: (batch, heads, queries, head_dim), or with more leading axes where the model folds windows apart.
        k: (batch, heads, keys, head_dim).
        v: (batch, heads, keys, value_dim).
        mask: Additive bias, broadcastable to (batch, heads, queries, keys), or None.
        scale: The factor on q kT.
        lse: (batch, heads, queries) log-sum-exp of the scores, if the kernel returned it.
        explicit: (batch, heads, queries, keys): the weights as multiplied with the values.
    """

    module: str
    q: Tensor | None = None
    k: Tensor | None = None
    v: Tensor | None = None
    mask: Tensor | None = None
    scale: float = 1.0
    lse: Tensor | None = None
    explicit: Tensor | None = None

    @property
    def fused(self) -> bool:
        """Whether the model used the fused call, which computes no weights."""
        return self.explicit is None

    @property
    def shape(self) -> tuple[int, ...]:
        """(batch, heads, queries, keys), with any further leading axes in front of heads."""
        if self.explicit is not None:
            return tuple(self.explicit.shape)
        assert self.q is not None and self.k is not None
        return (*self.q.shape[:-1], self.k.shape[-2])

    def with_batch_axis(self) -> Call:
        """The call with a batch axis of one, for models that fold it into the heads, (heads, queries, head_dim).

        A call of one head may also lack the axis of heads.
        """
        if len(self.shape) not in (2, 3):
            return self
        parts = ("q", "k", "v", "lse", "explicit")
        given: dict[str, Any] = {name: getattr(self, name) for name in parts}
        batched: Any = {name: None if part is None else part[None] for name, part in given.items()}
        return replace(self, **batched).with_batch_axis()


# torch's own function. `F.scaled_dot_product_attention` may be patched during a pass (`sdpa_patch`): compare with this one.
FUSED: Callable[..., Any] = F.scaled_dot_product_attention


class FusedCall(NamedTuple):
    """The arguments of one fused call, in torch's own order and with its own defaults.

    Attributes:
        query: (.., heads, queries, head_dim).
        key: (.., heads, keys, head_dim); with enable_gqa fewer heads, each shared by several heads of the query.
        value: (.., heads, keys, value_dim), likewise.
        attn_mask: Broadcastable to (.., heads, queries, keys): added to the scores; if boolean, False masks a key.
        dropout_p, is_causal, scale, enable_gqa: As in torch.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    attn_mask: Tensor | None = None
    dropout_p: float = 0.0
    is_causal: bool = False
    scale: float | None = None
    enable_gqa: bool = False

    def run(self) -> Tensor:
        """torch's result, (.., heads, queries, value_dim)."""
        return FUSED(
            self.query,
            self.key,
            self.value,
            self.attn_mask,
            self.dropout_p,
            self.is_causal,
            scale=self.scale,
            enable_gqa=self.enable_gqa,
        )

    @property
    def mask(self) -> Tensor | None:
        """The additive mask: a boolean mask as 0 and -inf, a causal one as a triangle of -inf; None without a mask."""
        mask = self.attn_mask
        if self.is_causal:
            mask = torch.ones(
                self.query.shape[-2], self.key.shape[-2], dtype=torch.bool, device=self.query.device
            ).tril()
        if mask is None or mask.dtype != torch.bool:
            return mask
        return torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, float("-inf"))

    def as_call(self, module: str, lse: Tensor | None = None) -> Call:
        """The call as a `Call` of `module`, with one key head and one value head for each query head.

        Args:
            module: Dotted name of the module that made the call.
            lse: (batch, heads, queries) log-sum-exp of the scores, if the kernel returned it.
        """
        query, key, value = self.query, self.key, self.value
        if self.enable_gqa:  # the kernel shares each key and value head among several query heads
            key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
            value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
        if not query.shape[:-2] == key.shape[:-2] == value.shape[:-2]:  # heads shared without enable_gqa
            lead = torch.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
            query, key, value = (t.expand(*lead, *t.shape[-2:]) for t in (query, key, value))
        factor = query.shape[-1] ** -0.5 if self.scale is None else self.scale
        return Call(module, query, key, value, self.mask, factor, lse)
