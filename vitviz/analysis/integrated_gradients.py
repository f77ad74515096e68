"""Integrated gradients on pixels, by captum, summed over each patch.

Sundararajan, Taly and Yan 2017, "Axiomatic attribution for deep networks" (arXiv 1703.01365). The path runs from an
image of the photograph's own mean colour to the photograph; the pixels' shares add up to the difference of the
target's score between the two.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from vitviz.analysis.hiding import mean_colour
from vitviz.analysis.question import Question
from vitviz.analysis.rollout import Progress
from vitviz.capture.trunk import run
from vitviz.heatmap import Heatmap
from vitviz.tokens import TokenLayout

STEPS = 24
BATCH = 4


def integrated_gradients(
    question: Question, steps: int = STEPS, batch: int = BATCH, progress: Progress | None = None
) -> Heatmap:
    """Signed heatmap (rows, cols): each patch's share of score(image) - score(mean colour).

    steps     points of the path at which the gradient is taken; cost grows with it, error falls with it
    progress  called with (points done, points); raise from it to stop
    """
    x = question.x
    reference = question.reference
    done = 0

    def score(points: Tensor) -> Tensor:
        nonlocal done
        result = question.target.score(run(question.module, points), reference)
        done += points.shape[0]
        if progress:
            progress(min(done, steps), steps)
        return result

    with question.subject.lock, torch.inference_mode(False), torch.enable_grad():
        from captum.attr import IntegratedGradients  # here, because it takes long to import

        shares = IntegratedGradients(score).attribute(
            x,
            baselines=mean_colour(x).expand_as(x),
            n_steps=steps,
            method="gausslegendre",
            internal_batch_size=min(batch, steps),
        )
    return Heatmap(
        over_patches(shares[0].sum(0).detach(), question.layout).float().cpu().numpy(),
        "integrated gradients",
        signed=True,
    )


def over_patches(values: Tensor, layout: TokenLayout) -> Tensor:
    """(height, width) -> (rows, cols): the sum over each patch's pixels."""
    area = math.prod(values.shape) / layout.num_patches
    return F.adaptive_avg_pool2d(values[None], layout.grid)[0] * area
