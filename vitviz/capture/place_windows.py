"""Which entries of an attention call's leading axes are windows, and which are heads of one window."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Windows are told apart on a grid of this many steps a pixel: most places are halves, and sit on it exactly.
_FINE = 64
_PADDING = -(2.0**18)  # stands for nowhere, where no place can be


def windows_of(query_places: Tensor, key_places: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
    """(members, (windows, queries), (windows, keys)): entries at the same places are heads of one window. No members
    where the windows differ in their number of heads. Models fold windows and heads into leading axes in every order
    there is.
    """
    lead = torch.broadcast_shapes(query_places.shape[:-1], key_places.shape[:-1])
    count = max(1, math.prod(lead))
    index = torch.arange(count).reshape(lead)
    query_places, key_places = query_places.expand(*lead, -1), key_places.expand(*lead, -1)
    shared = tuple(
        slice(1) if query_places.stride(a) == 0 == key_places.stride(a) else slice(None) for a in range(len(lead))
    )
    few_queries = query_places[shared].reshape(-1, query_places.shape[-1])
    few_keys = key_places[shared].reshape(-1, key_places.shape[-1])
    both = torch.view_as_real(torch.cat([few_queries, few_keys], 1)).flatten(1)  # (few, 2 * (queries + keys))
    # Compared number by number, on a grid finer than any two places: sums of equal rows may differ in their last digit.
    exact = (both.nan_to_num(_PADDING) * _FINE).round().to(torch.int32).numpy()
    order: dict[bytes, int] = {}
    window = torch.tensor([order.setdefault(row.tobytes(), len(order)) for row in exact])
    first = torch.stack([(window == number).nonzero()[0, 0] for number in range(len(order))])
    small = [size if part == slice(None) else 1 for size, part in zip(lead, shared, strict=True)]
    window_of = window.reshape(small).expand(lead).reshape(-1)
    sizes = window_of.bincount()
    if bool((sizes != sizes[0]).any()):
        return None, few_queries, few_keys
    members = window_of.argsort(stable=True).reshape(len(order), -1)
    return index.reshape(-1)[members], few_queries[first], few_keys[first]
