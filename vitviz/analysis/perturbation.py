"""Predictions for a picture perturbed in steps: patches shuffled or hidden, the centre masked, texture or shape removed.

Shuffling: Naseer et al. 2021 (arXiv 2105.10497), Zhang and Zhu 2019 (arXiv 1905.09797). Texture against shape: Geirhos et al.
2019 (arXiv 1811.12231). The perturbed pictures are out of the training distribution: a curve compares networks on one picture,
and does not measure their accuracy on such photographs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from vitviz.analysis.question import LoadedNetwork
from vitviz.capture.blocks import run
from vitviz.capture.cost import pictures_at_once
from vitviz.capture.modules import eval_mode
from vitviz.errors import UnsupportedError, checked_index
from vitviz.outputs import OutputKind, output_kind
from vitviz.progress import Progress

# Kind -> the meaning of its levels, for the axis of a chart. The first level of each is the unchanged picture.
KINDS: dict[str, str] = {
    "shuffle": "pieces to a side of the shuffled grid",
    "hide": "share of random patches hidden",
    "centre": "side of the masked square, as a share of the picture's",
    "blur": "standard deviation of the blur, in pixels",
    "edges": "share of the drawing of edges in the mixture",
}
RANDOM = ("shuffle", "hide")
CELLS = 16  # cells to a side of the grid for "hide"
BATCH = 8  # most pictures in one pass


@dataclass(frozen=True, eq=False)
class PerturbationCurve:
    """The target's probability at every level of one kind of perturbation.

    Attributes:
        kind: A key of `KINDS`.
        levels: (levels,) float64, from the unchanged picture to the most perturbed.
        values: (levels,) float64: the probability of the target (for regression the output), the mean over random orders if the
            perturbation is random.
        low, high: (levels,) minimum and maximum over random orders.
        pictures: (levels, height, width, 3) uint8: the inputs of the first random order.
        target: Number of the output.
    """

    kind: str
    levels: np.ndarray
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    pictures: np.ndarray
    target: int


def default_levels(kind: str, size: tuple[int, int]) -> tuple[float, ...]:
    """The default levels for a picture of (height, width) pixels.

    For "shuffle", grids up to 16 with at least one pixel for each piece.
    """
    if kind == "shuffle":
        return tuple(range(1, min(16, *size) + 1))
    if kind in ("hide", "centre"):
        return tuple(round(0.1 * step, 1) for step in range(10))
    if kind == "blur":
        return (0, 1, 2, 3, 4, 6, 8, 12, 16)
    if kind == "edges":
        return tuple(round(0.125 * step, 3) for step in range(9))
    raise ValueError(f"a kind is one of {', '.join(KINDS)}, not {kind!r}")


def perturbed(picture: np.ndarray, kind: str, level: float, seed: int = 0) -> np.ndarray:
    """A copy of a picture with one kind of perturbation; at the first level it is equal to the picture.

    Args:
        picture: (height, width, 3) uint8, the network's input before normalisation.
        kind: "shuffle": permutes the equal pieces of a `level` by `level` grid; remaining rows and columns at the borders keep
            their position. "hide": replaces that share of the cells of a grid of 16 by 16 by the picture's mean colour; a
            larger share includes the cells of a smaller one. "centre": the same for a square in the centre. "blur": a
            Gaussian blur, which removes texture and keeps shape. "edges": blends in the magnitude of the grey picture's
            gradient (Sobel), which removes colour and texture and keeps outlines.
        level: See `KINDS`.
        seed: Of the random order.

    Raises:
        ValueError: For another kind, a level out of range, or a grid of more pieces to a side than there are pixels.
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
        )  # in float: uint8 would be rounded after each axis
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
        hidden = cells.reshape(CELLS, CELLS)[rows[:, None], cols]  # (cells,) -> (CELLS, CELLS) -> (height, width)
    else:
        high, wide = round(level * height), round(level * width)
        top, left = (height - high) // 2, (width - wide) // 2
        hidden[top : top + high, left : left + wide] = True
    answer = picture.copy()
    answer[hidden] = picture.mean((0, 1)).round().astype(np.uint8)
    return answer


def piece_order(grid: int, seed: int) -> np.ndarray:
    """(grid * grid,): position i, counted row by row, gets piece order[i]."""
    return np.random.default_rng(seed).permutation(grid * grid)


def _shuffled(picture: np.ndarray, grid: int, seed: int) -> np.ndarray:
    height, width = picture.shape[:2]
    if not 1 <= grid <= min(height, width):
        raise ValueError(
            f"a grid has 1 to {min(height, width)} pieces to a side in a picture of {height} x {width} pixels, not {grid}"
        )
    answer = picture.copy()
    if grid == 1:
        return answer
    high, wide = height // grid, width // grid
    top, left = (height - grid * high) // 2, (width - grid * wide) // 2
    inner = answer[top : top + grid * high, left : left + grid * wide]
    pieces = inner.reshape(grid, high, grid, wide, 3).swapaxes(1, 2)  # (row, col, high, wide, 3)
    pieces = pieces.reshape(grid * grid, high, wide, 3)[piece_order(grid, seed)]  # (piece, high, wide, 3)
    rows = pieces.reshape(grid, grid, high, wide, 3).swapaxes(1, 2)  # (row, high, col, wide, 3)
    inner[:] = rows.reshape(inner.shape)  # (height, width, 3)
    return answer


def _edges(picture: np.ndarray) -> np.ndarray:
    """(height, width): the magnitude of the grey picture's gradient, scaled to a maximum of 255."""
    grey = picture @ np.array([0.299, 0.587, 0.114])
    size = np.hypot(ndimage.sobel(grey, 0), ndimage.sobel(grey, 1))
    return size * (255 / max(float(size.max()), 1e-9))


def perturbation_curve(
    model: LoadedNetwork,
    picture: np.ndarray,
    kind: str,
    target: int | None = None,
    levels: Sequence[float] = (),
    orders: int = 3,
    progress: Progress | None = None,
) -> PerturbationCurve:
    """The target's probability at every level of perturbation.

    Args:
        model: A Vision Transformer or a convolutional network.
        picture: (height, width, 3) uint8, the network's input before normalisation (`Prepared.shown`).
        kind: A key of `KINDS`.
        target: Number of the output; by default the prediction for the unchanged picture.
        levels: By default `default_levels`.
        orders: Random orders for each level, if the perturbation is random.
        progress: Called with (pictures done, pictures in all); an exception that it raises stops the work.

    Returns:
        The target's probability at each level (levels,), its minimum and maximum over random orders, and the
        pictures shown.

    Raises:
        UnsupportedError: For a model without a classifier.
        ValueError: As `perturbed`.
        IndexError: For an output that does not exist.
    """
    size = (picture.shape[0], picture.shape[1])
    usual = default_levels(kind, size)
    asked = tuple(levels) or usual
    seeds = range(orders if kind in RANDOM else 1)
    kind_of_output = _kind(model)
    # The first level is the same unchanged picture in every order, so it is run once.
    given = [(usual[0], 0), *((level, seed) for seed in seeds for level in asked if level != usual[0])]
    places = [given.index((level, seed)) if level != usual[0] else 0 for seed in seeds for level in asked]
    rows = []
    with model.lock, eval_mode(model.module), torch.inference_mode(False), torch.no_grad():
        together = pictures_at_once(model.module, size, BATCH)
        for start in range(0, len(given), together):
            some = [perturbed(picture, kind, *each) for each in given[start : start + together]]
            batch = torch.stack([model_input(model, each) for each in some])
            rows.append(kind_of_output.read(run(model.module, batch, kind_of_output).logits).double().cpu())
            if progress:
                progress(min(start + together, len(given)), len(given))
    values = torch.cat(rows).numpy()  # (pictures, outputs)
    index = int(values[0].argmax()) if target is None else checked_index(target, values.shape[1], "output")
    curves = values[places, index].reshape(len(seeds), len(asked))  # (orders, levels)
    return PerturbationCurve(
        kind,
        np.array(asked, np.float64),
        curves.mean(0),
        curves.min(0),
        curves.max(0),
        np.stack([perturbed(picture, kind, level) for level in asked]),
        index,
    )


def _kind(model: Any) -> OutputKind:
    kind = output_kind(model)
    if kind is OutputKind.FEATURES:
        raise UnsupportedError(f"{model.name} has no classifier, so there is no probability to follow.")
    return kind


def model_input(model: LoadedNetwork, picture: np.ndarray) -> Tensor:
    """(channels, height, width): a picture (height, width, 3) uint8, normalised for the network, not cropped or resized."""
    wanted = model.preprocessing
    parameter = next(model.module.parameters())
    pixels = torch.from_numpy(np.array(picture[..., : len(wanted.mean)])).permute(2, 0, 1)  # (channels, height, width)
    pixels = pixels.to(parameter) / 255
    mean, std = (torch.tensor(values).to(parameter)[:, None, None] for values in (wanted.mean, wanted.std))
    return (pixels - mean) / std
