"""Patches: their pixels, the filters that turn them into vectors, and the same patch in two scenes.

Filters: Dosovitskiy et al. 2021 (arXiv 2010.11929), figure 7 left. Two scenes: a block of patches of one model input is
copied into another, pixel for pixel, and both go through the model. The cosine similarity of the patch's token in one scene
with its token in the other falls as attention mixes in what lies around.
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
from vitviz.capture.modules import evaluating, patch_filters
from vitviz.errors import NotFiniteError, UnsupportedError
from vitviz.tokens import TokenLayout


def patch_pixels(pixels: np.ndarray, layout: TokenLayout) -> np.ndarray:
    """(height, width, channels) of what the model saw -> (patches, patch height, patch width, channels), in sequence order.

    Raises:
        ValueError: where the picture is not as large as the grid.
    """
    if pixels.shape[:2] != layout.input_size:
        raise ValueError(f"the picture is {pixels.shape[0]}x{pixels.shape[1]}, the grid covers {layout.input_size}")
    (rows, cols), (height, width) = layout.grid, layout.patch_size
    cells = pixels.reshape(rows, height, cols, width, -1).swapaxes(
        1, 2
    )  # (rows, cols, patch height, patch width, channels)
    return cells.reshape(rows * cols, height, width, -1)


@dataclass(frozen=True)
class SequenceCost:
    """What it takes to relate everything with everything, for each head of each layer.

    Attributes:
        pixels, patches: numbers of them.
        pixel_pairs, patch_pairs: their squares: how many weights there would be.
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
    """Why patches and not pixels: the pairs that a picture of this layout has of each."""
    height, width = layout.input_size
    return SequenceCost(height * width, layout.num_patches)


def is_cut(model: ModelLike, layout: TokenLayout) -> bool:
    """Whether the picture is cut into the patches of the layout: one layer of filters, each over one patch and no more."""
    projection = patch_filters(model.module)
    if isinstance(projection, nn.Linear):
        return True
    return isinstance(projection, nn.Conv2d) and projection.kernel_size == projection.stride == layout.patch_size


@dataclass(frozen=True, eq=False)
class FilterComponents:
    """Principal components of the patch embedding's filters.

    Attributes:
        components: (components, height, width, 3) float32, unit length each, the largest entry positive; of grey filters three
            equal channels, each of unit length.
        explained: (components,) share of the filters' variance, descending.
    """

    components: np.ndarray
    explained: np.ndarray


def filter_components(model: ModelLike, count: int = 28) -> FilterComponents:
    """The leading `count` principal components of the learned patch filters (28 as in the paper's figure).

    Raises:
        UnsupportedError: for a model whose patches do not go through one layer of filters over pixels.
        NotFiniteError: for weights that are not finite.
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


Cell = tuple[int, int]


@dataclass(frozen=True)
class Paste:
    """Which patch goes where.

    Attributes:
        source: (row, col) of the patch in the scene it comes from.
        target: (row, col) of the place in the scene it goes to; the same place where not given.
        block: side of the square of patches around it that goes along, an odd number; 1 is the patch alone. Where the square
            reaches over the edge of either scene, it is cut off.

    Raises:
        ValueError: for an even block.
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
        """(row, col) of the patch in the scene it goes to."""
        return self.source if self.target is None else self.target

    def cells(self, grid: tuple[int, int]) -> Iterator[tuple[Cell, Cell]]:
        """(from, to) of every patch that is copied. Raises IndexError where the patch or its place is outside the grid."""
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
    """`target` (3, height, width) with the block of `source` (3, height, width) in its place; a new tensor.

    Raises:
        ValueError: for inputs of another size than the layout's.
        IndexError: for a patch outside the grid.
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
    """One patch's token in two scenes, step by step: embedded, with its position, then after each layer.

    Attributes:
        itself: (layers + 2,) float32: cosine similarity of the token in one scene with its own in the other.
        other: (layers + 2,) the control: with the token of any other patch of the second scene, on average over all of them.
        other_low, other_high: (layers + 2,) the 10th and the 90th percentile of those.
    """

    itself: np.ndarray
    other: np.ndarray
    other_low: np.ndarray
    other_high: np.ndarray

    @property
    def num_layers(self) -> int:
        return len(self.itself) - 2


def two_scenes(model: ModelLike, source: Tensor, target: Tensor, paste: Paste) -> TwoScenes:
    """Pastes a patch of `source` into `target`, both (3, height, width) and normalised, and follows its token in both.

    Similarity is the plain cosine between the states that go from block to block. Nothing is subtracted first: where all tokens
    of a model share one strong direction, every cosine is high, and the control says so.

    Raises UnsupportedError for a model that is not one row of blocks, ValueError and IndexError as `pasted`.
    """
    layout = model.layout
    with model.lock:
        parameter = next(model.module.parameters())
    source, target = source.to(parameter), target.to(parameter)  # on its device, in its precision
    scene = pasted(source, target, paste, layout)
    here = layout.token_at(*paste.source) - layout.num_prefix
    there = layout.token_at(*paste.place) - layout.num_prefix
    with model.lock, evaluating(model.module), torch.inference_mode():
        states = Blocks(model.module).walk(torch.stack([source, scene])).states  # each (2, tokens, width)
        entered = [torch.stack([patch_embedding(model, pixels, layout) for pixels in (source, scene)])]
        steps = entered + [state[:, -layout.num_patches :].float() for state in states]  # each (2, patches, width)
        rows = [cosine_similarity(step[0, here], step[1], dim=-1) for step in steps]
    similarity = torch.stack(rows).cpu().numpy()  # (layers + 2, patches)
    others = np.delete(similarity, there, axis=1)  # (layers + 2, patches - 1)
    low, high = np.percentile(others, (10, 90), axis=1).astype(np.float32)
    return TwoScenes(similarity[:, there], others.mean(1), low, high)


def _inside(cell: Cell, grid: tuple[int, int]) -> bool:
    return 0 <= cell[0] < grid[0] and 0 <= cell[1] < grid[1]
