"""Positions: how a model knows where a patch was, in the terms of the model."""

from __future__ import annotations

import streamlit as st

from vitviz.analysis.positions import named_positions, position_kinds
from vitviz.ui.escape import escaped
from vitviz.ui.page import page
from vitviz.ui.stage import Stage
from vitviz.ui.text import positions as words
from vitviz.ui.trouble import guarded
from vitviz.ui.views import positions_added, positions_relative, positions_rotary

SECTIONS = {
    "learned": positions_added.show,
    "sin-cos": positions_added.show,
    "rotary": positions_rotary.show,
    "relative": positions_relative.show,
}


def render(stage: Stage) -> None:
    with page(words.PAGE):
        for kind in kinds_of(stage):
            if kind in SECTIONS:
                with guarded(kind):
                    SECTIONS[kind](stage)
            elif names := named_positions(stage.model.module):
                st.info(words.NAMED.format(names=", ".join(map(escaped, names[:3]))))
            else:
                st.info(words.NONE)


def kinds_of(stage: Stage) -> tuple[str, ...]:
    """How this model is told where patches are; more than one way where it has more."""
    model = stage.model

    def work(_: object) -> tuple[str, ...]:
        with model.lock:
            return position_kinds(model, stage.layout)

    found: tuple[str, ...] = stage.ask("position kinds", work)
    return found
