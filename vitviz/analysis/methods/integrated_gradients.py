"""Integrated gradients on pixels, by captum, summed over each patch.

Sundararajan, Taly and Yan 2017, "Axiomatic attribution for deep networks" (arXiv 1703.01365), section 3. The path runs from an
image of the photograph's mean colour to the photograph. Exact attributions of all pixels sum to the difference of the target's
score between the two (completeness); a sum over finitely many points differs by a gap, which every map reports.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vitviz.analysis.hiding import mean_colour
from vitviz.analysis.methods.base import Method
from vitviz.analysis.question import Question
from vitviz.errors import IncompleteWarning, need_package
from vitviz.heatmap import Heatmap
from vitviz.progress import Progress
from vitviz.references import publication
from vitviz.tokens import TokenLayout

STEPS, MOST_STEPS = 32, 256
BATCH = 4
# Largest gap of a complete map: relative to the score difference, and absolute if that is below 1.
TOLERANCE = 0.05


@dataclass(frozen=True, eq=False)
class PathAttribution(Heatmap):
    """A heatmap of attributions, with the gap between their sum and the score difference.

    Attributes:
        steps: Points of the path.
        total: Sum of all attributions.
        difference: score(image) - score(mean colour), the sum of exact attributions.
    """

    steps: int = 0
    total: float = 0.0
    difference: float = 0.0

    @property
    def gap(self) -> float:
        """`total` - `difference`; 0 for exact attributions."""
        return self.total - self.difference

    @property
    def tolerance(self) -> float:
        """Absolute gap from which the attributions count as incomplete."""
        return TOLERANCE * max(abs(self.difference), 1.0)

    @property
    def complete(self) -> bool:
        """Whether the gap is below `tolerance`."""
        return abs(self.gap) < self.tolerance


def integrated_gradients(
    question: Question,
    steps: int = STEPS,
    batch: int = BATCH,
    progress: Progress | None = None,
    most_steps: int = MOST_STEPS,
) -> PathAttribution:
    """Signed heatmap (rows, cols): each patch's attribution of score(image) - score(mean colour).

    The integral is a Gauss-Legendre sum. The number of points is doubled until the gap is below 5% of the score difference
    (0.05 if that is below 1), or until there are `most_steps`; a larger gap gives an IncompleteWarning.

    Args:
        question: Model, input and target.
        steps: Number of points at first.
        batch: Points in one forward pass.
        progress: Called with (points done, largest possible number), at the end with both equal; an exception that it raises
            stops the work.
        most_steps: Largest number of points, unless `steps` is larger.

    Raises:
        ValueError: For fewer than 2 points.
        MissingPackageError: Without captum.
    """
    need_package("captum", "captum", "Integrated gradients")
    _check({"steps": steps})
    attempts = [steps]
    while attempts[-1] < most_steps:
        attempts.append(min(2 * attempts[-1], most_steps))
    baseline = mean_colour(question.x).expand_as(question.x)
    score = _CountedScore(question, sum(attempts), progress)
    with question.eval_mode():
        flat = question.target.score(question.run(baseline), question.reference)
    difference = question.score() - float(flat[0])
    for points in attempts:
        shares = _path_integral(score, baseline, points, min(batch, points))
        per_pixel = shares.sum(0, dtype=torch.promote_types(shares.dtype, torch.float32))  # (height, width)
        found = PathAttribution(
            over_patches(per_pixel, question.layout).cpu().numpy(),
            "integrated gradients",
            signed=True,
            steps=points,
            total=float(shares.double().sum()),
            difference=difference,
        )
        if found.complete:
            break
    score.finish()
    if not found.complete:
        warnings.warn(
            f"With {found.steps} points of the path, the shares of integrated gradients add up to {found.total:.3g} where the "
            f"score difference is {found.difference:.3g}. Ask for more points, or use another method.",
            IncompleteWarning,
            stacklevel=2,
        )
    return found


class _CountedScore:
    """The target's score of points on the path, reporting how many of them are done."""

    def __init__(self, question: Question, whole: int, progress: Progress | None) -> None:
        self.question = question
        self._whole, self._progress, self._done = whole, progress, 0

    def __call__(self, points: Tensor) -> Tensor:
        result = self.question.target.score(self.question.run(points), self.question.reference)
        self._done += points.shape[0]
        if self._progress:
            self._progress(min(self._done, self._whole), self._whole)
        return result

    def finish(self) -> None:
        """Reports the end, if fewer points than expected were enough."""
        if self._progress and self._done < self._whole:
            self._progress(self._whole, self._whole)


def _path_integral(score: _CountedScore, baseline: Tensor, points: int, batch: int) -> Tensor:
    """(3, height, width): captum's attribution of every number of the input."""
    model, x = score.question.model, score.question.x
    with model.lock, torch.inference_mode(False), torch.enable_grad():
        from captum.attr import IntegratedGradients  # imported here because the import takes long

        found = IntegratedGradients(score).attribute(
            x, baselines=baseline, n_steps=points, method="gausslegendre", internal_batch_size=batch
        )
    return found[0].detach()


def _check(options: Mapping[str, int]) -> None:
    steps = options.get("steps", STEPS)
    if steps < 2:
        raise ValueError(f"the path needs at least 2 points, not {steps}")
    if (most := options.get("most_steps", steps)) < steps:
        raise ValueError(f"most_steps is at least the {steps} points that there are at first, not {most}")


def over_patches(values: Tensor, layout: TokenLayout) -> Tensor:
    """(height, width) -> (rows, cols): the sum over each patch's pixels."""
    area = math.prod(values.shape) / layout.num_patches
    return F.adaptive_avg_pool2d(values[None], layout.grid)[0] * area


METHOD = Method(
    "integrated_gradients",
    "Integrated gradients",
    integrated_gradients,
    per_class=True,
    signed=True,
    formula="sum over a patch of (x - x0) * integral of d target / d x from x0 to x, x0 the mean colour",
    reference=publication("sundararajan").short,
    cost="about 3 for each point of the path: 32 points, doubled up to 256 until the shares add up",
    limitations="It depends on the baseline: parts with the mean colour get no relevance, even if they are important.",
    order=70,
    options={"steps": STEPS, "most_steps": MOST_STEPS},
    check=_check,
    weight=200,
    passes=lambda _layout, options: 3 * 2 * options["steps"],
    reports=True,
)
