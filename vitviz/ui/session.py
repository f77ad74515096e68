"""One browser tab: a name nobody can guess, and the end of everything private to it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import streamlit as st

from vitviz.ui import services
from vitviz.ui.route import COOKIE, address


@dataclass(frozen=True)
class Session:
    """name: the scope of what is private to this tab; visitor: the browser's cookie, "" where it takes none."""

    name: str
    visitor: str

    def offer(self, key: Hashable, build: Callable[[], bytes]) -> str:
        """The address at which this tab, and nobody else, can fetch `build()`'s bytes for a while; see `PayloadStore.offer`."""
        return address(services.payloads().offer(self.name, key, build, self.visitor), services.base_path())


def _end(session: Session) -> None:
    services.queue().forget(session.name)
    services.payloads().forget(session.name)


@st.cache_resource(scope="session", on_release=_end, show_spinner=False)
def current() -> Session:
    """This tab's session; made at its first run, released by Streamlit when the tab is gone."""
    visitor = st.context.cookies.get(COOKIE, "")
    return Session(secrets.token_hex(16), visitor if isinstance(visitor, str) else "")
