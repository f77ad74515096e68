"""Occlusion: the decrease of the target's score when a window of patches is hidden, for every window.

Zeiler and Fergus 2014 (arXiv 1311.2901), section 4.2, on the grid of patches. Deletion curves favour this method by
construction, because both hide patches.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vitviz.analysis.hiding import BATCH, cells, read_hidden
from vitviz.analysis.methods.base import Method
from vitviz.analysis.question import Question
from vitviz.heatmap import Heatmap
from vitviz.progress import Progress
from vitviz.references import publication
from vitviz.tokens import TokenLayout

WINDOW = 3


def windows(layout: TokenLayout, window: int = WINDOW, stride: int = 1) -> np.ndarray:
    """Square windows `stride` patches apart, cropped at the border; together they cover the grid.

    Args:
        layout: Which token is which patch.
        window: Side in patches.
        stride: Distance between centres in patches.

    Returns:
        (n, patches) boolean.

    Raises:
        ValueError: For a stride larger than the window.
    """
    _check({"stride": stride}, window)
    rows, cols = layout.grid
    covers = []
    for row in _centres(rows, window, stride):
        for col in _centres(cols, window, stride):
            cover = np.zeros((rows, cols), bool)
            top, left = row - window // 2, col - window // 2
            cover[max(top, 0) : top + window, max(left, 0) : left + window] = True
            covers.append(cover.ravel())
    return np.stack(covers)


def _centres(length: int, window: int, stride: int) -> list[int]:
    """Positions `stride` apart whose first and last windows reach both ends."""
    if stride == 1:
        return list(range(length))
    reach = window // 2
    centres = list(range(min(reach, length - 1), length, stride))
    if centres[-1] + (window - 1 - reach) < length - 1:
        centres.append(length - 1)
    return centres


def occlusion(
    question: Question, window: int = WINDOW, stride: int = 1, batch: int = BATCH, progress: Progress | None = None
) -> Heatmap:
    """Signed heatmap (rows, cols): for each patch the mean decrease of the score over the windows that hide it.

    Args:
        question: Model, input and target.
        window: Side of a window in patches.
        stride: Distance between windows in patches; 1 gives one window for each patch.
        batch: Images in one forward pass.
        progress: Called with (windows done, windows in all); an exception that it raises stops the work.
    """
    covers = windows(question.layout, window, stride)
    scores = read_hidden(question, cells(covers, question.layout), question.target.score, batch, progress)
    falls = question.score() - scores  # (windows,)
    mean = (falls @ covers) / covers.sum(0)  # (patches,)
    return Heatmap(question.layout.patches(mean), "fall of the score when hidden", signed=True)


def _check(options: Mapping[str, int], window: int = WINDOW) -> None:
    stride = options.get("stride", 1)
    if not 1 <= stride <= window:
        raise ValueError(f"windows of {window} patches leave gaps at a stride of {stride}; choose 1 to {window}")


METHOD = Method(
    "occlusion",
    "Occlusion",
    occlusion,
    per_class=True,
    signed=True,
    formula="mean fall of the target over the 3x3 windows that hide a patch",
    reference=publication("zeiler").short,
    cost="64 on a grid of 16x16: one for each window",
    limitations="If a thing is in the picture twice, neither seems to matter. Deletion curves favour it, as both hide patches.",
    order=80,
    options={"stride": 2},
    check=_check,
    weight=40,
    passes=lambda layout, options: layout.num_patches / options["stride"] ** 2,
    reports=True,
)
