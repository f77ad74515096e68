"""The routes of the web server: payloads, the front end, the cookie of a browser, and which addresses are pages."""

from __future__ import annotations

import gzip
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from functools import cache

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vitviz import frontend
from vitviz.ui.server.payloads import PayloadStore
from vitviz.ui.server.settings import url_prefix

PATH = "/payload"
FRONTEND = "/frontend"
COOKIE = "vitviz_visitor"
# Set by the page itself (`shell.styles`): whether its window is as narrow as a phone.
NARROW_COOKIE = "vitviz_narrow"
# As `VisitorCookie` makes them.
_VISITOR = re.compile(r"[\w-]{22}", re.ASCII)
_PLAIN = {"X-Content-Type-Options": "nosniff"}
PART = 65_536  # bytes that an answer hands over at a time


@cache
def payloads() -> PayloadStore:
    """What browsers fetch."""
    return PayloadStore()


def base_path() -> str:
    """The server's `baseUrlPath`, which Streamlit does not put in front of routes of our own."""
    return str(st.get_option("server.baseUrlPath") or "")


def address(name: str, base_path: str = "") -> str:
    """The URL path of a payload; `base_path` is the server's `baseUrlPath`, with or without slashes."""
    return f"{url_prefix(base_path)}{PATH}/{name}"


def frontend_address(base_path: str = "") -> str:
    """The URL path under which the modules of `vitviz.frontend` lie: another one where any of them changes."""
    return f"{url_prefix(base_path)}{FRONTEND}/{frontend.version()}"


def payload_route(store: PayloadStore, base_path: str = "") -> Route:
    """GET {base}/payload/{name}: the gzipped bytes, or 404 with nothing said about why."""

    async def serve(request: Request) -> Response:
        # In a thread: a payload that is made when it is fetched would block the messages of all sessions.
        body = await run_in_threadpool(store.fetch, request.path_params["name"], visitor_of(request.cookies))
        if body is None:
            return _not_found()
        headers = {**_PLAIN, "Content-Encoding": "gzip", "Cache-Control": "private, max-age=3600, immutable"}
        return InParts(body, 200, headers, "application/octet-stream")

    return Route(address("{name}", base_path), serve, methods=["GET"])


class InParts(Response):
    """An answer that is handed over as fast as its reader takes it. Handed over at once, it would be copied for every
    connection that asks and does not read.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for at in range(0, len(self.body), PART):
            await send({"type": "http.response.body", "body": self.body[at : at + PART], "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def frontend_route(base_path: str = "") -> Route:
    """GET {base}/frontend/{version}/{module}: a JavaScript module, gzipped, to be kept by the browser.

    A dot and a number after the version change nothing but the address: a browser that failed to fetch a module
    keeps the failure under its address, and can try again under another one.
    """
    bodies = {name: gzip.compress(content, mtime=0) for name, content in frontend.modules().items()}
    headers = {**_PLAIN, "Content-Encoding": "gzip", "Cache-Control": "private, max-age=31536000, immutable"}

    async def serve(request: Request) -> Response:
        version = request.path_params["version"].partition(".")[0]
        body = bodies.get(request.path_params["module"])
        if body is None or version != frontend.version():
            return _not_found()
        return Response(body, 200, headers, "text/javascript")

    return Route(f"{url_prefix(base_path)}{FRONTEND}/{{version}}/{{module:path}}", serve, methods=["GET"])


# Small pictures that are the same for everybody, by the hash of what they are made from; there are as many as the gallery has
# photographs, and each is made when the first browser asks for it.
_PUBLISHED: dict[str, Callable[[], bytes]] = {}
PICTURES = "/pictures"


def publish(made_from: str, jpeg: Callable[[], bytes]) -> str:
    """The address at which every browser can fetch the picture, once: it may be kept for good. For pictures of our own only.

    Args:
        made_from: Names what the picture shows and how; another picture has another.
        jpeg: Makes it.
    """
    name = hashlib.sha256(made_from.encode()).hexdigest()[:32]
    _PUBLISHED.setdefault(name, cache(jpeg))
    return f"{url_prefix(base_path())}{PICTURES}/{name}.jpg"


def picture_route(base_path: str = "") -> Route:
    """GET {base}/pictures/{name}.jpg: what was published, or 404."""

    async def serve(request: Request) -> Response:
        jpeg = _PUBLISHED.get(request.path_params["name"])
        if jpeg is None:
            return _not_found()
        headers = {**_PLAIN, "Cache-Control": "public, max-age=31536000, immutable"}
        return Response(await run_in_threadpool(jpeg), 200, headers, "image/jpeg")

    return Route(f"{url_prefix(base_path)}{PICTURES}/{{name}}.jpg", serve, methods=["GET"])


def _not_found() -> Response:
    return Response("not found", 404, {**_PLAIN, "Cache-Control": "no-store"}, "text/plain")


class KnownPages:
    """404 for every address at which the app has no page.

    Streamlit answers an address that it does not know with its page and the status 200, whatever was asked for: a crawler's
    /robots.txt, a probe's /readyz.

    Args:
        app: The application that answers all other requests.
        pages: Addresses of the app's pages, without "/".
        base_path: The server's `baseUrlPath`.
    """

    def __init__(self, app: ASGIApp, pages: Iterable[str], base_path: str = "") -> None:
        self.app = app
        base = url_prefix(base_path)
        self._pages = {base, f"{base}/", *(f"{base}/{page}" for page in pages)}
        # Streamlit serves HTML of its own making here.
        self._others = (f"{base}/component/", f"{base}/media/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or path in self._pages or path.startswith(self._others):
            await self.app(scope, receive, send)
            return
        refused = False

        async def send_unless_page(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                refused = message["status"] < 300 and headers.get("content-type", "").startswith("text/html")
                if refused:
                    await _not_found()(scope, receive, send)
            if not refused:
                await send(message)

        await self.app(scope, receive, send_unless_page)


def is_narrow(headers: Mapping[str, str], cookies: Mapping[str, str]) -> bool:
    """Whether a browser's window is as narrow as a phone: as its page said, else where it names itself a phone's."""
    said = cookies.get(NARROW_COOKIE)
    return said == "1" if said in ("0", "1") else "Mobi" in headers.get("User-Agent", "")


def visitor_of(cookies: Mapping[str, str]) -> str:
    """The browser's own cookie; "" where it has none, or one that this server would not have made."""
    value = cookies.get(COOKIE, "")
    return value if isinstance(value, str) and _VISITOR.fullmatch(value) else ""


class VisitorCookie:
    """Gives every browser a random cookie, so that a payload's address is of no use in another browser.

    A browser that takes no cookies (a page embedded in another site, for one) still has the unguessable name. What a cache
    on the way may give to everybody comes without one: all who got it would be the same visitor.
    """

    def __init__(self, app: ASGIApp, base_path: str = "") -> None:
        self.app, self.path = app, url_prefix(base_path) or "/"  # other apps of the host need not have it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or visitor_of(HTTPConnection(scope).cookies):
            await self.app(scope, receive, send)
            return

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and not _is_public(message):
                secure = "; Secure" if scope.get("scheme") == "https" else ""
                cookie = f"{COOKIE}={secrets.token_urlsafe(16)}; Path={self.path}; HttpOnly; SameSite=Lax{secure}"
                MutableHeaders(scope=message).append("Set-Cookie", cookie)
            await send(message)

        await self.app(scope, receive, send_with_cookie)


def _is_public(start: Message) -> bool:
    return "public" in MutableHeaders(scope=start).get("cache-control", "").lower()
