"""What every page has around its figure: the question above, help and references below."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from vitviz.ui.text import common as words
from vitviz.ui.text.page import PageText


@contextmanager
def page(text: PageText, **blanks: object) -> Iterator[None]:
    """Draws the question and lead, lets the page draw its figures, then helps to look at them.

    blanks  fill {names} in the page's sentences
    """
    st.header(text.question)
    st.markdown(text.lead.format(**blanks) if blanks else text.lead)
    yield
    st.space("small")
    columns = st.columns(3)
    parts = ((words.TRY_THIS, text.try_this), (words.NOTICE, text.notice), (words.CATCH, text.catch))
    for column, (name, sentences) in zip(columns, parts, strict=True):
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{name}**")
            st.markdown(sentences.format(**blanks) if blanks else sentences)
    with st.expander(words.FORMULA):
        st.markdown(text.formula)
        for reference in text.references:
            st.markdown(f"- {reference}")
