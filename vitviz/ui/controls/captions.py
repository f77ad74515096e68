"""Sentences as a page shows them: those that are true of the model and picture on the screen, with the definition of every term
of the glossary, on hover and for screen readers.

`FACTS` holds the names with which texts say when they are true. Captions of the journey and the closing questions are chosen by
them, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import streamlit as st

from vitviz.analysis.layers import GLOBAL, POOLED, POOLING, SHIFTED, SPREAD, WINDOWS, layer_kind
from vitviz.analysis.patches import is_cut, sequence_cost
from vitviz.analysis.positions import position_kinds
from vitviz.capture.modules import patch_filters
from vitviz.glossary import marked
from vitviz.models import Model
from vitviz.outputs import OutputKind
from vitviz.references import PUBLICATIONS
from vitviz.samples import samples
from vitviz.ui.context import PageContext, prepared_context
from vitviz.ui.controls import navigation
from vitviz.ui.text import common, journey
from vitviz.ui.text.sentences import true_of

_LESS = re.compile(r"\\?<")
_CAPTIONS = {each.step: each for each in journey.CAPTIONS}


def kinds_of_positions(context: PageContext) -> tuple[str, ...]:
    """How this model encodes the positions of patches, as `position_kinds`; computed once for a model."""
    found: tuple[str, ...] = context.of_model.ask("position kinds", _position_kinds(context))
    return found


def prepare_first_view(model: Model) -> None:
    """Computes what the start page shows of the gallery's first photograph, when the server starts."""
    context = prepared_context(model)
    context.of_model.fetch("position kinds", _position_kinds(context))


def _position_kinds(context: PageContext) -> Callable[[object], tuple[str, ...]]:
    def work(_: object) -> tuple[str, ...]:
        with context.model.lock:
            return position_kinds(context.model, context.layout)

    return work


def _kinds_of_layers(context: PageContext) -> set[str]:
    trace = context.traced.trace
    return {layer_kind(layer) for layer in (*trace.layers, *trace.pooling)}


def _grids(context: PageContext) -> int:
    return len({layer.query_layout.grid for layer in context.traced.trace.layers if layer.query_layout.num_patches})


def _one_of(*kinds: str) -> Callable[[PageContext], bool]:
    return lambda context: bool(_kinds_of_layers(context) & set(kinds))


def _placed(*kinds: str) -> Callable[[PageContext], bool]:
    return lambda context: bool(set(kinds_of_positions(context)) & set(kinds))


FACTS: dict[str, Callable[[PageContext], bool]] = {
    # the visitor's device: only the browser knows it, and shows one of the first two; keys are listed, or
    # named to screen readers
    "mouse": lambda context: True,
    "touch": lambda context: True,
    "keyboard": lambda context: True,
    # the picture
    "motorcycle": lambda context: (context.selection.image or samples()[0].id) == "motorcycle",
    # the weights and what comes out
    "trained": lambda context: context.model.weights != "random",
    "classes": lambda context: context.model.output_kind is OutputKind.CLASSES,
    "answers": lambda context: context.model.output_kind is not OutputKind.FEATURES,
    # the patch embedding
    "cuts": lambda context: is_cut(context.model, context.layout),
    "filters": lambda context: patch_filters(context.model.module) is not None,
    # the sequence
    "class token": lambda context: "cls" in context.layout.prefix,
    # positions
    "added": _placed("learned", "sin-cos"),
    "learned positions": _placed("learned"),
    "sin-cos": _placed("sin-cos"),
    "rotary": _placed("rotary"),
    "relative": _placed("relative"),
    # layers
    "only global": lambda context: (
        GLOBAL in (kinds := _kinds_of_layers(context)) and kinds <= {GLOBAL, POOLING} and _grids(context) < 2
    ),
    "stages": lambda context: _grids(context) > 1,
    "windows": _one_of(WINDOWS, SHIFTED, SPREAD),
    "shifted": _one_of(SHIFTED),
    "spread": _one_of(SPREAD),
    "pooled": _one_of(POOLED),
    "pooling": _one_of(POOLING),
}


class Facts:
    """The facts of one page context, each computed when it is first needed: `"rotary" in Facts(context)`."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._known: dict[str, bool] = {}

    def __contains__(self, fact: object) -> bool:
        if fact not in self._known:
            self._known[str(fact)] = FACTS[str(fact)](self._context)
        return self._known[str(fact)]


def sentence(text: str, *, known: tuple[str, ...] = (), **blanks: object) -> None:
    """Body text.

    Args:
        known: Terms whose definition was shown before, so that they are not marked again.
        **blanks: Values of the blanks in the text; text from outside is escaped as for any Markdown.
    """
    st.markdown(_filled(text, blanks, known), unsafe_allow_html=True)


def caption(text: str, **blanks: object) -> None:
    """Small text beneath or above a figure.

    Args:
        **blanks: As `sentence`.
    """
    st.caption(_filled(text, blanks), unsafe_allow_html=True)


def _filled(text: str, blanks: dict[str, object], known: tuple[str, ...] = ()) -> str:
    """The text with its terms marked, then filled. What fills it cannot open a tag: HTML comes from the texts alone."""
    shown = marked(text, known)
    if not blanks:
        return shown
    safe = {name: _LESS.sub("&lt;", each) if isinstance(each, str) else each for name, each in blanks.items()}
    return shown.format(**safe)


def caption_of(context: PageContext, step: str) -> str:
    """The pieces of a step's caption that are true here, with the blanks to be filled; empty where none is.

    Raises:
        KeyError: For an unknown step.
    """
    return true_of(_CAPTIONS[step].text, Facts(context))


def page_of(step: str) -> str:
    """The name of the page that explains a step in full."""
    return _CAPTIONS[step].page


def costs_of(context: PageContext) -> dict[str, Any]:
    """What fills the numbers of pixels, patches and their pairs."""
    cost = sequence_cost(context.layout)
    return {name: f"{getattr(cost, name):,}" for name in ("pixels", "patches", "pixel_pairs", "patch_pairs")}


def closing_questions(context: PageContext) -> None:
    """The questions that people ask at the end, each with a short answer that is true here, its works and its page."""
    blanks, facts = costs_of(context), Facts(context)
    with st.expander(common.QUESTIONS):
        for each in journey.QUESTIONS:
            answer = true_of(each.answer, facts)
            if not answer:
                continue
            st.markdown(f"**{each.question}**")
            sentence(answer, **blanks)
            st.caption(" · ".join(PUBLICATIONS[key].markdown for key in each.references))
            navigation.link(each.page)
