"""An attention call as the model makes it, and what may happen at one: observing, changing or replacing what it works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vitviz.capture.functions import WeightedSum


class AttentionEvents:
    """By itself, nothing happens. Subclasses override what they need; an exception ends the pass."""

    def fused(self, call: FusedCall) -> Tensor:
        """(.., heads, queries, value_dim): what the model gets from a fused call, which makes no weights."""
        return call.run()

    def pooled(self, *args: Any, **kwargs: Any) -> Any:
        """What the model gets from torch's own `multi_head_attention_forward`."""
        return F.multi_head_attention_forward(*args, **kwargs)

    def product(self, result: Tensor, added: Tensor | None) -> None:
        """The product of two tensors of the pass, which may become scores, with what the same function `added` to it."""

    def scores(self, scores: Tensor) -> Tensor:
        """Scores that are about to be normalised over their last axis, the keys. A softmax written in steps may come here more
        than once: a change has to be one that can be made twice."""
        return scores

    def weights(self, weights: Tensor) -> Tensor:
        """Weights in the model's order of axes, about to be multiplied with values. What is returned has their shape."""
        return weights

    def output(self, call: WeightedSum, out: Tensor) -> Tensor:
        """(.., queries, value_dim): values summed by weights."""
        return out


@dataclass(frozen=True, eq=False)
class Call:
    """Attention applied once inside a forward pass, batched, exactly as applied. Either q and k, or explicit weights.

    Attributes:
        module: dotted name of the innermost module that made it ("" for the model itself).
        q: (batch, heads, queries, head_dim), or with more leading axes where the model folds windows apart.
        k: (batch, heads, keys, head_dim).
        v: (batch, heads, keys, value_dim).
        mask: additive bias, broadcastable to (batch, heads, queries, keys), or None.
        scale: the factor on q kT.
        lse: (batch, heads, queries) log-sum-exp of the scores, where the kernel gave it.
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
        """Whether the model used the fused call, so that no weights existed."""
        return self.explicit is None

    @property
    def shape(self) -> tuple[int, ...]:
        """(batch, heads, queries, keys), with any further leading axes in front of heads."""
        if self.explicit is not None:
            return tuple(self.explicit.shape)
        assert self.q is not None and self.k is not None
        return (*self.q.shape[:-1], self.k.shape[-2])

    def of_a_batch(self) -> Call:
        """The call of a batch of one with its batch axis: some models fold it into the heads, (heads, queries, head_dim), and
        those of one head leave that axis out, too."""
        if len(self.shape) not in (2, 3):
            return self
        parts = ("q", "k", "v", "lse", "explicit")
        given: dict[str, Any] = {name: getattr(self, name) for name in parts}
        batched: Any = {name: None if part is None else part[None] for name, part in given.items()}
        return replace(self, **batched).of_a_batch()


# The call itself. `F.scaled_dot_product_attention` may be replaced during a pass (`sdpa_patch`): compare with this one.
FUSED: Callable[..., Any] = F.scaled_dot_product_attention


class FusedCall(NamedTuple):
    """The arguments of one fused call, in torch's own order and with its own defaults.

    Attributes:
        query: (.., heads, queries, head_dim).
        key: (.., heads, keys, head_dim), with enable_gqa fewer heads, each shared by several of the query's.
        value: (.., heads, keys, value_dim), likewise.
        attn_mask: broadcastable to (.., heads, queries, keys): added to the scores, or where boolean, False hides a key.
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
        """(.., heads, queries, value_dim): what the model asked for."""
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
        """What is added to the scores: of a boolean mask 0 and -inf, of a causal one a triangle of -inf."""
        mask = self.attn_mask
        if self.is_causal:
            mask = torch.ones(
                self.query.shape[-2], self.key.shape[-2], dtype=torch.bool, device=self.query.device
            ).tril()
        if mask is None or mask.dtype != torch.bool:
            return mask
        return torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, float("-inf"))

    def seen(self, module: str, lse: Tensor | None = None) -> Call:
        """The call with a key and a value head for each query head, made by `module`; lse where the kernel gave it."""
        query, key, value = self.query, self.key, self.value
        if self.enable_gqa:  # the kernel shares each key and value head among several query heads
            key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
            value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
        if not query.shape[:-2] == key.shape[:-2] == value.shape[:-2]:  # shared by broadcasting, without being asked to
            lead = torch.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
            query, key, value = (t.expand(*lead, *t.shape[-2:]) for t in (query, key, value))
        factor = query.shape[-1] ** -0.5 if self.scale is None else self.scale
        return Call(module, query, key, value, self.mask, factor, lse)
