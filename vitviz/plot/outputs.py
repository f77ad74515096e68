"""Figures of predictions, of explanations of an output, and of tests of these explanations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import SupportsIndex, Unpack

from vitviz.analysis.faithfulness import faithfulness as walk_curves
from vitviz.analysis.methods import METHODS
from vitviz.analysis.methods import explain as explain_question
from vitviz.analysis.prediction import logit_lens
from vitviz.analysis.targets import ClassLogit, Target
from vitviz.capture.trace import Trace
from vitviz.explaining import question_of, target_name
from vitviz.figure import Figure
from vitviz.figures import prediction
from vitviz.figures.style import CurvesStyle, FigureStyle, MapStyle
from vitviz.figures.traced_image import subject_of


def classes(trace: Trace, count: int = prediction.CLASSES_SHOWN, **style: Unpack[FigureStyle]) -> Figure:
    """The most probable classes or labels with their probabilities; for regression the first outputs.

    Args:
        trace: Of `vitviz.trace`.
        count: How many.
        **style: See `FigureStyle`.

    Returns:
        Figure with `probability` (count,), or `value` for regression, and `index` (count,), the numbers of the outputs.

    Raises:
        UnsupportedError: For a model without a classifier.
    """
    return prediction.classes_figure(subject_of(trace), count, **style)


def forming(trace: Trace, **style: Unpack[CurvesStyle]) -> Figure:
    """The logit lens: the most probable classes at the end of the model, as read by its own head after every layer.

    Args:
        trace: Of `vitviz.trace`.
        **style: See `CurvesStyle`.

    Returns:
        Figure with `probabilities` (layers + 1, outputs), or `values` for regression.

    Raises:
        UnsupportedError: For a model without a classifier, and for one whose head cannot be applied to every layer.
    """
    about = subject_of(trace)
    lens = logit_lens(question_of(about.model, trace, ClassLogit(int(trace.logits.argmax()))))
    return prediction.forming_figure(about, lens.values.cpu().numpy(), **style)


def explanation(
    trace: Trace, method: str = "rollout", target: Target | SupportsIndex | None = None, **style: Unpack[MapStyle]
) -> Figure:
    """One explanation method's map over the photograph.

    Args:
        trace: Of `vitviz.trace`.
        method: A key of `vitviz.methods()`.
        target: As in `vitviz.explain`.
        **style: See `MapStyle`.

    Returns:
        Figure with `values` (rows, cols); the unit depends on the method.

    Raises:
        UnsupportedError: As `vitviz.explain`.
        MissingPackageError: For a method that needs a package that is not installed.
    """
    about = subject_of(trace)
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

    Returns:
        Figure with `curves` (methods, steps + 1), their `names`, `random` (orders, steps + 1) and `fractions` (steps + 1,).

    Raises:
        UnsupportedError: For an unknown method, and for one that is not defined for this model.
        ValueError: For another kind.

    Source: Petsiuk, Das and Saenko 2018, "RISE" (arXiv 1806.07421), section 4.
    """
    if kind not in ("deletion", "insertion"):
        raise ValueError(f'kind is "deletion" or "insertion", not {kind!r}')
    about = subject_of(trace)
    question = question_of(about.model, trace, target)
    maps = {METHODS[key].name: explain_question(question, key) for key in methods}
    *_, finest = walk_curves(question, maps)
    return prediction.curves_figure(about, finest, kind, question.target, target_name(question), **style)
