"""Which tokens a call relates: the layout of its queries and of its keys, or a refusal that says why."""

from __future__ import annotations

from functools import lru_cache

from vitviz.capture.call import Call
from vitviz.capture.placement import CHANNELS, NEGATIVE, PARALLEL, REORDERED
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout


@lru_cache(maxsize=256)
def token_layout(length: int, layout: TokenLayout) -> TokenLayout | None:
    """The layout of a sequence of `length` tokens inside a model with `layout`, or None where it is not that grid.

    A model may append its prefix tokens late (class attention) or pool without them: the patches alone and the patches with
    the first few prefix tokens are the same grid.
    """
    num_prefix = length - layout.num_patches
    if 0 <= num_prefix <= layout.num_prefix:
        return TokenLayout(layout.prefix[:num_prefix], layout.grid, layout.patch_size)
    return None


def pooling_layout(length: int, layout: TokenLayout) -> TokenLayout:
    """The layout of `length` learned queries that only collect. They are none of the tokens of the layers before."""
    return TokenLayout(tuple(f"pool{i}" for i in range(length)), (0, 0), layout.patch_size)


def layouts_of(call: Call, layout: TokenLayout) -> tuple[TokenLayout, TokenLayout]:
    """(layout of the queries, layout of the keys) of a call over the token grid.

    Raises UnsupportedError with the shape found where the call does not relate tokens of that grid.
    """
    shape = call.shape
    if len(shape) == 4 and shape[0] == 1:
        queries, keys = shape[2:]
        key_layout = token_layout(keys, layout)
        query_layout = token_layout(queries, layout)
        if key_layout is not None and query_layout is not None:
            return query_layout, key_layout
        if key_layout is not None and queries < layout.num_patches:
            return pooling_layout(queries, layout), key_layout
    rows, cols = layout.grid
    raise UnsupportedError(
        f"The attention in {call.module or 'the model'!r} has the shape {tuple(shape)} (batch, heads, queries, keys), "
        f"which is not the model's grid of {rows}x{cols} patches with {layout.num_prefix} prefix tokens. "
        "Models with windows, several stages or pooled keys cannot be shown this way; choose one that attends globally."
    )


_WHY_NOT = {
    CHANNELS: "relates channels to each other, not patches, so there is no map of where a patch looks",
    NEGATIVE: "subtracts one map from another, so that weights can be negative",
    REORDERED: "keeps its patches in an order of its own; trace_stages puts every one in its place",
    PARALLEL: "is one of several calls on the same input, as heads that are computed one by one, and no layer by itself; "
    "trace_stages shows each of them",
    "pooled": "is between two grids of patches, or of some patches at a time",
}


def refuse_other_than_tokens(module: str, kind: str | None) -> None:
    """Raises UnsupportedError where a call of `module` is of a `kind` that does not relate tokens row by row: its shape alone
    cannot tell, a model may well be as wide as it has tokens. None: not known.
    """
    why = _WHY_NOT.get(kind or "")
    if why:
        raise UnsupportedError(
            f"The attention in {module or 'the model'!r} {why}. Choose a model whose attention relates all patches."
        )
