"""A run of the app: menu, sidebar, the page's context, and the page."""

from __future__ import annotations

from functools import partial

import streamlit as st

from vitviz.errors import UnsupportedError
from vitviz.models import Model
from vitviz.ui import state
from vitviz.ui.compute import images, loading
from vitviz.ui.context import PageContext, open_context
from vitviz.ui.controls import frame, navigation
from vitviz.ui.controls.errors import guarded
from vitviz.ui.escape import escaped
from vitviz.ui.pages.model import text as model_words
from vitviz.ui.pages.registry import Page
from vitviz.ui.selection import UPLOAD, Selection
from vitviz.ui.shell import prediction_bar, presenter, sidebar
from vitviz.ui.shell import text as sidebar_words
from vitviz.ui.shell.opening import arrange
from vitviz.ui.text import common as words

# Names of unknown URL parameters that are shown.
NAMES_SHOWN = 6


def main() -> None:
    with loading.holding():
        _run()


def _run() -> None:
    opened: list[PageContext] = []
    page, ignored = arrange(partial(_show, opened))
    if page is None:
        return
    if ignored:
        st.warning(words.PASSED_OVER.format(names=_listed(ignored)))
    if refused := images.refusal():
        st.error(escaped(refused))
    if state.selection().image == UPLOAD and not images.has_upload():
        st.info(words.NO_UPLOAD)
        state.change(image=Selection().image)
    with st.sidebar:
        menu = st.empty()
        navigation.menu(menu)
        with guarded("picture"):
            sidebar.choose_picture()
        with guarded("model"):
            sidebar.choose_model()
        sizes = st.container()
    asked = state.selection()
    with st.container(key="view"), guarded("view"):
        opened.append(_context(sizes))
    if state.selection() != asked:
        navigation.menu(menu)
    with sizes:
        navigation.link("model", model_words.LINK)
    try:
        page.run()
    finally:
        opened.clear()  # the pages are kept with the session, and would keep the model
    state.finish()


def _listed(names: tuple[str, ...]) -> str:
    """The first few names of URL parameters, of those that are names at all: an address may contain anything."""
    shown = [escaped(name) for name in names if name.isascii() and name.isidentifier() and len(name) <= 30][
        :NAMES_SHOWN
    ]
    return ", ".join([*shown, *(["…"] if len(shown) < len(names) else [])])


def _context(sizes: st.delta_generator.DeltaGenerator) -> PageContext:
    taken = images.image_of(state.selection())
    own = loading.model_of(loading.plain_model(state.selection()))
    model = _at_size(own)
    with sizes:
        sidebar.choose_size(own)
        sidebar.show_notes((*own.notes, *filter(None, (taken.values, taken.note))))
    context, lost = open_context(state.selection(), model, taken)
    if lost:
        # Without a message: another model has other layers, to which the choices do not apply.
        state.change(**{name: getattr(context.selection, name) for name in lost})
    return context


def _at_size(own: Model) -> Model:
    """The model at the size selected; at its own, with the reason why, where it does not take that: it may have been chosen
    for another model.
    """
    try:
        return loading.model_of(state.selection())
    except UnsupportedError as reason:
        st.info(sidebar_words.SIZE_REFUSED.format(reason=escaped(str(reason))))
        state.change(size=0)
        return own


def _show(opened: list[PageContext], page: Page) -> None:
    navigation.follow(page.name)
    with st.container(key="top", horizontal=True, vertical_alignment="center", gap="small", wrap=False):
        with st.container(key="answer", horizontal=True, vertical_alignment="center", gap="small", wrap=False):
            if opened and page.name != "start":  # there the answer comes with the layers
                with guarded("answer"):
                    prediction_bar.show(opened[0])
        presenter.button()
    with guarded(page.name):
        if not opened:
            st.header(page.question)  # what is missing, and a way back, is shown above
        elif page.any_model or opened[0].one_grid:
            page.load()(opened[0])
        else:
            frame.not_supported(opened[0], page.question)
    frame.drawn()  # also after an error: links to other pages are below it
    navigation.previous_and_next(page.name)


if __name__ == "__main__":
    main()
