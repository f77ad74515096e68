"""Interventions on what the model is given to see: patches hidden or moved about in the picture."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from vitviz.analysis.hiding import hide
from vitviz.analysis.interventions.kinds import HidePatches, ShufflePatches
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout


def changed_pixels(x: Tensor, item: HidePatches | ShufflePatches, layout: TokenLayout) -> Tensor:
    """x (batch, 3, height, width) with the patches of `item` hidden or shuffled. Raises UnsupportedError as
    `shuffled`.
    """
    if isinstance(item, ShufflePatches):
        return shuffled(x, permutation(layout, item.seed), layout)
    if item.fill == "removed" or not item.patches:
        return x
    mask = torch.zeros(1, layout.num_patches, dtype=torch.bool, device=x.device)
    mask[:, list(item.patches)] = True
    mask = mask.reshape(1, *layout.grid)
    fills = [blurred(image, layout) if item.fill == "blur" else None for image in x]
    return torch.cat([hide(image, mask, fill) for image, fill in zip(x, fills, strict=True)])


def permutation(layout: TokenLayout, seed: int) -> np.ndarray:
    """(patches,): position i gets patch permutation[i]."""
    return np.random.default_rng(seed).permutation(layout.num_patches)


def shuffled(x: Tensor, order: np.ndarray, layout: TokenLayout) -> Tensor:
    """x (batch, 3, height, width) with the pixels of patch order[i] at the place of patch i.

    Raises UnsupportedError where the grid does not cut the input into equal patches.
    """
    batch, channels, height, width = x.shape
    rows, cols = layout.grid
    if height % rows or width % cols:
        raise UnsupportedError(
            f"A grid of {rows}x{cols} does not cut {height}x{width} pixels into equal patches, so they cannot change places."
        )
    high, wide = height // rows, width // cols
    pieces = x.reshape(batch, channels, rows, high, cols, wide).permute(
        0, 2, 4, 1, 3, 5
    )  # (batch, rows, cols, channels, high, wide)
    pieces = pieces.reshape(batch, rows * cols, channels, high, wide)[:, torch.from_numpy(order)]
    pieces = pieces.reshape(batch, rows, cols, channels, high, wide).permute(0, 3, 1, 4, 2, 5)
    return pieces.reshape(batch, channels, height, width)


def blurred(pixels: Tensor, layout: TokenLayout) -> Tensor:
    """(3, height, width): a Gaussian blur as wide as a patch, so that nothing the size of a patch can be made out."""
    side = max(layout.patch_size)
    radius = min(2 * side, min(pixels.shape[-2:]) - 1)  # the image is mirrored at its border, which it can be only once
    return gaussian_blur(pixels, [2 * radius + 1] * 2, [float(side)] * 2)
