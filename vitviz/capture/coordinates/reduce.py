"""Rules for sums, products and attention: a number computed from several places has none of them (EVERYWHERE)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vitviz.capture.coordinates.move import folded
from vitviz.capture.coordinates.pointwise import combined
from vitviz.capture.coordinates.tensor import (
    CONSTANT,
    as_places,
    has_places,
    is_mixture,
    mean_place,
    mixture_of_all,
    narrow_places,
    place_rule,
    shape_given,
    uniform,
)
from vitviz.capture.events import FUSED
from vitviz.capture.functions import ADDED, EINSUM, MATMUL, REVERSED_MATMUL, product_of


@place_rule(
    Tensor.mean,
    torch.mean,
    Tensor.sum,
    torch.sum,
    Tensor.amax,
    torch.amax,
    Tensor.amin,
    Tensor.var,
    torch.var,
    Tensor.norm,
    Tensor.std,
)
def _reduce(func: Any, places: Tensor, *args: Any, **kwargs: Any) -> Any:
    """A reduction over channels keeps the place; one over tokens has their mean place."""
    given = (a for a in args if isinstance(a, int | tuple | list) and not isinstance(a, bool))
    dims = kwargs.get("dim", kwargs.get("axis", next(given, None)))
    shape = shape_given(func, (places, *args), kwargs).shape
    dims = range(places.ndim) if dims is None else (dims,) if isinstance(dims, int) else dims
    several = narrow_places(places).numel() > 1
    for dim in dims:
        places = mean_place(places, dim)
    if several and narrow_places(places).numel() == 1:
        return mixture_of_all(shape)
    return as_places(folded(places, tuple(shape)))


@place_rule(Tensor.max, Tensor.min, torch.max, torch.min)
def _extreme(func: Any, places: Tensor, *args: Any, **kwargs: Any) -> Any:
    if not args and not kwargs:
        return mixture_of_all(())
    if isinstance(args[0] if args else None, Tensor):
        return combined(func, places, *args, **kwargs)
    values = _reduce(Tensor.amax, places, *args, **kwargs)
    return torch.return_types.max((values, torch.zeros(values.shape, dtype=torch.long, device="meta")))


@place_rule(*(MATMUL | REVERSED_MATMUL))
def _matmul(func: Any, left: Tensor, right: Tensor, **_: Any) -> Any:
    """A product has the places of its rows; one that sums over places (weights times values) has those of its columns."""
    if func is Tensor.__rmatmul__:
        left, right = right, left
    shape = shape_given(torch.matmul, (left, right), {}).shape
    if not has_places(right):
        return as_places(mean_place(left, -1).expand(shape))
    if has_places(left):
        rows = uniform(left, -1)
        if rows is not None and not bool(is_mixture(rows).any()):
            return as_places(rows.unsqueeze(-1).expand(shape))
    columns = uniform(right, -2) if right.ndim > 1 else None
    return mixture_of_all(shape) if columns is None else as_places(columns.unsqueeze(-2).expand(shape))


@place_rule(*ADDED)
def _added(_func: Any, _added_to_it: Any, left: Tensor, right: Tensor, **_: Any) -> Any:
    return _matmul(torch.matmul, left, right)


@place_rule(torch.cdist)
def _distances(_func: Any, left: Tensor, right: Tensor, *_: Any, **__: Any) -> Any:
    """(.., queries, width), (.., keys, width) -> (.., queries, keys): the places of the rows, as for a product."""
    return _matmul(torch.matmul, left, as_places(right.mT) if has_places(right) else right.mT)


@place_rule(F.cosine_similarity)
def _similarities(_func: Any, left: Tensor, right: Tensor, dim: int = 1, *_: Any, **__: Any) -> Any:
    return _reduce(Tensor.sum, combined(torch.mul, left, right), dim)


@place_rule(*EINSUM)
def _einsum(func: Any, equation: str, *given: Any) -> Any:
    """The result has the places of the first operand that depends on the picture, without its summed axes."""
    shape = shape_given(func, (equation, *given), {}).shape
    product = product_of(func, (equation, *given), {})
    if product is None:
        return mixture_of_all(shape)
    sides = ((product.left, product.left_letters), (product.right, product.right_letters))
    places, letters = next((places, letters) for places, letters in sides if has_places(places))
    for letter in [letter for letter in letters if letter not in product.out]:
        axis = letters.index(letter)
        same = uniform(places, axis)
        if same is None:
            return mixture_of_all(shape)
        places, letters = same, letters.replace(letter, "")
    # axes in the order of the result
    places = places.permute([letters.index(letter) for letter in product.out if letter in letters])
    index = tuple(slice(None) if letter in letters else None for letter in product.out)
    return as_places(places[index].expand(shape))


def at_the_queries(weights: Tensor, values: Tensor, out: Tensor) -> Tensor:
    """Places of weights times values: those of the queries.

    Args:
        weights: (.., queries, keys). If they are at their keys' places, queries and keys are the same tokens.
        values: (.., keys, value_dim).
        out: (.., queries, value_dim), returned if neither weights nor values have places.
    """
    if not has_places(weights):
        return out
    with torch._C.DisableTorchFunctionSubclass():
        places = uniform(weights, -1)
        if places is None and weights.shape[-2] == weights.shape[-1] and has_places(values):
            places = uniform(values, -1)
        return out if places is None else as_places(places.unsqueeze(-1).expand(out.shape))


@place_rule(FUSED)
def _attend(_func: Any, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Any:
    """The output of attention has the places of its queries, also if they were computed from several places."""
    of_queries = mean_place(query, -1) if has_places(query) else torch.tensor(CONSTANT, dtype=torch.complex64)
    return as_places(of_queries.expand(*query.shape[:-1], value.shape[-1]))


@place_rule(F.multi_head_attention_forward)
def _pool(_func: Any, query: Tensor, key: Tensor, _value: Tensor, width: int, heads: int, *_: Any, **__: Any) -> Any:
    """torch's own attention, which is observed in pooling layers: its weights are at their keys' places."""
    constant = torch.tensor(CONSTANT, dtype=torch.complex64)
    rows = mean_place(key, -1)[..., 0].T if has_places(key) else constant.expand(key.shape[1], key.shape[0])
    weights = rows[:, None, None].expand(-1, heads, query.shape[0], -1)  # (batch, heads, queries, keys)
    collected = mean_place(query, -1).expand(query.shape) if has_places(query) else constant.expand(query.shape)
    return as_places(collected), as_places(weights)
