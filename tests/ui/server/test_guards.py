"""What stands in front of every answer of the server, around answers of our own."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import streamlit
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from vitviz.ui.server import guards, uploads
from vitviz.ui.server.guards import (
    AllowedHosts,
    ClosedAddresses,
    Connections,
    MessageSize,
    SecurityHeaders,
    UploadQuota,
    content_security_policy,
)
from vitviz.ui.server.uploads import Quota


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

        own = Middleware(guards.OwnPage, css="p {}", scripts=["go()"])
        routes = [Route("/page", page), Route("/text", plain)]
        one = TestClient(Starlette(routes=routes, middleware=[own]))
        answer = one.get("/page", headers={"accept": "text/html", "if-none-match": "x", **headers})
        assert one.get("/text", headers={"accept": "text/html"}).text == "answer 0"
        return answer.text, dict(answer.headers)

    def test_style_and_scripts_are_in_the_page_before_anything_is_drawn(self) -> None:
        text, headers = self.served()
        assert text == "<html><body>app<style>p {}</style><script>go()</script></body></html>"
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
    assert not app._open, "all places are free again"
    with three.websocket_connect("/stream") as socket:
        socket.send_bytes(b"x")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class TestUploads:
    def quota(self, nbytes: int = 1000, base: str = "") -> tuple[TestClient, dict[str, list[str]], Clock]:
        files: dict[str, list[str]] = {}
        clock = Clock()

        def drop(session: str, file: str) -> None:
            files[session].remove(file)

        guard = Middleware(
            UploadQuota,
            quota=Quota(nbytes, clock),
            kept=lambda session: [*files.get(session, ())],
            drop=drop,
            base_path=base,
        )
        return client(guard), files, clock

    def put(self, browser: TestClient, session: str, size: int, base: str = "", **options: object) -> int:
        return browser.put(f"{base}/_stcore/upload_file/{session}/file", content=bytes(size), **options).status_code

    @pytest.mark.parametrize("base", ["", "/lab"])
    def test_a_session_has_so_many_bytes_an_hour(self, base: str) -> None:
        browser, _, clock = self.quota(base=base)
        assert [self.put(browser, "a", 400, base) for _ in range(3)] == [200, 200, 429]
        assert self.put(browser, "a", 200, base) == 200
        assert self.put(browser, "a", 1, base) == 429
        assert self.put(browser, "b", 1000, base) == 200, "another session has its own"
        clock.now += 1800
        assert [self.put(browser, "a", size, base) for size in (501, 500, 1)] == [429, 200, 429]
        clock.now += 3600
        assert self.put(browser, "a", 1000, base) == 200

    def test_150_uploads_of_10_megabytes_are_not_all_taken(self) -> None:
        browser, files, _ = self.quota(300_000_000)
        taken = 0
        content = bytes(10_000_000)
        for number in range(150):
            if browser.put("/_stcore/upload_file/a/f", content=content).status_code == 200:
                taken += 1
                files.setdefault("a", []).append(str(number))
            assert len(files["a"]) <= 2
            if taken < number + 1:
                break
        assert taken == 30

    def test_bytes_that_were_not_announced_count_as_well(self) -> None:
        browser, _, _ = self.quota()
        for _ in range(2):
            answer = browser.put("/_stcore/upload_file/a/f", content=(bytes(300) for _ in range(2)))
            assert answer.status_code == 200
        assert self.put(browser, "a", 1) == 429

    def test_earlier_files_are_let_go_of_before_the_next_is_kept(self) -> None:
        browser, files, _ = self.quota()
        files.update(a=["first", "second", "third"], b=["first", "second"])
        self.put(browser, "a", 1)
        assert files == {"a": ["third"], "b": ["first", "second"]}

    def test_so_many_at_once(self) -> None:
        guard = UploadQuota(None, Quota(1000), lambda _: [], lambda *_: None)
        begun: list[int] = []

        async def inner(scope: Scope, receive: Receive, send: Send) -> None:
            begun.append(1)
            await guard(scope, receive, send)  # one more while this one is under way

        guard.app = inner
        browser = TestClient(guard)
        for times in (1, 2):
            assert self.put(browser, "a", 1) == 429
            assert len(begun) == times * guards.UPLOADS_AT_ONCE, "and what is refused or over takes no place"

    def slow(self, takes: object) -> UploadQuota:
        """The guard around an answer that `takes` gives."""
        return UploadQuota(takes, Quota(10_000_000), lambda _: [], lambda *_: None)

    async def send(self, guard: UploadQuota, receive: object, address: str = "203.0.113.1", session: str = "a") -> int:
        """The status that an upload is answered with."""
        path = f"/_stcore/upload_file/{session}/file"
        scope = {"type": "http", "method": "PUT", "path": path, "headers": [], "client": (address, 5000)}
        answers: list[dict[str, object]] = []

        async def answer(message: dict[str, object]) -> None:
            answers.append(message)

        await guard(scope, receive, answer)
        self.headers = dict(answers[0]["headers"])
        return answers[0]["status"]

    @staticmethod
    async def read(scope: object, receive: object, send: object) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            size, more = size + len(message["body"]), message["more_body"]
        await PlainTextResponse(str(size))(scope, receive, send)

    def test_an_upload_that_does_not_come_on_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(guards, "FIRST_SECONDS", 0.05)
        guard, parts = self.slow(self.read), [bytes(100)]

        async def receive() -> dict[str, object]:
            if not parts:
                await asyncio.sleep(60)
            return {"type": "http.request", "body": parts.pop(), "more_body": True}

        assert asyncio.run(self.send(guard, receive)) == 408
        assert self.headers[b"connection"] == b"close", "what still comes is not read"
        assert not guard._read and not guard._under_way

    def test_what_has_come_gives_an_upload_more_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock, given, parts = Clock(), [], [(1_000_000, True), (500_000, True), (0, False)]
        monkeypatch.setattr(guards, "time", SimpleNamespace(monotonic=clock))

        async def wait_for(coming: object, seconds: float) -> object:
            given.append(seconds)
            return await coming

        monkeypatch.setattr(guards, "asyncio", SimpleNamespace(wait_for=wait_for))

        async def receive() -> dict[str, object]:
            clock.now += 30
            size, more = parts.pop(0)
            return {"type": "http.request", "body": bytes(size), "more_body": more}

        assert asyncio.run(self.send(self.slow(self.read), receive)) == 200
        assert given == [10, 10 + 50 - 30, 10 + 75 - 60], "20 kB a second"

    def test_so_many_are_read_at_once_and_half_of_them_of_one_address(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(guards, "READ_AT_ONCE", 4)

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def run() -> None:
            over, reading = asyncio.Event(), []

            async def hold(scope: dict[str, object], receive: object, send: object) -> None:
                reading.append(scope["client"][0])
                await over.wait()
                await self.read(scope, receive, send)

            guard = self.slow(hold)

            async def reads(*addresses: str) -> None:
                while sorted(reading) != [*addresses]:
                    await asyncio.sleep(0.01)

            sent = [asyncio.create_task(self.send(guard, receive, "one", str(number))) for number in range(3)]
            await reads("one", "one")
            sent += [asyncio.create_task(self.send(guard, receive, "two", str(number))) for number in range(3, 5)]
            await reads("one", "one", "two", "two")
            monkeypatch.setattr(guards, "WAIT_SECONDS", -1.0)
            assert await self.send(guard, receive, "three", "5") == 503
            over.set()
            assert await asyncio.gather(*sent) == [200] * 5, "who waited has the place of another"
            assert not guard._read and not guard._under_way

        asyncio.run(run())

    def test_sessions_that_are_counted_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(uploads, "COUNTED", 5)
        quota = Quota(1000)
        for number in range(50):
            quota.spend(str(number), 10)
        assert [number for number in range(50) if quota.left(str(number)) < 1000] == [45, 46, 47, 48, 49]
