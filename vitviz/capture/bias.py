"""Keeping a relative position bias small: a model hands it over as a dense matrix, but holds it as a table and an index."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vitviz.capture.attention import BiasTable, DenseBias


def position_index(module: nn.Module, queries: int, keys: int) -> Tensor | None:
    """The (queries, keys) index into its bias table that an attention module, or a direct child of it, keeps; or None."""
    for owner in (module, *module.children()):
        index = getattr(owner, "relative_position_index", None)
        if isinstance(index, Tensor) and not index.is_floating_point() and index.numel() == queries * keys:
            return index.detach().reshape(queries, keys)
    return None


def compact_bias(mask: Tensor | None, index: Tensor | None) -> BiasTable | DenseBias | None:
    """A mask (heads or 1, queries or 1, keys) as a table and the model's own `index` where that loses nothing, dense otherwise.

    The table is read back from the mask, table[index[q, k]] = mask[:, q, k], and compared with the whole mask in chunks: only
    a table that gives back every value exactly is kept, so a model that adds something else on top stays dense.
    """
    if mask is None:
        return None
    if index is None or mask.shape[1:] != index.shape:
        return DenseBias(mask)
    heads = mask.shape[0]
    table = mask.new_zeros(int(index.max()) + 1, heads)
    table[index.flatten().long()] = mask.flatten(1).T  # (queries * keys, heads) -> (entries, heads)
    bias = BiasTable(table, index.to(torch.int32))
    chunk = max(1, (1 << 20) // (heads * index.shape[1]))
    for start in range(0, index.shape[0], chunk):
        rows = slice(start, start + chunk)
        if not torch.equal(bias.rows(rows), mask[:, rows]):
            return DenseBias(mask)
    return bias
