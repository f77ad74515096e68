"""The script that Streamlit runs. While the server starts it shows what needs neither torch nor a model: the page's frame, the
start page's figure with what was prepared for it, and how far the start is. Then it runs the app.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from vitviz.ui import state
from vitviz.ui.controls import navigation
from vitviz.ui.pages.registry import Page, pages, pages_shown
from vitviz.ui.server import starting
from vitviz.ui.server.settings import settings
from vitviz.ui.shell import presenter, styles
from vitviz.ui.shell import text as words
from vitviz.ui.text import common

LOOK_SECONDS = 0.2  # between two updates of how far the start is


def arrange(show: Callable[[Page], None], *, follow: bool = True) -> tuple[Any, tuple[str, ...]]:
    """The beginning of every run: configuration, selection, style, and the pages by their addresses.

    Args:
        show: Draws a page.
        follow: Whether the address is read, which may import what the server is still importing.

    Returns:
        The page that was asked for, None where its visitor has to sign in first, and the parameters of the address that could
        not be read.
    """
    every = pages()  # first of all: links may have their parameters
    st.set_page_config(common.NAME, styles.icon(), "wide", styles.SIDEBAR_WIDTH)
    ignored = state.begin() if follow else ()
    styles.apply()
    by_name = {
        each.name: st.Page(partial(show, each), title=each.title, url_path=each.name, default=each is every[0])
        for each in pages_shown()
    }
    navigation.keep(by_name)
    page = st.navigation(list(by_name.values()), position="hidden")
    if settings().sign_in and not getattr(st.user, "is_logged_in", False):
        st.header(common.NAME, anchor=False)
        st.button(common.SIGN_IN, on_click=st.login, type="primary")
        return None, ignored
    return page, ignored


def show_opening() -> None:
    """The frame of a page, until the server has started; then the app takes its place, element by element."""
    first_view = not st.query_params.to_dict()
    page, _ = arrange(partial(_show, first_view), follow=first_view)
    if page is None:
        return
    if first_view:
        with st.sidebar:
            navigation.menu(st.empty())
    st.container(key="view")
    page.run()
    with st.container(key="starting"):
        bar = st.empty()
        while not starting.START.wait(LOOK_SECONDS):
            bar.progress(starting.START.fraction, words.STARTING)
    if starting.START.state == "failed":
        st.error(words.NOT_STARTED)
        st.stop()
    st.rerun()


def _show(first_view: bool, page: Page) -> None:
    with st.container(key="top", horizontal=True, vertical_alignment="center", gap="small", wrap=False):
        st.container(key="answer", horizontal=True, vertical_alignment="center", gap="small", wrap=False)
        if first_view:
            presenter.button()
    draw = page.opening() if first_view else None
    if draw:
        draw()
    else:
        st.header(page.question)


def main() -> None:
    """One run."""
    if starting.START.state != "ready":
        show_opening()
        return
    from vitviz.ui.shell.main import main as show_app

    show_app()


if __name__ == "__main__":
    main()
