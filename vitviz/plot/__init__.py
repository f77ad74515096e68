"""Figures of a trace: `vitviz.plot.heads(trace)`, `vitviz.plot.rollout(trace)`, ...

Each function returns a `Figure`: the arrays, the drawing (shown by a notebook), an alternative text, the provenance, and the
Python code that computes the arrays again. A trace made by `vitviz.trace` has what a figure needs: the model, the pixels
shown, the framing and the hash of the image. Most functions take `theme` (`vitviz.draw.LIGHT` or `DARK`) and `width` in
pixels; those that draw maps take `robust`, which ends the colour scale at the 99th percentile, so that a few large values do
not hide the others. `vitviz.figures.style` lists all of these keyword arguments.

Every figure of the app that a trace alone determines is here. `vitviz.figures` has those that need more: a mask of an object
(`prediction.object_figure`), or a convolutional network (`networks.fields_figure`, `networks.perturbation_figure`).
"""

from __future__ import annotations

from vitviz.plot.comparisons import compare, outliers, scenes, what_if
from vitviz.plot.features import clusters, components, objects, similarity
from vitviz.plot.inputs import (
    filters,
    patches,
    position,
    position_distance,
    positions,
    relative_bias,
    rotary_kernel,
    sequence,
)
from vitviz.plot.maps import (
    attention,
    attention_distance,
    head_rollout,
    heads,
    layers,
    microscope,
    output,
    rollout,
    rollout_without_sinks,
    scores,
    weights,
)
from vitviz.plot.outputs import classes, explanation, faithfulness, forming

__all__ = [
    "attention",
    "attention_distance",
    "classes",
    "clusters",
    "compare",
    "components",
    "explanation",
    "faithfulness",
    "filters",
    "forming",
    "head_rollout",
    "heads",
    "layers",
    "microscope",
    "objects",
    "outliers",
    "output",
    "patches",
    "position",
    "position_distance",
    "positions",
    "relative_bias",
    "rollout",
    "rollout_without_sinks",
    "rotary_kernel",
    "scenes",
    "scores",
    "sequence",
    "similarity",
    "weights",
    "what_if",
]
