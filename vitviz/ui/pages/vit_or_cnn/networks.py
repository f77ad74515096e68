"""The two networks on one crop of the photograph, their predictions, and how they differ beyond the architecture."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import streamlit as st
import torch
from PIL import Image
from torch import Tensor

from vitviz.analysis.perturbation import model_input
from vitviz.analysis.prediction import Prediction, top_predictions
from vitviz.capture.blocks import run
from vitviz.capture.modules import eval_mode
from vitviz.draw.scale import number
from vitviz.figures.networks import SharedRegion
from vitviz.figures.traced_image import snippet_framing
from vitviz.models import Cnn, Model, embedded, prepare
from vitviz.models.convolutional import EMBEDDED, SUGGESTED, training_of
from vitviz.outputs import OutputKind, output_kind, output_name
from vitviz.ui import state
from vitviz.ui.compute import JobProgress, Key, consent, loading, services
from vitviz.ui.compute.queue import HEAVY_OPERATIONS
from vitviz.ui.context import PageContext
from vitviz.ui.controls.pickers import named
from vitviz.ui.escape import escaped
from vitviz.ui.pages.vit_or_cnn import text as words
from vitviz.ui.selection import MODEL_NAME
from vitviz.ui.text import common

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class ComparedNetwork:
    """One of the two networks and its input.

    Attributes:
        title: Its name for people, plain text.
        context: Computes under this network's own key.
        model: The network.
        shown: The pixels that go into it, width x height.
        input: (3, height, width), normalised.
    """

    title: str
    context: PageContext
    model: Model | Cnn
    shown: Image.Image
    input: Tensor

    @property
    def kind(self) -> OutputKind:
        """What its outputs are."""
        return output_kind(self.model)

    @property
    def is_vit(self) -> bool:
        return isinstance(self.model, Model)

    def ask(
        self,
        what: str,
        work: Callable[[Model | Cnn, JobProgress], T],
        note: str = common.COMPUTING,
        passes: float = 1.0,
        /,
        of: PageContext | None = None,
        about: str = "",
        **params: Hashable,
    ) -> T:
        """As `PageContext.ask`, of this network: `work` is called with it, or with its copy for heavy work.

        Args:
            of: Another context to keep the answer under.
            about: Names the work where consent is asked for; else `note` does.

        Raises:
            ConsentRequired: Where it would take long.
        """
        if (of or self.context).key.derive(what, **params) not in services.queue().results:
            consent.require_passes(self.model, passes, about or escaped(note))
        operations = consent.operations(self.model, passes)
        model = self.model.background_copy if operations > HEAVY_OPERATIONS else self.model
        return (of or self.context).ask(what, lambda progress: work(model, progress), note, operations, **params)

    @property
    def loading(self) -> str:
        """The Python expression that loads it."""
        if self.is_vit:
            return self.context.traced.loading
        return "vitviz.load_cnn()" if self.model.name == EMBEDDED else f"vitviz.load_cnn({self.model.name!r})"

    @property
    def logits(self) -> Tensor:
        """(outputs,) of the photograph."""
        if self.is_vit:
            return self.context.traced.trace.logits

        def work(model: Model | Cnn, _: object) -> Tensor:
            with model.lock, eval_mode(model.module), torch.inference_mode():
                return run(model.module, self.input[None], self.kind).logits[0].float().cpu()

        return self.ask("answer of the network", work)

    def best(self, count: int) -> list[Prediction]:
        """Its likeliest outputs; empty for a network without a classifier or without training."""
        if self.kind is OutputKind.FEATURES or self.model.weights == "random":
            return []
        return top_predictions(self.logits, self.model.labels, count, kind=self.kind)

    def name_of(self, output: int) -> str:
        """An output in words, plain text."""
        return output_name(self.model.labels, output, self.kind)


def vit_of(context: PageContext) -> ComparedNetwork:
    """The Vision Transformer of the sidebar."""
    name = words.EMBEDDED_VIT if context.selection.model == "embedded" else context.model.name
    title = words.VIT.format(name=name if context.model.trained else words.UNTRAINED.format(name=name))
    return ComparedNetwork(title, context, context.model, context.shown, context.trace.input)


def cnn_of(context: PageContext) -> ComparedNetwork:
    """The chosen convolutional network, with the same crop of the photograph as the Vision Transformer."""
    cnn = loading.cnn_of(str(state.value_of("cnn")) or EMBEDDED)
    key = cnn_key(cnn, context.key)
    prepared = context.traced.prepared
    shown = crop_for(cnn, context.image.image, prepared.shown, prepared.box)
    title = words.CNN.format(name=words.EMBEDDED_CNN if cnn.name == EMBEDDED else cnn.name)
    # Its trace is still the Vision Transformer's: only results under its own key are about this network.
    return ComparedNetwork(title, replace(context, key=key), cnn, shown, model_input(cnn, np.asarray(shown)))


def cnn_key(cnn: Cnn, vit: Key) -> Key:
    """The network's key: its input depends on the Vision Transformer's crop."""
    cut = f"{vit.framing} of {vit.size} by {vit.model} {vit.weights}"
    return Key("", cnn.name, cnn.weights_hash, vit.image, cnn.input_size, cut, scope=vit.scope)


def input_of(network: ComparedNetwork, photograph: Image.Image) -> Tensor:
    """(3, height, width): another photograph as this network's input."""
    seen = prepare(network.context.model, photograph, framing=framing_of(network.context))
    if not isinstance(network.model, Cnn):
        return seen.input
    return model_input(network.model, np.asarray(crop_for(network.model, photograph, seen.shown, seen.box)))


def framing_of(context: PageContext) -> str:
    """How several photographs are brought to one size: "fit" would give each another size."""
    return "crop" if context.selection.framing == "fit" else context.selection.framing


def crop_for(
    cnn: Cnn, photograph: Image.Image, seen: Image.Image, box: tuple[float, float, float, float]
) -> Image.Image:
    """The part of the photograph that another model saw, at the network's own size: the very pixels where sizes agree."""
    height, width = cnn.input_size
    if seen.size == (width, height):
        return seen
    return photograph.convert("RGB").resize((width, height), Image.Resampling.BICUBIC, box=box)


def python_crop(vit: ComparedNetwork, cnn: ComparedNetwork) -> SharedRegion:
    """Python code that prepares the photograph for both networks as here."""
    traced = vit.context.traced
    scaled = vit.shown.size != cnn.shown.size
    return SharedRegion((vit.loading, cnn.loading), traced.image_name, snippet_framing(traced.prepared), scaled)


def choose_cnn() -> None:
    """The choice of the convolutional network: the embedded one, some by name, or any name of timm's."""
    offered = {"": words.EMBEDDED_CNN} | {name: name for name in SUGGESTED if loading.may_load_cnn(name)}
    chosen = str(state.value_of("cnn"))
    names = [*offered] if chosen in offered else [*offered, chosen]
    st.selectbox(
        words.CHOOSE_CNN,
        names,
        format_func=named(offered),
        help=words.CHOOSE_CNN_HELP,
        accept_new_options=True,
        **state.bound("cnn", chosen, _typed),
    )


def _typed(name: str) -> str:
    """A name that was typed, where it can be one; otherwise nothing changes."""
    name = name.strip()
    return name if not name or MODEL_NAME.fullmatch(name) else str(state.value_of("cnn"))


# The predictions, and the class that the curves follow.


def same_outputs(vit: ComparedNetwork, cnn: ComparedNetwork) -> bool:
    """Whether the outputs of both have the same names."""
    return vit.kind is cnn.kind and tuple(vit.model.labels or ()) == tuple(cnn.model.labels or ())


def followed(vit: ComparedNetwork, cnn: ComparedNetwork) -> tuple[int | None, int]:
    """The output that each network's curve follows: the chosen or likeliest one, the same for both where possible.

    None for a Vision Transformer without a classifier.
    """
    first = int(cnn.logits.argmax())
    if vit.kind is OutputKind.FEATURES:
        return None, first
    wanted, own = int(state.value_of("target")), int(vit.logits.argmax())
    if 0 <= wanted < len(vit.logits):
        own = wanted
    elif same_outputs(vit, cnn) and vit.model.weights == "random":
        own = first
    return own, own if same_outputs(vit, cnn) else first


def output_words(network: ComparedNetwork, output: int, vit: ComparedNetwork) -> str:
    """An output that is followed in words, plain text: its name, or while predictions are hidden only whose it is."""
    if not vit.context.answer_hidden or output == int(state.value_of("target")):
        return network.name_of(output)
    return words.VITS_ANSWER if not network.is_vit and same_outputs(vit, network) else words.ITS_ANSWER


def agreement(vit: ComparedNetwork, cnn: ComparedNetwork) -> str:
    """A Markdown sentence on whether the predictions agree, or with both predictions where outputs have different names."""
    silent = [network for network in (vit, cnn) if not network.best(1)]
    if silent:
        why = words.NO_NAMES if silent[0].kind is OutputKind.FEATURES else words.NO_TRAINING
        return why.format(network=escaped(silent[0].title))
    one, two = vit.best(1)[0], cnn.best(1)[0]
    if same_outputs(vit, cnn) and one.index == two.index:
        return words.AGREE.format(label=escaped(one.label), vit=one.text, cnn=two.text)
    sentence = words.DISAGREE if same_outputs(vit, cnn) else words.OTHER_NAMES
    return sentence.format(vit=_answer_words(one), cnn=_answer_words(two))


def _answer_words(answer: Prediction) -> str:
    return f"**{escaped(answer.label)}** ({answer.text})"


# Differences of the two beyond the architecture.


def facts_of(network: ComparedNetwork) -> list[str]:
    """What a network is and what it was trained on, in the order of `words.FACTS`; an empty text where it is not known."""
    model = network.model
    before, then = training_of(model)
    height, width = network.shown.height, network.shown.width
    return [
        f"{sum(each.numel() for each in model.module.parameters()) / 1e6:.1f}",
        f"{width} × {height}",
        before,
        then,
        f"{len(network.logits):,}",
        _measured(model),
    ]


def _measured(model: Any) -> str:
    if model.weights != "embedded":
        return ""
    stem = embedded.CNN if isinstance(model, Cnn) else embedded.VIT
    found = embedded.measured()[stem]["accuracy"]["everyday"][0]
    return words.MEASURED.format(top1=f"{found['top1']:.0%}", images=number(found["images"]))
