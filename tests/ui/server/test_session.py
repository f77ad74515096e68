"""What is private to a tab outlives a lost connection for as long as Streamlit may give the session back, and no longer."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from streamlit import config
from streamlit.runtime import caching
from streamlit.runtime.memory_session_storage import MemorySessionStorage
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import StopException
from streamlit.runtime.session_manager import SessionInfo
from streamlit.runtime.websocket_session_manager import WebsocketSessionManager

from tests.ui.integration.test_pages import jpeg, upload
from vitviz.ui.compute import ComputeQueue, Key, Results, services
from vitviz.ui.server import route, session
from vitviz.ui.server.session import Sessions
from vitviz.ui.server.uploads import KeptUploads
from vitviz.ui.shell import text as sidebar

LONG = 10.0  # seconds a broken test may hang before it fails


class Server:
    """Streamlit's view of connections, a clock, and the sessions that were ended."""

    def __init__(self) -> None:
        self.connected: set[str] = set()
        self.now = 0.0
        self.ended: list[str] = []
        self.dropped: list[str] = []
        connected, drop = self.connected.__contains__, self.dropped.append
        self.sessions = Sessions(connected, lambda: 60.0, [self.ended.append], lambda: self.now, drop)

    def at(self, now: float) -> list[str]:
        self.now = now
        self.sessions.end_disconnected()
        return self.ended


def test_a_session_ends_once_it_cannot_come_back():
    server = Server()
    server.connected |= {"one", "two"}
    server.sessions.keep("mine", "one")
    server.sessions.keep("yours", "two")
    assert server.at(1000) == []
    server.connected.remove("one")
    assert server.at(1010) == [] and server.at(1069) == []
    assert server.at(1070) == ["mine"]
    assert server.at(9999) == ["mine"], "once, and nobody else's"
    assert server.dropped == ["one"], "Streamlit's part of it as well"
    assert "mine" not in server.sessions and "yours" in server.sessions


def test_an_end_that_fails_leaves_nothing_else_behind_and_is_tried_again(caplog):
    fails, ended, now, said = {"one", "mine"}, [], [0.0], "holiday.jpg"

    def end(name: str) -> None:
        if name in fails:
            raise ValueError(said)
        ended.append(name)

    sessions = Sessions(
        lambda _: False, lambda: 60.0, [end, lambda name: ended.append(f"work of {name}")], lambda: now[0], end
    )
    sessions.keep("mine", "one")
    sessions.keep("yours", "two")
    for now[0] in (0.0, 60.0, 65.0):
        sessions.end_disconnected()
    assert ended == ["work of mine", "two", "yours", "work of yours"] and not len(sessions)
    fails.clear()
    for now[0] in (70.0, 75.0):
        sessions.end_disconnected()
    assert ended[4:] == ["one", "mine"], "once"
    assert caplog.text.count("builtins.ValueError") == 2 and said not in caplog.text


@pytest.mark.parametrize("seconds", [1000, 0])
def test_streamlits_part_of_a_session_goes_at_its_end_though_nobody_else_leaves(monkeypatch, seconds):
    """Streamlit deletes what is over when it keeps another one: the last to leave would stay until somebody comes."""

    ended, storage = [], MemorySessionStorage(ttl_seconds=seconds)
    manager = WebsocketSessionManager(storage, MemoryUploadedFileManager("/upload"), None, None)
    held = {"picture": b"of a visitor"}
    kept = Kept(id="one", shutdown=lambda: ended.append("one"), session_state=held, _scriptrunner="its script")
    storage.save(SessionInfo(None, kept))
    monkeypatch.setattr(session.runtime, "get_instance", lambda: SimpleNamespace(_session_mgr=manager))
    later = []
    loop = SimpleNamespace(call_soon_threadsafe=lambda call: call(), call_later=lambda _, *call: later.append(call))
    monkeypatch.setattr(session, "_LOOPS", [loop])
    monkeypatch.setitem(session._STREAMLITS, "one", kept)
    session._drop_streamlits("another")
    assert storage._cache._data and held and not ended, "over as it may be"
    session._drop_streamlits("one")
    assert not storage._cache._data and ended == ["one"]
    assert held, "its script may still read it"
    kept._scriptrunner = None
    (again,) = later
    again[0](*again[1:])
    assert not held and len(later) == 1


class Kept(SimpleNamespace):
    """Streamlit's part of a session."""

    __hash__ = object.__hash__


def test_the_tabs_of_a_browser_are_told_by_its_cookie():
    sessions = Server().sessions
    for name, visitor in (("1", "ann"), ("2", "bob"), ("3", "ann"), ("4", ""), ("5", "")):
        sessions.keep(name, f"streamlit {name}", visitor)
    assert sessions.of_browser(session.Session("1", "ann")) == {"1": "streamlit 1", "3": "streamlit 3"}
    assert sessions.of_browser(session.Session("4", "")) == {"4": "streamlit 4"}


def test_what_runs_leave_behind_is_freed_once_they_are_over(monkeypatch):
    server, collected = Server(), []
    monkeypatch.setattr(session.gc, "collect", lambda: collected.append(1))
    server.sessions.keep("mine", "one")
    for _ in range(3):
        server.sessions.collect()
    assert collected == [1], "and only where there was a run"
    assert not config.get_option("runner.postScriptGC"), "not after every run, which took as long as the run"


def test_pictures_whose_time_is_over_go_though_ending_sessions_fails(monkeypatch):
    class Over(Exception):
        pass

    waits = iter([None])

    def sleep(_: float) -> None:
        if next(waits, Over) is Over:
            raise Over

    now = [0.0]
    kept = KeptUploads(lifetime=100, clock=lambda: now[0])
    kept.keep("ann", "upload", b"abc")
    now[0] = 100.0
    monkeypatch.setattr(session, "time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(session.uploads, "kept", lambda: kept)
    with pytest.raises(Over):
        session.clean_up_forever(SimpleNamespace(end_disconnected=lambda: 1 / 0, collect=lambda: None))
    assert kept.nbytes == 0


@pytest.mark.parametrize(("lifetime", "seconds"), [(8.0, 2.0), (0.5, 1.0), (3600.0, session.LOOK_SECONDS)])
def test_what_is_over_is_looked_for_within_a_quarter_of_its_time(monkeypatch, lifetime, seconds):
    class Over(Exception):
        pass

    waited = []

    def sleep(each: float) -> None:
        waited.append(each)
        raise Over

    monkeypatch.setattr(session, "time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(session, "lifetime", lambda: lifetime)
    with pytest.raises(Over):
        session.clean_up_forever(Server().sessions)
    assert waited == [seconds] and seconds <= 10


@pytest.mark.parametrize("runs_at_once", [True, False])
def test_a_short_loss_of_the_network_ends_nothing(runs_at_once):
    server = Server()
    server.connected.add("one")
    server.sessions.keep("mine", "one")
    for lost in (0, 100, 200):
        server.connected.remove("one")
        server.at(lost)
        server.connected.add("one")  # back within a minute
        if runs_at_once:
            server.sessions.keep("mine", "one")
        server.at(lost + 59)
    assert server.at(300) == []
    server.connected.remove("one")
    assert server.at(301) == []
    assert server.at(361) == ["mine"], "a later loss is counted from its own beginning"


def lose_connection() -> None:
    """What Streamlit does to its caches when the connection of a session is lost (`disconnect_session`)."""
    caching.clear_session_data_cache("test session id")
    caching.clear_session_resource_cache("test session id")


def test_an_upload_keeps_its_results_and_addresses_when_the_connection_is_lost(app, monkeypatch):
    shown = upload(app("patches"), jpeg(11))
    kept = services.queue().results
    mine = {key for key in kept if key.scope == shown.at.session_state["private session"].name}
    addresses = [component.proto.json.split("/payload/")[1][:64] for component in shown.at.get("bidi_component")]
    assert mine and addresses
    lose_connection()
    assert all(key in kept for key in mine)
    monkeypatch.setattr(services.queue(), "submit", lambda *_: pytest.fail("computed again"))
    shown.at.run()
    assert not shown.wrong and sidebar.OWN_PICTURE in shown.text
    assert all(route.payloads().fetch(name) is not None for name in addresses)


def test_a_session_that_was_ended_starts_anew_and_leaves_nothing_behind(app, monkeypatch):
    shown = upload(app("patches"), jpeg(12))
    before = shown.at.session_state["private session"].name
    with monkeypatch.context() as gone:
        gone.setattr(session.runtime, "get_instance", lambda: SimpleNamespace(is_active_session=lambda _: False))
        gone.setattr(session, "st", SimpleNamespace(get_option=lambda _: 0))
        for _ in range(2):  # its connection is lost, and then its time is over
            session.open_sessions().end_disconnected()
    assert before not in session.open_sessions()
    shown.at.run()
    after = shown.at.session_state["private session"].name
    assert not shown.wrong and after != before
    scopes = {key.scope for key in services.queue().results}
    assert before not in scopes and after in scopes


class Page:
    """A page of which the connection is lost while it shows progress."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.session_state: dict[str, object] = {}
        monkeypatch.setattr(services, "st", self)
        monkeypatch.setattr(services, "QUIET_SECONDS", 0.0)
        monkeypatch.setattr(services.state, "st", self)
        monkeypatch.setattr(session, "lifetime", lambda: 60.0)

    def empty(self) -> SimpleNamespace:
        return SimpleNamespace(container=lambda **_: threading.Lock(), empty=lambda: None)

    def progress(self, *_: object) -> None:
        raise StopException


@pytest.mark.parametrize(("scope", "seconds"), [("mine", 60.0), (None, session.SHARED_SECONDS)])
def test_work_goes_on_until_its_page_may_be_back(monkeypatch, scope, seconds):
    now = 0.0
    queue = ComputeQueue(Results(10_000, 8), linger=3.0, idle=0.1, clock=lambda: now)
    Page(monkeypatch)
    begun, finish = threading.Event(), threading.Event()
    key, runs = Key("trace", "embedded", "w", "i", scope=scope), []

    def work(progress):
        runs.append(1)
        begun.set()
        assert finish.wait(LONG)
        progress.check()
        return "done"

    def lost() -> None:
        with pytest.raises(StopException):
            services.answer(queue, key, "m", work, "")

    lost()
    assert begun.wait(LONG)
    now = seconds - 1
    lost()  # joined again, and lost again
    now = 2 * seconds - 2
    finish.set()
    with queue.submit(key, "m", work) as ticket:
        assert ticket.result(LONG) == "done"
    assert len(runs) == 1


def test_work_of_a_page_that_does_not_come_back_is_dropped(monkeypatch):
    now = 0.0
    queue = ComputeQueue(Results(10_000, 8), linger=3.0, idle=0.1, clock=lambda: now)
    Page(monkeypatch)
    begun, finish, dropped = threading.Event(), threading.Event(), threading.Event()

    def work(progress):
        begun.set()
        assert finish.wait(LONG)
        try:
            progress.check()
        except services.Cancelled:
            dropped.set()
            raise

    with pytest.raises(StopException):
        services.answer(queue, Key("trace", "embedded", "w", scope="mine"), "m", work, "")
    assert begun.wait(LONG)
    now = 60.0
    finish.set()
    assert dropped.wait(LONG)
