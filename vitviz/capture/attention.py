"""One layer's attention for one image: stores queries and keys, and computes weights on request."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import pad

from vitviz.tokens import TokenLayout

# Score entries in one chunk of queries: 1 M float32 entries are 4 MB, about the size of the processor's cache. With chunks,
# memory grows with the number of tokens and not with its square.
CHUNK_ENTRIES = 1 << 20
# Every chunk reads all keys: with fewer queries a chunk of a long sequence is limited by memory bandwidth.
FEWEST_QUERIES = 32


@dataclass(frozen=True, eq=False)
class BiasTable:
    """A relative position bias as table and index, which take less memory: bias[h, q, k] = table[index[q, k], h].

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
        """(heads, queries): one key's bias for every query."""
        return self.table[self.index[:, key].long()].T  # (queries, heads) -> (heads, queries)

    @property
    def nbytes(self) -> int:
        return self.table.nbytes + self.index.nbytes


@dataclass(frozen=True, eq=False)
class DenseBias:
    """An additive score bias as it was applied: values (heads or 1, queries or 1, keys); -inf masks a key."""

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
    """Base class of attention over one grid and attention in windows: checks, and weights in chunks of queries."""

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
        """Precision of the computed weights: float32, also from half precision; float64 if the model runs in it."""
        return torch.promote_types(self._shaped.dtype, torch.float32)

    def row(self, query: int) -> Tensor:
        """(heads, keys): the weights of one query. Raises IndexError for a query that does not exist."""
        query = self._checked(query, self.num_queries, "query")
        return self.rows(slice(query, query + 1))[:, 0]

    def weights(self, head: int | None = None) -> Tensor:
        """(heads, queries, keys) float32, or (queries, keys) for one head; computed in chunks at each call, not cached."""
        heads = self.num_heads if head is None else 1
        out = torch.empty(heads, self.num_queries, self.num_keys, device=self.device, dtype=self.dtype)
        for chunk in self.query_chunks(heads):
            out[:, chunk] = self.rows(chunk, head)
        return out if head is None else out[0]

    def queries_at_once(self, heads: int | None = None) -> int:
        """Queries in a chunk of about CHUNK_ENTRIES score entries over all heads; at least `fewest_queries`."""
        return max(self.fewest_queries, CHUNK_ENTRIES // ((heads or self.num_heads) * self.num_keys))

    def query_chunks(self, heads: int | None = None) -> Iterator[slice]:
        """Consecutive slices of `queries_at_once` queries."""
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

    After a fused call, which computes no weights, q and k are stored: weights = softmax(q kT * scale + bias). A model that
    computes its weights itself leaves `explicit`.

    Attributes:
        name: Dotted name of the attention module, "blocks.3.attn".
        query_layout: Which query is which patch; in stages, pooling and class attention it differs from the keys' layout.
        key_layout: Which key is which patch.
        q: (heads, queries, head_dim), exactly as applied: after query/key norm, scaling and rotation.
        k: (heads, keys, head_dim).
        v: (heads, keys, value_dim), if requested.
        bias: Added to the scores, or None.
        scale: The factor on q kT.
        lse: (heads, queries) log-sum-exp of each row of scores, if the fused kernel returned it: a weight is then one exp.
        explicit: (heads, queries, keys) weights as the model computed them.
        rows_sum_to_one: False if the model mixes heads or subtracts maps after the softmax.
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
        """The layout of the queries; in self-attention also that of the keys."""
        return self.query_layout

    @property
    def num_queries(self) -> int:
        return self._shaped.shape[1]

    @property
    def num_keys(self) -> int:
        return self.explicit.shape[2] if self.explicit is not None else self.k.shape[1]  # type: ignore[union-attr]

    @property
    def nbytes(self) -> int:
        """Bytes of this layer's tensors."""
        parts = (self.q, self.k, self.v, self.lse, self.explicit, self.bias)
        return sum(part.nbytes for part in parts if part is not None)

    def scores(self, queries: slice | Tensor = slice(None), head: int | None = None) -> Tensor:
        """Scores q kT * scale + bias, before the softmax. One head: (1, chosen, keys).

        Returns:
            (heads, chosen queries, keys) float32.

        Raises:
            ValueError: For explicit weights, whose scores are unknown.
            IndexError: For a head that does not exist.
        """
        if self.q is None or self.k is None:
            raise ValueError(f"{self.name} gave its weights directly; it has no scores to show")
        heads = self._heads(head)
        q, k = self.q[heads][:, queries].to(self.dtype), self.k[heads].to(self.dtype)
        if self.bias is None:
            return torch.bmm(q * self.scale, k.transpose(1, 2))  # (heads, chosen, keys)
        bias = self.bias.rows(queries).to(self.dtype)
        bias = bias[heads] if bias.shape[0] > 1 else bias
        return torch.baddbmm(bias, q * self.scale, k.transpose(1, 2))  # (heads, chosen, keys)

    def log_sum_exp(self) -> Tensor:
        """(heads, queries) float32: log of each row's softmax denominator, from the kernel, else computed once in chunks."""
        if self.lse is not None:
            return self.lse
        if "lse" not in self._made:
            rows = [self.scores(chunk).logsumexp(-1) for chunk in self.query_chunks()]
            self._made["lse"] = torch.cat(rows, dim=1)
        return self._made["lse"]

    def rows(self, queries: slice | Tensor, head: int | None = None) -> Tensor:
        """(heads, chosen queries, keys) float32 weights of the chosen queries. One head: (1, chosen, keys).

        With explicit weights the result may be a view of the trace: do not write to it.

        Raises:
            IndexError: For a head that does not exist.
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
        # exp(q kT * scale - lse) in one kernel: baddbmm subtracts while it multiplies
        return torch.baddbmm(lse, q * self.scale, k.transpose(1, 2), beta=-1).exp_()

    def column(self, key: int) -> Tensor:
        """(heads, queries): the weight of one key in every query's row. Raises IndexError for a key that does not exist."""
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

    def left_multiply(self, vectors: Tensor) -> Tensor:
        """(n, queries) -> (n, heads, keys): every vector times every head's weights, v A[h], computed in chunks of queries.

        A one-hot vector gives `row`; 1/queries everywhere gives the mean attention that each key receives.
        """
        out = torch.zeros(vectors.shape[0], self.num_heads, self.num_keys, device=self.device, dtype=self.dtype)
        vectors = vectors.to(self.dtype)
        if self.device.type == "cpu":  # on a GPU, counting non-zero entries would synchronise
            weighted = vectors.any(0).nonzero()[:, 0]  # (queries,) -> (queries with any weight,)
            if len(weighted) <= self.fewest_queries:
                return out + _times(vectors[:, weighted], self.rows(weighted))
        for chunk, rows in self._rows_in_chunks():
            out += _times(vectors[:, chunk], rows)
        return out

    def _rows_in_chunks(self) -> Iterator[tuple[slice, Tensor]]:
        """Each chunk of queries with its weights, (heads, chosen, keys), which the next chunk may overwrite.

        Where the kernel returned the log-sum-exp and nothing is added to the scores, one product gives the exponent: -lse is
        one more entry of each query, against a 1 in each key. 2^x takes less time than e^x, so both are scaled by log2(e).
        """
        if self.q is None or self.k is None or self.lse is None or self.bias is not None:
            for chunk in self.query_chunks():
                yield chunk, self.rows(chunk)
            return
        log2_e = 1 / math.log(2)
        q = self.q.to(self.dtype) * (self.scale * log2_e)
        q = torch.cat([q, self.lse[..., None].to(self.dtype) * -log2_e], -1)  # (heads, queries, head_dim + 1)
        k = pad(self.k.to(self.dtype), (0, 1), value=1.0)  # (heads, keys, head_dim + 1)
        kept = q.new_empty(self.num_heads, min(self.queries_at_once(), self.num_queries), self.num_keys)
        for chunk in self.query_chunks():
            size = chunk.stop - chunk.start
            # The last chunk is shorter: a part of the kept memory is not contiguous, which a product must be to write into it.
            rows = kept if size == kept.shape[1] else q.new_empty(self.num_heads, size, self.num_keys)
            yield chunk, torch.bmm(q[:, chunk], k.transpose(1, 2), out=rows).exp2_()

    def _heads(self, head: int | None) -> slice:
        """A slice of all heads, or of one. The index is checked because an out-of-range slice is silently empty."""
        return slice(None) if head is None else slice(self._checked(head, self.num_heads, "head"), head + 1)


def _times(vectors: Tensor, rows: Tensor) -> Tensor:
    """(n, queries) times (heads, queries, keys) -> (n, heads, keys)."""
    return torch.bmm(vectors.expand(len(rows), -1, -1), rows).transpose(0, 1)  # (heads, n, keys) -> (n, heads, keys)
