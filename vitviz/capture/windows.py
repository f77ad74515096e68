"""`WindowedAttention`: attention inside windows, with each window's position in the grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vitviz.capture.attention import AttentionBase
from vitviz.tokens import TokenLayout


@dataclass(frozen=True, eq=False)
class WindowedAttention(AttentionBase):
    """One layer's attention for one image in windows. Tensors are detached and read-only.

    The methods are those of `Attention`: rows and columns cover the whole grid and are zero outside the query's window.

    Attributes:
        name: Dotted name of the attention module.
        query_layout, key_layout: Which token of the whole grid is which patch, for queries and keys.
        query_tokens: (windows, queries) int64: which token of query_layout each query is, -1 for padding.
        key_tokens: (windows, keys) int64: which token of key_layout each key is, -1 for padding; windows may share keys.
        q: (windows, heads, queries, head_dim), exactly as applied; None with explicit weights.
        k: (windows, heads, keys, head_dim); None with explicit weights.
        v: (windows, heads, keys, value_dim), if requested.
        bias: (windows or 1, heads or 1, queries or 1, keys) added to the scores, with masks of shifted windows; or None.
        scale: The factor on q kT.
        explicit: (windows, heads, queries, keys) weights as the model computed them; None after a fused call.
        rows_sum_to_one: False if heads are mixed after the softmax, or if padding gets part of a row's weight.
    """

    name: str
    query_layout: TokenLayout
    key_layout: TokenLayout
    query_tokens: Tensor
    key_tokens: Tensor
    q: Tensor | None = None
    k: Tensor | None = None
    v: Tensor | None = None
    bias: Tensor | None = None
    scale: float = 1.0
    explicit: Tensor | None = None
    rows_sum_to_one: bool = True

    def __repr__(self) -> str:
        windows, queries = self.query_tokens.shape
        return (
            f"WindowedAttention({self.name!r}: {windows} windows, {self.num_heads} heads, {queries} queries and "
            f"{self.key_tokens.shape[1]} keys in each)"
        )

    @property
    def num_windows(self) -> int:
        return self._shaped.shape[0]

    @property
    def num_heads(self) -> int:
        return self._shaped.shape[1]

    @property
    def num_queries(self) -> int:
        return self.query_layout.num_tokens

    @property
    def num_keys(self) -> int:
        return self.key_layout.num_tokens

    @property
    def nbytes(self) -> int:
        """Bytes of this layer's tensors, counted as whole storages."""
        tensors = (self.q, self.k, self.v, self.bias, self.explicit, self.query_tokens, self.key_tokens)
        storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors if t is not None}
        return sum(storages.values())

    @cached_property
    def _slots(self) -> Tensor:
        """(queries of the grid, 2): the window of every query, and its index in that window."""
        window, slot = (self.query_tokens >= 0).nonzero().T
        slots = torch.empty(self.num_queries, 2, dtype=torch.int64, device=self.query_tokens.device)
        slots[self.query_tokens[window, slot]] = torch.stack([window, slot], dim=1)
        return slots

    def window_of(self, query: int) -> int:
        """The window that contains a query. Raises IndexError for a query that does not exist."""
        return int(self._slots[self._checked(query, self.num_queries, "query"), 0])

    def window_weights(self, window: int, head: int | None = None) -> Tensor:
        """(heads, queries, keys) weights inside one window, padding included; one head: (1, queries, keys).

        Raises:
            IndexError: For a window or head that does not exist.
        """
        window = self._checked(window, self.num_windows, "window")
        heads = slice(None) if head is None else slice(self._checked(head, self.num_heads, "head"), head + 1)
        if self.explicit is not None:
            return self.explicit[window, heads].to(self.dtype)
        assert self.q is not None and self.k is not None
        q, k = self.q[window, heads].to(self.dtype), self.k[window, heads].to(self.dtype)
        scores = torch.bmm(q * self.scale, k.transpose(1, 2))  # (heads, queries, keys)
        if self.bias is not None:
            bias = self.bias[window if self.bias.shape[0] > 1 else 0]
            scores = scores + (bias[heads] if bias.shape[0] > 1 else bias).to(self.dtype)
        return scores.softmax(-1)

    def rows(self, queries: slice | Tensor, head: int | None = None) -> Tensor:
        """(heads, chosen queries, keys of the whole grid) weights of the chosen queries. One head: (1, chosen, keys)."""
        chosen = self._slots[queries]  # (chosen, 2)
        heads = self.num_heads if head is None else 1
        out = torch.zeros(heads, len(chosen), self.num_keys, dtype=self.dtype, device=self.device)
        for window in chosen[:, 0].unique().tolist():
            mine = (chosen[:, 0] == window).nonzero()[:, 0]
            weights = self.window_weights(window, head)[:, chosen[mine, 1]]  # (heads, mine, keys of the window)
            keys = self.key_tokens[window]
            known = keys >= 0
            out[:, mine[:, None], keys[known][None, :]] = weights[..., known]
        return out

    def column(self, key: int) -> Tensor:
        """(heads, queries): the weight of one key in every query's row. Raises IndexError for a key that does not exist."""
        key = self._checked(key, self.num_keys, "key")
        out = torch.zeros(self.num_heads, self.num_queries, dtype=self.dtype, device=self.device)
        for window, slot in (self.key_tokens == key).nonzero().tolist():
            queries = self.query_tokens[window]
            known = queries >= 0
            out[:, queries[known]] = self.window_weights(window)[:, known, slot]
        return out
