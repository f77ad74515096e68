"""What if: patches, order, heads, layers and tokens taken away, and the model asked again."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from vitviz.analysis.interventions import Interventions
from vitviz.ui import outcome, state
from vitviz.ui.asking import Asked, asked
from vitviz.ui.choices import named
from vitviz.ui.page import page
from vitviz.ui.stage import Stage
from vitviz.ui.text import what_if as words
from vitviz.ui.trouble import guarded
from vitviz.ui.views import before_after, head_worth, hide_patches, sink_inspector, switch_heads, switched

# Sections that switch something, with what came of it beside them; and those that only look.
SWITCHES: dict[str, Callable[[Stage, Interventions], None]] = {
    "hide": hide_patches.show,
    "order": hide_patches.show_order,
    "heads": switch_heads.show,
    "cut": hide_patches.show_cut,
}
LOOKS: dict[str, Callable[[Asked, Interventions], None]] = {"worth": head_worth.show, "sinks": sink_inspector.show}


def render(stage: Stage) -> None:
    with page(words.PAGE):
        section = st.segmented_control(
            words.SECTION, list(words.SECTIONS), format_func=named(words.SECTIONS), required=True,
            label_visibility="collapsed", **state.bound("switch"),
        )  # fmt: skip
        with guarded(f"section {section}"):
            given = outcome.present(stage)
            about = asked(stage)
            if section in LOOKS:
                if given.items:
                    switched.show(stage, given)
                LOOKS[section](about, given)
            else:
                _switch(about, given, section)


def _switch(about: Asked, given: Interventions, section: str) -> None:
    left, right = st.columns([11, 9], gap="medium")
    with left, guarded(f"switches {section}"):
        SWITCHES[section](about.stage, given)
    with right:
        switched.show(about.stage, given)
        with guarded("answer"):
            before_after.answer(about, given, section)
    if given.items:
        with guarded("maps"):
            before_after.maps(about, given)
