"""One browser tab: an unguessable name, and the deletion of everything private to it.

A connection that is lost is not the end of a session. Streamlit keeps the session for `server.disconnectedSessionTTL`
seconds and gives it back to a browser that returns in time, with its state and uploads; but it clears session caches at
once and calls their `on_release` (`WebsocketSessionManager.disconnect_session`), which is why these cannot separate a lost
connection from a closed tab. So each session's name is kept in its state, and the server checks periodically which sessions
are connected.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import WeakValueDictionary

import streamlit as st
from streamlit import runtime
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.scriptrunner import get_script_run_ctx

from vitviz.ui.server import route, uploads
from vitviz.ui.server.route import address, visitor_of
from vitviz.ui.server.settings import settings
from vitviz.ui.server.watching import without_message

_LOG = logging.getLogger(__name__)
_SESSION = "private session"
# Between two rounds of `clean_up_forever`, at most; garbage of a run is kept that long.
LOOK_SECONDS = 5.0
# Work for shared results goes on for this long without a connection, since other sessions may wait behind it; private work
# as long as its session may come back.
SHARED_SECONDS = 15.0
_ENDINGS: list[Callable[[str], None]] = []


@dataclass(frozen=True)
class Session:
    """One browser tab.

    Attributes:
        name: The scope of results and payloads that are private to this tab.
        visitor: The browser's cookie; "" if it accepts none.
    """

    name: str
    visitor: str

    @property
    def label(self) -> str:
        """Distinguishes sessions in a log without revealing the name."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:12]

    def offer(
        self, key: Hashable, build: Callable[[], bytes | None], common: bool = False, when_fetched: bool = False
    ) -> str:
        """The address at which only this tab can fetch `build()`'s bytes, for a while; see `PayloadStore.offer`."""
        name = route.payloads().offer(self.name, key, build, self.visitor, common, when_fetched)
        return address(name, route.base_path())


@dataclass
class _Connection:
    """The connection of one session.

    Attributes:
        streamlit_id: Streamlit's name of the session.
        visitor: The browser's cookie; "" if it accepts none.
        lost_since: Seconds of the clock at which it was first seen without a connection; None while it has one.
    """

    streamlit_id: str
    visitor: str
    lost_since: float | None = None


class Sessions:
    """The sessions that are not over.

    Args:
        connected: Whether the session of this Streamlit id has a connection now.
        lifetime: Seconds for which a session without a connection can come back.
        ends: Each is called with a session's name, when it cannot come back any more; again in the next round if it failed.
        drop: Called with Streamlit's id of it then, likewise.
    """

    def __init__(
        self,
        connected: Callable[[str], bool],
        lifetime: Callable[[], float],
        ends: Iterable[Callable[[str], None]],
        clock: Callable[[], float] = time.monotonic,
        drop: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._connected, self._lifetime, self._ends, self._clock, self._drop = connected, lifetime, ends, clock, drop
        self._lock = threading.Lock()
        self._open: dict[str, _Connection] = {}
        self._left: list[tuple[Callable[[str], None], str]] = []  # what failed at the end of a session
        self._ran = False

    def keep(self, name: str, streamlit_id: str, visitor: str = "") -> None:
        """Call in every run of a session."""
        with self._lock:
            self._open[name] = _Connection(streamlit_id, visitor)
            self._ran = True

    def of_browser(self, own: Session) -> dict[str, str]:
        """All sessions of the browser that a session is of, its own among them: name -> Streamlit's id."""
        with self._lock:
            every = [*self._open.items()]
        tabs = {name for name, tab in every if own.visitor and tab.visitor == own.visitor} | {own.name}
        return {name: tab.streamlit_id for name, tab in every if name in tabs}

    def request_collection(self) -> None:
        """Records that objects were released, so that the next `collect` runs the garbage collector."""
        self._ran = True

    def collect(self) -> None:
        """Runs the garbage collector if `request_collection` was called since the last time: runs and sessions leave cycles."""
        ran, self._ran = self._ran, False
        if ran:
            gc.collect()

    def __contains__(self, name: str) -> bool:
        return name in self._open

    def __len__(self) -> int:
        return len(self._open)

    def end_disconnected(self) -> None:
        """Ends the sessions that have been without a connection for longer than their lifetime."""
        now, seconds = self._clock(), self._lifetime()
        over: list[tuple[Callable[[str], None], str]] = []
        with self._lock:
            for name, connection in list(self._open.items()):
                if self._connected(connection.streamlit_id):
                    connection.lost_since = None
                elif connection.lost_since is None:
                    connection.lost_since = now
                elif now - connection.lost_since >= seconds:
                    del self._open[name]
                    over += [(self._drop, connection.streamlit_id), *((end, name) for end in self._ends)]
        before, self._left = self._left, []
        for end, name in [*before, *over]:  # outside the lock: each takes the locks of what it clears
            try:
                end(name)
            except Exception as error:  # the others end all the same
                if (end, name) not in before:
                    _LOG.error(
                        "a part of a session could not be ended, and will be tried again: %s", without_message(error)
                    )
                self._left.append((end, name))


def current() -> Session:
    """This tab's session; made at its first run."""
    context = get_script_run_ctx()
    kept: Session | None = st.session_state.get(_SESSION)
    if kept is None or kept.name not in open_sessions():
        kept = st.session_state[_SESSION] = Session(secrets.token_hex(16), visitor_of(st.context.cookies))
    streamlit_id = context.session_id if context else ""
    open_sessions().keep(kept.name, streamlit_id, kept.visitor)
    _note_streamlits(streamlit_id)
    return kept


@cache
def open_sessions() -> Sessions:
    """The sessions of this server, maintained by a thread."""
    sessions = Sessions(_is_connected, lifetime, _ENDINGS, drop=_drop_streamlits)
    threading.Thread(target=clean_up_forever, args=(sessions,), name="sessions", daemon=True).start()
    return sessions


def grace_seconds(private: bool) -> float:
    """Seconds for which the work of a session without a connection goes on."""
    return lifetime() if private else min(lifetime(), SHARED_SECONDS)


def clean_up_forever(sessions: Sessions) -> None:
    """Ends sessions and deletes pictures whose time is over, and collects garbage, every few seconds; never returns."""
    while True:
        time.sleep(max(1.0, min(LOOK_SECONDS, lifetime() / 4)))
        for work in (sessions.end_disconnected, uploads.kept().clean, sessions.collect):
            try:
                work()
            except Exception as error:
                _LOG.error("what is over could not be ended, and will be tried again: %s", without_message(error))


def _is_connected(streamlit_id: str) -> bool:
    try:
        return bool(runtime.get_instance().is_active_session(streamlit_id))
    except RuntimeError:  # without a server there are no connections that could be lost
        return True


_LOOPS: list[asyncio.AbstractEventLoop] = []  # the web server's


def serve_in(loop: asyncio.AbstractEventLoop) -> None:
    """The loop in which Streamlit's sessions begin and end."""
    _LOOPS[:] = [loop]


# Streamlit's own part of each session, by its id.
_STREAMLITS: WeakValueDictionary[str, AppSession] = WeakValueDictionary()


def _manager() -> Any:
    return runtime.get_instance()._session_mgr


def _note_streamlits(streamlit_id: str) -> None:
    if _LOOPS and (found := _manager().get_session_info(streamlit_id)) is not None:  # in tests there is no web server
        _STREAMLITS[streamlit_id] = found.session


def _drop_streamlits(streamlit_id: str) -> None:
    """Frees Streamlit's part of a session that is over, in the loop that it belongs to: the state of its widgets, files and
    pictures. Streamlit itself does so only when another browser disconnects, so that the last one's would stay in memory.
    """

    def drop() -> None:
        if _manager().is_active_session(streamlit_id):
            return  # it came back in the last moment
        with suppress(KeyError):  # which is raised of what is over, too, and it goes
            _manager()._session_storage.delete(streamlit_id)
        over = _STREAMLITS.pop(streamlit_id, None)
        if over is not None:
            over.shutdown()
            clear(over)
        open_sessions().request_collection()

    def clear(over: AppSession) -> None:
        """Streamlit's loop holds the session that it saw last until it sees another. A script that still runs is told to stop
        and does so at its next element; it reads its state until then, and writes it.
        """
        if over._scriptrunner is not None:
            _LOOPS[0].call_later(LOOK_SECONDS, clear, over)
            return
        over.session_state.clear()
        open_sessions().request_collection()

    for loop in _LOOPS:
        loop.call_soon_threadsafe(drop)


def lifetime() -> float:
    """Seconds for which Streamlit gives a session without a connection back to its browser."""
    return float(st.get_option("server.disconnectedSessionTTL"))


def forget_pictures() -> Iterable[str]:
    """Deletes what this browser sent and the payloads that its tabs were offered. Returns the names of their sessions."""
    own = current()
    tabs = open_sessions().of_browser(own)
    uploads.kept().forget(own.visitor)
    for name, streamlit_id in tabs.items():
        route.payloads().clear_session(name)
        if runtime.exists():
            runtime.get_instance().uploaded_file_mgr.remove_session_files(streamlit_id)
    return tabs


def may_send(nbytes: int) -> bool:
    """Whether this tab may send so many bytes more by way of a component; they are counted."""
    context = get_script_run_ctx()
    quota, name = uploads.quota(settings().upload_quota), context.session_id if context else ""
    if quota.left(name) < nbytes:
        return False
    quota.spend(name, nbytes)
    return True


def on_end(forget: Callable[[str], None]) -> None:
    """Calls `forget` with the name of every session that is over."""
    _ENDINGS.append(forget)


on_end(lambda name: route.payloads().forget(name))
