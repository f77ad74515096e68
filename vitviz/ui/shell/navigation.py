"""From page to page: the menu, and links inside pages. All of them carry the view along in their address."""

from __future__ import annotations

from typing import Any, NoReturn

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from vitviz.ui import state
from vitviz.ui.urls import to_parameters

_PAGES = "pages by name"

# On a phone the sidebar lies over the page, and whoever chose a page wants to see it. Streamlit does this for its own menu.
PUT_AWAY = """
if (!window.vitvizMenu) {
  window.vitvizMenu = true;
  document.addEventListener("click", ({ target }) => {
    const chosen = target.closest?.('[data-testid="stSidebar"] [data-testid="stPageLink"] a');
    if (chosen && window.matchMedia("(max-width: 768px)").matches)
      document.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click();
  });
}
"""


def keep(pages: dict[str, Any]) -> None:
    """Call in every run, with the pages of `st.navigation` by the name in their address."""
    st.session_state[_PAGES] = pages


def pages() -> dict[str, Any]:
    """The pages of `st.navigation` by the name in their address."""
    found: dict[str, Any] = st.session_state[_PAGES]
    return found


def go(name: str) -> NoReturn:
    """Opens another page in place of the rest of this run, with what is looked at."""
    st.switch_page(pages()[name], query_params=to_parameters(state.selection()))


def menu(place: DeltaGenerator) -> None:
    """Links to all pages, in place of Streamlit's own menu.

    Its links open a page at an empty address, which the page then fills in: the Back button would lead to that empty
    address, which stands for another view, and a link opened in a new tab would forget what is looked at.
    """
    with place.container(gap="xxsmall"):
        for name in pages():
            link(name)
        st.html(f"<script>{PUT_AWAY}</script>", unsafe_allow_javascript=True)


def link(name: str, label: str | None = None) -> None:
    """A link to another page, with what is looked at; none to a page that is switched off. label: the page's title where not
    given.
    """
    page = pages().get(name)
    if page is None:
        return
    icon = None if label is None else ":material/arrow_forward:"
    st.page_link(page, label=label, icon=icon, query_params=to_parameters(state.selection()))
