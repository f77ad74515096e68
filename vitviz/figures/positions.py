"""Position similarity as figures: one position, the atlas of all, and the curve over distance."""

from __future__ import annotations

import numpy as np

from vitviz.analysis.positions import position_embedding, position_similarity, similarity_by_distance
from vitviz.draw import LIGHT, Scale, Theme, draw_atlas, draw_curve, draw_heatmap
from vitviz.figure import Figure
from vitviz.figures.subject import Sight
from vitviz.heatmap import Heatmap
from vitviz.tokens import cell_name

LINE = "similarity = vitviz.position_similarity(model, trace.layout)  # (patches, patches)"
METHOD = "position similarity"


def similarity_of(subject: Sight) -> np.ndarray:
    """(patches, patches) for the subject's grid. Raises UnsupportedError where no position embedding is added."""
    return position_similarity(subject.model, subject.layout)


def atlas_figure(
    subject: Sight,
    similarity: np.ndarray | None = None,
    *,
    chosen: tuple[int, int] | None = None,
    theme: Theme = LIGHT,
    width: int = 900,
) -> Figure:
    """One tile a patch, each the similarity of its position with all others (Dosovitskiy et al. 2021, figure 7)."""
    similarity = similarity_of(subject) if similarity is None else similarity
    kind = position_embedding(subject.model, subject.layout).kind
    rows, cols = subject.layout.grid
    return Figure(
        arrays={"similarity": similarity},
        drawing=draw_atlas(similarity, (rows, cols), chosen=chosen, theme=theme, width=width),
        alt=f"Cosine similarity of every {kind} position embedding with every other: {rows} by {cols} tiles, one a position.",
        provenance=subject.provenance(METHOD, parameters={"kind": kind}),
        snippet=subject.snippet(LINE),
    )


def position_figure(
    subject: Sight,
    row: int,
    col: int,
    similarity: np.ndarray | None = None,
    *,
    theme: Theme = LIGHT,
    width: int = 640,
) -> Figure:
    """The similarity of one patch's position with all others, as a map. Raises IndexError outside the grid."""
    layout = subject.layout
    patch = layout.token_at(row, col) - layout.num_prefix
    values = position_similarity(subject.model, layout, [patch])[0] if similarity is None else similarity[patch]
    heatmap = Heatmap(layout.patches(values), "cosine similarity", signed=True)
    return Figure(
        arrays={"similarity": heatmap.values},
        drawing=draw_heatmap(heatmap, scale=Scale(-1, 1, signed=True), query=(row, col), theme=theme, width=width),
        alt=f"Cosine similarity of the position embedding in row {row}, column {col} with every other, from -1 to 1.",
        provenance=subject.provenance(METHOD, query=cell_name(row, col)),
        snippet=subject.snippet(
            f"similarity = vitviz.position_similarity(model, trace.layout, [{patch}])[0]  # of row {row}, column {col}",
            "similarity = trace.layout.patches(similarity)  # (rows, cols)",
        ),
    )


def distance_figure(
    subject: Sight, similarity: np.ndarray | None = None, *, theme: Theme = LIGHT, width: int = 640
) -> Figure:
    """Similarity against the distance between positions: the mean, and the band that holds 80% of the pairs."""
    similarity = similarity_of(subject) if similarity is None else similarity
    curve = similarity_by_distance(similarity, subject.layout)
    name = "mean of all pairs"
    return Figure(
        arrays={"distance": curve.distance, "mean": curve.mean, "low": curve.low, "high": curve.high},
        drawing=draw_curve(
            curve.distance,
            {name: curve.mean},
            bands={name: (curve.low, curve.high)},
            x_label="distance between patches, pixels",
            y_label="cosine similarity",
            theme=theme,
            width=width,
        ),
        alt=(
            f"Position similarity falls from {curve.mean[0]:.2f} at distance 0 to {curve.mean[-1]:.2f} "
            f"at {curve.distance[-1]:.0f} pixels."
        ),
        provenance=subject.provenance(f"{METHOD} by distance"),
        snippet=subject.snippet(LINE, "curve = vitviz.similarity_by_distance(similarity, trace.layout)"),
    )
