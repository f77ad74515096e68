"""The story's captions and closing questions, as they are true of the model and picture on the screen."""

from __future__ import annotations

from typing import Any

import streamlit as st

from vitviz.analysis.patches import sequence_cost
from vitviz.references import WORKS
from vitviz.ui.context import PageContext
from vitviz.ui.controls.facts import Facts
from vitviz.ui.controls.say import sentence
from vitviz.ui.shell import navigation
from vitviz.ui.text import common, journey
from vitviz.ui.text.sentences import true_of

_CAPTIONS = {caption.step: caption for caption in journey.CAPTIONS}


def caption_of(context: PageContext, step: str) -> str:
    """The pieces of a step's caption that are true here, with the blanks to be filled; empty where none is.

    Raises:
        KeyError: for a step that there is not.
    """
    return true_of(_CAPTIONS[step].text, Facts(context))


def costs_of(context: PageContext) -> dict[str, Any]:
    """What fills the numbers of pixels, patches and their pairs."""
    cost = sequence_cost(context.layout)
    return {name: f"{getattr(cost, name):,}" for name in ("pixels", "patches", "pixel_pairs", "patch_pairs")}


def questions(context: PageContext) -> None:
    """The questions that people ask at the end, each with a short answer, its works and the way to its page."""
    blanks = costs_of(context)
    with st.expander(common.QUESTIONS):
        for each in journey.QUESTIONS:
            st.markdown(f"**{each.question}**")
            sentence(each.answer, **blanks)
            st.caption(" · ".join(WORKS[key].markdown for key in each.references))
            navigation.link(each.page)
