"""Links from page to page."""

from __future__ import annotations

from typing import Any

import streamlit as st

_PAGES = "pages by name"


def keep(pages: dict[str, Any]) -> None:
    """Call in every run, with the pages of `st.navigation` by the name in their address."""
    st.session_state[_PAGES] = pages


def link(name: str, label: str) -> None:
    """A link to another page, in the same session."""
    st.page_link(st.session_state[_PAGES][name], label=label, icon=":material/arrow_forward:")
