"""What a page shows that needs one grid, for a model that has several: why not, and where to look instead."""

from __future__ import annotations

import streamlit as st

from vitviz.ui import navigation
from vitviz.ui.escape import escaped
from vitviz.ui.stage import Stage
from vitviz.ui.support import verdict_on
from vitviz.ui.text import common as words


def show(stage: Stage, question: str) -> None:
    """The page's question, one sentence of why, and the way to the page that every model has."""
    st.header(question)
    support = verdict_on(stage)
    sentence = words.ELSEWHERE_FORM if support.rollout else words.ELSEWHERE
    st.info(sentence.format(reason=escaped(support.reason), instead=escaped(support.instead)))
    navigation.link("layers", words.ELSEWHERE_LINK)
