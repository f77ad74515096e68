"""Rotary positions: queries and keys are turned by angles that grow with position, so that scores feel only
displacement.

Su et al. 2021 (arXiv 2104.09864); in two dimensions Heo et al. 2024 (arXiv 2403.13298). With content out of the way a
score changes by K(d) = mean over frequencies of cos(w . d), from the model's own table of frequencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vitviz.analysis.positions import HasModule
from vitviz.capture.modules import num_heads_of
from vitviz.errors import UnsupportedError, existing
from vitviz.tokens import TokenLayout


@dataclass(frozen=True, eq=False)
class RotaryTable:
    """The model's own angles, as sines and cosines.

    sin, cos  (layers or 1, heads or 1, patches, channels): one layer or head where all share them (axial); all where
              the frequencies are learned for each (mixed)
    grid      (rows, cols) of patches
    layers, heads  how many the model has, which may all share one table
    """

    sin: Tensor
    cos: Tensor
    grid: tuple[int, int]
    layers: int
    heads: int

    def similarity(self, layer: int = 0, head: int = 0, patches: Sequence[int] | None = None) -> np.ndarray:
        """(patches, patches) float32: K of the displacement between every two patches, in [-1, 1].

        cos(a - b) = cos a cos b + sin a sin b, averaged over the channels.

        patches  numbers of the patches, counted row by row from 0, whose rows are wanted: (chosen, patches)

        Raises IndexError for a layer, head or patch that does not exist.
        """
        layer, head = existing(layer, self.layers, "layer"), existing(head, self.heads, "head")
        layer, head = (min(asked, kept - 1) for asked, kept in zip((layer, head), self.sin.shape[:2], strict=True))
        sin, cos = self.sin[layer, head].double(), self.cos[layer, head].double()  # (patches, channels)
        rows = slice(None) if patches is None else [existing(patch, len(sin), "patch") for patch in patches]
        return ((cos[rows] @ cos.T + sin[rows] @ sin.T) / sin.shape[1]).float().cpu().numpy()

    def kernel(self, layer: int = 0, head: int = 0) -> np.ndarray:
        """(2 rows - 1, 2 cols - 1) float32: K(d) for every displacement on the grid, zero displacement in the middle.

        Raises IndexError for a layer or head that does not exist.
        """
        rows, cols = self.grid
        last_row, last_col = (rows - 1) * cols, cols - 1
        kernel = np.empty((2 * rows - 1, 2 * cols - 1), np.float32)
        # Seen from a corner every patch is one displacement, and the four corners have them all.
        corners = self.similarity(layer, head, [0, last_col, last_row, last_row + last_col]).reshape(4, rows, cols)
        kernel[rows - 1 :, cols - 1 :], kernel[rows - 1 :, :cols] = corners[0], corners[1]
        kernel[:rows, cols - 1 :], kernel[:rows, :cols] = corners[2], corners[3]
        return kernel


def rotary_table(model: HasModule, layout: TokenLayout) -> RotaryTable:
    """The table that the model uses on `layout`'s grid. Raises UnsupportedError for a model without rotary positions."""
    rope = getattr(model.module, "rope", None)
    embed = getattr(rope, "get_embed", None)
    if embed is None:
        raise UnsupportedError(
            "This model does not rotate its queries and keys by position, so it has no rotary kernel."
        )
    with getattr(model, "lock", nullcontext()), torch.inference_mode():
        try:
            made = embed(shape=list(layout.grid))
        except (TypeError, AssertionError, RuntimeError):
            made = embed()
    sin, cos = made if isinstance(made, tuple) else made.chunk(2, dim=-1)
    if sin.shape[-2] != layout.num_patches:
        raise UnsupportedError(
            f"This model's rotary table has {sin.shape[-2]} positions and the grid {layout.num_patches} patches."
        )
    sin, cos = (part.reshape(*(1,) * (4 - part.ndim), *part.shape) for part in (sin, cos))
    layers, heads = sin.shape[:2]
    blocks = getattr(model.module, "blocks", None)
    if isinstance(blocks, nn.Sequential | nn.ModuleList) and len(blocks):
        layers, heads = len(blocks), num_heads_of(blocks[0]) or heads
    return RotaryTable(sin, cos, layout.grid, layers, heads)
