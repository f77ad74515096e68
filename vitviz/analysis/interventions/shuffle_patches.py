"""Intervention: the picture's patches in another order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from vitviz.analysis.interventions.application import Application
from vitviz.analysis.interventions.base import Intervention, whole
from vitviz.analysis.interventions.text import NumberReader
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout


@dataclass(frozen=True)
class ShufflePatches(Intervention):
    """Permutes the patches of the input picture.

    Attributes:
        seed: Of the permutation.
    """

    code: ClassVar[str] = "shuffle"
    order: ClassVar[int] = 20

    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", whole(self.seed, "a seed"))

    def encode(self) -> str:
        return str(self.seed)

    @classmethod
    def decode(cls, fields: Sequence[str], numbers: NumberReader) -> Self | None:
        return cls(numbers.seed(fields[0])) if len(fields) == 1 else None

    def change_pixels(self, x: Tensor, layout: TokenLayout) -> Tensor:
        """As `Intervention`. Raises UnsupportedError if the input's size is not a multiple of the grid."""
        return shuffled(x, permutation(layout, self.seed), layout)

    def apply(self, application: Application) -> None:
        application.pixels(lambda x: self.change_pixels(x, application.layout))


def permutation(layout: TokenLayout, seed: int) -> np.ndarray:
    """(patches,): position i gets patch permutation[i]."""
    return np.random.default_rng(seed).permutation(layout.num_patches)


def shuffled(x: Tensor, order: np.ndarray, layout: TokenLayout) -> Tensor:
    """x (batch, 3, height, width) with the pixels of patch order[i] in the place of patch i.

    Raises:
        UnsupportedError: If the input's size is not a multiple of the grid.
    """
    batch, channels, height, width = x.shape
    rows, cols = layout.grid
    if height % rows or width % cols:
        raise UnsupportedError(
            f"A grid of {rows}x{cols} does not cut {height}x{width} pixels into equal patches, so they cannot change places."
        )
    high, wide = height // rows, width // cols
    # (batch, channels, rows, high, cols, wide) -> (batch, rows, cols, channels, high, wide)
    pieces = x.reshape(batch, channels, rows, high, cols, wide).permute(0, 2, 4, 1, 3, 5)
    pieces = pieces.reshape(batch, rows * cols, channels, high, wide)[:, torch.from_numpy(order)]
    # (batch, rows, cols, channels, high, wide) -> (batch, channels, rows, high, cols, wide)
    pieces = pieces.reshape(batch, rows, cols, channels, high, wide).permute(0, 3, 1, 4, 2, 5)
    return pieces.reshape(batch, channels, height, width)  # rows and cols joined with the pixels of their patches
