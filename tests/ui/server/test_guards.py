"""What stands in front of every answer of the server, around answers of our own."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import streamlit
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from vitviz.ui.server import guards
from vitviz.ui.server.guards import (
    AllowedHosts,
    ClosedAddresses,
    Connections,
    MessageSize,
    SecurityHeaders,
    content_security_policy,
)


async def plain(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"answer {len(await request.body())}")


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.send_bytes(await socket.receive_bytes())


def client(*middleware: Middleware, base: str = "", **options: object) -> TestClient:
    routes = [WebSocketRoute(f"{base}/stream", echo), Route("/{rest:path}", plain, methods=["GET", "PUT", "POST"])]
    return TestClient(Starlette(routes=routes, middleware=[*middleware]), **options)


def rules(policy: str) -> dict[str, list[str]]:
    return {name: values for name, *values in (rule.split() for rule in policy.split("; "))}


class TestHeaders:
    def test_every_answer_carries_them(self) -> None:
        browser = client(Middleware(SecurityHeaders), Middleware(ClosedAddresses))
        for address, status in (("/", 200), ("/_stcore/metrics", 404)):
            answer = browser.get(address)
            assert answer.status_code == status
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["cross-origin-opener-policy"] == "same-origin"
            assert "camera=(self)" in answer.headers["permissions-policy"]
            assert rules(answer.headers["content-security-policy"])["frame-ancestors"] == ["'none'"]

    def test_an_error_is_answered_with_them_and_what_it_says_is_not_logged(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        said = "holiday.jpg"

        async def broken(_: Request) -> Response:
            raise ValueError(said)

        app = Starlette(routes=[Route("/broken", broken)], middleware=[Middleware(SecurityHeaders)])
        answer = TestClient(app).get("/broken")
        assert answer.status_code == 500 and said not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert rules(answer.headers["content-security-policy"])["default-src"] == ["'none'"]
        assert "ValueError" in caplog.text and "in broken" in caplog.text and said not in caplog.text

    def test_an_answer_that_has_begun_is_broken_off(self) -> None:
        async def parts() -> AsyncIterator[bytes]:
            yield b"part"
            raise ValueError("holiday.jpg")

        async def streamed(_: Request) -> Response:
            return StreamingResponse(parts())

        app = Starlette(routes=[Route("/broken", streamed)], middleware=[Middleware(SecurityHeaders)])
        with pytest.raises(ValueError, match="holiday"):
            TestClient(app).get("/broken")

    def test_nothing_is_fetched_from_another_host_and_no_text_becomes_a_script(self) -> None:
        policy = rules(content_security_policy())
        assert policy.pop("default-src") == ["'none'"]
        hosts = {value for values in policy.values() for value in values if not value.startswith("'")}
        assert hosts == {"data:", "blob:"}
        assert not {"'unsafe-inline'", "'unsafe-eval'", "'wasm-unsafe-eval'"} & set(policy["script-src"])
        assert "data:" not in policy["script-src"]
        assert "data:" in policy["connect-src"], "a photograph of the camera is fetched as one"

    def test_the_scripts_in_streamlits_own_page_are_allowed_by_their_hashes(self) -> None:
        page = (Path(streamlit.__file__).parent / "static" / "index.html").read_text()
        inline = re.findall(r"<script(?![^>]* src=)[^>]*>(.*?)</script>", page, re.DOTALL)
        assert inline
        for script in inline:
            digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in rules(content_security_policy())["script-src"]

    def test_pages_that_may_show_the_app_inside_them(self) -> None:
        answer = client(Middleware(SecurityHeaders, frame_ancestors=("https://huggingface.co", "'self'"))).get("/")
        assert rules(answer.headers["content-security-policy"])["frame-ancestors"] == [
            "https://huggingface.co",
            "'self'",
        ]
        assert "x-frame-options" not in answer.headers


class TestOwnPage:
    def served(self, **headers: str) -> tuple[str, dict[str, str]]:
        async def page(request: Request) -> Response:
            if "if-none-match" in request.headers or "accept-encoding" in request.headers:
                return Response(status_code=304)
            return HTMLResponse("<html><body>app</body></html>", headers={"etag": "x", "last-modified": "y"})

        own = Middleware(guards.OwnPage, css="p {}", scripts=["go()"], modules=["./a.js"])
        routes = [Route("/page", page), Route("/text", plain)]
        one = TestClient(Starlette(routes=routes, middleware=[own]))
        answer = one.get("/page", headers={"accept": "text/html", "if-none-match": "x", **headers})
        assert one.get("/text", headers={"accept": "text/html"}).text == "answer 0"
        return answer.text, dict(answer.headers)

    def test_style_and_scripts_are_in_the_page_before_anything_is_drawn(self) -> None:
        text, headers = self.served()
        link = '<link rel="modulepreload" crossorigin fetchpriority="low" href="./a.js">'
        assert text == f"<html><body>app<style>p {{}}</style>{link}<script>go()</script></body></html>"
        assert int(headers["content-length"]) == len(text) and not {"etag", "last-modified"} & set(headers)

    def test_other_files_stay_as_they_are(self) -> None:
        assert self.served(accept="*/*")[0] == ""


class TestHosts:
    @pytest.mark.parametrize(
        ("host", "allowed"),
        [
            *((name, True) for name in ("localhost", "localhost:8501", "127.0.0.1:8501", "203.0.113.7", "[::1]:8501")),
            *(
                (name, True)
                for name in ("lab.example.org", "LAB.example.org:443", "a.class.example.org", "lab.example.org.")
            ),
            *((name, False) for name in ("evil.example", "class.example.org", "lab.example.org.evil.example", "")),
            *((name, False) for name in ("127.0.0.1.evil.example", "xclass.example.org", "localhost.evil.example")),
        ],
    )
    def test_only_names_of_this_server(self, host: str, allowed: bool) -> None:
        browser = client(Middleware(AllowedHosts, hosts=["lab.example.org", "*.class.example.org"]))
        assert browser.get("/", headers={"host": host}).status_code == (200 if allowed else 400)

    def test_a_connection_as_well(self) -> None:
        browser = client(Middleware(AllowedHosts))
        with browser.websocket_connect("/stream", headers={"host": "localhost"}) as socket:
            socket.send_bytes(b"x")
        with (
            pytest.raises(WebSocketDisconnect),
            browser.websocket_connect("/stream", headers={"host": "evil.example"}),
        ):
            pass

    def test_any_name_where_the_operator_says_so(self) -> None:
        browser = client(Middleware(AllowedHosts, hosts=["*"]))
        assert browser.get("/", headers={"host": "anything.example"}).status_code == 200


@pytest.mark.parametrize("base", ["", "/lab/vit"])
def test_streamlits_numbers_and_its_way_without_a_browser_are_closed(base: str) -> None:
    browser = client(Middleware(ClosedAddresses, base_path=base))
    for address in ("metrics", "metrics/", "agent/interact", "agent/openapi.json", "agent/mcp", "script-health-check"):
        assert browser.get(f"{base}/_stcore/{address}").status_code == 404
    assert browser.get(f"{base}/_stcore/health").status_code == 200


def test_a_message_larger_than_any_of_a_page_ends_the_connection() -> None:
    browser = client(Middleware(MessageSize, nbytes=1000))
    with browser.websocket_connect("/stream") as socket:
        socket.send_bytes(bytes(1000))
        assert socket.receive_bytes() == bytes(1000)
        socket.send_bytes(bytes(1001))
        with pytest.raises(WebSocketDisconnect) as ended:
            socket.receive_bytes()
    assert ended.value.code == 1009


def test_browsers_connected_at_once_are_bounded_in_all_and_of_one_address() -> None:
    app = Connections(Starlette(routes=[WebSocketRoute("/stream", echo), Route("/{rest:path}", plain)]), most=4)
    one, two, three = (TestClient(app, client=(f"203.0.113.{number}", 5000)) for number in range(3))
    page = {"accept": "text/html"}
    with contextlib.ExitStack() as connected:

        def connect(browser: TestClient) -> None:
            connected.enter_context(browser.websocket_connect("/stream"))

        connect(one)
        assert one.get("/", headers=page).status_code == 200
        connect(one)
        with pytest.raises(WebSocketDisconnect):
            connect(one)
        assert one.get("/", headers=page).status_code == 503, "and no page that would wait for a connection for ever"
        assert one.get("/array").status_code == 200, "what pages that are open fetch"
        connect(two)
        connect(two)
        assert three.get("/", headers=page).headers["retry-after"] == "60"
        with pytest.raises(WebSocketDisconnect):
            connect(three)
    with contextlib.ExitStack() as connected:
        for browser in (one, one, two, two):  # all places are free again
            connect(browser)
    alone = Connections(app.app, most=4, share=1.0)
    with contextlib.ExitStack() as connected:
        for _ in range(4):
            connected.enter_context(TestClient(alone).websocket_connect("/stream"))
    with three.websocket_connect("/stream") as socket:
        socket.send_bytes(b"x")


def test_the_operator_is_told_once_that_all_visitors_have_one_address(caplog: pytest.LogCaptureFixture) -> None:
    app = Connections(Starlette(routes=[WebSocketRoute("/stream", echo)]), most=4)
    one, two = (TestClient(app, client=(address, 5000)) for address in ("203.0.113.77", "203.0.113.78"))
    with contextlib.ExitStack() as connected:
        for browser in (one, two, one):
            connected.enter_context(browser.websocket_connect("/stream"))
        assert one.get("/", headers={"accept": "text/html"}).status_code == 503
        assert not caplog.text, "there are other addresses, so that they are told apart"
    with one.websocket_connect("/stream"), one.websocket_connect("/stream"):
        for _ in range(2):
            assert one.get("/", headers={"accept": "text/html"}).status_code == 503
    assert caplog.text.count("FORWARDED_ALLOW_IPS") == 1 and "2 of 4 places free" in caplog.text
    assert "203.0.113" not in caplog.text


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_addresses_that_one_visitor_has_are_one(host: str, address: str) -> None:
    assert guards.address_of({"client": (host, 5000)}) == address
    assert guards.address_of({"client": None}) == ""
