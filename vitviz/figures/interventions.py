"""Figures of a model with and without interventions, and of outlier tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from vitviz.analysis.interventions import HeadMeans, HidePatches, Interventions, SwitchOffHeads
from vitviz.analysis.prediction import top_predictions
from vitviz.analysis.sinks import TokenOutliers, times_median
from vitviz.draw import LIGHT, Scale, Theme, draw_bars, draw_curve, draw_heatmap
from vitviz.draw.cells import box
from vitviz.draw.charts import count_layers
from vitviz.draw.sheet import beside, column
from vitviz.figure import Figure
from vitviz.figures.traced_image import TracedImage, snippet_framing
from vitviz.heatmap import Heatmap
from vitviz.models import Model
from vitviz.outputs import has_classifier

CLASSES_SHOWN = 5
_REMOVED = (24, 26, 32)


def seen_picture(subject: TracedImage, changes: Interventions) -> Image.Image:
    """The changed model's input before normalisation; patches that are removed from the sequence are dark."""
    layout, pixels = subject.trace.layout, subject.prepared.input[None]
    for item in changes:
        pixels = item.change_pixels(pixels, layout)
    picture = as_picture(pixels[0], subject.model.preprocessing.mean, subject.model.preprocessing.std)
    pen = ImageDraw.Draw(picture)
    for item in changes:
        for patch in item.patches if isinstance(item, HidePatches) and item.fill == "removed" else ():
            row, col = divmod(patch, layout.grid[1])
            left, top, right, bottom = box((row, col), layout.grid, picture.size)
            pen.rectangle((left, top, right - 1, bottom - 1), fill=_REMOVED)
    return picture


def as_picture(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Image.Image:
    """Normalised pixels (3 or 1, height, width) as an RGB picture."""
    middle, spread = torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]
    values = (pixels.detach().float().cpu() * spread + middle).clamp(0, 1).expand(3, -1, -1)
    return Image.fromarray((values * 255).round().byte().permute(1, 2, 0).numpy())  # (height, width, 3)


@dataclass(frozen=True, eq=False)
class ChangedMap:
    """A map without and with interventions.

    Attributes:
        before: Map of the unchanged model.
        after: Map of the changed model.
        line: The Python that computes the map, `heatmap`, from `trace`.
        line_after: The Python that computes `heatmap_after` from `after`, if it is not the same.
        details: Provenance: "map" (its name), "query", "layer" and "head", as far as they apply.
    """

    before: Heatmap
    after: Heatmap
    line: str
    line_after: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def what_if_figure(
    subject: TracedImage,
    changes: Interventions,
    logits: Tensor,
    shown: ChangedMap,
    *,
    means: HeadMeans | None = None,
    classes: bool = True,
    robust: bool = True,
    theme: Theme = LIGHT,
    width: int = 480,
) -> Figure:
    """The prediction and one map, without and with the interventions.

    Args:
        subject: The traced image of the unchanged model.
        changes: The interventions.
        logits: (classes,) of the changed model.
        shown: The map of both.
        means: Mean outputs that heads were replaced by.
        classes: Whether the outputs are not features; for features only the maps are drawn.
        robust: Scales end at the 99th percentile.
        theme: Colours and font size.
        width: Pixels of each half.
    """
    before, after = shown.before, shown.after
    scale = Scale.of(before.values, after.values, robust=robust)
    maps = [
        draw_heatmap(heatmap, image=picture, scale=scale, title=name, theme=theme, width=width)
        for heatmap, picture, name in (
            (before, subject.prepared.shown, f"{before.label}, before"),
            (after, seen_picture(subject, changes), f"{after.label}, after"),
        )
    ]
    pieces = [beside(maps, theme)]
    arrays: dict[str, np.ndarray] = {"before": before.values, "after": after.values}
    words = f"{before.label} before and after."
    if classes:
        bars, said = _predictions(subject.model, (subject.trace.logits, logits), theme, width)
        pieces.insert(0, bars)
        words = f"{said} {words}"
        both = (("logits_before", subject.trace.logits), ("logits_after", logits))
        arrays |= {name: each.float().cpu().numpy() for name, each in both}
    place = {name: shown.details[name] for name in ("query", "layer", "head") if shown.details.get(name) is not None}
    parameters = {"interventions": changes.encode(), "map": shown.details.get("map", before.label)}
    if means is not None:
        parameters["head means"] = f"{means.digest} of {means.images} photographs"
    return Figure(
        arrays=arrays,
        drawing=column(pieces, theme),
        alt=words,
        provenance=subject.provenance("intervention", parameters=parameters, **place),
        snippet=intervention_snippet(subject, changes, shown.line, shown.line_after),
    )


def _predictions(model: Model, outputs: tuple[Tensor, Tensor], theme: Theme, width: int) -> tuple[Image.Image, str]:
    """Bars of the first outputs before and after, on one scale, and a sentence with the first of each."""
    both = [top_predictions(each, model, CLASSES_SHOWN) for each in outputs]
    shares = model.output_kind.is_probability
    longest = 1.0 if shares else max(abs(one.value) for best in both for one in best)
    bars = [
        draw_bars(
            [one.label for one in best],
            [one.value for one in best],
            percent=shares,
            full=longest,
            chosen=0,
            title=name,
            theme=theme,
            width=width,
        )
        for best, name in zip(both, ("The model as it is", "Changed"), strict=True)
    ]
    first = [f"{best[0].label} {best[0].text}" for best in both]
    said = f"{'Most probable' if shares else 'Output'} before: {first[0]}; after: {first[1]}."
    return beside(bars, theme), said


def intervention_snippet(subject: TracedImage, changes: Interventions, line: str, line_after: str = "") -> str:
    """The Python for `trace` of the unchanged model, `after` of the changed one, and a map of each by `line`."""
    means, given = [], ""
    if any(isinstance(item, SwitchOffHeads) and item.fill == "mean" for item in changes):
        means = [
            "inputs = (vitviz.prepare(model, vitviz.load_sample(sample.id)).input for sample in samples())",
            "means = vitviz.head_means(model, inputs)",
        ]
        given = ", head_means=means"
    items = "".join(f", vitviz.{item!r}" for item in changes)
    answers = ["for each in (trace, after):", "    print(vitviz.top_predictions(each.logits, model))"]
    if not has_classifier(subject.model):
        answers = []
    return subject.snippet(
        *means,
        f"with vitviz.intervene(model{items}{given}) as changed:",
        f"    after = vitviz.trace(changed, image, framing={snippet_framing(subject.prepared)!r})",
        *answers,
        line,
        line_after or line.replace("heatmap", "heatmap_after").replace("trace", "after"),
        imports=["from vitviz.samples import samples"] if means else [],
    )


def outliers_figure(
    subject: TracedImage,
    found: TokenOutliers,
    measure: str,
    quantity: str,
    along: str,
    *,
    count: int = 4,
    names: Callable[[str], str] = str,
    theme: Theme = LIGHT,
    width: int = 640,
) -> Figure:
    """The largest outlier tokens, layer by layer, as multiples of the median patch's value.

    Args:
        subject: The traced image.
        found: The outliers.
        measure: "norm" or "mass" of `found`, whose threshold is drawn as a line.
        quantity: Label of the vertical axis.
        along: Label of the horizontal axis.
        count: Number of tokens drawn.
        names: A token's short name -> its display name.
        theme: Colours and font size.
        width: Pixels.

    Raises:
        ValueError: Without an outlier.
    """
    if not found.tokens:
        raise ValueError("no token stands out at these thresholds, so there is none to draw")
    threshold = {"norm": found.norm_times, "mass": found.mass_times}[measure]
    whole = times_median({"norm": found.norms, "mass": found.mass}[measure], subject.trace.layout)  # (layers, tokens)
    furthest = sorted(found.tokens, key=lambda token: -float(whole[:, token].max()))[:count]
    times = {names(subject.trace.layout.name_of(token)): whole[:, token] for token in furthest}
    length = len(next(iter(times.values())))
    places = np.arange(length)
    lines = {f"threshold {threshold:g}": np.full(length, threshold, np.float32), **times}
    drawing = draw_curve(places, lines, x_label=along, y_label=quantity, theme=theme, width=width)
    if measure == "norm":  # also measured before the first layer
        count_layers(drawing, length)
    largest = max(times, key=lambda name: float(times[name].max()))
    return Figure(
        arrays={"times": np.stack(list(times.values())), "names": np.array(list(times))},
        drawing=drawing,
        alt=f"{quantity.capitalize()} for {len(times)} tokens; the most is {float(times[largest].max()):.3g} for {largest}.",
        provenance=subject.provenance(
            "token outliers",
            parameters={"measure": measure, "norm times": found.norm_times, "mass times": found.mass_times},
        ),
        snippet=subject.snippet(
            "question = vitviz.Question(model, trace.input, vitviz.SelfDot())",
            f"outliers = vitviz.token_outliers(question, norm_times={found.norm_times}, mass_times={found.mass_times})",
            "print([trace.layout.name_of(token) for token in outliers.tokens])",
            f"values = outliers.{ {'norm': 'norms', 'mass': 'mass'}[measure] }  # (layers, tokens)",
            f"times = times_median(values, trace.layout).T[{furthest}]  # (tokens drawn, layers)",
            imports=["from vitviz.analysis.sinks import times_median"],
        ),
    )
