"""The reach of each network, layer by layer: effective receptive fields, and the attention distance of every head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import streamlit as st
import torch

import vitviz
from vitviz.analysis.attention import attention_distance
from vitviz.analysis.receptive_field import ReceptiveField, mean_receptive_fields, receptive_fields
from vitviz.capture.attention import Attention
from vitviz.errors import UnsupportedError
from vitviz.figure import Figure
from vitviz.figures.networks import GalleryPhotographs, distances_figure, fields_figure
from vitviz.models import Cnn, Model
from vitviz.samples import load_sample, samples
from vitviz.ui import state
from vitviz.ui.components.networks import Axes, NetworkSide, NetworkStep, fields_payload, show_networks
from vitviz.ui.compute import JobProgress
from vitviz.ui.context import PageContext
from vitviz.ui.controls import figure
from vitviz.ui.controls.captions import caption, sentence
from vitviz.ui.controls.frame import Frame
from vitviz.ui.controls.pickers import named
from vitviz.ui.pages.vit_or_cnn import text as words
from vitviz.ui.pages.vit_or_cnn.networks import ComparedNetwork, framing_of, input_of, python_crop

OWN, GALLERY = "receptive fields", "receptive fields of the gallery"  # names of the results
# Tokens of a Vision Transformer beyond which its backward passes would hold gigabytes.
MOST_TOKENS = 3_000
HEADS_HEIGHT = 360  # pixels of the chart of attention distances
STAGES = 7  # of a convolutional network, about: the passes that its fields take


def show(its: Frame, vit: ComparedNetwork, cnn: ComparedNetwork) -> None:
    """Both fields at the same share of depth, and the side of the square that holds 95% of each against depth."""
    its.say("")  # the figure says it, step by step
    networks = vit, cnn
    fields = [fields_of(network) for network in networks]
    count = max(map(len, fields))
    steps = []
    for i in range(count):
        depth = i / max(1, count - 1)
        frames = tuple(round(depth * (len(each) - 1)) for each in fields)
        one, two = (each[frame] for each, frame in zip(fields, frames, strict=True))
        said = words.REACH_SAID.format(
            share=f"{one.share:.0%}", vit=one.side, layer=_part(one, vit), cnn=two.side, stage=_part(two, cnn)
        )
        steps.append(NetworkStep(depth, frames, said))
    sides = [_side(network, each) for network, each in zip(networks, fields, strict=True)]
    top = max(max(each[0].gradient.shape) for each in fields)
    axes = Axes(
        words.DEPTH,
        words.SIDE,
        top,
        [(value, f"{value:.0f}") for value in np.linspace(0, top, 5)],
        [(0.0, words.FIRST), (1.0, words.LAST)],
    )
    question = f"{vit.context.key}|{cnn.context.key}|{_whole()}"
    show_networks("networks", question, sides, steps, axes, alt=fields_words(fields, vit, cnn), smooth=True)


def _side(network: ComparedNetwork, fields: tuple[ReceptiveField, ...]) -> NetworkSide:
    picture = None if _whole() else network.shown
    url = network.context.offer(
        "receptive fields painted", lambda: fields_payload(fields, picture), of=state.value_of("reach_of")
    )
    height, width = fields[0].gradient.shape
    return NetworkSide(
        title=network.title,
        name=words.SHORT_VIT if network.is_vit else words.SHORT_CNN,
        url=url,
        frames="fields",
        captions=[words.UNDER_FIELD.format(part=_part(field, network), side=field.side) for field in fields],
        x=np.linspace(0, 1, len(fields)).tolist(),
        values=[field.side for field in fields],
        band=None,
        ratio=width / height,
        alt=words.FIELD_ALT,
    )


def _whole() -> bool:
    """Whether the mean over the gallery is shown."""
    return bool(state.value_of("reach_of") == "gallery")


def _part(field: ReceptiveField, network: ComparedNetwork) -> str:
    """The part of a network in words: "layer 3" of a Vision Transformer, "stage 2" of another, or timm's name of it."""
    _, _, number = field.name.rpartition(".")
    if field.name == "patch_embed":
        return words.EMBEDDING
    return (words.LAYER if network.is_vit else words.STAGE).format(number=number) if number.isdecimal() else field.name


def fields_words(fields: list[tuple[ReceptiveField, ...]], vit: ComparedNetwork, cnn: ComparedNetwork) -> str:
    """Sentences on both ends of the curves, and whether they differ from published findings on trained networks."""
    one, two = fields
    said = words.REACH_HERE.format(
        share=f"{one[0].share:.0%}",
        first=one[min(1, len(one) - 1)].side,
        last=one[-1].side,
        cnn=two[0].side,
        end=two[-1].side,
    )
    after = one[min(1, len(one) - 1)]
    against = ""
    if vit.model.weights != "random" and _of_picture(after) <= _of_picture(two[0]):
        against += " " + words.NEAR_FROM_THE_FIRST
    smaller = [later for former, later in pairwise(two) if round(later.side) < round(former.side)]
    if cnn.model.weights != "random" and smaller:
        against += " " + words.GROWS_NOT.format(stage=_part(smaller[0], cnn))
    return said + against


def _of_picture(field: ReceptiveField) -> float:
    """The square's side as a share of the picture's, since two inputs may differ in size."""
    return field.side / max(field.gradient.shape)


def fields_of(network: ComparedNetwork) -> tuple[ReceptiveField, ...]:
    """The fields of the photograph, or averaged over the gallery.

    Raises:
        UnsupportedError: As `receptive_fields`, and for an input of too many tokens.
        ConsentRequired: Where it would take long.
    """
    context, pictures = network.context, len(samples()) if _whole() else 1
    passes = 2.0 * STAGES * pictures
    if network.is_vit:
        if context.layout.num_tokens > MOST_TOKENS:
            raise UnsupportedError(words.TOO_MANY_TOKENS.format(most=f"{MOST_TOKENS:,}"))
        passes = 2.0 * (context.trace.num_layers + 1) * pictures
    if not _whole():
        return network.ask(
            OWN,
            lambda model, progress: receptive_fields(model, network.input, progress=progress),
            words.WAIT_FIELDS.format(network=network.title),
            passes,
            about=words.FIELDS,
        )
    return network.ask(
        GALLERY,
        lambda model, progress: _gallery_fields(network, model, progress),
        words.WAIT_GALLERY.format(network=network.title, count=pictures),
        passes,
        of=of_gallery(context),
        about=words.FIELDS,
    )


def of_gallery(context: PageContext) -> PageContext:
    """The same for results over the whole gallery, which are shared by all sessions."""
    # with "fit" the size for all photographs would be that of the shown one
    framing = f"{context.key.framing} at {context.model.input_size}"
    return replace(context, key=replace(context.key, image="gallery", framing=framing, scope=None))


def _gallery_fields(network: ComparedNetwork, model: Model | Cnn, progress: JobProgress) -> tuple[ReceptiveField, ...]:
    found = []
    for done, sample in enumerate(samples()):
        found.append(receptive_fields(model, input_of(network, load_sample(sample.id))))
        progress(done + 1, len(samples()))
    return mean_receptive_fields(found)


def _gallery(context: PageContext) -> GalleryPhotographs | None:
    """The photographs that numbers are averaged over; None where they are the shown photograph's own."""
    return GalleryPhotographs(tuple(sample.id for sample in samples()), framing_of(context)) if _whole() else None


def details(vit: ComparedNetwork, cnn: ComparedNetwork) -> None:
    """Published findings, those of these two networks, and the curves as a figure with exports."""
    context, gallery = vit.context, _gallery(vit.context)
    fields = [fields_of(network) for network in (vit, cnn)]
    cut = python_crop(vit, cnn)
    caption(words.FIELDS_LEGEND)
    sentence(words.REACH_CLAIMED)
    sentence(fields_words(fields, vit, cnn))
    figure.exports(
        context,
        "receptive fields",
        lambda: fields_figure(
            {vit.title: fields[0], cnn.title: fields[1]},
            context.subject.provenance("effective receptive field"),
            theme=context.theme,
            cut=replace(cut, framing=gallery.framing) if gallery else cut,
            gallery=gallery,
        ),
        label=words.CURVES,
        cnn=cnn.context.key,
        of=state.value_of("reach_of"),
    )


# The attention distance of heads, which is another quantity.


def show_heads(its: Frame, vit: ComparedNetwork, _: ComparedNetwork) -> None:
    """The attention distance of every head by layer, and a sentence on the first layer."""
    context = vit.context
    figure.show(context, "attention distance", _heads_figure(context), exported=False, of=state.value_of("reach_of"))
    its.say(words.DISTANCES_HERE, **_of_first(_distances(context)[0], context))


def _of_first(first: np.ndarray, context: PageContext) -> dict[str, float]:
    """The range of the first layer's attention distances, and the distance of uniform attention.

    Args:
        first: (heads,), NaN where there is none.
    """
    even = float(context.layout.distances().mean())
    return {"low": float(np.nanmin(first)), "high": float(np.nanmax(first)), "even": even}


def heads_words(first: np.ndarray, even: float, trained: bool) -> str:
    """Sentences on the first layer's attention distances, and whether they differ from published findings on trained networks.

    Args:
        first: (heads,) attention distances; NaN where there is no head.
        even: The distance of uniform attention.
    """
    low, high = float(np.nanmin(first)), float(np.nanmax(first))
    said = words.DISTANCES_HERE.format(low=low, high=high, even=even)
    against = "near" if low >= even / 2 else "far" if high <= even / 2 else ""
    return f"{said} {words.HEADS_AGAINST[against]}" if trained and against else said


def details_of_heads(vit: ComparedNetwork) -> None:
    """Published findings, and the figure with its exports."""
    context = vit.context
    sentence(words.HEADS_CLAIMED)
    first = _distances(context)[0]
    sentence(heads_words(first, _of_first(first, context)["even"], context.model.trained))
    figure.exports(context, "attention distance", _heads_figure(context), of=state.value_of("reach_of"))


def _heads_figure(context: PageContext) -> Callable[[], Figure]:
    distances, gallery, width = _distances(context), _gallery(context), figure.whole(context)
    return lambda: distances_figure(
        context.subject, distances, theme=context.theme, width=width, height=HEADS_HEIGHT, gallery=gallery
    )


def _distances(context: PageContext) -> np.ndarray:
    """(layers, heads) in pixels, of the photograph or averaged over the gallery."""
    if not _whole():
        own: np.ndarray = context.ask("attention distances", lambda _: _of_layers(context.layers))
        return own

    def work(progress: JobProgress) -> np.ndarray:
        found = []
        for done, sample in enumerate(samples()):
            trace = vitviz.trace(context.model.background_copy, load_sample(sample.id), framing=framing_of(context))
            found.append(_of_layers(trace.sequence("This page")))
            progress(done + 1, len(samples()))
        return np.mean(found, axis=0)

    passes = 1.0 * len(samples())
    mean: np.ndarray = of_gallery(context).ask("attention distances of the gallery", work, words.WAIT_DISTANCES, passes)
    return mean


def _of_layers(layers: Sequence[Attention]) -> np.ndarray:
    """(layers, heads) in pixels; NaN where a layer has fewer heads than another."""
    rows = [attention_distance(layer).float().cpu() for layer in layers]
    heads = max(len(row) for row in rows)
    return torch.stack(
        [torch.nn.functional.pad(row, (0, heads - len(row)), value=float("nan")) for row in rows]
    ).numpy()


def choose() -> None:
    """The choice between this photograph and the gallery."""
    st.segmented_control(
        words.REACH_OF,
        list(words.REACHES),
        format_func=named(words.REACHES),
        help=words.REACH_OF_HELP,
        required=True,
        **state.bound("reach_of"),
    )
