"""Navigation between pages: the menu, and links inside pages, with the selection in their addresses."""

from __future__ import annotations

from typing import Any, Literal, NoReturn

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from vitviz.ui import state
from vitviz.ui.text import common as words
from vitviz.ui.urls import to_parameters

_PAGES, _NEXT = "pages by name", "page to open next"

# On a phone the sidebar lies over the page, and a page that was chosen has to be seen. Streamlit does this for its own menu.
PUT_AWAY = """
document.addEventListener("click", ({ target }) => {
  const chosen = target.closest?.('[data-testid="stSidebar"] [data-testid="stPageLink"] a');
  if (chosen && window.matchMedia("(max-width: 768px)").matches)
    document.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click();
});
"""


def keep(pages: dict[str, Any]) -> None:
    """Call in every run, with the pages of `st.navigation` by the name in their address."""
    st.session_state[_PAGES] = pages


def pages() -> dict[str, Any]:
    """The pages of `st.navigation` by the name in their address."""
    found: dict[str, Any] = st.session_state[_PAGES]
    return found


def go(name: str) -> NoReturn:
    """Ends this run and opens another page, with the selection."""
    st.switch_page(pages()[name], query_params=to_parameters(state.selection()))


def go_next(name: str, here: str) -> None:
    """Opens another page at the beginning of the next run.

    For callbacks, which run before the pages are known.

    Args:
        name: The page to open.
        here: The page whose callback this is.
    """
    st.session_state[_NEXT] = (name, here)


def follow(here: str) -> None:
    """Opens the page that a callback of the page `here` asked for with `go_next`, if any and if this server has it.

    Call in every run, before the page is drawn: what another page asked for, and was left before, is dropped.
    """
    name, asked_by = st.session_state.pop(_NEXT, ("", ""))
    if asked_by == here and name in pages():
        go(name)


def menu(place: DeltaGenerator) -> None:
    """Links to all pages, in place of Streamlit's own menu.

    Its links open a page at an empty address, which the page then fills in: the Back button would lead to that empty
    address, which means another view, and a link opened in a new tab would lose the selection.
    """
    with place.container(gap="xxsmall"):
        for name in pages():
            link(name)


def link(name: str, label: str | None = None) -> None:
    """Shows a link to another page, with the selection; none to a page that is switched off.

    Args:
        name: The page's name in addresses.
        label: Text of the link; by default the page's title.
    """
    page = pages().get(name)
    if page is None:
        return
    icon = None if label is None else ":material/arrow_forward:"
    st.page_link(page, label=label, icon=icon, query_params=to_parameters(state.selection()))


def previous_and_next(name: str) -> None:
    """Links at the end of the page `name` to the one before it and to the next, in the order of the menu. On a phone this
    stands at the bottom of the screen, with the list of pages between the two.
    """
    names = [*pages()]
    place = names.index(name)
    before, after = names[place - 1 : place], names[place + 1 : place + 2]
    with st.container(key="along", horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        _neighbour(before, words.PREVIOUS_PAGE, ":material/arrow_back:", "left", "previous-page")
        listed = st.container(key="list-of-pages", width="content")
        with listed.popover(words.LIST_OF_PAGES, key=f"pages from {name}", type="tertiary", icon=":material/menu:"):
            for each in names:
                link(each)
        _neighbour(after, words.NEXT_PAGE, ":material/arrow_forward:", "right", "next-page")


def _neighbour(names: list[str], label: str, icon: str, side: Literal["left", "right"], key: str) -> None:
    with st.container(key=key, width="content"):
        for name in names:
            page, view = pages()[name], to_parameters(state.selection())
            st.page_link(page, label=label.format(title=page.title), icon=icon, icon_position=side, query_params=view)
