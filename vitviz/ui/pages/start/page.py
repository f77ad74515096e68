"""The start page: the model at work on a photograph, in one figure."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import streamlit as st

from vitviz.analysis.interventions import HidePatches, Interventions
from vitviz.figures.interventions import intervention_snippet
from vitviz.tokens import TokenLayout
from vitviz.ui import state
from vitviz.ui.components.journey import Action, JourneyView, journey
from vitviz.ui.compute import images, loading
from vitviz.ui.context import PageContext, open_context
from vitviz.ui.controls import edits, frame, navigation
from vitviz.ui.controls.captions import closing_questions
from vitviz.ui.pages.start import text as words
from vitviz.ui.pages.start.figure import figure_data
from vitviz.ui.selection import UPLOAD

ACTED = "a control of the figure was pressed"
REFUSED = "why a photograph was not taken"
SENT_SECONDS = 0.03  # the next run takes back what has not been sent


def render(context: PageContext) -> None:
    st.header(words.HEADING, anchor=False)
    with st.container(key="figure"):
        _figure([context])
    frame.drawn()
    with st.container(key="around"):
        st.space("small")
        with st.expander(words.PYTHON):
            st.code(_python(context, _hidden(context.layout)))
        closing_questions(context)


@st.fragment
def _figure(opened: list[PageContext]) -> None:
    """The figure. What is chosen in it is answered before the rest of the page is drawn again.

    Args:
        opened: The context of the page's run, which is taken out: Streamlit keeps the list for runs of this part alone, and
            model and trace are to be freed.
    """
    if opened:
        _draw(opened.pop())
        st.session_state.pop(ACTED, None)
        return
    if not st.session_state.pop(ACTED, False):
        with suppress(Exception):  # errors are shown by the run that follows
            _draw(_opened_again())
            time.sleep(SENT_SECONDS)
    st.rerun()  # links, address and Python code


def _opened_again() -> PageContext:
    selection = state.selection()
    return open_context(selection, loading.model_of(selection), images.image_of(selection))[0]


def _draw(context: PageContext) -> None:
    pinned = context.selection.query if _exists(context.selection.query, context.layout) else ""
    titles = {name: page.title for name, page in navigation.pages().items()}
    data = figure_data(context, pinned, _hidden(context.layout), titles, st.session_state.get(REFUSED, ""))
    journey(data, words.JOURNEY, context.layout.num_patches, keep, act, key="journey")
    st.session_state.pop(REFUSED, None)  # not before it was sent: a run may be overtaken by another


def _python(context: PageContext, hiding: HidePatches) -> str:
    """Python code for what the figure shows: this model, this photograph, and the hidden patches."""
    trace = context.traced.trace
    if not hiding.patches:
        lines = ["trace.layers[-1].row(0)"] if trace.layers else []
        lines += ["heatmap = vitviz.rollout(trace)"] if trace.layers and not trace.not_sequential else []
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
    """Stores a choice of the figure in the selection of the session, and so in the URL and for other pages."""
    given = edits.current()
    edits.switch(edits.hide(given, view.hidden, edits.hide_by(given)), query=view.pinned)


def act(action: Action) -> None:
    """Carries out an action of a control of the figure."""
    st.session_state[ACTED] = True
    if action.kind == "image":
        edits.show_all(image=action.name)
    elif action.kind == "upload" and action.upload is not None:
        if images.keep_upload(action.upload.content, scaled=action.upload.scaled, counted=False):
            edits.show_all(image=UPLOAD)
        else:
            st.session_state[REFUSED] = images.refusal()  # the figure says it, where the visitor looks
    elif action.kind == "page":
        chosen: dict[str, Any] = {"layer": action.layer, "head": action.head, "query": action.pinned}
        state.change(**chosen)
        navigation.go_next(action.name, "start")
