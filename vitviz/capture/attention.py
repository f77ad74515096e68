"""One layer's attention for one image: all that is needed to compute any weight; weights are computed on request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vitviz.tokens import TokenLayout

# Score entries held at once when weights are computed chunk by chunk: 1 M float32 entries are 4 MB, so that a chunk stays near
# the processor's cache, and memory grows with tokens and not with tokens squared.
CHUNK_ENTRIES = 1 << 20
# A chunk reads every key once. In a long sequence, chunks of a few queries would do little else.
FEWEST_QUERIES = 32


@dataclass(frozen=True, eq=False)
class BiasTable:
    """A relative position bias as its table and index, so that it stays small: bias[h, q, k] = table[index[q, k], h].

    Attributes:
        table: (entries, heads).
        index: (queries, keys) integers.
    """

    table: Tensor
    index: Tensor

    def rows(self, queries: slice | Tensor) -> Tensor:
        """(heads, chosen queries, keys)."""
        return self.table[self.index[queries].long()].permute(2, 0, 1)  # (chosen, keys, heads) -> (heads, chosen, keys)

    def columns(self, key: int) -> Tensor:
        """(heads, queries): the bias of every query towards one key."""
        return self.table[self.index[:, key].long()].T  # (queries, heads) -> (heads, queries)

    @property
    def nbytes(self) -> int:
        return self.table.nbytes + self.index.nbytes


@dataclass(frozen=True, eq=False)
class DenseBias:
    """An additive score bias held as it was applied: values (heads or 1, queries or 1, keys); -inf hides a key."""

    values: Tensor

    def rows(self, queries: slice | Tensor) -> Tensor:
        """(heads or 1, chosen queries or 1, keys)."""
        return self.values if self.values.shape[1] == 1 else self.values[:, queries]

    def columns(self, key: int) -> Tensor:
        """(heads or 1, queries or 1)."""
        return self.values[:, :, key]

    @property
    def nbytes(self) -> int:
        return self.values.nbytes


class AttentionBase:
    """What attention over one grid and attention in windows share: checks, and weights in chunks of queries."""

    q: Tensor | None
    k: Tensor | None
    explicit: Tensor | None
    fewest_queries = 1  # in a chunk

    def __post_init__(self) -> None:
        if (self.explicit is None) == (self.q is None or self.k is None):
            raise ValueError("attention is given either as q and k or as explicit weights")

    @property
    def num_heads(self) -> int:
        raise NotImplementedError

    @property
    def num_queries(self) -> int:
        raise NotImplementedError

    @property
    def num_keys(self) -> int:
        raise NotImplementedError

    def rows(self, queries: slice | Tensor, head: int | None = None) -> Tensor:
        """(heads, chosen queries, keys), or (1, chosen queries, keys) for one head."""
        raise NotImplementedError

    @property
    def _shaped(self) -> Tensor:
        return self.explicit if self.explicit is not None else self.q  # type: ignore[return-value]

    @property
    def device(self) -> torch.device:
        return self._shaped.device

    @property
    def dtype(self) -> torch.dtype:
        """What weights are computed in: float32, also from half precision; float64 where the model runs in it."""
        return torch.promote_types(self._shaped.dtype, torch.float32)

    def row(self, query: int) -> Tensor:
        """(heads, keys): where one query looks. Raises IndexError for a query that does not exist."""
        query = self._checked(query, self.num_queries, "query")
        return self.rows(slice(query, query + 1))[:, 0]

    def weights(self, head: int | None = None) -> Tensor:
        """(heads, queries, keys) float32, or (queries, keys) for one head; computed now, in chunks, and not kept."""
        heads = self.num_heads if head is None else 1
        out = torch.empty(heads, self.num_queries, self.num_keys, device=self.device, dtype=self.dtype)
        for chunk in self.query_chunks(heads):
            out[:, chunk] = self.rows(chunk, head)
        return out if head is None else out[0]

    def queries_at_once(self, heads: int | None = None) -> int:
        """How many queries have about CHUNK_ENTRIES score entries over all heads; no less than `fewest_queries`."""
        return max(self.fewest_queries, CHUNK_ENTRIES // ((heads or self.num_heads) * self.num_keys))

    def query_chunks(self, heads: int | None = None) -> Iterator[slice]:
        """Slices of so many queries, one behind the other."""
        size = self.queries_at_once(heads)
        for start in range(0, self.num_queries, size):
            yield slice(start, min(start + size, self.num_queries))

    @staticmethod
    def _checked(index: int, size: int, kind: str) -> int:
        if not 0 <= index < size:
            raise IndexError(f"{kind} {index} does not exist: this layer has {size}, counted from 0")
        return index


@dataclass(frozen=True, eq=False)
class Attention(AttentionBase):
    """One layer's attention for one image, in one of two forms. Tensors are detached and read-only.

    From queries and keys (the model made its weights inside a fused call), weights = softmax(q kT * scale + bias):
        q      (heads, queries, head_dim), exactly as applied: after query/key norm, scaling and rotation
        k      (heads, keys, head_dim)
        v      (heads, keys, value_dim), when asked for
        bias   BiasTable, DenseBias or None
        scale  the factor on q kT
        lse    (heads, queries) log-sum-exp of each row of scores, where the fused kernel gave it: a weight is then one exp
    From explicit weights (the model made them itself):
        explicit  (heads, queries, keys)

    Attributes:
        name: the attention module in the model, "blocks.3.attn".
        query_layout: which query is which patch; stages, pooling and class attention differ between queries and keys.
        key_layout: which key is which patch.
        rows_sum_to_one: False where the model mixes heads or subtracts maps after the softmax.
    """

    name: str
    query_layout: TokenLayout
    key_layout: TokenLayout
    q: Tensor | None = None
    k: Tensor | None = None
    v: Tensor | None = None
    bias: BiasTable | DenseBias | None = None
    scale: float = 1.0
    lse: Tensor | None = None
    explicit: Tensor | None = None
    rows_sum_to_one: bool = True
    _made: dict[str, Tensor] = field(default_factory=dict, repr=False)
    fewest_queries = FEWEST_QUERIES

    def __repr__(self) -> str:
        made = "explicit weights" if self.explicit is not None else "from queries and keys"
        return f"Attention({self.name!r}: {self.num_heads} heads, {self.num_queries} queries, {self.num_keys} keys, {made})"

    @property
    def num_heads(self) -> int:
        return self._shaped.shape[0]

    @property
    def layout(self) -> TokenLayout:
        """The layout of the queries, which in self-attention is the layout of the keys too."""
        return self.query_layout

    @property
    def num_queries(self) -> int:
        return self._shaped.shape[1]

    @property
    def num_keys(self) -> int:
        return self.explicit.shape[2] if self.explicit is not None else self.k.shape[1]  # type: ignore[union-attr]

    @property
    def nbytes(self) -> int:
        """Bytes of this layer's numbers."""
        parts = (self.q, self.k, self.v, self.lse, self.explicit, self.bias)
        return sum(part.nbytes for part in parts if part is not None)

    def scores(self, queries: slice | Tensor = slice(None), head: int | None = None) -> Tensor:
        """Scores q kT * scale + bias, before the softmax. One head: (1, chosen, keys).

        Returns:
            (heads, chosen queries, keys) float32.

        Raises:
            ValueError: where the model handed over explicit weights, which have no scores.
            IndexError: for a head that does not exist.
        """
        if self.q is None or self.k is None:
            raise ValueError(f"{self.name} gave its weights directly; it has no scores to show")
        heads = self._heads(head)
        q, k = self.q[heads][:, queries].to(self.dtype), self.k[heads].to(self.dtype)
        if self.bias is None:
            return torch.bmm(q * self.scale, k.transpose(1, 2))
        bias = self.bias.rows(queries).to(self.dtype)
        bias = bias[heads] if bias.shape[0] > 1 else bias
        return torch.baddbmm(bias, q * self.scale, k.transpose(1, 2))

    def log_sum_exp(self) -> Tensor:
        """(heads, queries) float32: log of each row's softmax denominator; the kernel's own, or computed once in chunks."""
        if self.lse is not None:
            return self.lse
        if "lse" not in self._made:
            rows = [self.scores(chunk).logsumexp(-1) for chunk in self.query_chunks()]
            self._made["lse"] = torch.cat(rows, dim=1)
        return self._made["lse"]

    def rows(self, queries: slice | Tensor, head: int | None = None) -> Tensor:
        """(heads, chosen queries, keys) float32 weights of the chosen queries. One head: (1, chosen, keys).

        The result may be a view of the trace where the weights were explicit: do not write to it.

        Raises:
            IndexError: for a head that does not exist.
        """
        heads = self._heads(head)
        if self.explicit is not None:
            return self.explicit[heads][:, queries].to(self.dtype)
        if self.lse is None:
            return self.scores(queries, head).softmax(-1)
        lse = self.lse[heads][:, queries, None].to(self.dtype)  # (heads, chosen, 1)
        if self.bias is not None:
            return self.scores(queries, head).sub_(lse).exp_()
        assert self.q is not None and self.k is not None
        q, k = self.q[heads][:, queries].to(self.dtype), self.k[heads].to(self.dtype)
        # exp(q kT * scale - lse): the subtraction is part of the product's kernel
        return torch.baddbmm(lse, q * self.scale, k.transpose(1, 2), beta=-1).exp_()

    def column(self, key: int) -> Tensor:
        """(heads, queries): who looks at one key. Raises IndexError for a key that does not exist."""
        key = self._checked(key, self.num_keys, "key")
        if self.explicit is not None:
            return self.explicit[:, :, key].to(self.dtype)
        assert self.q is not None and self.k is not None
        scores = (self.q.to(self.dtype) @ self.k[:, key, :, None].to(self.dtype))[
            ..., 0
        ] * self.scale  # (heads, queries)
        if self.bias is not None:
            scores = scores + self.bias.columns(key).to(self.dtype)
        return (scores - self.log_sum_exp()).exp()

    def pull(self, vectors: Tensor) -> Tensor:
        """(n, queries) -> (n, heads, keys): every vector times every head's weights, v A[h]; no (queries, keys) matrix is kept.

        With a one-hot vector this is `row`; with 1/queries everywhere it is the share of attention each key gets.
        """
        out = torch.zeros(vectors.shape[0], self.num_heads, self.num_keys, device=self.device, dtype=self.dtype)
        vectors = vectors.to(self.dtype)
        if self.device.type == "cpu":  # counting them would wait for a GPU
            weighted = vectors.any(0).nonzero()[:, 0]  # (queries,) -> (queries with any weight,)
            if len(weighted) <= self.fewest_queries:
                return out + _times(vectors[:, weighted], self.rows(weighted))
        for chunk in self.query_chunks():
            out += _times(vectors[:, chunk], self.rows(chunk))
        return out

    def _heads(self, head: int | None) -> slice:
        """All heads, or one: a slice beyond the last would be empty without a word."""
        return slice(None) if head is None else slice(self._checked(head, self.num_heads, "head"), head + 1)


def _times(vectors: Tensor, rows: Tensor) -> Tensor:
    """(n, queries) times (heads, queries, keys) -> (n, heads, keys)."""
    return torch.bmm(vectors.expand(len(rows), -1, -1), rows).transpose(0, 1)  # (heads, n, keys) -> (n, heads, keys)
