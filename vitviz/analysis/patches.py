"""Patches as pixels, and the filters that turn them into vectors.

Filters: Dosovitskiy et al. 2021 (arXiv 2010.11929), figure 7 left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from vitviz.analysis.positions import HasModule
from vitviz.capture.modules import patch_filters
from vitviz.errors import NotFiniteError, UnsupportedError
from vitviz.tokens import TokenLayout


def patch_pixels(pixels: np.ndarray, layout: TokenLayout) -> np.ndarray:
    """(height, width, channels) of what the model saw -> (patches, patch height, patch width, channels), in sequence order.

    Raises ValueError where the picture is not as large as the grid.
    """
    if pixels.shape[:2] != layout.input_size:
        raise ValueError(f"the picture is {pixels.shape[0]}x{pixels.shape[1]}, the grid covers {layout.input_size}")
    (rows, cols), (height, width) = layout.grid, layout.patch_size
    cells = pixels.reshape(rows, height, cols, width, -1).swapaxes(
        1, 2
    )  # (rows, cols, patch height, patch width, channels)
    return cells.reshape(rows * cols, height, width, -1)


@dataclass(frozen=True, eq=False)
class FilterComponents:
    """Principal components of the patch embedding's filters.

    components  (components, height, width, 3) float32, unit length each, the largest entry positive; of grey filters three
                equal channels, each of unit length
    explained   (components,) share of the filters' variance, descending
    """

    components: np.ndarray
    explained: np.ndarray


def filter_components(model: HasModule, count: int = 28) -> FilterComponents:
    """The leading `count` principal components of the learned patch filters (28 as in the paper's figure).

    Raises UnsupportedError for a model whose patches do not go through one layer of filters over pixels, NotFiniteError for
    weights that are not finite.
    """
    projection = patch_filters(model.module)
    if not isinstance(projection, nn.Conv2d) or projection.in_channels not in (1, 3):
        raise UnsupportedError(
            "This model does not cut patches with one layer of filters over pixels, so there are none to show."
        )
    filters = projection.weight.detach().float().cpu()  # (width, channels, height, width of a patch)
    if not bool(torch.isfinite(filters).all()):
        raise NotFiniteError(
            "The patch embedding's weights are not all finite numbers, so its filters have no components."
        )
    flat = filters.flatten(1) - filters.flatten(1).mean(0)  # (width, channels * height * width), centred
    _, singular, directions = torch.linalg.svd(flat, full_matrices=False)
    directions = directions[:count]
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    directions = directions * largest.sign()  # the sign of a component is arbitrary: fix it, so that pictures repeat
    variance = singular**2
    whole = variance.sum().clamp_min(torch.finfo(variance.dtype).tiny)  # filters that are all alike have no variance
    components = directions.reshape(-1, *filters.shape[1:]).permute(0, 2, 3, 1)  # (components, height, width, channels)
    components = components.expand(-1, -1, -1, 3)  # grey filters as three equal channels
    return FilterComponents(components.numpy(), (variance / whole)[:count].numpy())
