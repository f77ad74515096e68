"""Figures of predictions and explanations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vitviz.analysis.faithfulness import RANDOM, Faithfulness
from vitviz.analysis.hiding import ObjectTest
from vitviz.analysis.methods import METHODS
from vitviz.analysis.methods.integrated_gradients import PathAttribution
from vitviz.analysis.prediction import top_predictions
from vitviz.analysis.queries import as_query, default_query
from vitviz.analysis.targets import ClassLogit, LogitDifference, SelfDot, Target, needs_classifier, quantity_of
from vitviz.draw import LIGHT, Scale, Theme, draw_bars, draw_curve, draw_heatmap
from vitviz.draw.charts import count_layers
from vitviz.figure import Figure
from vitviz.figures.traced_image import TracedImage, query_words
from vitviz.heatmap import Heatmap
from vitviz.outputs import OutputKind

CLASSES_SHOWN = 5
SAID = {
    OutputKind.CLASSES: "The most probable classes",
    OutputKind.LABELS: "The most probable labels",
    OutputKind.NUMBERS: "The model's outputs, of unknown unit",
}


def classes_figure(
    subject: TracedImage, count: int = CLASSES_SHOWN, *, theme: Theme = LIGHT, width: int = 640
) -> Figure:
    """The most probable classes or labels with their probabilities; for regression the first outputs.

    Raises:
        UnsupportedError: For a model without a classifier.
    """
    best = top_predictions(subject.trace.logits, subject.model, count)
    kind = subject.model.output_kind
    values = np.array([each.value for each in best], np.float32)
    said = ", ".join(f"{each.label} {each.text}" for each in best)
    return Figure(
        arrays={
            "probability" if kind.is_probability else "value": values,
            "index": np.array([each.index for each in best]),
        },
        drawing=draw_bars(
            [each.label for each in best],
            values,
            percent=kind.is_probability,
            full=1.0 if kind.is_probability else None,
            chosen=0,
            theme=theme,
            width=width,
        ),
        alt=f"{SAID[kind]}: {said}.",
        provenance=subject.provenance("prediction", parameters={"output kind": str(kind)}),
        snippet=subject.snippet(f"best = vitviz.top_predictions(trace.logits, model, {count})", "print(best)"),
    )


def forming_figure(
    subject: TracedImage, values: np.ndarray, *, theme: Theme = LIGHT, width: int = 640, height: int = 420
) -> Figure:
    """The logit lens: lines of the outputs that are largest at the end of the model.

    `values` are those of `Lens.values`, (layers + 1, outputs), read before the first layer and after each.

    Raises:
        UnsupportedError: For a model without a classifier.
    """
    best, kind = top_predictions(subject.trace.logits, subject.model, CLASSES_SHOWN), subject.model.output_kind
    lines = {each.label: values[:, each.index] for each in best}
    if len(lines) < len(best):  # two classes have the same name
        lines = {f"{each.label} ({each.index})": values[:, each.index] for each in best}
    passed = np.arange(len(values))
    drawing = draw_curve(
        passed,
        lines,
        x_label="after layer",
        y_label=kind.quantity,
        y_range=(0, 1) if kind.is_probability else None,
        theme=theme,
        width=width,
        height=height,
    )
    count_layers(drawing, len(values))
    what = "The probability of" if kind.is_probability else "The output"
    return Figure(
        arrays={"probabilities" if kind.is_probability else "values": values},
        drawing=drawing,
        alt=(
            f"{what} {best[0].label}, read after every layer: "
            + ", ".join(f"{value:.2f}" for value in values[:, best[0].index])
            + "."
        ),
        provenance=subject.provenance("logit lens"),
        snippet=subject.snippet(
            f"question = vitviz.Question(model, trace.input, vitviz.ClassLogit({best[0].index}))",
            "values = vitviz.logit_lens(question).values  # (layers + 1, outputs)",
        ),
    )


def explanation_figure(
    subject: TracedImage,
    heatmap: Heatmap,
    key: str,
    method: str,
    target: Target,
    target_name: str,
    *,
    robust: bool = True,
    theme: Theme = LIGHT,
    width: int = 640,
) -> Figure:
    """One explanation method's map over the photograph.

    The query of a method that has one is framed. For integrated gradients the provenance has the gap to completeness.
    """
    query = default_query(subject.trace) if METHODS[key].of_a_query else None
    if query and isinstance(target, SelfDot) and target.token is not None:
        query = as_query(target.token, subject.layout)
    asked = f", from {query_words(query)}" if query else ""
    scale = Scale.of(heatmap.values, robust=robust, signed=heatmap.signed)
    row, col, value = heatmap.peak
    return Figure(
        arrays={"values": heatmap.values},
        drawing=draw_heatmap(heatmap, image=subject.prepared.shown, scale=scale, theme=theme, width=width),
        alt=(
            f"{method} for {target_name}{asked}, over the photograph. Strongest at row {row}, column {col}, with {value:.3g}."
            + (f" {completeness_words(heatmap)}" if isinstance(heatmap, PathAttribution) else "")
        ),
        provenance=subject.provenance(
            method, query=str(query or ""), parameters={"target": target_name} | completeness(heatmap)
        ),
        snippet=subject.snippet(
            f"heatmap = vitviz.explain(model, trace, method={key!r}, target={target_text(target)})",
        ),
    )


def completeness(heatmap: Heatmap) -> dict[str, float]:
    """Provenance entries with the gap of integrated gradients to completeness; empty for other methods."""
    if not isinstance(heatmap, PathAttribution):
        return {}
    return {"points": heatmap.steps, "score difference": heatmap.difference, "gap": heatmap.gap}


def completeness_words(shares: PathAttribution) -> str:
    """The gap in one sentence."""
    return (
        f"The shares add up to {shares.total:.3g}, the score difference to a picture of the mean colour is "
        f"{shares.difference:.3g}: a gap of {abs(shares.gap):.2g} with {shares.steps} points of the path"
        + ("." if shares.complete else f", which is more than the {shares.tolerance:.2g} aimed at.")
    )


def curves_figure(
    subject: TracedImage,
    scores: Faithfulness,
    kind: str,
    target: Target,
    target_name: str,
    *,
    theme: Theme = LIGHT,
    width: int = 640,
) -> Figure:
    """The "deletion" or "insertion" curves of every map, of the centre baseline, and the band of random orders."""
    curves = {each.name: getattr(each, kind) for each in (*scores.methods, scores.centre)}
    random = np.stack([getattr(each, kind).values for each in scores.random])
    fractions = scores.centre.deletion.fractions
    verb = {"deletion": "hidden", "insertion": "shown"}[kind]
    drawing = draw_curve(
        fractions,
        {RANDOM: random.mean(0), **{name: curve.values for name, curve in curves.items()}},
        bands={RANDOM: (random.min(0), random.max(0))},
        x_label=f"part of the patches {verb}",
        y_label=scores.quantity,
        theme=theme,
        width=width,
        height=round(0.75 * width),
    )
    areas = ", ".join(f"{name} {curve.area:.2f}" for name, curve in curves.items())
    by_chance = float(np.mean([getattr(each, kind).area for each in scores.random]))
    return Figure(
        arrays={
            "fractions": fractions,
            "random": random,
            "curves": np.stack([curve.values for curve in curves.values()]),
            "names": np.array(list(curves)),
        },
        drawing=drawing,
        alt=f"{kind.capitalize()} curves for {target_name}; areas: {areas}, {RANDOM} {by_chance:.2f}.",
        provenance=subject.provenance(
            kind,
            parameters={
                "target": target_name,
                "steps": scores.steps,
                "seeds": len(scores.random),
                "methods": [each.name for each in scores.methods],
            },
        ),
        snippet=subject.snippet(
            f"question = vitviz.Question(model, trace.input, {target_text(target)})",
            *_maps_text([each.name for each in scores.methods]),
            f"(scores,) = vitviz.faithfulness(question, maps, levels=({scores.steps},), seeds={len(scores.random)})",
            "print(scores.table())",
            f"curves = [each.{kind}.values for each in (*scores.methods, scores.centre)]",
            f"random = [each.{kind}.values for each in scores.random]",
            imports=["from vitviz.analysis.methods import explain"],
        ),
    )


def object_figure(
    subject: TracedImage,
    result: ObjectTest,
    mask: np.ndarray,
    target: Target,
    target_name: str,
    *,
    theme: Theme = LIGHT,
    width: int = 440,
) -> Figure:
    """The target's likelihood with the object `mask` (rows, cols) hidden, and with equal areas elsewhere hidden."""
    kind = subject.model.output_kind
    shares = needs_classifier(target) and kind.is_probability
    other = "the rest hidden" if result.compared_with_rest else "area elsewhere"
    left = result.likelihood - np.array([0.0, result.drop, float(result.control_drops.mean())])
    names = ["nothing hidden", "object hidden", other]
    said = ", ".join(f"{name} {value:.2f}" for name, value in zip(names, left, strict=True))
    return Figure(
        arrays={"left": left.astype(np.float32), "control_drops": result.control_drops, "mask": mask},
        drawing=draw_bars(
            names,
            left,
            percent=shares,
            chosen=1,
            label=f"{quantity_of(target, kind)}: {target_name}",
            theme=theme,
            width=width,
        ),
        alt=f"{target_name}: {said}.",
        provenance=subject.provenance(
            "object test",
            parameters={"target": target_name, "area": round(result.area, 4), "draws": len(result.control_drops)},
        ),
        snippet=subject.snippet(
            f"question = vitviz.Question(model, trace.input, {target_text(target)})",
            f"mask = np.zeros({mask.size}, bool)",
            f"mask[{np.flatnonzero(mask).tolist()}] = True",
            f"result = object_test(question, mask.reshape{mask.shape}, {{}})",
            "print(result.likelihood, result.drop, result.control_drops.mean())",
            imports=["import numpy as np", "from vitviz.analysis.hiding import object_test"],
        ),
    )


def _maps_text(names: Sequence[str]) -> list[str]:
    """The Python that computes `maps` of these methods, which are given by display name or key."""
    keys = {method.name: key for key, method in METHODS.items()} | {key: key for key in METHODS}
    if unknown := [name for name in names if name not in keys]:
        return [f"maps = {{...}}  # {', '.join(unknown)}: maps of your own, name -> (rows, cols)"]
    return ["maps = {", *(f"    {name!r}: explain(question, {keys[name]!r})," for name in names), "}"]


def target_text(target: Target) -> str:
    """The Python expression for a target."""
    match target:
        case ClassLogit(index):
            return f"vitviz.ClassLogit({index})"
        case LogitDifference(index, other):
            return f"vitviz.LogitDifference({index}, {other})"
        case SelfDot(token):
            return f"vitviz.SelfDot({token})"
        case _:
            raise TypeError(f"no Python is known for the target {target!r}")
