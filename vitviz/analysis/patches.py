"""Patches: their pixels, the filters of the patch embedding, and one patch in two scenes.

Filters: Dosovitskiy et al. 2021 (arXiv 2010.11929), figure 7 left. Two scenes: a block of patches of one model input is
copied into another, and both go through the model. The cosine similarity of the patch's tokens in the two scenes decreases as
attention adds information from other patches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from vitviz.analysis.positions import patch_embedding
from vitviz.analysis.question import ModelLike
from vitviz.capture.blocks import Blocks
from vitviz.capture.modules import eval_mode, patch_filters
from vitviz.errors import NotFiniteError, UnsupportedError
from vitviz.tokens import Cell, TokenLayout


def patch_pixels(pixels: np.ndarray, layout: TokenLayout) -> np.ndarray:
    """A picture cut into patches.

    Args:
        pixels: (height, width, channels), the model input before normalisation.
        layout: Which token is which patch.

    Returns:
        (patches, patch height, patch width, channels), in sequence order.

    Raises:
        ValueError: For a picture of another size than the layout's.
    """
    if pixels.shape[:2] != layout.input_size:
        raise ValueError(f"the picture is {pixels.shape[0]}x{pixels.shape[1]}, the grid covers {layout.input_size}")
    (rows, cols), (height, width) = layout.grid, layout.patch_size
    cells = pixels.reshape(rows, height, cols, width, -1).swapaxes(
        1, 2
    )  # (rows, cols, patch height, patch width, channels)
    return cells.reshape(rows * cols, height, width, -1)  # (patches, patch height, patch width, channels)


@dataclass(frozen=True)
class SequenceCost:
    """The number of attention weights of one head if tokens were pixels, and if they are patches.

    Attributes:
        pixels, patches: Their numbers.
        pixel_pairs, patch_pairs: Their squares, the numbers of weights.
    """

    pixels: int
    patches: int

    @property
    def pixel_pairs(self) -> int:
        return self.pixels**2

    @property
    def patch_pairs(self) -> int:
        return self.patches**2


def sequence_cost(layout: TokenLayout) -> SequenceCost:
    """Pairs of pixels and pairs of patches of a picture with this layout."""
    height, width = layout.input_size
    return SequenceCost(height * width, layout.num_patches)


def is_cut(model: ModelLike, layout: TokenLayout) -> bool:
    """Whether the patch embedding is one layer of filters of the size of a patch, without overlap."""
    projection = patch_filters(model.module)
    if isinstance(projection, nn.Linear):
        return True
    return isinstance(projection, nn.Conv2d) and projection.kernel_size == projection.stride == layout.patch_size


@dataclass(frozen=True, eq=False)
class FilterComponents:
    """Principal components of the patch embedding's filters.

    Attributes:
        components: (components, height, width, 3) float32, each of unit norm with a positive largest entry; grey filters have
            three equal channels, each of unit norm.
        explained: (components,) share of the filters' variance, descending.
    """

    components: np.ndarray
    explained: np.ndarray


def filter_components(model: ModelLike, count: int = 28) -> FilterComponents:
    """The leading `count` principal components of the learned patch filters.

    Args:
        model: A model with a patch embedding.
        count: Number of components; 28 as in the paper's figure.

    Returns:
        The components (components, height, width, 3) and their shares of the filters' variance (components,).

    Raises:
        UnsupportedError: For a model whose patch embedding is not one layer of filters over pixels.
        NotFiniteError: For weights that are not finite.

    Source: Dosovitskiy et al. 2021, "An image is worth 16x16 words" (arXiv 2010.11929), figure 7 left.
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
    directions = directions * largest.sign()  # the sign is arbitrary: fixed so that figures are reproducible
    variance = singular**2
    whole = variance.sum().clamp_min(torch.finfo(variance.dtype).tiny)  # equal filters have a variance of 0
    components = directions.reshape(-1, *filters.shape[1:]).permute(0, 2, 3, 1)  # (components, height, width, channels)
    components = components.expand(-1, -1, -1, 3)  # grey filters as three equal channels
    return FilterComponents(components.numpy(), (variance / whole)[:count].numpy())


@dataclass(frozen=True)
class Paste:
    """A patch, and where it is pasted.

    Attributes:
        source: (row, col) of the patch in its own scene.
        target: (row, col) in the other scene; the same as `source` by default.
        block: Side of the square of patches that is pasted with the patch at its centre, an odd number; 1 is the patch alone. A
            square that exceeds the edge of either scene is cropped.

    Raises:
        ValueError: For an even block.
    """

    source: Cell
    target: Cell | None = None
    block: int = 1

    def __post_init__(self) -> None:
        if self.block < 1 or self.block % 2 == 0:
            raise ValueError(
                f"a block has an odd number of patches to a side, so that one is in its middle, not {self.block}"
            )

    @property
    def place(self) -> Cell:
        """(row, col) of the patch in the other scene."""
        return self.source if self.target is None else self.target

    def cells(self, grid: tuple[int, int]) -> Iterator[tuple[Cell, Cell]]:
        """(from, to) of every patch that is copied. Raises IndexError if source or target is outside the grid."""
        for cell in (self.source, self.place):
            if not _inside(cell, grid):
                raise IndexError(f"patch {cell} is outside the grid of {grid[0]} rows and {grid[1]} columns")
        reach = range(-(self.block // 2), self.block // 2 + 1)
        for down in reach:
            for right in reach:
                start = self.source[0] + down, self.source[1] + right
                end = self.place[0] + down, self.place[1] + right
                if _inside(start, grid) and _inside(end, grid):
                    yield start, end


def pasted(source: Tensor, target: Tensor, paste: Paste, layout: TokenLayout) -> Tensor:
    """A copy of `target` (3, height, width) with the block of `source` (3, height, width) pasted in.

    Raises:
        ValueError: For inputs of another size than the layout's.
        IndexError: For a patch outside the grid.
    """
    for pixels in (source, target):
        if tuple(pixels.shape[-2:]) != layout.input_size:
            raise ValueError(f"both scenes are inputs of {layout.input_size} pixels, not {tuple(pixels.shape[-2:])}")
    height, width = layout.patch_size
    scene = target.clone()
    for (row, col), (to_row, to_col) in paste.cells(layout.grid):
        block = source[:, row * height : (row + 1) * height, col * width : (col + 1) * width]
        scene[:, to_row * height : (to_row + 1) * height, to_col * width : (to_col + 1) * width] = block
    return scene


@dataclass(frozen=True, eq=False)
class TwoScenes:
    """Cosine similarities of one patch's token in two scenes: as embedding, with its position, and after each layer.

    Attributes:
        itself: (layers + 2,) float32: similarity of the patch's token in one scene to its token in the other.
        other: (layers + 2,) control: mean similarity to the tokens of all other patches of the second scene.
        other_low, other_high: (layers + 2,) 10th and 90th percentile of the control.
    """

    itself: np.ndarray
    other: np.ndarray
    other_low: np.ndarray
    other_high: np.ndarray

    @property
    def num_layers(self) -> int:
        return len(self.itself) - 2


def two_scenes(model: ModelLike, source: Tensor, target: Tensor, paste: Paste) -> TwoScenes:
    """Pastes a patch of one picture into another and compares its tokens in both, layer by layer.

    Similarity is the cosine between the states between blocks. Nothing is subtracted: in a model whose tokens share one strong
    direction every cosine is high, which the control shows.

    Args:
        model: A model that is a sequence of blocks.
        source: (3, height, width), normalised.
        target: (3, height, width), normalised.
        paste: The patch, and where it is pasted.

    Returns:
        Cosine similarities (layers + 2,): as embedding, with its position, and after each layer.

    Raises:
        UnsupportedError: For a model that is not a sequence of blocks.
        ValueError, IndexError: As `pasted`.
    """
    layout = model.layout
    with model.lock:
        parameter = next(model.module.parameters())
    source, target = source.to(parameter), target.to(parameter)  # to the model's device and precision
    scene = pasted(source, target, paste, layout)
    here = layout.token_at(*paste.source) - layout.num_prefix
    there = layout.token_at(*paste.place) - layout.num_prefix
    with model.lock, eval_mode(model.module), torch.inference_mode():
        states = Blocks(model.module).hidden_states(torch.stack([source, scene])).states  # each (2, tokens, width)
        entered = [torch.stack([patch_embedding(model, pixels, layout) for pixels in (source, scene)])]
        steps = entered + [state[:, -layout.num_patches :].float() for state in states]  # each (2, patches, width)
        rows = [cosine_similarity(step[0, here], step[1], dim=-1) for step in steps]
    similarity = torch.stack(rows).cpu().numpy()  # (layers + 2, patches)
    others = np.delete(similarity, there, axis=1)  # (layers + 2, patches - 1)
    low, high = np.percentile(others, (10, 90), axis=1).astype(np.float32)
    return TwoScenes(similarity[:, there], others.mean(1), low, high)


def _inside(cell: Cell, grid: tuple[int, int]) -> bool:
    return 0 <= cell[0] < grid[0] and 0 <= cell[1] < grid[1]
