"""The word of a class: who has not given it sees nothing, and cannot guess it."""

from __future__ import annotations

import re

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from vitviz.ui.server import class_code
from vitviz.ui.server.class_code import COOKIE, ClassCode, Tries

CODE = "violet-42"
HTML = {"accept": "text/html,*/*"}


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")


def browser(base: str = "", code: str = CODE, clock: Clock | None = None, tries: Tries | None = None) -> TestClient:
    routes = [
        WebSocketRoute(f"{base}/stream", talk),
        Route("/{rest:path}", lambda _: PlainTextResponse("secret"), methods=["GET", "POST"]),
    ]
    guard = Middleware(
        ClassCode, code=code, base_path=base, open_paths=(f"{base}/healthz",), clock=clock or Clock(), tries=tries
    )
    return TestClient(Starlette(routes=routes, middleware=[guard]), follow_redirects=False)


@pytest.mark.parametrize("base", ["", "/lab"])
def test_nothing_is_served_before_the_word_and_everything_after(base: str) -> None:
    tab = browser(base)
    for address in ("/", "/rollout", "/_stcore/upload_file/a/b", "/payload/x", "/static/js/index.js"):
        assert tab.get(f"{base}{address}").status_code == 401
        assert "secret" not in tab.get(f"{base}{address}", headers=HTML).text
    with pytest.raises(WebSocketDisconnect), tab.websocket_connect(f"{base}/stream"):
        pass
    assert tab.get(f"{base}/healthz").text == "secret"
    form = tab.get(f"{base}/", headers=HTML).text
    action = re.search(r'action="([^"]+)"', form)[1]
    answer = tab.post(action, data={"code": f" {CODE} "})
    assert answer.status_code == 303 and answer.headers["location"] == f"{base}/"
    assert {"HttpOnly", "SameSite=lax", f"Path={base}/"} <= set(answer.headers["set-cookie"].split("; "))
    assert tab.get(f"{base}/rollout").text == "secret"
    with tab.websocket_connect(f"{base}/stream") as socket:
        assert socket.receive_text() == "hello"


@pytest.mark.parametrize("wrong", ["", "violet", "VIOLET-42", "é" * 20, "x" * 5_000])
def test_another_word_opens_nothing(wrong: str) -> None:
    tab = browser()
    answer = tab.post("/class-code", data={"code": wrong})
    assert answer.status_code in (403, 413) and "set-cookie" not in answer.headers
    assert tab.get("/").status_code == 401


def test_a_cookie_ends_and_cannot_be_made_up() -> None:
    clock = Clock()
    tab = browser(clock=clock)
    tab.post("/class-code", data={"code": CODE})
    until, _, signature = tab.cookies[COOKIE].partition(".")
    clock.now += 12 * 3600 - 1
    assert tab.get("/").status_code == 200
    clock.now += 2
    assert tab.get("/").status_code == 401
    later = str(int(until) + 1_000_000)
    for made_up in (f"{later}.{signature}", f"{later}.", f".{signature}", "x", f"{later}.é", f"-1.{signature}", ""):
        fresh = browser(clock=clock)
        assert fresh.get("/", headers={"cookie": f"{COOKIE}={made_up}".encode()}).status_code == 401


def test_another_server_with_the_same_word_knows_the_cookie_and_one_with_another_does_not() -> None:
    tab = browser()
    tab.post("/class-code", data={"code": CODE})
    cookie = {"cookie": f"{COOKIE}={tab.cookies[COOKIE]}"}
    assert browser().get("/", headers=cookie).status_code == 200
    assert browser(code="violet-43").get("/", headers=cookie).status_code == 401


def test_whoever_guesses_has_to_wait_and_the_right_word_does_not_count() -> None:
    clock = Clock()
    tab = browser(tries=Tries(clock))
    for _ in range(class_code.TRIES - 1):
        assert tab.post("/class-code", data={"code": "guess"}).status_code == 403
    for _ in range(5):
        assert tab.post("/class-code", data={"code": CODE}).status_code == 303
    assert tab.post("/class-code", data={"code": "guess"}).status_code == 403
    assert tab.post("/class-code", data={"code": CODE}).status_code == 429
    clock.now += class_code.TRIES_SECONDS + 1
    assert tab.post("/class-code", data={"code": CODE}).status_code == 303


def test_a_guesser_with_a_network_of_ipv6_is_one_address() -> None:
    guard = browser(tries=Tries(Clock())).app
    for number in range(class_code.TRIES):
        tab = TestClient(guard, client=(f"2001:db8::{number:x}", 5000))
        assert tab.post("/class-code", data={"code": "guess"}).status_code == 403
    for address, status in (("2001:db8::ffff", 429), ("2001:db8:0:1::1", 403)):
        assert (
            TestClient(guard, client=(address, 5000)).post("/class-code", data={"code": "guess"}).status_code == status
        )


def test_many_addresses_together_have_to_wait_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_code, "ALL_TRIES", 10)
    monkeypatch.setattr(class_code, "ADDRESSES_COUNTED", 4)
    monkeypatch.setattr(class_code, "TRIES", 1)
    tries = Tries(Clock())
    for number in range(10):
        assert tries.left("new")
        assert tries.left("0") == (number == 0 or number > 4), "an address is forgotten after four others"
        tries.wrong(str(number))
    assert not tries.left("new")


def test_the_form_says_nothing_of_what_was_asked_for() -> None:
    assert "script" not in browser().get("/<script>alert(1)</script>", headers=HTML).text
