"""Figures of a trace: `vitviz.plot.heads(trace)`, `vitviz.plot.rollout(trace)`, ...

Each function returns a `Figure`: the arrays, the drawing (shown by a notebook), an alternative text, the provenance, and the
Python code that computes the arrays again. A trace made by `vitviz.trace` has what a figure needs: the model, the pixels
shown, the framing and the hash of the image. All functions take `theme` (`vitviz.draw.LIGHT` or `DARK`) and `width` in pixels;
those that draw maps take `robust`, which ends the colour scale at the 99th percentile, so that a few large values do not
hide the others. `vitviz.figures.style` lists all of these keyword arguments.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, SupportsIndex, Unpack, cast

from PIL import Image

from vitviz.analysis.attention import attention_map
from vitviz.analysis.by_hand import head_by_hand, open_layer
from vitviz.analysis.faithfulness import faithfulness as walk_curves
from vitviz.analysis.interventions import Interventions
from vitviz.analysis.methods import METHODS
from vitviz.analysis.methods import explain as explain_question
from vitviz.analysis.patches import Paste
from vitviz.analysis.prediction import logit_lens
from vitviz.analysis.queries import QueryLike, query_of
from vitviz.analysis.rollout import PAPER, RolloutOptions
from vitviz.analysis.rollout import rollout as rollout_map
from vitviz.analysis.sinks import token_outliers
from vitviz.analysis.targets import ClassLogit, SelfDot, Target
from vitviz.capture.trace import Trace
from vitviz.explaining import question_of, target_name
from vitviz.figure import Figure
from vitviz.figures import attention as of_attention
from vitviz.figures import by_hand as of_one_head
from vitviz.figures import comparison, embeddings, interventions, prediction
from vitviz.figures import layers as of_layers
from vitviz.figures.style import (
    BiasStyle,
    CompareStyle,
    CurvesStyle,
    FigureStyle,
    HeadsStyle,
    KernelStyle,
    MapStyle,
    MicroscopeStyle,
    OutliersStyle,
    PatchesStyle,
    RolloutStyle,
    SequenceStyle,
)
from vitviz.figures.traced_image import TracedImage
from vitviz.models import Prepared

QUANTITIES = {"norm": "norm, times the median patch's", "mass": "attention received, times the median patch's"}
ALONG = {"norm": "after layer", "mass": "layer"}


def subject(trace: Trace) -> TracedImage:
    """The trace, its model and its image in the type that `vitviz.figures` takes.

    Raises:
        ValueError: For a trace without model and image, such as one made by `trace_input`.
    """
    if trace.model is None or trace.shown is None:
        raise ValueError(
            "this trace carries neither its model nor the pixels shown, so there is no figure of it; make it with "
            "vitviz.trace(model, image)"
        )
    box = (0.0, 0.0, float(trace.shown.shape[1]), float(trace.shown.shape[0]))
    prepared = Prepared(trace.input, Image.fromarray(trace.shown), box, trace.framing, trace.model)
    return TracedImage(trace.model, prepared, trace, trace.image_hash)


def patches(trace: Trace, **style: Unpack[PatchesStyle]) -> Figure:
    """The pixels that went into the model, cut into its patches."""
    return embeddings.grid_figure(subject(trace), **style)


def sequence(trace: Trace, **style: Unpack[SequenceStyle]) -> Figure:
    """The sequence of tokens, prefix tokens first, then the patches row by row."""
    return embeddings.sequence_figure(subject(trace), **style)


def filters(trace: Trace, count: int = 28, **style: Unpack[FigureStyle]) -> Figure:
    """The leading principal components of the patch embedding's filters.

    Args:
        trace: Of a model that embeds patches of pixels.
        count: How many components.
        **style: See `FigureStyle`.

    Raises:
        UnsupportedError: If the model has no filters over pixels.
    """
    return embeddings.filters_figure(subject(trace), count, **style)


def positions(trace: Trace, **style: Unpack[FigureStyle]) -> Figure:
    """Cosine similarity of every added position embedding with every other, one small map for each patch.

    Raises:
        UnsupportedError: If no position embedding is added to the patches.
    """
    return embeddings.atlas_figure(subject(trace), **style)


def position(trace: Trace, row: int, col: int, **style: Unpack[FigureStyle]) -> Figure:
    """Cosine similarity of one patch's position embedding with all others, as a map.

    Raises:
        IndexError: Outside the grid.
        UnsupportedError: If no position embedding is added to the patches.
    """
    return embeddings.position_figure(subject(trace), row, col, **style)


def position_distance(trace: Trace, **style: Unpack[FigureStyle]) -> Figure:
    """Cosine similarity of position embeddings against the distance between their patches in pixels."""
    return embeddings.distance_figure(subject(trace), **style)


def rotary_kernel(trace: Trace, layer: int = 0, head: int = 0, **style: Unpack[KernelStyle]) -> Figure:
    """The contribution of rotary positions alone to a score, for every displacement on the grid.

    Raises:
        UnsupportedError: For a model without rotary positions.
    """
    return embeddings.kernel_figure(subject(trace), layer, head, **style)


def relative_bias(trace: Trace, number: int = 0, head: int | None = None, **style: Unpack[BiasStyle]) -> Figure:
    """The relative position bias of a layer, for every displacement.

    Args:
        trace: Of a model that adds such a bias to its scores.
        number: Counts the layers that add a bias, from 0.
        head: One head; all heads of the layer by default.
        **style: See `BiasStyle`.

    Raises:
        UnsupportedError: For a model without relative biases.
    """
    about = subject(trace)
    bias = embeddings.biases_of(about)[number]
    if head is None:
        return embeddings.bias_heads_figure(about, number, bias, **style)
    style.pop("shared", None)  # one head has one scale
    return embeddings.bias_figure(about, number, head, bias, **cast(FigureStyle, style))


def heads(
    trace: Trace, layer: int | None = None, query: QueryLike | None = None, **style: Unpack[HeadsStyle]
) -> Figure:
    """Attention of a query to every patch, one small map for each head.

    Args:
        trace: Of `vitviz.trace`.
        layer: One layer, counted from 0 (-1 is the last); every layer by default.
        query: A token's name or index, or a Query; by default the query that the model's output is computed from.
        **style: See `HeadsStyle`.

    Raises:
        UnsupportedError: For a query that the model does not have; without `layer`, if layers differ in heads or grid.
    """
    if layer is None:
        return of_attention.heads_figure(subject(trace), query, **style)
    return of_layers.layer_heads_figure(subject(trace), layer, query, **style)


def microscope(
    trace: Trace, layer: int, token: str, head: int | str = "all", **style: Unpack[MicroscopeStyle]
) -> Figure:
    """One token's attention in a layer: over the photograph with its strongest links, and as one small map for each head.

    Args:
        trace: Of `vitviz.trace`.
        layer: Counted from 0 (-1 is the last).
        token: "cls", "reg0" or "r3c5".
        head: One head, "mean", or "all".
        **style: See `MicroscopeStyle`.

    Raises:
        ValueError: For a token, a direction or a measure that does not exist.
    """
    return of_attention.microscope_figure(subject(trace), layer, token, head, **style)


def attention(
    trace: Trace, layer: int = -1, head: int | None = None, query: QueryLike | None = None, **style: Unpack[MapStyle]
) -> Figure:
    """Attention of a query in one head, or in the mean of a layer's heads, beside the photograph with the query's patch.

    Args and errors as `heads`; `head` is one head, or None for the mean of all. In a layer with windows the query's window
    is outlined.
    """
    return of_layers.layer_figure(subject(trace), layer, head, query, **style)


def layers(trace: Trace, query: QueryLike | None = None, **style: Unpack[MapStyle]) -> Figure:
    """Attention of a query in the mean of the heads of every layer, each layer on its own grid."""
    return of_layers.overview_figure(subject(trace), query, **style)


def rollout(
    trace: Trace, query: QueryLike | None = None, options: RolloutOptions = PAPER, **style: Unpack[RolloutStyle]
) -> Figure:
    """Attention rollout of a query over the photograph.

    Raises:
        UnsupportedError: If the layers do not share one grid, or the query does not exist.
    """
    return of_attention.rollout_figure(subject(trace), query, options, **style)


def head_rollout(
    trace: Trace,
    layer: int,
    head: int,
    method: str = "last_hop",
    query: QueryLike | None = None,
    options: RolloutOptions = PAPER,
    **style: Unpack[MapStyle],
) -> Figure:
    """The rollout of one head, by "last_hop" or "leave_one_in" (see `vitviz.head_rollout`)."""
    return of_attention.head_rollout_figure(subject(trace), layer, head, method, query, options, **style)


def scores(trace: Trace, layer: int, head: int, query: QueryLike | None = None, **style: Unpack[FigureStyle]) -> Figure:
    """All scores of one head, q kT * scale + bias, with the query's row marked."""
    return of_one_head.scores_figure(subject(trace), *_by_hand(trace, layer, head, query), **style)


def weights(
    trace: Trace, layer: int, head: int, query: QueryLike | None = None, **style: Unpack[FigureStyle]
) -> Figure:
    """All weights of one head, the softmax of each row of scores, with the query's row marked."""
    return of_one_head.weights_figure(subject(trace), *_by_hand(trace, layer, head, query), **style)


def output(trace: Trace, layer: int, head: int, query: QueryLike | None = None, **style: Unpack[FigureStyle]) -> Figure:
    """The output of one head for every token, weights times values, with the query's row marked."""
    return of_one_head.output_figure(subject(trace), *_by_hand(trace, layer, head, query), **style)


def _by_hand(trace: Trace, layer: int, head: int, query: QueryLike | None) -> tuple[Any, Any]:
    opened = open_layer(subject(trace).model, trace, layer)
    return opened, head_by_hand(opened, head, query_of(trace, query) if query is None else query)


def classes(trace: Trace, count: int = prediction.CLASSES_SHOWN, **style: Unpack[FigureStyle]) -> Figure:
    """The most probable classes or labels with their probabilities; for regression the first outputs.

    Raises:
        UnsupportedError: For a model without a classifier.
    """
    return prediction.classes_figure(subject(trace), count, **style)


def forming(trace: Trace, **style: Unpack[CurvesStyle]) -> Figure:
    """The logit lens: the most probable classes at the end of the model, as read by its own head after every layer.

    Raises:
        UnsupportedError: For a model without a classifier, and for one whose head cannot be applied to every layer.
    """
    about = subject(trace)
    lens = logit_lens(question_of(about.model, trace, ClassLogit(int(trace.logits.argmax()))))
    return prediction.forming_figure(about, lens.values.cpu().numpy(), **style)


def explanation(
    trace: Trace, method: str = "rollout", target: Target | SupportsIndex | None = None, **style: Unpack[MapStyle]
) -> Figure:
    """One explanation method's map over the photograph. Args and errors as `vitviz.explain`."""
    about = subject(trace)
    question = question_of(about.model, trace, target)
    heatmap = explain_question(question, method)
    return prediction.explanation_figure(
        about, heatmap, method, METHODS[method].name, question.target, target_name(question), **style
    )


def faithfulness(
    trace: Trace,
    methods: Iterable[str] = ("attention", "rollout", "relevance"),
    target: Target | SupportsIndex | None = None,
    kind: str = "deletion",
    **style: Unpack[FigureStyle],
) -> Figure:
    """Deletion or insertion curves of several methods, with those of a centred map and of random orders as baselines.

    Args:
        trace: Of `vitviz.trace`.
        methods: Keys of `vitviz.methods()`.
        target: As in `vitviz.explain`.
        kind: "deletion" or "insertion".
        **style: See `FigureStyle`.

    Raises:
        UnsupportedError: For an unknown method, and for one that is not defined for this model.
        ValueError: For another kind.
    """
    if kind not in ("deletion", "insertion"):
        raise ValueError(f'kind is "deletion" or "insertion", not {kind!r}')
    about = subject(trace)
    question = question_of(about.model, trace, target)
    maps = {METHODS[key].name: explain_question(question, key) for key in methods}
    *_, finest = walk_curves(question, maps)
    return prediction.curves_figure(about, finest, kind, question.target, target_name(question), **style)


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
        return comparison.Side(subject(trace), heatmap, f"{name}: {trace.model_name}", asked, line, details)

    method = "rollout" if layer is None else "attention weights"
    return comparison.comparison_figure(side(one, "A"), side(two, "B"), method, **style)


def scenes(trace: Trace, other: Trace, paste: Paste, **style: Unpack[CurvesStyle]) -> Figure:
    """Cosine similarity, layer by layer, of a patch's token in two pictures: its own, and one that the patch is pasted into.

    Args:
        trace: Of the picture that the patch comes from.
        other: Of the picture that it is pasted into, by the same model at the same size.
        paste: The patch and its position in the other picture.
        **style: See `CurvesStyle`.
    """
    scene = comparison.Scene(subject(other).prepared, other.image_hash, "other.jpg")
    return comparison.scenes_figure(subject(trace), scene, paste, **style)


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
    """
    asked = query_of(trace, query)
    return interventions.what_if_figure(
        subject(trace),
        changes,
        after.logits,
        rollout_map(trace, asked),
        rollout_map(after, asked),
        "heatmap = " + of_attention.map_code("rollout", asked),
        map_details={"map": "rollout", "query": str(asked)},
        **style,
    )


def outliers(trace: Trace, measure: str = "norm", **style: Unpack[OutliersStyle]) -> Figure:
    """Tokens whose norm, or the attention they receive, is many times the median patch's, layer by layer.

    Args:
        trace: Of `vitviz.trace`.
        measure: "norm" or "mass".
        **style: See `OutliersStyle`.

    Raises:
        ValueError: If there is no such token, and for another measure.

    Source: Darcet et al. 2024, "Vision transformers need registers" (arXiv 2309.16588), section 2.
    """
    if measure not in QUANTITIES:
        raise ValueError(f'measure is "norm" or "mass", not {measure!r}')
    about = subject(trace)
    found = token_outliers(question_of(about.model, trace, SelfDot()))
    return interventions.outliers_figure(about, found, measure, QUANTITIES[measure], ALONG[measure], **style)
