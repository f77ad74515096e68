"""Middleware around everything that the app serves: headers, hosts, closed addresses, connections and messages.

Each is a plain ASGI middleware, as is that of uploads (`uploads.UploadQuota`). `assembly.middleware` lists them in their order.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import logging
import re
import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import streamlit
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vitviz.ui.server.settings import url_prefix
from vitviz.ui.server.watching import without_message

_LOG = logging.getLogger(__name__)

# Bytes of one message from a browser: the state of widgets, or a photograph from the start page's figure, which scales larger
# ones down (see `components.journey.LARGEST_UPLOAD`; as text it is a third larger).
MAX_MESSAGE = 6_000_000
# Streamlit's own addresses that are closed: its internal metrics, and a way to run the app without a browser.
CLOSED = ("/_stcore/metrics", "/_stcore/script-health-check", "/_stcore/agent")
# Of the connections, and of the uploads that are read at once, that one address may have.
SHARE = 0.5

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
        frame_ancestors: Pages that may show the app inside them, in the words of the policy.
        scripts: Those that pages hold in themselves; they are allowed by their hashes, as are those in Streamlit's page.
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
    run of the app comes after its first elements, and moves them. modules: addresses of scripts that it will import.
    """

    def __init__(self, app: ASGIApp, css: str, scripts: Iterable[str] = (), modules: Iterable[str] = ()) -> None:
        self.app = app
        links = (f'<link rel="modulepreload" crossorigin fetchpriority="low" href="{each}">' for each in modules)
        parts = [f"<style>{css}</style>", *links, *(f"<script>{each}</script>" for each in scripts)]
        self._parts = "".join(parts).encode()

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
    """400 for a request that names another host.

    It protects from sites whose name is made to resolve to this server (DNS rebinding).
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
    """Bounds the browsers that are connected at once, in all and of one address, since each has a session in memory. Later
    browsers get no page and are asked to try again.
    """

    def __init__(self, app: ASGIApp, most: int, share: float = SHARE) -> None:
        self.app, self._most, self._share = app, most, share
        self._open: Counter[str] = Counter()  # address -> connections
        self._warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = address_of(scope)
        connects = scope["type"] == "websocket"
        if (connects or _asks_for_page(scope)) and not has_place(self._open, address, self._most, self._share):
            self._warn(address)
            await refuse(scope, receive, send, 503, "too many people are here now; try again in a minute")
            return
        if not connects:
            await self.app(scope, receive, send)
            return
        with _taken(self._open, address):
            await self.app(scope, receive, send)

    def _warn(self, address: str) -> None:
        """Logs once if all visitors have one address: that of a proxy whose forwarded addresses the app is not set to trust."""
        taken = self._open.total()
        if not self._warned and taken < self._most and taken == self._open[address]:
            self._warned = True
            _LOG.warning(
                "a visitor was refused with %d of %d places free: all visitors have one address. Behind a proxy, set "
                "FORWARDED_ALLOW_IPS to its address; for a class behind one address, raise VITVIZ_ADDRESS_SHARE",
                self._most - taken,
                self._most,
            )


def address_of(scope: Scope) -> str:
    """The visitor's address as the web server has it; of IPv6 the first 64 bits: a visitor has all addresses with them."""
    host = scope["client"][0] if scope.get("client") else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ipaddress.IPv6Network((int(address), 64), strict=False))


def has_place(taken: Counter[str], address: str, most: int, share: float = SHARE) -> bool:
    """Whether a slot is free in all, and one of an address's share."""
    return taken.total() < most and taken[address] < max(share * most, 1)


@contextmanager
def _taken(taken: Counter[str], address: str) -> Iterator[None]:
    """Holds a slot inside the block."""
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


async def refuse(scope: Scope, receive: Receive, send: Send, status: int, reason: str) -> None:
    """Responds with the status and reason, or closes a connection that has not been accepted."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": "60"} if status in (429, 503) else {})
    if status == 413:
        headers["Connection"] = "close"  # or the rest of what was sent would still be taken
    await PlainTextResponse(reason, status, headers)(scope, receive, send)
