"""How a model knows where a patch was."""

from __future__ import annotations

from contextlib import suppress

from vitviz.analysis.positions import HasModule, position_embedding
from vitviz.analysis.relative import relative_biases
from vitviz.analysis.rotary import rotary_table
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout


def position_kinds(model: HasModule, layout: TokenLayout) -> tuple[str, ...]:
    """All of "learned", "sin-cos", "rotary" and "relative" that the model has, in this order; ("none",) where it has
    none of them.

    Convolutions between the layers can tell positions too, and are not counted.
    """
    kinds = []
    with suppress(UnsupportedError):
        kinds.append(position_embedding(model, layout).kind)
    with suppress(UnsupportedError):
        rotary_table(model, layout)
        kinds.append("rotary")
    with suppress(UnsupportedError):
        # patches that overlap do not tell the size of the input
        size = getattr(model, "input_size", None) if getattr(model, "layout", None) == layout else None
        relative_biases(model, size or layout.input_size)
        kinds.append("relative")
    return tuple(kinds) or ("none",)
