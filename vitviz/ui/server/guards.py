"""Middleware around everything that the app serves: headers, hosts, closed addresses, messages and uploads.

Each is a plain ASGI middleware. `guards` lists them in their order, the first outermost.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import logging
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import streamlit
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vitviz.ui.server.settings import url_prefix
from vitviz.ui.server.uploads import Quota
from vitviz.ui.server.watching import without_message

_LOG = logging.getLogger(__name__)

# Bytes of one message from a browser: the state of widgets, or a photograph from the start page's figure, which scales larger
# ones down (see `components.journey.LARGEST_UPLOAD`; as text it is a third larger).
MAX_MESSAGE = 6_000_000
# Streamlit's own addresses that are closed: its internal metrics, and a way to run the app without a browser.
CLOSED = ("/_stcore/metrics", "/_stcore/script-health-check", "/_stcore/agent")
UPLOADS = "/_stcore/upload_file/"
# Uploads of one session at once; each is held in memory while it is received.
UPLOADS_AT_ONCE = 2
# Read at once of everybody, and the share of one address; who comes later waits for so many seconds at most.
READ_AT_ONCE, SHARE, WAIT_SECONDS = 20, 0.5, 60.0
# Bytes a second that an upload must come with from its first seconds on: 10 MB take nine minutes at most.
SLOWEST, FIRST_SECONDS = 20_000, 10.0
STEP_SECONDS = 0.05
# Of one session, kept by Streamlit beside the newest: the app takes a file's bytes as soon as it has come.
UPLOADS_KEPT = 1

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=(), interest-cohort=()",
}


def content_security_policy(frame_ancestors: Iterable[str] = (), scripts: Iterable[str] = ()) -> str:
    """Lets the browser run and fetch what this server serves, and nothing else.

    Args:
        frame_ancestors: pages that may show the app inside them, in the words of the policy.
        scripts: those that pages hold in themselves; they are allowed by their hashes, as are those in Streamlit's page.
    """
    page = (Path(streamlit.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
    inline = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in (*re.findall(r"<script>(.*?)</script>", page, re.DOTALL), *scripts)
    ]
    rules = {
        "default-src": ["'none'"],
        "base-uri": ["'self'"],
        # Streamlit turns what the camera took, a data address, into a file by fetching it.
        "connect-src": ["'self'", "data:", "blob:"],
        "font-src": ["'self'", "data:"],
        "form-action": ["'self'"],
        "frame-ancestors": list(frame_ancestors) or ["'none'"],
        "img-src": ["'self'", "data:", "blob:"],
        "manifest-src": ["'self'"],
        "media-src": ["'self'", "blob:"],
        # Streamlit hands a component's module to the browser as a blob.
        "script-src": ["'self'", "blob:", *inline],
        # Its styles are made in the browser, and so are those of components.
        "style-src": ["'self'", "'unsafe-inline'"],
        "worker-src": ["'self'", "blob:"],
    }
    return "; ".join(f"{name} {' '.join(values)}" for name, values in rules.items())


class SecurityHeaders:
    """The headers on every response, whatever produces it. Errors are answered here: outside they would be without them."""

    def __init__(self, app: ASGIApp, frame_ancestors: Iterable[str] = (), scripts: Iterable[str] = ()) -> None:
        self.app = app
        ancestors = [*frame_ancestors]
        self._headers = _HEADERS | {"Content-Security-Policy": content_security_policy(ancestors, scripts)}
        if not ancestors:
            self._headers["X-Frame-Options"] = "DENY"  # of browsers that know no frame-ancestors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal begun
            begun = True
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception as error:
            if scope["type"] != "http" or begun:
                raise  # which ends the connection
            _LOG.error("unexpected, in an answer: %s", without_message(error))
            await refuse(scope, receive, send_with_headers, 500, "something went wrong")


class OwnPage:
    """Puts a style sheet and scripts into Streamlit's page, so that they are there before anything is drawn: what comes with a
    run of the app comes after its first elements, and moves them.
    """

    def __init__(self, app: ASGIApp, css: str, scripts: Iterable[str] = ()) -> None:
        self.app = app
        self._parts = "".join([f"<style>{css}</style>", *(f"<script>{each}</script>" for each in scripts)]).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _asks_for_page(scope):
            await self.app(scope, receive, send)
            return
        # The whole page as it is: neither compressed nor "not modified", of which the browser may hold another style.
        unasked = (b"accept-encoding", b"if-none-match", b"if-modified-since")
        scope = {**scope, "headers": [each for each in scope["headers"] if each[0] not in unasked]}
        start: Message | None = None
        parts: list[bytes] = []

        async def send_styled(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                if MutableHeaders(scope=message).get("content-type", "").startswith("text/html"):
                    start = message
                    return
            elif start is not None:
                parts.append(message.get("body", b""))
                if message.get("more_body"):
                    return
                body = b"".join(parts).replace(b"</body>", self._parts + b"</body>", 1)
                headers = MutableHeaders(scope=start)
                headers["content-length"] = str(len(body))
                for name in ("etag", "last-modified"):
                    del headers[name]
                await send(start)
                message = {"type": "http.response.body", "body": body}
            await send(message)

        await self.app(scope, receive, send_styled)


class AllowedHosts:
    """400 for a request that names another host: protects from sites whose name is made to resolve to this server (DNS
    rebinding).
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        self.app = app
        own = socket.gethostname().lower()
        self._names = {host.lower() for host in hosts} | {"localhost", own, f"{own}.local"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not self.allows(Headers(scope=scope).get("host", "")):
            await refuse(scope, receive, send, 400, "this server does not have this host name")
            return
        await self.app(scope, receive, send)

    def allows(self, host: str) -> bool:
        """Whether a Host header names this server."""
        name = re.sub(r":\d{1,5}$", "", host).lower().rstrip(".")
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            pass
        else:
            return True
        if name in self._names or (name and "*" in self._names):
            return True
        return any(known.startswith("*.") and name.endswith(known[1:]) for known in self._names)


class ClosedAddresses:
    """404 for addresses that Streamlit serves and the app does not use."""

    def __init__(self, app: ASGIApp, base_path: str = "") -> None:
        self.app = app
        self._closed = tuple(f"{url_prefix(base_path)}{path}" for path in CLOSED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and scope["path"].startswith(self._closed):
            await refuse(scope, receive, send, 404, "not found")
            return
        await self.app(scope, receive, send)


class MessageSize:
    """Ends a connection that sends a message larger than any that a page of the app sends."""

    def __init__(self, app: ASGIApp, nbytes: int = MAX_MESSAGE) -> None:
        self.app, self.nbytes = app, nbytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return

        async def receive_within() -> Message:
            message = await receive()
            sent = message.get("bytes") or message.get("text") or b""
            if message["type"] == "websocket.receive" and len(sent) > self.nbytes:
                await send({"type": "websocket.close", "code": 1009})
                return {"type": "websocket.disconnect", "code": 1009}
            return message

        await self.app(scope, receive_within, send)


class Connections:
    """Bounds the browsers that are connected at once, in all and of one address, since each has a session in memory. Who comes
    later gets no page, and is told to try again.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self._most = app, most
        self._open: Counter[str] = Counter()  # address -> connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = _address(scope)
        connects = scope["type"] == "websocket"
        if (connects or _asks_for_page(scope)) and not _has_place(self._open, address, self._most):
            await refuse(scope, receive, send, 503, "too many people are here now; try again in a minute")
            return
        if not connects:
            await self.app(scope, receive, send)
            return
        with _taken(self._open, address):
            await self.app(scope, receive, send)


def _address(scope: Scope) -> str:
    """Of the visitor, as the web server knows it."""
    return scope["client"][0] if scope.get("client") else ""


def _has_place(taken: Counter[str], address: str, most: int) -> bool:
    """Whether there is a place in all, and one of the share of an address."""
    return taken.total() < most and taken[address] < max(SHARE * most, 1)


@contextmanager
def _taken(taken: Counter[str], address: str) -> Iterator[None]:
    """A place inside the block."""
    taken[address] += 1
    try:
        yield
    finally:
        taken[address] -= 1
        if not taken[address]:
            del taken[address]


def _asks_for_page(scope: Scope) -> bool:
    return (
        scope["type"] == "http" and scope["method"] == "GET" and "text/html" in Headers(scope=scope).get("accept", "")
    )


class _GivenUp(Exception):
    """An upload that is read no further: status and reason of the answer."""


class UploadQuota:
    """Bounds what one session, a tab, uploads: at once, within an hour, and in files kept. Of everybody, so many are read at
    once, and none that does not come on.

    Args:
        quota: bytes within an hour.
        kept: gives the names of a session's files, the oldest first.
        drop: deletes one of them.
    """

    def __init__(
        self,
        app: ASGIApp,
        quota: Quota,
        kept: Callable[[str], list[str]],
        drop: Callable[[str, str], None],
        base_path: str = "",
    ) -> None:
        self.app, self._quota, self._kept, self._drop = app, quota, kept, drop
        self._path = f"{url_prefix(base_path)}{UPLOADS}"
        self._under_way: dict[str, int] = {}
        self._read: Counter[str] = Counter()  # address -> uploads that are read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "PUT" or not scope["path"].startswith(self._path):
            await self.app(scope, receive, send)
            return
        session = scope["path"].removeprefix(self._path).partition("/")[0]
        length = Headers(scope=scope).get("content-length", "")
        announced = int(length) if length.isascii() and length.isdigit() and len(length) < 16 else 0
        if self._under_way.get(session, 0) >= UPLOADS_AT_ONCE:
            await refuse(scope, receive, send, 429, "send one picture at a time")
        elif self._quota.left(session) < max(announced, 1):
            await refuse(scope, receive, send, 429, "upload limit reached; try again in an hour")
        else:
            await self._take(session, scope, receive, send)

    async def _take(self, session: str, scope: Scope, receive: Receive, send: Send) -> None:
        came, until, more, begun = 0, 0.0, True, False

        async def counted() -> Message:
            nonlocal came, more
            if not more:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(until + came / SLOWEST - time.monotonic(), 0))
            except TimeoutError:
                raise _GivenUp(408, "the picture came too slowly; try a smaller one") from None
            size = len(message.get("body", b""))
            came, more = came + size, message.get("more_body", False)
            self._quota.spend(session, size)
            return message

        async def answer(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        self._under_way[session] = self._under_way.get(session, 0) + 1
        try:
            await self._await_place(_address(scope))
            with _taken(self._read, _address(scope)):
                for file in self._kept(session)[:-UPLOADS_KEPT]:
                    self._drop(session, file)
                until = time.monotonic() + FIRST_SECONDS
                await self.app(scope, counted, answer)
        except _GivenUp as given_up:
            if not begun:
                await refuse(scope, receive, send, *given_up.args)
        finally:
            self._under_way[session] -= 1
            if not self._under_way[session]:
                del self._under_way[session]

    async def _await_place(self, address: str) -> None:
        """Until there is a place to read an upload in, nothing of it is read, and its sender waits."""
        until = time.monotonic() + WAIT_SECONDS
        while not _has_place(self._read, address, READ_AT_ONCE):
            if time.monotonic() > until:
                raise _GivenUp(503, "too many pictures are coming now; try again in a minute")
            await asyncio.sleep(STEP_SECONDS)


async def refuse(scope: Scope, receive: Receive, send: Send, status: int, reason: str) -> None:
    """Responds with the status and reason, or closes a connection that has not been accepted."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": "60"} if status in (429, 503) else {})
    if status == 408:
        headers["Connection"] = "close"  # or the rest of what was sent would still be taken
    await PlainTextResponse(reason, status, headers)(scope, receive, send)
