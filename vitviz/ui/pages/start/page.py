"""The start page: what this is, and three ways in."""

from __future__ import annotations

import io

import streamlit as st
from PIL import ImageOps

import vitviz
from vitviz.samples import samples
from vitviz.ui import state
from vitviz.ui.context import PageContext
from vitviz.ui.pages.start import text as words
from vitviz.ui.shell import navigation

COLUMNS = 5


def render(_: PageContext) -> None:
    st.header(words.HEADING, anchor=False)
    st.markdown(words.LINES)
    cached, attention, python = st.columns([1, 1, 2])
    ways = (
        (cached, words.LOOK, words.LOOK_TEXT, "patches", words.LOOK_LINK),
        (attention, words.ATTENTION, words.ATTENTION_TEXT, "rollout", words.ATTENTION_LINK),
    )
    for column, name, text, page, link in ways:
        with column.container(border=True, height="stretch"):
            st.markdown(f"**{name}**")
            st.markdown(text)
            navigation.link(page, link)
    with python.container(border=True, height="stretch"):
        st.markdown(f"**{words.PYTHON}**")
        st.code(words.PYTHON_CODE)
    st.subheader(words.GALLERY, anchor=False)
    columns = st.columns(COLUMNS)
    for i, sample in enumerate(samples()):
        with columns[i % COLUMNS]:
            st.image(_thumbnail(str(sample.path)), alt=sample.alt)
            st.button(
                sample.title,
                key=f"take {sample.id}",
                on_click=state.change,
                kwargs={"image": sample.id},
                width="stretch",
            )


@st.cache_resource(max_entries=64, show_spinner=False)
def _thumbnail(path: str) -> bytes:
    """A small square of the photograph, as a JPEG file."""
    file = io.BytesIO()
    ImageOps.fit(vitviz.load_image(path), (240, 240)).save(file, "JPEG", quality=85)
    return file.getvalue()
