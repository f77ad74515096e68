"""Positions that act inside the attention, as figures: rotary kernels, and relative biases over displacements."""

from __future__ import annotations

import numpy as np

from vitviz.analysis.offsets import OffsetBias, offset_biases
from vitviz.analysis.rotary import RotaryTable, rotary_table
from vitviz.draw import LIGHT, Scale, Theme, draw_board
from vitviz.draw.offsets import draw_offsets
from vitviz.figure import Figure
from vitviz.figures.subject import Sight

KERNEL = "kernel = vitviz.rotary_table(model, trace.layout).kernel(layer={layer}, head={head})"
BIAS = (
    "bias = vitviz.offset_biases(model, model.input_size)[{number}]  # bias.values: (heads, displacements down, right)"
)
# Pixels aimed at for one head's map.
TILE, MIN_WIDTH = 220, 420
LABEL = "bias added to the score"


def straddles(values: np.ndarray) -> bool:
    """Whether zero is among the values, and so the middle of their scale; a bias that is never negative has no use for one."""
    return bool(values.min() < 0 < values.max())


def kernel_figure(
    sight: Sight,
    layer: int = 0,
    head: int = 0,
    *,
    table: RotaryTable | None = None,
    raw: bool = False,
    theme: Theme = LIGHT,
    width: int = 640,
) -> Figure:
    """K over every displacement on the grid. raw: colours from the smallest to the largest value, not from -1 to 1.

    Raises UnsupportedError for a model without rotary positions.
    """
    table = rotary_table(sight.model, sight.layout) if table is None else table
    kernel = table.kernel(layer, head)
    rows, cols = table.grid
    one = {} if len(table.sin) == 1 else {"layer": layer}
    own = one if table.sin.shape[1] == 1 else one | {"head": head}
    return Figure(
        arrays={"kernel": kernel},
        drawing=draw_offsets(
            kernel,
            label="rotary kernel K",
            scale=Scale.of(kernel) if raw else Scale(-1, 1, signed=True),
            theme=theme,
            width=width,
        ),
        alt=(
            f"Rotary kernel over displacements of up to {rows - 1} rows and {cols - 1} columns: 1 at none, "
            f"{kernel[rows - 1, min(cols, 2 * cols - 2)]:.2f} one column away, smallest {kernel.min():.2f}."
        ),
        provenance=sight.provenance("rotary kernel", **own),
        snippet=sight.snippet(KERNEL.format(layer=layer, head=head)),
    )


def biases_of(sight: Sight) -> tuple[OffsetBias, ...]:
    """Every layer's bias over displacements. Raises UnsupportedError where there is none."""
    with sight.model.lock:
        return offset_biases(sight.model, sight.model.input_size)


def bias_figure(
    sight: Sight, number: int, head: int, bias: OffsetBias, *, theme: Theme = LIGHT, width: int = 640
) -> Figure:
    """One head's bias over displacements. number: of the layer among those that add a bias, counted from 0."""
    values = bias.values[head]
    rows, cols = bias.window
    return Figure(
        arrays={"bias": values},
        drawing=draw_offsets(values, label=LABEL, signed=straddles(values), step=bias.step, theme=theme, width=width),
        alt=(
            f"Relative position bias of head {head} in {bias.layer}, over displacements within a window of {rows} by {cols} "
            f"patches: {values[rows - 1, cols - 1]:.3g} at none, from {values.min():.3g} to {values.max():.3g}."
        ),
        provenance=sight.provenance("relative position bias", head=head, parameters={"module": bias.layer}),
        snippet=sight.snippet(BIAS.format(number=number), f"values = bias.values[{head}]"),
    )


def bias_heads_figure(
    sight: Sight, number: int, bias: OffsetBias, *, shared: bool = True, theme: Theme = LIGHT, width: int = 900
) -> Figure:
    """All heads of one layer over displacements. shared: one scale, so that colours compare between heads."""
    return Figure(
        arrays={"bias": bias.values},
        drawing=draw_board(
            bias.values[None],
            label=LABEL,
            shared=shared,
            signed=straddles(bias.values),
            first_layer=number,
            width=max(MIN_WIDTH, min(width, TILE * bias.num_heads)),
            theme=theme,
        ),
        alt=(
            f"Relative position bias of the {bias.num_heads} heads of {bias.layer} over displacements, the query in the middle "
            f"of each map; from {bias.values.min():.3g} to {bias.values.max():.3g}."
        ),
        provenance=sight.provenance("relative position bias", parameters={"module": bias.layer}),
        snippet=sight.snippet(BIAS.format(number=number)),
    )
