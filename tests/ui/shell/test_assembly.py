"""The guards as the app puts them together: each is there, and reads the operator's setting."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import pytest
import streamlit
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from vitviz.ui.compute import images
from vitviz.ui.server import route, session, uploads
from vitviz.ui.server.guards import MAX_MESSAGE
from vitviz.ui.server.settings import ServerSettings
from vitviz.ui.shell import assembly
from vitviz.ui.text import common

HTML = {"accept": "text/html"}


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.send_text(str(len(await socket.receive_bytes())))


async def page(_: Request) -> Response:
    return HTMLResponse("<html><body>app</body></html>")


async def taken(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def broken(_: Request) -> Response:
    raise ValueError("of a visitor")


def client(base: str = "", **settings: object) -> TestClient:
    """A browser in front of the app's guards, with routes of our own in the place of Streamlit's."""
    routes = [
        WebSocketRoute(f"{base}/_stcore/stream", echo),
        Route(f"{base}/_stcore/upload_file/{{session}}/{{file}}", taken, methods=["PUT"]),
        Route(f"{base}/broken", broken),
        Route("/{rest:path}", page),
    ]
    guards = assembly.middleware(ServerSettings(**{"allowed_hosts": ("testserver",), **settings}), ["patches"])
    return TestClient(Starlette(routes=routes, middleware=guards), follow_redirects=False)


@pytest.fixture(params=["", "lab/vit"])
def base(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server's base path, in front of addresses."""
    monkeypatch.setattr(assembly, "base_path", lambda: request.param)
    return f"/{request.param}".rstrip("/")


def test_a_message_larger_than_any_of_the_app_ends_the_connection(base: str) -> None:
    with client(base).websocket_connect(f"{base}/_stcore/stream") as socket:
        socket.send_bytes(bytes(MAX_MESSAGE))
        assert socket.receive_text() == "6000000" == str(MAX_MESSAGE)
        socket.send_bytes(bytes(MAX_MESSAGE + 1))
        with pytest.raises(WebSocketDisconnect) as ended:
            socket.receive_text()
    assert ended.value.code == 1009


@pytest.fixture
def streamlit_id(monkeypatch: pytest.MonkeyPatch) -> str:
    """Streamlit's name of the session whose run asks."""
    uploads.quota.cache_clear()
    own = type("Context", (), {"session_id": "mine"})
    monkeypatch.setattr(session, "get_script_run_ctx", lambda: own)
    monkeypatch.setattr(session, "settings", lambda: ServerSettings(upload_quota=1000))
    return own.session_id


def test_files_and_pictures_of_the_start_page_are_counted_together(base: str, streamlit_id: str) -> None:
    """A tab sends files to an address, and what its start page scaled down in a message: the operator's quota is of both."""
    browser = client(base, upload_quota=1000)

    def put(size: int, whose: str = streamlit_id) -> int:
        return browser.put(f"{base}/_stcore/upload_file/{whose}/file", content=bytes(size)).status_code

    assert put(400) == 200
    assert session.may_send(500)
    assert put(200) == 429 and not session.may_send(200)
    assert put(90) == 200
    assert put(50) == 429 and not session.may_send(50)
    assert not images.keep_upload(bytes(50), counted=False) and images.refusal() == common.ENOUGH_PICTURES
    assert put(900, "another") == 200, "another tab has its own"


def test_the_class_code_is_asked_for_in_front_of_everything(base: str) -> None:
    browser = client(base, class_code="violet-42")
    for address in ("/", "/patches", "/_stcore/health", "/nothing"):
        assert browser.get(f"{base}{address}").status_code == 401
    with pytest.raises(WebSocketDisconnect), browser.websocket_connect(f"{base}/_stcore/stream"):
        pass
    assert browser.get(f"{base}/healthz").status_code != 401, "which supervisors ask, without the word"
    assert browser.post(f"{base}/class-code", data={"code": "violet-42"}).status_code == 303
    assert browser.get(f"{base}/patches").status_code == 200
    with browser.websocket_connect(f"{base}/_stcore/stream") as socket:
        socket.send_bytes(b"x")
        assert socket.receive_text() == "1"
    assert client(base).get(f"{base}/patches").status_code == 200, "where none is set, none is asked for"


def test_browsers_connected_at_once_are_bounded(base: str) -> None:
    browser = client(base, max_connections=1)
    with browser.websocket_connect(f"{base}/_stcore/stream"):
        assert browser.get(f"{base}/patches", headers=HTML).status_code == 503
        with pytest.raises(WebSocketDisconnect), browser.websocket_connect(f"{base}/_stcore/stream"):
            pass
    assert browser.get(f"{base}/patches", headers=HTML).status_code == 200


def test_the_share_of_one_address_is_the_operators(base: str) -> None:
    stream = f"{base}/_stcore/stream"
    for share, status in ((0.5, 503), (1.0, 200)):
        browser = client(base, max_connections=4, address_share=share)
        with browser.websocket_connect(stream), browser.websocket_connect(stream):
            assert browser.get(f"{base}/patches", headers=HTML).status_code == status


def test_uploads_of_sessions_that_are_over_are_refused(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly.runtime, "exists", lambda: True)
    there = type("Runtime", (), {"is_active_session": lambda _, name: name == "mine", "uploaded_file_mgr": None})
    monkeypatch.setattr(assembly.runtime, "get_instance", there)
    browser = client(base)
    for whose, status in (("mine", 200), ("another", 400)):
        assert browser.put(f"{base}/_stcore/upload_file/{whose}/file", content=b"x").status_code == status


def test_every_other_guard_is_there(base: str) -> None:
    browser = client(base, allowed_hosts=("testserver", "lab.example.org"), frame_ancestors=("https://class.example",))
    assert browser.get(f"{base}/patches", headers={"host": "evil.example"}).status_code == 400
    assert browser.get(f"{base}/patches", headers={"host": "lab.example.org"}).status_code == 200
    assert browser.get(f"{base}/_stcore/metrics").status_code == 404
    assert browser.get(f"{base}/no-page", headers=HTML).status_code == 404
    shown = client(base).get(f"{base}/patches", headers=HTML)
    assert "<style>" in shown.text and "</script></body>" in shown.text
    assert shown.headers["set-cookie"].startswith(f"{route.COOKIE}=")
    for address, status in (("/patches", 200), ("/_stcore/metrics", 404), ("/broken", 500)):
        answer = browser.get(f"{base}{address}")
        assert answer.status_code == status
        assert "frame-ancestors https://class.example;" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_scripts_of_elements_are_named_in_the_page_with_what_they_import():
    """Streamlit's own list of what each script imports, in the script that imports it, is the reference."""
    static = Path(streamlit.__file__).parent / "static"
    named = {each.removeprefix("./static/js/") for each in assembly.element_scripts()}
    already = (static / "index.html").read_text()
    code = (static / re.search(r'src="\./(static/js/[^"]+)', already)[1]).read_text()
    files = json.loads(re.search(r"m\.f=(\[.*?\])", code)[1])
    for element in assembly.ELEMENTS:
        name, places = re.search(rf"import\(`\./({element}\.[^`]+)`\),__vite__mapDeps\(\[([\d,]*)\]", code).groups()
        needed = {name, *(files[int(place)].removeprefix("./") for place in places.split(",") if place)}
        assert {each for each in needed if each.endswith(".js") and each not in already} <= named, element
    assert len(named) < 100
