"""Is it the model or the picture? Two maps with one cursor, and one patch in two scenes."""

from __future__ import annotations

import streamlit as st

from vitviz.ui import state
from vitviz.ui.choices import named
from vitviz.ui.page import page
from vitviz.ui.stage import Stage
from vitviz.ui.text import compare as words
from vitviz.ui.trouble import guarded
from vitviz.ui.views import two_maps, two_scenes


def render(stage: Stage) -> None:
    with page(words.PAGE):
        st.segmented_control(
            words.COMPARED, list(words.KINDS), format_func=named(words.KINDS), required=True, label_visibility="collapsed",
            **state.bound("compared"),
        )  # fmt: skip
        with st.container(gap="small"), guarded("comparison"):
            (two_scenes if state.value_of("compared") == "scenes" else two_maps).show(stage)
