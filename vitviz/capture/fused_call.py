"""torch's fused attention: the function that models call, and the arguments of one call of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vitviz.capture.call import Call

# The call itself. `F.scaled_dot_product_attention` may be replaced during a pass (`fused_only`): compare with this one.
FUSED: Callable[..., Any] = F.scaled_dot_product_attention


class FusedCall(NamedTuple):
    """The arguments of one fused call, in torch's own order and with its own defaults.

    query      (.., heads, queries, head_dim)
    key        (.., heads, keys, head_dim), with enable_gqa fewer heads, each shared by several of the query's
    value      (.., heads, keys, value_dim), likewise
    attn_mask  broadcastable to (.., heads, queries, keys): added to the scores, or where boolean, False hides a key
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
