"""One attention call as the model made it, before anybody asked which token is which patch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Call:
    """Attention applied once inside a forward pass, batched, exactly as applied. Either q and k, or explicit weights.

    module    dotted name of the innermost module that made it ("" for the model itself)
    q         (batch, heads, queries, head_dim), or with more leading axes where the model folds windows apart
    k         (batch, heads, keys, head_dim)
    v         (batch, heads, keys, value_dim)
    mask      additive bias, broadcastable to (batch, heads, queries, keys), or None
    scale     the factor on q kT
    lse       (batch, heads, queries) log-sum-exp of the scores, where the kernel gave it
    explicit  (batch, heads, queries, keys): the weights as multiplied with the values
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
