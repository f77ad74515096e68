"""The start page: the model at work on a photograph, in one figure."""

from __future__ import annotations

from typing import Any

import streamlit as st

from vitviz.analysis.interventions import HidePatches, Interventions
from vitviz.figures.interventions import intervention_snippet
from vitviz.tokens import TokenLayout
from vitviz.ui import state
from vitviz.ui.components.journey import Act, JourneyView, journey
from vitviz.ui.compute import images
from vitviz.ui.context import PageContext
from vitviz.ui.controls import edits, frame
from vitviz.ui.controls.say import questions
from vitviz.ui.pages.start import text as words
from vitviz.ui.pages.start.figure import figure_data
from vitviz.ui.selection import UPLOAD
from vitviz.ui.shell import navigation

OPEN = "page to open"


def render(context: PageContext) -> None:
    _open_page()
    held = context.selection.query if _exists(context.selection.query, context.layout) else ""
    hiding = _hidden(context.layout)
    titles = {name: page.title for name, page in navigation.pages().items()}
    st.header(words.HEADING, anchor=False)
    with st.container(key="figure"):
        journey(
            figure_data(context, held, hiding, titles),
            words.JOURNEY,
            context.layout.num_patches,
            keep,
            act,
            key="journey",
        )
    frame.drawn()
    with st.container(key="around"):
        st.space("small")
        with st.expander(words.PYTHON):
            st.code(_python(context, hiding))
        questions(context)


def _python(context: PageContext, hiding: HidePatches) -> str:
    """What the figure shows, for people who work in Python: this model, this photograph, and what is hidden of it."""
    trace = context.traced.trace
    if not hiding.patches:
        lines = ["trace.layers[-1].row(0)"] if trace.layers else []
        lines += ["heatmap = vitviz.rollout(trace)"] if trace.layers and not trace.separate else []
        return context.traced.snippet(*lines, "trace.logits")
    return intervention_snippet(context.traced, Interventions((hiding,)), "trace.logits", "after.logits")


def _exists(token: str, layout: TokenLayout) -> bool:
    return token in layout.prefix or layout.cell_named(token) is not None


def _hidden(layout: TokenLayout) -> HidePatches:
    """Which patches the link hides, and how, whichever page hid them."""
    given = edits.current()
    patches = tuple(patch for patch in edits.hidden(given) if patch < layout.num_patches)
    return HidePatches(patches, edits.hide_by(given))


def keep(view: JourneyView) -> None:
    """What was chosen in the figure becomes the selection of the session, and so of the URL and the other pages."""
    given = edits.current()
    edits.switch(edits.hide(given, view.hidden, edits.hide_by(given)), query=view.held)


def act(asked: Act) -> None:
    """Does what a control of the figure asks for."""
    if asked.kind == "image":
        edits.show_all(image=asked.name)
    elif asked.kind == "camera":
        st.session_state["picture source"] = "camera"
    elif asked.kind == "upload" and asked.upload is not None:
        if images.keep_upload(asked.upload.content, scaled=asked.upload.scaled, counted=False):
            edits.show_all(image=UPLOAD)
    elif asked.kind == "page":
        chosen: dict[str, Any] = {"layer": asked.layer, "head": asked.head, "query": asked.held}
        state.change(**chosen)
        st.session_state[OPEN] = asked.name


def _open_page() -> None:
    """Goes where a link of the figure leads: callbacks cannot, they run before the pages are known."""
    name = st.session_state.pop(OPEN, None)
    if name in navigation.pages():
        navigation.go(name)
