"""Relative position bias: what a query's score for each key gains only because of where the key is (BEiT, Swin, MaxViT,
...).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vitviz.analysis.positions import HasModule
from vitviz.capture.bias_alone import biases_alone
from vitviz.errors import UnsupportedError


@dataclass(frozen=True, eq=False)
class RelativeBias:
    """One layer's bias, read off the model's own forward pass, tables and generating networks alike.

    layer   dotted name of the attention module
    values  (heads, queries, keys) float32, added to the scores before the softmax; over the whole sequence or over one
            window
    """

    layer: str
    values: np.ndarray

    @property
    def num_heads(self) -> int:
        return int(self.values.shape[0])

    @property
    def window(self) -> tuple[int, int] | None:
        """(rows, cols) of the keys where they are a square window without prefix tokens; None otherwise."""
        side = round(self.values.shape[2] ** 0.5)
        return (side, side) if side * side == self.values.shape[2] else None

    def of_query(self, query: int) -> np.ndarray:
        """(heads, keys): the bias of one query against every key. Raises IndexError for a query that does not exist."""
        if not 0 <= query < self.values.shape[1]:
            raise IndexError(f"query {query} does not exist: this layer has {self.values.shape[1]}, counted from 0")
        return self.values[:, query]


def relative_biases(model: HasModule, input_size: tuple[int, int]) -> tuple[RelativeBias, ...]:
    """The bias of every layer that adds one, at an input of (height, width) pixels, first layer first.

    Raises UnsupportedError where no layer does.
    """
    found = biases_alone(model.module, input_size)
    if not found:
        raise UnsupportedError(
            "This model adds no relative position bias to its attention scores; ask for its position embedding instead."
        )
    return tuple(RelativeBias(name, bias.float().cpu().numpy()) for name, bias in found.items())
