"""`Placement`: the windows of an attention call, and which token each of its queries and keys is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from vitviz.capture.coordinates.tensor import CONSTANT, Places, as_places, is_constant, is_mixture, is_place, uniform
from vitviz.capture.events import Call
from vitviz.tokens import TokenLayout, prefix_names

CHANNELS = "channels"
OVERLAPPING = "overlapping"
UNPLACED = "unplaced"
NEGATIVE = "negative"
REORDERED = "reordered"  # global, but its tokens are in another order than the layout's
PARALLEL = "parallel"  # global, and one of several calls on the same input, such as heads in separate modules


@dataclass(frozen=True, eq=False)
class Placement:
    """Which token each query and key of one attention call is.

    Attributes:
        module: Dotted name of the attention module.
        shape: Shape of the call's weights, (batch, heads, queries, keys), with window axes where the model has them.
        fused: Whether the model used the fused call.
        kind: One of
            "global" (every query of the grid attends to every token of the same grid),
            "pooled" (one grid attends to a coarser or finer one),
            "windowed" (attention within windows of the grid),
            "pooling" (a pooling layer: learned queries, as in class attention and attention pooling), or the reason why the
            call cannot be placed: "channels", "overlapping", "unplaced", "negative".
        query_layout, key_layout: None if the call cannot be placed.
        query_tokens: (windows, queries) int64: index into query_layout, -1 for padding.
        key_tokens: (windows, keys) int64: index into key_layout, -1 for padding.
        members: (windows, heads) int64: index into the call's flattened leading axes of each window and head.
        parallel: Whether the previous or next call has the same input, so that the two are not consecutive layers.
    """

    module: str
    shape: tuple[int, ...]
    fused: bool
    kind: str
    query_layout: TokenLayout | None = None
    key_layout: TokenLayout | None = None
    query_tokens: Tensor | None = None
    key_tokens: Tensor | None = None
    members: Tensor | None = None
    parallel: bool = False

    @property
    def sequence_kind(self) -> str:
        """`kind`; for a global call that cannot be used as a layer of a sequence, REORDERED or PARALLEL."""
        if self.kind != "global":
            return self.kind
        return PARALLEL if self.parallel else self.kind if self.in_order else REORDERED

    @property
    def placed(self) -> bool:
        return self.query_layout is not None

    @property
    def num_windows(self) -> int:
        return 0 if self.query_tokens is None else self.query_tokens.shape[0]

    @property
    def in_order(self) -> bool:
        """Whether it is one window without padding, with queries and keys in the order of their layouts."""
        return self.num_windows == 1 and all(
            tokens is not None and torch.equal(tokens[0], torch.arange(tokens.shape[1]))
            for tokens in (self.query_tokens, self.key_tokens)
        )


def place(call: Call, prefix: tuple[str, ...], input_size: tuple[int, int]) -> Placement:
    """The placement of a call whose tensors are `Places`."""
    with torch._C.DisableTorchFunctionSubclass():
        return _place(call, prefix, input_size)


def _place(call: Call, prefix: tuple[str, ...], input_size: tuple[int, int]) -> Placement:
    shape, fused = call.shape, call.fused
    queries, keys = (call.q, call.k) if fused else (call.explicit, call.v)
    assert queries is not None
    if keys is None:  # torch's own attention does not expose its values; its weights are at its keys' places
        keys = as_places(queries.mT) if isinstance(queries, Places) else queries.mT

    def refused(kind: str) -> Placement:
        return Placement(call.module, shape, fused, kind)

    query_places = uniform(queries, -1) if isinstance(queries, Places) else _constants(queries)
    key_places = uniform(keys, -1) if isinstance(keys, Places) else _constants(keys)
    if key_places is not None and query_places is None and not fused:
        query_places = _places_of_queries(queries, key_places)
    if query_places is None or key_places is None:
        return refused(CHANNELS)
    members, query_places, key_places = windows_of(query_places, key_places)
    if members is None:
        return refused(UNPLACED)
    if is_everywhere(query_places):
        return refused(CHANNELS)
    key = grid_of(key_places, input_size, prefix, shared=True)
    query = grid_of(query_places, input_size, prefix)
    if query is None and query_places.shape == key_places.shape:
        # Queries computed from the whole picture (GCViT): their output is added to the tokens of the keys.
        query = grid_of(key_places, input_size, prefix)
        if query is None:
            return refused(OVERLAPPING)
    if query is None or key is None:
        return refused(UNPLACED)
    (query_layout, query_tokens), (key_layout, key_tokens) = query, key
    if not key_layout.num_patches:
        return refused(UNPLACED)
    if len(query_tokens) > 1:
        kind = "windowed"
    elif not query_layout.num_patches:
        kind = "pooling"
        # A class token also attends to itself; a pooling query is learned and not one of the tokens that it attends to.
        if query_layout.num_prefix == 1 and (not key_layout.num_prefix or "pool" in call.module.rpartition(".")[2]):
            query_layout = replace(query_layout, prefix=("pool0",))
    else:
        kind = "global" if query_layout == key_layout else "pooled"
    return Placement(call.module, shape, fused, kind, query_layout, key_layout, query_tokens, key_tokens, members)


def _places_of_queries(weights: Tensor, key_places: Tensor) -> Tensor | None:
    """(.., queries): places of the queries if they had none, so that the weights are at their keys' places.

    As many queries as keys are placed at the keys (GCViT's queries for the whole picture). A single query, or a score without a
    query (global context), is a pooling query. None if the weights are neither at queries nor at keys.
    """
    places = uniform(weights, -2)
    if places is None or not bool((torch.view_as_real(places - key_places).nan_to_num(0.0).abs() < 1e-3).all()):
        return None
    return key_places if weights.shape[-2] == weights.shape[-1] else _constants(weights)


def is_everywhere(places: Tensor) -> bool:
    return bool(is_mixture(places).all())


def _constants(tensor: Tensor) -> Tensor:
    return torch.tensor(CONSTANT, dtype=torch.complex64).expand(tensor.shape[:-1])


# Pixels: places closer than this are the same. Rounding of resampled grids and of float32 means is smaller.
_SAME_PLACE = 1e-2


def grid_of(
    places: Tensor, input_size: tuple[int, int], prefix: tuple[str, ...], shared: bool = False
) -> tuple[TokenLayout, Tensor] | None:
    """(layout, index of each entry in it) of (windows, tokens) places, or None if they are not a grid.

    A place may occur once; with `shared`, once in each window.
    """
    known, learned = (
        is_place(places),
        is_constant(places) | is_mixture(places),
    )  # a mean over all patches may also come first
    num_prefix = int(learned[0].sum())
    if bool(learned.any()) and (len(places) > 1 or not bool(learned[0, :num_prefix].all())):
        return None  # learned tokens inside windows or after the patches
    if not bool((known | learned | places.isnan()).all()):
        return None
    tokens = torch.full(places.shape, -1, dtype=torch.int64)
    tokens[0, :num_prefix] = torch.arange(num_prefix)
    names = _names(num_prefix, prefix)
    if not bool(known.any()):
        return TokenLayout(names if num_prefix else (), (0, 0), (1, 1)), tokens
    rows, row_of = _ranks(places.real[known])
    cols, col_of = _ranks(places.imag[known])
    patches = row_of * cols + col_of
    tokens[known] = patches + num_prefix
    if len(patches.unique()) != rows * cols or not (shared or len(patches) == rows * cols):
        return None
    if shared:
        ordered = tokens.sort(1).values
        if bool(((ordered.diff(dim=1) == 0) & (ordered[:, 1:] >= 0)).any()):
            return None
    patch_size = (max(1, round(input_size[0] / rows)), max(1, round(input_size[1] / cols)))
    return TokenLayout(names, (rows, cols), patch_size), tokens


def _ranks(positions: Tensor) -> tuple[int, Tensor]:
    """(number of different positions, rank of each)."""
    values, order = positions.sort()
    steps = torch.cat([torch.zeros(1), (values.diff() > _SAME_PLACE).float()]).cumsum(0).long()
    ranks = torch.empty_like(steps)
    ranks[order] = steps
    return int(steps[-1]) + 1, ranks


def _names(num_prefix: int, prefix: tuple[str, ...]) -> tuple[str, ...]:
    """Names of learned tokens: the first of the model's own if it has as many, else "cls" for one, else numbers."""
    if num_prefix <= len(prefix):
        return prefix[:num_prefix]
    return ("cls",) if num_prefix == 1 else tuple(f"token{i}" for i in range(num_prefix))


def prefix_of(module: nn.Module) -> tuple[str, ...]:
    """Names of the prefix tokens that a model has as parameters, in order."""
    source = getattr(module, "embeds", module)  # NaFlexViT has its tokens in its embedding
    registers = getattr(source, "reg_token", None)
    num_registers = int(registers.shape[-2]) if isinstance(registers, Tensor) else 0
    has_cls = getattr(source, "cls_token", None) is not None
    distilled = getattr(source, "dist_token", None) is not None
    return prefix_names(has_cls + distilled + num_registers, has_cls, distilled)


# Steps in a pixel when windows are compared: most places are multiples of a half, which this represents exactly.
_FINE = 64
_PADDING = -(2.0**18)  # in place of NOWHERE, which is NaN; not a place of any picture


def windows_of(query_places: Tensor, key_places: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
    """(members (windows, heads), places (windows, queries), places (windows, keys)) of a call.

    Models fold windows and heads into leading axes in any order, so entries at the same places are heads of one window. Members
    are None if windows differ in their number of heads.
    """
    lead = torch.broadcast_shapes(query_places.shape[:-1], key_places.shape[:-1])
    count = max(1, math.prod(lead))
    index = torch.arange(count).reshape(lead)  # (product of lead,) -> (*lead)
    query_places, key_places = query_places.expand(*lead, -1), key_places.expand(*lead, -1)
    shared = tuple(
        slice(1) if query_places.stride(a) == 0 == key_places.stride(a) else slice(None) for a in range(len(lead))
    )
    few_queries = query_places[shared].reshape(-1, query_places.shape[-1])  # (few, queries)
    few_keys = key_places[shared].reshape(-1, key_places.shape[-1])  # (few, keys)
    both = torch.view_as_real(torch.cat([few_queries, few_keys], 1)).flatten(1)  # (few, 2 * (queries + keys))
    # Rounded before the comparison: places computed as sums of equal rows may differ in the last digit.
    exact = (both.nan_to_num(_PADDING) * _FINE).round().to(torch.int32).numpy()
    order: dict[bytes, int] = {}
    window = torch.tensor([order.setdefault(row.tobytes(), len(order)) for row in exact])
    first = torch.stack([(window == number).nonzero()[0, 0] for number in range(len(order))])
    small = [size if part == slice(None) else 1 for size, part in zip(lead, shared, strict=True)]
    windows = window.reshape(small).expand(lead).reshape(-1)  # (few,) -> (product of lead,)
    sizes = windows.bincount()
    if bool((sizes != sizes[0]).any()):
        return None, few_queries, few_keys
    members = windows.argsort(stable=True).reshape(len(order), -1)  # (windows * heads,) -> (windows, heads)
    return index.reshape(-1)[members], few_queries[first], few_keys[first]
