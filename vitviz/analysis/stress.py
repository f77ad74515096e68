"""How an answer changes as a picture is spoiled step by step: patches shuffled or hidden, the centre cut out, texture or shape
taken away.

Shuffling: Naseer et al. 2021 (arXiv 2105.10497), Zhang and Zhu 2019 (arXiv 1905.09797). Texture against shape: Geirhos et al.
2019 (arXiv 1811.12231). Every picture here is out of the training distribution, so a curve compares networks on it and says
nothing of how either would do on photographs of that kind.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from vitviz.capture.blocks import run
from vitviz.capture.modules import evaluating
from vitviz.errors import UnsupportedError, existing
from vitviz.outputs import OutputKind, output_kind
from vitviz.progress import Progress

# Kind -> what its levels are, for the axis of a chart. The first level of each is the picture as it is.
KINDS: dict[str, str] = {
    "shuffle": "pieces to a side of the shuffled grid",
    "hide": "share of random patches hidden",
    "centre": "side of the square cut out, as a share of the picture's",
    "blur": "standard deviation of the blur, in pixels",
    "edges": "share of the drawing of edges in the mixture",
}
RANDOM = ("shuffle", "hide")
CELLS = 16  # patches to a side of the grid on which they are hidden
BATCH = 8


class Pixels(Protocol):
    """How pixels become a network's input: a loaded `Model` and the embedded convolutional network have it."""

    @property
    def mean(self) -> tuple[float, ...]: ...
    @property
    def std(self) -> tuple[float, ...]: ...


class Stressed(Protocol):
    """A network that takes pictures."""

    @property
    def name(self) -> str: ...
    @property
    def module(self) -> nn.Module: ...
    @property
    def lock(self) -> threading.RLock: ...
    @property
    def preprocessing(self) -> Pixels: ...


@dataclass(frozen=True, eq=False)
class StressCurve:
    """One kind of damage, level by level.

    Attributes:
        kind: A key of `KINDS`.
        levels: (levels,) float64, from the picture as it is to the most spoiled.
        values: (levels,) float64: the probability of the target (the output itself where outputs are plain numbers), the mean
            over random orders where the damage is random.
        low, high: (levels,) least and largest over random orders.
        pictures: (levels, height, width, 3) uint8: what the network was given, of the first random order.
        target: Number of the output.
    """

    kind: str
    levels: np.ndarray
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    pictures: np.ndarray
    target: int


def usual_levels(kind: str, size: tuple[int, int]) -> tuple[float, ...]:
    """The levels that are asked by default for a picture of (height, width) pixels.

    For "shuffle" the grids from 2 to 16 that cut it into equal pieces, so that each is a true permutation.
    """
    if kind == "shuffle":
        return (1, *(grid for grid in range(2, 17) if size[0] % grid == 0 and size[1] % grid == 0))
    if kind in ("hide", "centre"):
        return tuple(round(0.1 * step, 1) for step in range(10))
    if kind == "blur":
        return (0, 1, 2, 3, 4, 6, 8, 12, 16)
    if kind == "edges":
        return tuple(round(0.125 * step, 3) for step in range(9))
    raise ValueError(f"a kind is one of {', '.join(KINDS)}, not {kind!r}")


def spoiled(picture: np.ndarray, kind: str, level: float, seed: int = 0) -> np.ndarray:
    """The picture (height, width, 3) uint8 with one kind of damage; a new array, equal to the picture at the first level.

    Args:
        picture: What the network would be given.
        kind: "shuffle": pieces of a `level` by `level` grid change places. "hide": that share of the cells of a grid of
            16 by 16 gets the picture's mean colour; a larger share hides the same cells and more. "centre": the same for a
            square in the middle. "blur": a Gaussian blur, which takes texture and leaves shape. "edges": a mixture with the
            size of the grey picture's gradient (Sobel), which takes colour and texture and leaves outlines.
        level: See `KINDS`.
        seed: Of the random order.

    Raises:
        ValueError: For another kind, a level out of range, or a grid that does not cut the picture into equal pieces.
    """
    height, width = picture.shape[:2]
    if kind == "shuffle":
        return _shuffled(picture, int(level), seed)
    if kind not in KINDS:
        raise ValueError(f"a kind is one of {', '.join(KINDS)}, not {kind!r}")
    if kind == "blur":
        if level < 0:
            raise ValueError(f"a blur has a standard deviation of 0 or more, not {level}")
        blurred = ndimage.gaussian_filter(
            picture.astype(np.float64), (level, level, 0)
        )  # in uint8 each axis would round down
        return blurred.round().astype(np.uint8)
    if not 0 <= level <= 1:
        raise ValueError(f"a share is between 0 and 1, not {level}")
    if kind == "edges":
        if level == 0:
            return picture.copy()
        mixed = (1 - level) * picture + level * _edges(picture)[..., None]
        return mixed.round().astype(np.uint8)
    hidden = np.zeros((height, width), bool)
    if kind == "hide":
        order = np.random.default_rng(seed).permutation(CELLS * CELLS)
        cells = np.zeros(CELLS * CELLS, bool)
        cells[order[: round(level * CELLS * CELLS)]] = True
        rows, cols = (np.arange(length) * CELLS // length for length in (height, width))
        hidden = cells.reshape(CELLS, CELLS)[rows[:, None], cols]
    else:
        high, wide = round(level * height), round(level * width)
        top, left = (height - high) // 2, (width - wide) // 2
        hidden[top : top + high, left : left + wide] = True
    answer = picture.copy()
    answer[hidden] = picture.mean((0, 1)).round().astype(np.uint8)
    return answer


def piece_order(grid: int, seed: int) -> np.ndarray:
    """(grid * grid,): place i gets piece order[i]; row by row."""
    return np.random.default_rng(seed).permutation(grid * grid)


def _shuffled(picture: np.ndarray, grid: int, seed: int) -> np.ndarray:
    height, width = picture.shape[:2]
    if grid < 1 or height % grid or width % grid:
        raise ValueError(
            f"a grid of {grid} by {grid} does not cut {height} x {width} pixels into equal pieces, so they cannot change places"
        )
    if grid == 1:
        return picture.copy()
    pieces = picture.reshape(grid, height // grid, grid, width // grid, 3).swapaxes(1, 2)  # (row, col, high, wide, 3)
    pieces = pieces.reshape(grid * grid, height // grid, width // grid, 3)[piece_order(grid, seed)]
    rows = pieces.reshape(grid, grid, height // grid, width // grid, 3).swapaxes(1, 2)  # (row, high, col, wide, 3)
    return np.ascontiguousarray(rows.reshape(height, width, 3))


def _edges(picture: np.ndarray) -> np.ndarray:
    """(height, width) in 0 to 255: the size of the gradient of the grey picture, its largest at 255."""
    grey = picture @ np.array([0.299, 0.587, 0.114])
    size = np.hypot(ndimage.sobel(grey, 0), ndimage.sobel(grey, 1))
    return size * (255 / max(float(size.max()), 1e-9))


def stress_curve(
    model: Stressed,
    picture: np.ndarray,
    kind: str,
    target: int | None = None,
    levels: Sequence[float] = (),
    orders: int = 3,
    progress: Progress | None = None,
) -> StressCurve:
    """The target's probability as the picture is spoiled.

    Args:
        model: A Vision Transformer or a convolutional network.
        picture: (height, width, 3) uint8, what this network sees of the photograph (`Prepared.shown`).
        kind: A key of `KINDS`.
        target: Number of the output; what the network says of the picture as it is by default.
        levels: By default `usual_levels`.
        orders: Random orders for each level, where the damage is random.
        progress: Called with (pictures done, pictures); raise from it to stop.

    Raises:
        UnsupportedError: For a model without a classifier.
        ValueError: As `spoiled`.
        IndexError: For an output that does not exist.
    """
    size = (picture.shape[0], picture.shape[1])
    usual = usual_levels(kind, size)
    asked = tuple(levels) or usual
    seeds = range(orders if kind in RANDOM else 1)
    kind_of_output = _kind(model)
    pictures = [[spoiled(picture, kind, level, seed) for level in asked] for seed in seeds]
    flat, places = [picture], []  # each picture once: the first level is the picture as it is, in every order
    for each in (each for order in pictures for each in order):
        places.append(0 if np.array_equal(each, picture) else len(flat))
        flat += [each] * bool(places[-1])
    rows = []
    with model.lock, evaluating(model.module), torch.inference_mode(False), torch.no_grad():
        for start in range(0, len(flat), BATCH):
            batch = torch.stack([model_input(model, each) for each in flat[start : start + BATCH]])
            rows.append(kind_of_output.read(run(model.module, batch, kind_of_output).logits).double().cpu())
            if progress:
                progress(min(start + BATCH, len(flat)), len(flat))
    values = torch.cat(rows).numpy()[[0, *places]]  # (1 + orders * levels, outputs)
    index = int(values[0].argmax()) if target is None else existing(target, values.shape[1], "output")
    curves = values[1:, index].reshape(len(seeds), len(asked))
    return StressCurve(
        kind,
        np.array(asked, np.float64),
        curves.mean(0),
        curves.min(0),
        curves.max(0),
        np.stack(pictures[0]),
        index,
    )


def _kind(model: Any) -> OutputKind:
    kind = output_kind(model)
    if kind is OutputKind.FEATURES:
        raise UnsupportedError(f"{model.name} has no classifier, so there is no probability to follow.")
    return kind


def model_input(model: Stressed, picture: np.ndarray) -> Tensor:
    """(channels, height, width): a picture (height, width, 3) uint8 as the network wants it, with nothing cut or resized."""
    wanted = model.preprocessing
    parameter = next(model.module.parameters())
    pixels = torch.from_numpy(np.array(picture[..., : len(wanted.mean)])).permute(2, 0, 1)
    pixels = pixels.to(parameter) / 255
    mean, std = (torch.tensor(values).to(parameter)[:, None, None] for values in (wanted.mean, wanted.std))
    return (pixels - mean) / std
