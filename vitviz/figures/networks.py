"""A Vision Transformer beside a convolutional network: how far each sees, and how each stands spoiled pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vitviz.analysis.receptive_field import ReceptiveField
from vitviz.analysis.stress import KINDS, StressCurve
from vitviz.draw import LIGHT, Theme, draw_curve, draw_scatter
from vitviz.figure import Figure, Provenance
from vitviz.figures.traced_image import TracedImage

EMBEDDED_BOTH = ('vitviz.load_model("embedded")', "vitviz.load_cnn()")


def fields_figure(
    fields: dict[str, Sequence[ReceptiveField]],
    provenance: Provenance,
    theme: Theme = LIGHT,
    width: int = 640,
    loads: Sequence[str] = EMBEDDED_BOTH,
    image_name: str = "photo.jpg",
) -> Figure:
    """The side of the square that holds most of the gradient of each network's middle unit, against depth.

    Args:
        fields: By the network's name, first layer or stage first. Depth is drawn as a share, since the networks have different
            numbers of layers.
        provenance: Of the image and the first network.
        loads: Python that loads each of the networks.
        image_name: How Python code calls the photograph.
    """
    depth = np.linspace(0, 1, 101)
    lines = {}
    for name, several in fields.items():
        own = np.linspace(0, 1, len(several)) if len(several) > 1 else np.zeros(1)
        lines[name] = np.interp(depth, own, [field.side for field in several])
    share = next(iter(fields.values()))[0].share
    ends = "; ".join(
        f"{name}: {several[0].side:.0f} pixels after {several[0].name} and {several[-1].side:.0f} after {several[-1].name}"
        for name, several in fields.items()
    )
    return Figure(
        arrays={
            f"sides_{index}": np.array([field.side for field in several])
            for index, several in enumerate(fields.values())
        },
        drawing=draw_curve(
            depth,
            lines,
            x_label="depth, first to last layer or stage",
            y_label="pixels to a side",
            theme=theme,
            width=width,
        ),
        alt=f"Side of the smallest centred square that holds {share:.0%} of the gradient of the middle unit. {ends}.",
        provenance=provenance,
        snippet="\n".join(
            [
                "import vitviz",
                "",
                f"image = vitviz.load_image({image_name!r})",
                f"for model in ({', '.join(loads)}):",
                "    fields = vitviz.receptive_fields(model, vitviz.prepare(model, image).input)",
                "    print([(field.name, field.side) for field in fields])",
            ]
        ),
    )


def distances_figure(subject: TracedImage, distances: np.ndarray, theme: Theme = LIGHT, width: int = 640) -> Figure:
    """Attention distance of every head by layer, as figure 7 (right) of Dosovitskiy et al. 2021 (arXiv 2010.11929) has it.

    Args:
        distances: (layers, heads) in pixels of the input; NaN where a layer has fewer heads than another.
    """
    layer, head = np.nonzero(np.isfinite(distances))
    value = distances[layer, head]
    low, high = int(value.argmin()), int(value.argmax())
    return Figure(
        arrays={"distances": distances},
        drawing=draw_scatter(
            layer.astype(np.float64),
            value,
            x_label="layer",
            y_label="attention distance, pixels",
            y_range=(0.0, float(value.max()) * 1.1),
            theme=theme,
            width=width,
        ),
        alt=f"Attention distance of {len(value)} heads by layer. The nearest is head {head[low]} of layer {layer[low]} with "
        f"{value[low]:.0f} pixels, the farthest head {head[high]} of layer {layer[high]} with {value[high]:.0f}.",
        provenance=subject.provenance("attention distance"),
        snippet=subject.snippet("print([vitviz.attention_distance(layer) for layer in trace.layers])"),
    )


def stress_figure(
    curves: dict[str, StressCurve],
    names: dict[str, str],
    provenance: Provenance,
    theme: Theme = LIGHT,
    width: int = 640,
    loads: Sequence[str] = EMBEDDED_BOTH,
    image_name: str = "photo.jpg",
) -> Figure:
    """The probability of each network's class as one picture is spoiled, with the range over random orders.

    Args:
        curves: By the network's name, all of one kind and with the same levels.
        names: The class that each curve is about, by the network's name.
        provenance: Of the image and the first network; the classes are added to its parameters.
        loads: Python that loads each of the networks.
        image_name: How Python code calls the photograph.

    Raises:
        ValueError: For curves of different kinds or levels.
    """
    first = next(iter(curves.values()))
    if any(curve.kind != first.kind or not np.array_equal(curve.levels, first.levels) for curve in curves.values()):
        raise ValueError("curves of different damage or levels cannot share one chart")
    ends = "; ".join(
        f"{name}, {names[name]}: {curve.values[0]:.0%} of the whole picture, {curve.values[-1]:.0%} at the last level"
        for name, curve in curves.items()
    )
    labels = {name: f"{name}: {names[name]}" for name in curves}
    named = [f"{labels[name]} ({curve.target})" for name, curve in curves.items()]
    asked = ", ".join(f"({load}, {curve.target})" for load, curve in zip(loads, curves.values(), strict=False))
    return Figure(
        arrays={
            "levels": first.levels,
            **{f"values_{index}": curve.values for index, curve in enumerate(curves.values())},
        },
        drawing=draw_curve(
            first.levels,
            {labels[name]: curve.values for name, curve in curves.items()},
            bands={labels[name]: (curve.low, curve.high) for name, curve in curves.items()},
            x_label=KINDS[first.kind],
            y_label="probability",
            y_range=(0.0, 1.0),
            theme=theme,
            width=width,
        ),
        alt=f"Probability of a class as the picture is spoiled, by {KINDS[first.kind]}. {ends}.",
        provenance=replace(provenance, parameters={**provenance.parameters, "damage": first.kind, "classes": named}),
        snippet="\n".join(
            [
                "import numpy as np",
                "import vitviz",
                "",
                f"image = vitviz.load_image({image_name!r})",
                f"for model, output in ({asked},):  # {'; '.join(map(repr, labels.values()))}",
                "    picture = np.asarray(vitviz.prepare(model, image).shown)",
                f"    print(vitviz.stress_curve(model, picture, {first.kind!r}, output).values)",
            ]
        ),
    )
