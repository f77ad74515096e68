"""Figures that compare a Vision Transformer with a convolutional network: receptive fields, and perturbed pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vitviz.analysis.perturbation import KINDS, RANDOM, PerturbationCurve
from vitviz.analysis.receptive_field import ReceptiveField
from vitviz.draw import LIGHT, Theme, draw_curve, draw_scatter
from vitviz.figure import Figure, Provenance
from vitviz.figures.traced_image import FRAMING_WORDS, TracedImage

EMBEDDED_BOTH = ('vitviz.load_model("embedded")', "vitviz.load_cnn()")


@dataclass(frozen=True)
class SharedRegion:
    """The Python code that gives two networks the same region of a photograph, that of the first network's input.

    Attributes:
        loads: Python that loads each of the networks, the Vision Transformer first.
        image_name: Path of the photograph in Python snippets.
        framing: Framing of the Vision Transformer's input.
        scaled: Whether the other network's input has another size.
    """

    loads: tuple[str, str] = EMBEDDED_BOTH
    image_name: str = "photo.jpg"
    framing: str = "crop"
    scaled: bool = False

    @property
    def imports(self) -> list[str]:
        """Imports that `lines` need in addition to vitviz."""
        return ["from PIL import Image"] if self.scaled else []

    @property
    def networks(self) -> str:
        """Python that loads both networks, as `vit` and `cnn`."""
        return f"vit, cnn = {', '.join(self.loads)}"

    @property
    def lines(self) -> list[str]:
        """Python that computes from `image` the Vision Transformer's input, `seen`, and the other network's pixels, `cut`."""
        resized = "image.resize(cnn.input_size[::-1], Image.Resampling.BICUBIC, box=seen.box)"
        return [
            f"seen = vitviz.prepare(vit, image, framing={self.framing!r})",
            f"cut = {resized if self.scaled else 'seen.shown'}  # both get the same part of the photograph",
        ]


@dataclass(frozen=True)
class GalleryPhotographs:
    """The photographs of the gallery over which numbers are averaged.

    Attributes:
        names: Ids of the photographs.
        framing: Framing of every photograph.
    """

    names: tuple[str, ...]
    framing: str = "crop"

    def provenance(self, own: Provenance) -> Provenance:
        """The provenance of the mean, from that of one photograph."""
        parameters = {**own.parameters, "mean over photographs": list(self.names)}
        return replace(own, image_hash="", framing=FRAMING_WORDS[self.framing], parameters=parameters)

    @property
    def words(self) -> str:
        """The end of a description of a figure."""
        return f" Mean over {len(self.names)} photographs of the gallery."


def fields_figure(
    fields: dict[str, Sequence[ReceptiveField]],
    provenance: Provenance,
    theme: Theme = LIGHT,
    width: int = 640,
    cut: SharedRegion = SharedRegion(),
    gallery: GalleryPhotographs | None = None,
) -> Figure:
    """The side of the square with most of the central unit's gradient, as a function of relative depth, for each network.

    Args:
        fields: Network's name -> receptive fields, first layer or stage first. Depth is relative, because the networks have
            different numbers of layers.
        provenance: Of the image and the first network.
        theme: Colours and font size.
        width: Pixels.
        cut: Python code that prepares the photograph for both networks.
        gallery: Photographs that the fields are means over; None for one photograph.
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
        alt=f"Side of the smallest centred square that holds {share:.0%} of the gradient of the middle unit. {ends}."
        + (gallery.words if gallery else ""),
        provenance=gallery.provenance(provenance) if gallery else provenance,
        snippet=_fields_snippet(cut, gallery is not None),
    )


def _fields_snippet(cut: SharedRegion, gallery: bool) -> str:
    each = [
        "pixels = (seen.input, vitviz.prepare(cnn, cut, framing='squash').input)",
        "fields = [vitviz.receptive_fields(*each) for each in zip((vit, cnn), pixels)]",
    ]
    shown = "print([[(field.name, field.side) for field in each] for each in fields])"
    if not gallery:
        image = f"image = vitviz.load_image({cut.image_name!r})"
        return "\n".join([*cut.imports, "import vitviz", "", cut.networks, image, *cut.lines, *each, shown])
    own = ["from vitviz.analysis.receptive_field import mean_receptive_fields", "from vitviz.samples import samples"]
    inside = ["image = vitviz.load_sample(sample.id)", *cut.lines, *each, "found.append(fields)"]
    return "\n".join(
        [
            *cut.imports,
            "import vitviz",
            *own,
            "",
            cut.networks,
            "found = []",
            "for sample in samples():",
            *(f"    {line}" for line in inside),
            "fields = [mean_receptive_fields(each) for each in zip(*found)]",
            shown,
        ]
    )


_DISTANCES = "[vitviz.attention_distance(layer) for layer in trace.layers]"


def distances_figure(
    subject: TracedImage,
    distances: np.ndarray,
    theme: Theme = LIGHT,
    width: int = 640,
    height: int = 420,
    gallery: GalleryPhotographs | None = None,
) -> Figure:
    """Attention distance of every head in every layer.

    Args:
        subject: The traced image.
        distances: (layers, heads) in pixels of the input; NaN for heads that a layer does not have.
        theme: Colours and font size.
        width: Pixels.
        height: Pixels of the plot.
        gallery: Photographs that the distances are means over; None for one photograph.

    Source: Dosovitskiy et al. 2021 (arXiv 2010.11929), figure 7 right.
    """
    layer, head = np.nonzero(np.isfinite(distances))
    value = distances[layer, head]
    low, high = int(value.argmin()), int(value.argmax())
    provenance = subject.provenance("attention distance")
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
            height=height,
        ),
        alt=f"Attention distance of {len(value)} heads by layer. The nearest is head {head[low]} of layer {layer[low]} with "
        f"{value[low]:.0f} pixels, the farthest head {head[high]} of layer {layer[high]} with {value[high]:.0f}."
        + (gallery.words if gallery else ""),
        provenance=gallery.provenance(provenance) if gallery else provenance,
        snippet=_gallery_distances(subject, gallery.framing)
        if gallery
        else subject.snippet(f"distances = {_DISTANCES}"),
    )


def _gallery_distances(subject: TracedImage, framing: str) -> str:
    return "\n".join(
        [
            "import vitviz",
            "from vitviz.samples import samples",
            "",
            f"model = {subject.loading}",
            "found = []",
            "for sample in samples():",
            f"    trace = vitviz.trace(model, vitviz.load_sample(sample.id), framing={framing!r})",
            f"    found.append({_DISTANCES})",
            "distances = [sum(layer) / len(layer) for layer in zip(*found)]",
        ]
    )


def perturbation_figure(
    curves: dict[str, PerturbationCurve],
    names: dict[str, str],
    provenance: Provenance,
    theme: Theme = LIGHT,
    width: int = 640,
    cut: SharedRegion = SharedRegion(),
    orders: int = 3,
) -> Figure:
    """The probability of each network's class at every level of perturbation, with the range over random orders.

    Args:
        curves: Network's name -> curve, all of one kind and with the same levels; a single curve is the second network's.
        names: Network's name -> name of the curve's class.
        provenance: Of the image and the first network; the classes are added to its parameters.
        theme: Colours and font size.
        width: Pixels.
        cut: Python code that prepares the photograph for both networks.
        orders: Random orders that each curve is the mean over, if the perturbation is random.

    Raises:
        ValueError: For curves of different kinds or levels.
    """
    first = next(iter(curves.values()))
    if any(curve.kind != first.kind or not np.array_equal(curve.levels, first.levels) for curve in curves.values()):
        raise ValueError("curves of different perturbations or levels cannot share one chart")
    ends = "; ".join(
        f"{name}, {names[name]}: {curve.values[0]:.0%} of the whole picture, {curve.values[-1]:.0%} at the last level"
        for name, curve in curves.items()
    )
    labels = {name: f"{name}: {names[name]}" for name in curves}
    named = [f"{labels[name]} ({curve.target})" for name, curve in curves.items()]
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
        alt=f"Probability of a class as the picture is perturbed, by {KINDS[first.kind]}. {ends}.",
        provenance=replace(
            provenance, parameters={**provenance.parameters, "perturbation": first.kind, "classes": named}
        ),
        snippet=_perturbation_snippet([*curves.values()], [*labels.values()], cut, orders),
    )


def _perturbation_snippet(
    curves: Sequence[PerturbationCurve], labels: Sequence[str], cut: SharedRegion, orders: int
) -> str:
    """The Python that computes the curves of both networks, or of the second alone."""
    given = (("vit", "seen.shown"), ("cnn", "cut"))[-len(curves) :]
    asked = ", ".join(f"({', '.join(each)}, {curve.target})" for each, curve in zip(given, curves, strict=True))
    random = f", orders={orders}" if curves[0].kind in RANDOM else ""
    return "\n".join(
        [
            "import numpy as np",
            *cut.imports,
            "import vitviz",
            "",
            cut.networks,
            f"image = vitviz.load_image({cut.image_name!r})",
            *cut.lines,
            "curves = [",
            f"    vitviz.perturbation_curve(model, np.asarray(pixels), {curves[0].kind!r}, output{random})",
            f"    for model, pixels, output in ({asked},)  # {'; '.join(map(repr, labels))}",
            "]",
            "print([curve.values for curve in curves])",
        ]
    )
