"""Sentences as a page shows them: every term of the glossary carries its definition, on hover and for screen readers.

Captions of the story and the closing questions are those that are true of the model and picture on the screen.
"""

from __future__ import annotations

import re
from typing import Any

import streamlit as st

from vitviz.analysis.patches import sequence_cost
from vitviz.glossary import marked
from vitviz.references import PUBLICATIONS
from vitviz.ui.context import PageContext
from vitviz.ui.controls.facts import Facts
from vitviz.ui.shell import navigation
from vitviz.ui.text import common, journey
from vitviz.ui.text.sentences import true_of

_LESS = re.compile(r"\\?<")
_CAPTIONS = {each.step: each for each in journey.CAPTIONS}


def sentence(text: str, *, known: tuple[str, ...] = (), **blanks: object) -> None:
    """Body text. known: terms that were marked before; blanks: fill {names}, text from outside escaped as for any Markdown."""
    st.markdown(_told(text, blanks, known), unsafe_allow_html=True)


def caption(text: str, **blanks: object) -> None:
    """Small text beneath or above a figure. blanks: as `sentence`."""
    st.caption(_told(text, blanks), unsafe_allow_html=True)


def _told(text: str, blanks: dict[str, object], known: tuple[str, ...] = ()) -> str:
    """The text with its terms marked, then filled. What fills it can open no tag: HTML is ours alone."""
    shown = marked(text, known)
    if not blanks:
        return shown
    safe = {name: _LESS.sub("&lt;", each) if isinstance(each, str) else each for name, each in blanks.items()}
    return shown.format(**safe)


def caption_of(context: PageContext, step: str) -> str:
    """The pieces of a step's caption that are true here, with the blanks to be filled; empty where none is.

    Raises:
        KeyError: for a step that there is not.
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
