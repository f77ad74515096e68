"""How far each network sees, layer by layer: effective receptive fields, and the attention distance of every head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import streamlit as st
import torch

import vitviz
from vitviz.analysis.attention import attention_distance
from vitviz.analysis.receptive_field import ReceptiveField, mean_receptive_fields, receptive_fields
from vitviz.capture.attention import Attention
from vitviz.errors import UnsupportedError
from vitviz.figure import Figure
from vitviz.figures.networks import distances_figure, fields_figure
from vitviz.models import Cnn, Model
from vitviz.samples import load_sample, samples
from vitviz.ui import state
from vitviz.ui.components.networks import Axes, NetworkSide, NetworkStep, fields_payload, show_networks
from vitviz.ui.compute import JobProgress
from vitviz.ui.context import PageContext
from vitviz.ui.controls import figure
from vitviz.ui.controls.captions import caption, sentence
from vitviz.ui.controls.pickers import named
from vitviz.ui.pages.vit_or_cnn import text as words
from vitviz.ui.pages.vit_or_cnn.networks import ComparedNetwork, framing_of, given_of

OWN, GALLERY = "receptive fields", "receptive fields of the gallery"  # names of the results
# Tokens of a Vision Transformer beyond which its backward passes would hold gigabytes.
MOST_TOKENS = 3_000
STAGES = 7  # of a convolutional network, about: the passes that its fields take


def show(vit: ComparedNetwork, cnn: ComparedNetwork) -> None:
    """Both fields at the same share of depth, and the side of the square that holds 95% of each against depth."""
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
    show_networks("networks", question, sides, steps, axes, alt=fields_words(fields), smooth=True)


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
    """The part of a network in words: "layer 3" of a Vision Transformer, "stage 2" of another, or what timm calls it."""
    _, _, number = field.name.rpartition(".")
    if field.name == "patch_embed":
        return words.EMBEDDING
    return (words.LAYER if network.is_vit else words.STAGE).format(number=number) if number.isdecimal() else field.name


def fields_words(fields: list[tuple[ReceptiveField, ...]]) -> str:
    """Where both curves begin and end."""
    one, two = fields
    return words.REACH_HERE.format(
        share=f"{one[0].share:.0%}",
        first=one[min(1, len(one) - 1)].side,
        last=one[-1].side,
        cnn=two[0].side,
        end=two[-1].side,
    )


def fields_of(network: ComparedNetwork) -> tuple[ReceptiveField, ...]:
    """Of the photograph, or averaged over the gallery.

    Raises:
        UnsupportedError: as `receptive_fields`, and for an input of too many tokens.
        ConsentRequired: where it would take long.
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
    """The same for questions about all photographs of the gallery: their answers are for everybody."""
    # "fit" lets the photograph that is shown set the size at which the model runs on all of them.
    framing = f"{context.key.framing} at {context.model.input_size}"
    return replace(context, key=replace(context.key, image="gallery", framing=framing, scope=None))


def _gallery_fields(network: ComparedNetwork, model: Model | Cnn, progress: JobProgress) -> tuple[ReceptiveField, ...]:
    found = []
    for done, sample in enumerate(samples()):
        found.append(receptive_fields(model, given_of(network, load_sample(sample.id))))
        progress(done + 1, len(samples()))
    return mean_receptive_fields(found)


# Below the figure: where heads look, which is another quantity.


def details(vit: ComparedNetwork, cnn: ComparedNetwork) -> None:
    """What others found and what these two do, and the attention distance of every head."""
    context, of = vit.context, str(state.value_of("reach_of"))
    fields = [fields_of(network) for network in (vit, cnn)]
    distances = _distances(context, [layer for layer in context.layers if isinstance(layer, Attention)])
    left, right = st.columns(2)
    with left:
        caption(words.FIELDS_LEGEND)
        sentence(words.REACH_CLAIMED)
        sentence(fields_words(fields))
        even = float(context.layout.distances().mean())
        sentence(words.DISTANCES_HERE, low=np.nanmin(distances[0]), high=np.nanmax(distances[0]), even=even)

        def curves() -> Figure:
            provenance = context.subject.provenance("effective receptive field")
            return fields_figure(
                {vit.title: fields[0], cnn.title: fields[1]},
                provenance,
                theme=context.theme,
                loads=(vit.loading, cnn.loading),
                image_name=context.traced.image_name,
            )

        figure.exports(context, "receptive fields", curves, label=words.CURVES, cnn=cnn.context.key, of=of)
    with right:
        st.markdown(words.DISTANCES)
        figure.show(
            context,
            "attention distance",
            lambda: distances_figure(context.subject, distances, theme=context.theme, width=figure.HALF),
            of=of,
        )
        caption(words.DISTANCES_TEXT)


def _distances(context: PageContext, layers: list[Attention]) -> np.ndarray:
    if not _whole():
        own: np.ndarray = context.ask("attention distances", lambda _: _of_layers(layers))
        return own

    def work(progress: JobProgress) -> np.ndarray:
        found = []
        for done, sample in enumerate(samples()):
            trace = vitviz.trace(context.model.beside, load_sample(sample.id), framing=framing_of(context))
            found.append(_of_layers([layer for layer in trace.layers if isinstance(layer, Attention)]))
            progress(done + 1, len(samples()))
        return np.mean(found, axis=0)

    passes = 1.0 * len(samples())
    mean: np.ndarray = of_gallery(context).ask("attention distances of the gallery", work, words.WAIT_DISTANCES, passes)
    return mean


def _of_layers(layers: list[Attention]) -> np.ndarray:
    """(layers, heads) in pixels; NaN where a layer has fewer heads than another."""
    rows = [attention_distance(layer).float().cpu() for layer in layers]
    heads = max(len(row) for row in rows)
    return torch.stack(
        [torch.nn.functional.pad(row, (0, heads - len(row)), value=float("nan")) for row in rows]
    ).numpy()


def choose() -> None:
    """Of this photograph, or over the gallery."""
    st.segmented_control(
        words.REACH_OF,
        list(words.REACHES),
        format_func=named(words.REACHES),
        help=words.REACH_OF_HELP,
        required=True,
        **state.bound("reach_of"),
    )
