"""Relative position bias: what a query's score for each key gains only because of where the key is (BEiT, Swin, MaxViT,
...).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from vitviz.analysis.positions import HasModule
from vitviz.capture.bias import score_biases
from vitviz.capture.coordinates.layouts import placements_of
from vitviz.capture.coordinates.placement import Placement
from vitviz.errors import NOT_TAKEN, UnsupportedError, VitvizError


@dataclass(frozen=True, eq=False)
class RelativeBias:
    """One layer's bias, read off the model's own forward pass, tables and generating networks alike.

    layer   dotted name of the attention module
    values  (heads, queries, keys) float32, added to the scores before the softmax; over the whole sequence or over one
            window
    window  (rows, cols) of patches that attend to each other, where they are a rectangle without prefix tokens and without
            padding; None otherwise
    """

    layer: str
    values: np.ndarray
    window: tuple[int, int] | None = None

    @property
    def num_heads(self) -> int:
        return int(self.values.shape[0])

    def of_query(self, query: int) -> np.ndarray:
        """(heads, keys): the bias of one query against every key. Raises IndexError for a query that does not exist."""
        if not 0 <= query < self.values.shape[1]:
            raise IndexError(f"query {query} does not exist: this layer has {self.values.shape[1]}, counted from 0")
        return self.values[:, query]


def relative_biases(model: HasModule, input_size: tuple[int, int]) -> tuple[RelativeBias, ...]:
    """The bias of every layer that adds one, at an input of (height, width) pixels, first layer first.

    Raises UnsupportedError where no layer does.
    """
    found = score_biases(model.module, input_size)
    if not found:
        raise UnsupportedError(
            "This model adds no relative position bias to its attention scores; ask for its position embedding instead."
        )
    windows: dict[str, tuple[int, int] | None] = {}
    with suppress(VitvizError, *NOT_TAKEN):  # the biases are known also where the patches cannot be followed
        placements = placements_of(model.module, input_size)
        windows = {placement.module: window_of(placement) for placement in reversed(placements)}
    return tuple(RelativeBias(name, bias.float().cpu().numpy(), windows.get(name)) for name, bias in found.items())


def window_of(placement: Placement) -> tuple[int, int] | None:
    """(rows, cols) of the keys of the first window, or None where they are not a rectangle of patches and nothing else.

    The number of keys does not tell: 144 may be 12 x 12 or 8 x 18.
    """
    layout, tokens = placement.key_layout, placement.key_tokens
    if layout is None or tokens is None:
        return None
    patches = tokens[0].numpy() - layout.num_prefix  # negative for prefix tokens and padding
    if not patches.size or patches.min() < 0:
        return None
    down, right = np.divmod(patches, layout.grid[1])
    rows, cols = len(np.unique(down)), len(np.unique(right))
    return (rows, cols) if rows * cols == patches.size else None
