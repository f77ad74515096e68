"""Sentences in which every term of the glossary carries its definition, on hover and for screen readers."""

from __future__ import annotations

import re

import streamlit as st

from vitviz.glossary import marked

_LESS = re.compile(r"\\?<")


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
