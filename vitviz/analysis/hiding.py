"""Hides patches of an image and runs the model again; compares hiding a marked object with hiding equal areas elsewhere.

The share of a map inside the object is a continuous form of the pointing game (Zhang et al. 2016, arXiv 1608.00507). Hiding any
area lowers the probability, so the object's decrease is compared with that of equal areas elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vitviz.analysis.question import Question
from vitviz.capture.blocks import Output
from vitviz.heatmap import Heatmap
from vitviz.progress import Progress
from vitviz.tokens import TokenLayout

# Images in one forward pass: on a CPU a larger batch is not faster, and cancelling waits for its end.
BATCH = 8


def mean_colour(pixels: Tensor) -> Tensor:
    """(3, 1, 1): the image's mean colour, in the units of the normalised input."""
    return pixels.mean((-2, -1), keepdim=True)


def over_pixels(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """(n, rows, cols) -> (n, 1, height, width): each patch's value repeated over its pixels."""
    return F.interpolate(masks[:, None].float(), size=size, mode="nearest-exact")


def hide(pixels: Tensor, masks: Tensor, fill: Tensor | None = None) -> Tensor:
    """The image with each of the masks hidden, (n, 3, height, width).

    Args:
        pixels: (3, height, width), normalised.
        masks: (n, rows, cols) boolean, True for hidden patches.
        fill: Replacement, broadcastable to the image; its mean colour by default.
    """
    cover = over_pixels(masks, (pixels.shape[-2], pixels.shape[-1])).to(pixels.dtype)
    return pixels * (1 - cover) + (mean_colour(pixels) if fill is None else fill) * cover


def cells(hidden: np.ndarray, layout: TokenLayout) -> Tensor:
    """(n, patches) boolean -> (n, rows, cols) tensor."""
    return torch.from_numpy(np.ascontiguousarray(hidden)).reshape(-1, *layout.grid)  # (n, patches) -> (n, rows, cols)


def outputs(
    question: Question, masks: Tensor, batch: int = BATCH, fill: Tensor | None = None
) -> Iterator[tuple[slice, Output]]:
    """The model's output for the image with each of masks (n, rows, cols) hidden, batch by batch."""
    pixels = question.x[0]
    masks = masks.to(pixels.device)
    for start in range(0, masks.shape[0], batch):
        chunk = slice(start, min(start + batch, masks.shape[0]))
        with question.eval_mode():
            output = question.run(hide(pixels, masks[chunk], fill))
        yield chunk, output


def read_hidden(
    question: Question,
    masks: Tensor,
    read: Callable[[Output, Output], Tensor],
    batch: int = BATCH,
    progress: Progress | None = None,
) -> np.ndarray:
    """(n,) float64: `read(output, reference)` for the image with each of the masks hidden.

    Args:
        question: The model, image and target.
        masks: (n, rows, cols) boolean, True for hidden patches.
        read: Turns the outputs of a batch and the unchanged image's output into (batch,) numbers.
        batch: Images in one forward pass.
        progress: Called with (images done, images in all) after each batch; an exception that it raises stops the work.
    """
    values = np.empty(masks.shape[0])
    for chunk, output in outputs(question, masks, batch):
        values[chunk] = read(output, question.reference).double().cpu().numpy()
        if progress:
            progress(chunk.stop, masks.shape[0])
    return values


CONTROLS = 20


def share_inside(heatmap: Heatmap, mask: np.ndarray) -> float:
    """The share, 0 to 1, of a map's positive values inside `mask` (rows, cols) boolean; NaN without positive values.

    Raises:
        ValueError: For a mask of another grid.
    """
    mask = _checked(mask, heatmap.grid)
    positive = np.clip(heatmap.values, 0, None)
    return float(positive[mask].sum() / positive.sum()) if positive.sum() > 0 else float("nan")


@dataclass(frozen=True, eq=False)
class ObjectTest:
    """The effect of hiding the marked object, and of hiding as many patches elsewhere.

    Attributes:
        area: The object's share of the picture, which is also the expected share of a constant map.
        likelihood: The target's likelihood with nothing hidden.
        drop: Decrease of the likelihood when the object is hidden.
        control_drops: (draws,) decreases when as many patches are hidden elsewhere; (1,) for an object of more than half of the
            picture: the decrease when all of the rest is hidden.
        shares: Method -> share of its positive values inside the object.
    """

    area: float
    likelihood: float
    drop: float
    control_drops: np.ndarray
    shares: Mapping[str, float]

    @property
    def compared_with_rest(self) -> bool:
        """Whether `control_drops` is the decrease for all of the rest, which has fewer patches than the object."""
        return self.area > 0.5

    @property
    def times(self) -> float:
        """`drop` divided by the mean of `control_drops`; negative if hiding the object raises the likelihood.

        If hiding elsewhere does not lower the likelihood on average: infinite if hiding the object does, else NaN.
        """
        mean = float(self.control_drops.mean())
        if mean > 0:
            return self.drop / mean
        return float("inf") if self.drop > 0 else float("nan")


def object_test(
    question: Question,
    mask: np.ndarray,
    maps: Mapping[str, Heatmap],
    draws: int = CONTROLS,
    batch: int = BATCH,
    seed: int = 0,
    progress: Progress | None = None,
) -> ObjectTest:
    """Hides the object, then areas of the same size elsewhere.

    Args:
        question: The model, image and target.
        mask: (rows, cols) boolean, the object.
        maps: Method -> map, for `ObjectTest.shares`.
        draws: Number of areas elsewhere. For a mask of more than half of the picture, all of the rest is hidden once.
        batch: Images in one forward pass.
        seed: Of the random areas.
        progress: Called with (images done, images in all) after each batch; an exception that it raises stops the work.

    Raises:
        ValueError: For a mask of another grid, an empty or a full one, and for no draw.
    """
    mask = _checked(mask, question.layout.grid)
    if draws < 1:
        raise ValueError(f"the object is compared with at least one area elsewhere, not {draws}")
    size, patches = int(mask.sum()), mask.size
    if not 0 < size < patches:
        raise ValueError(f"the object covers {size} of {patches} patches; mark at least one, and leave at least one")
    rng = np.random.default_rng(seed)
    others = [~mask] if 2 * size > patches else [_control_mask(mask, rng) for _ in range(draws)]
    sets = [mask, *others]
    masks = cells(np.stack([chosen.ravel() for chosen in sets]), question.layout)
    values = read_hidden(question, masks, question.target.likelihood, batch, progress)
    before = question.likelihood()
    drops = before - values
    shares = {name: share_inside(heatmap, mask) for name, heatmap in maps.items()}
    return ObjectTest(size / patches, before, float(drops[0]), drops[1:], shares)


def _control_mask(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(rows, cols) boolean: as many patches outside the mask, those nearest to a random patch outside."""
    outside = np.argwhere(~mask)  # (n, 2)
    centre = outside[rng.integers(len(outside))]
    near = np.argsort(((outside - centre) ** 2).sum(1) + rng.random(len(outside)) * 0.5)[: mask.sum()]
    chosen = np.zeros_like(mask)
    chosen[tuple(outside[near].T)] = True
    return chosen


def _checked(mask: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    mask = np.asarray(mask, bool)
    if mask.shape != grid:
        raise ValueError(f"the marked object is given on a grid of {mask.shape}, and the map's grid is {grid}")
    return mask
