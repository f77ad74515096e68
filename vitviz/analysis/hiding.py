"""Hiding patches of an image and asking again: what occlusion, deletion curves and the object test have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vitviz.analysis.question import Question
from vitviz.analysis.rollout import Progress
from vitviz.capture.blocks import Output
from vitviz.tokens import TokenLayout

# Images run through the model at once: on a processor a larger batch is no faster, and cancelling has to wait for it.
BATCH = 8


def mean_colour(pixels: Tensor) -> Tensor:
    """(3, 1, 1): the image's own mean colour, in the input's normalised units."""
    return pixels.mean((-2, -1), keepdim=True)


def over_pixels(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """(n, rows, cols) -> (n, 1, height, width): each cell of the grid spread over the pixels it covers."""
    return F.interpolate(masks[:, None].float(), size=size, mode="nearest-exact")


def hide(pixels: Tensor, masks: Tensor, fill: Tensor | None = None) -> Tensor:
    """(3, height, width) with masks (n, rows, cols), True where hidden -> (n, 3, height, width).

    fill  what stands there instead, broadcastable to the image; its mean colour by default
    """
    cover = over_pixels(masks, (pixels.shape[-2], pixels.shape[-1])).to(pixels.dtype)
    return pixels * (1 - cover) + (mean_colour(pixels) if fill is None else fill) * cover


def cells(hidden: np.ndarray, layout: TokenLayout) -> Tensor:
    """(n, patches) boolean -> (n, rows, cols) tensor."""
    return torch.from_numpy(np.ascontiguousarray(hidden)).reshape(-1, *layout.grid)


def outputs(
    question: Question, masks: Tensor, batch: int = BATCH, fill: Tensor | None = None
) -> Iterator[tuple[slice, Output]]:
    """The model's output for the image with each of masks (n, rows, cols) hidden, batch by batch."""
    pixels = question.x[0]
    masks = masks.to(pixels.device)
    for start in range(0, masks.shape[0], batch):
        chunk = slice(start, min(start + batch, masks.shape[0]))
        with question.asking():
            output = question.run(hide(pixels, masks[chunk], fill))
        yield chunk, output


def read_hidden(
    question: Question,
    masks: Tensor,
    read: Callable[[Output, Output], Tensor],
    batch: int = BATCH,
    progress: Progress | None = None,
) -> np.ndarray:
    """(n,) float64: `read(output, reference)` for the image with each of masks (n, rows, cols) hidden.

    progress  called with (images done, images) after each batch; raise from it to stop
    """
    values = np.empty(masks.shape[0])
    for chunk, output in outputs(question, masks, batch):
        values[chunk] = read(output, question.reference).double().cpu().numpy()
        if progress:
            progress(chunk.stop, masks.shape[0])
    return values
