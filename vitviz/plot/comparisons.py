"""Figures of two traces side by side, of a changed pass, and of tokens unlike the others."""

from __future__ import annotations

from typing import Unpack

from vitviz.analysis.attention import attention_map
from vitviz.analysis.interventions import Interventions
from vitviz.analysis.patches import Paste
from vitviz.analysis.queries import QueryLike, query_of
from vitviz.analysis.rollout import rollout as rollout_map
from vitviz.analysis.sinks import token_outliers
from vitviz.analysis.targets import SelfDot
from vitviz.capture.trace import Trace
from vitviz.explaining import question_of
from vitviz.figure import Figure
from vitviz.figures import attention as of_attention
from vitviz.figures import comparison, interventions
from vitviz.figures.style import CompareStyle, CurvesStyle, MapStyle, OutliersStyle
from vitviz.figures.traced_image import subject_of

QUANTITIES = {"norm": "norm, times the median patch's", "mass": "attention received, times the median patch's"}
ALONG = {"norm": "after layer", "mass": "layer"}


def compare(
    one: Trace,
    two: Trace,
    query: QueryLike | None = None,
    layer: int | None = None,
    head: int | None = None,
    **style: Unpack[CompareStyle],
) -> Figure:
    """The same map of two traces side by side: rollout, or the attention of one layer.

    Args:
        one: The left side, A.
        two: The right side, B; of another photograph, model or changed pass.
        query: The query of both sides; by default the one that each side's output is computed from.
        layer: Attention of this layer in place of rollout.
        head: One head of the layer; the mean of its heads by default.
        **style: See `CompareStyle`.

    Returns:
        Figure with `a` and `b` (rows, cols).

    Raises:
        UnsupportedError: If a side has no rollout or not this query.
        IndexError: For a layer or head that a side does not have.
        DrawError: For a difference of maps on different grids.
    """

    def side(trace: Trace, name: str) -> comparison.Side:
        asked = query_of(trace, query)
        if layer is None:
            line, details = of_attention.map_code("rollout", asked), {}
            heatmap = rollout_map(trace, asked)
        else:
            line, details = of_attention.map_code("attention", asked, layer, head), {"layer": layer, "head": head}
            heatmap = attention_map(trace.layers[layer], asked, head)
        line = f"heatmap = {line}"
        return comparison.Side(subject_of(trace), heatmap, f"{name}: {trace.model_name}", asked, line, details)

    method = "rollout" if layer is None else "attention weights"
    return comparison.comparison_figure(side(one, "A"), side(two, "B"), method, **style)


def scenes(trace: Trace, other: Trace, paste: Paste, **style: Unpack[CurvesStyle]) -> Figure:
    """Cosine similarity, layer by layer, of a patch's token in two pictures: its own, and one that the patch is pasted into.

    Args:
        trace: Of the picture that the patch comes from.
        other: Of the picture that it is pasted into, by the same model at the same size.
        paste: The patch and its position in the other picture.
        **style: See `CurvesStyle`.

    Returns:
        Figure with `itself`, `other`, `other_low` and `other_high`, (layers + 2,) each: cosine similarities.

    Raises:
        UnsupportedError: For a model that is not a sequence of blocks.
        ValueError, IndexError: For a patch or a position that does not exist.
    """
    scene = comparison.Scene(subject_of(other).prepared, other.image_hash, "other.jpg")
    return comparison.scenes_figure(subject_of(trace), scene, paste, **style)


def what_if(
    trace: Trace, after: Trace, changes: Interventions, query: QueryLike | None = None, **style: Unpack[MapStyle]
) -> Figure:
    """Prediction and rollout of a changed forward pass beside those of the unchanged one.

    Args:
        trace: Of the unchanged model.
        after: Of the same image, made inside `with vitviz.intervene(...)`.
        changes: The interventions of `after`.
        query: Query of the rollout; by default the one that the output is computed from.
        **style: See `MapStyle`.

    Returns:
        Figure with `before` and `after` (rows, cols), and `logits_before` and `logits_after` (outputs,).

    Raises:
        UnsupportedError: If the layers do not share one grid, or the query does not exist.
    """
    asked = query_of(trace, query)
    return interventions.what_if_figure(
        subject_of(trace),
        changes,
        after.logits,
        interventions.ChangedMap(
            rollout_map(trace, asked),
            rollout_map(after, asked),
            "heatmap = " + of_attention.map_code("rollout", asked),
            details={"map": "rollout", "query": str(asked)},
        ),
        **style,
    )


def outliers(trace: Trace, measure: str = "norm", **style: Unpack[OutliersStyle]) -> Figure:
    """Tokens whose norm, or the attention they receive, is many times the median patch's, layer by layer.

    Args:
        trace: Of `vitviz.trace`.
        measure: "norm" or "mass".
        **style: See `OutliersStyle`.

    Returns:
        Figure with `times` (tokens, layers), in multiples of the median patch, and `names` (tokens,).

    Raises:
        ValueError: If there is no such token, and for another measure.

    Source: Darcet et al. 2024, "Vision transformers need registers" (arXiv 2309.16588), section 2.
    """
    if measure not in QUANTITIES:
        raise ValueError(f'measure is "norm" or "mass", not {measure!r}')
    about = subject_of(trace)
    found = token_outliers(question_of(about.model, trace, SelfDot()))
    return interventions.outliers_figure(about, found, measure, QUANTITIES[measure], ALONG[measure], **style)
