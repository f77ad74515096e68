"""A word shared by a class: each visitor enters it once, before the first page.

It protects a server whose address is known; it is no account, and identifies no person. A visitor who has
entered it gets a signed cookie. The key of the signature is made from the word, so that several servers behind one address
accept each other's cookies, and a new word invalidates all of them.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import time
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import parse_qs

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from vitviz.ui.server.guards import address_of, refuse
from vitviz.ui.server.settings import url_prefix
from vitviz.ui.text import common as words

COOKIE = "vitviz_class"
PATH = "/class-code"
# Hours that a lesson and its homework last.
SECONDS = 12 * 3600
# Wrong words within a time, of one address, which a class may share, and of all.
TRIES, ALL_TRIES, TRIES_SECONDS = 30, 300, 600.0
ADDRESSES_COUNTED = 10_000
_LONGEST_FORM = 2_000
_SALT = b"vitviz class code"


class Tries:
    """Counts wrong class codes of the last `TRIES_SECONDS`, by address and in all.

    Args:
        clock: A monotonic clock in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()
        self._all: list[float] = []

    def left(self, address: str) -> bool:
        """Whether an address may try once more."""
        since = self._clock() - TRIES_SECONDS
        self._all = [when for when in self._all if when > since]
        own = [when for when in self._wrong.get(address, ()) if when > since]
        return len(own) < TRIES and len(self._all) < ALL_TRIES

    def wrong(self, address: str) -> None:
        now = self._clock()
        own = [when for when in self._wrong.pop(address, ()) if when > now - TRIES_SECONDS]
        self._wrong[address] = [*own, now]
        self._all.append(now)
        while len(self._wrong) > ADDRESSES_COUNTED:
            self._wrong.popitem(last=False)


class ClassCode:
    """Serves only visitors who have entered the word.

    Args:
        code: The word.
        base_path: The server's `baseUrlPath`.
        open_paths: Addresses that need no word.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        app: ASGIApp,
        code: str,
        base_path: str = "",
        open_paths: tuple[str, ...] = (),
        clock: Callable[[], float] = time.time,
        tries: Tries | None = None,
    ) -> None:
        self.app, self._code, self._open, self._clock = app, code, open_paths, clock
        self._base = url_prefix(base_path)
        self._tries = tries or Tries()
        self._key = hashlib.scrypt(code.encode(), salt=_SALT, n=2**14, r=8, p=1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"] in self._open:
            await self.app(scope, receive, send)
        elif scope["path"] == f"{self._base}{PATH}" and scope.get("method") == "POST":
            await (await self._asked(Request(scope, receive)))(scope, receive, send)
        elif self._known(scope):
            await self.app(scope, receive, send)
        elif scope.get("method") == "GET" and "text/html" in HTTPConnection(scope).headers.get("accept", ""):
            await self._form(401)(scope, receive, send)
        else:
            await refuse(scope, receive, send, 401, words.CODE_WANTED)

    async def _asked(self, request: Request) -> Response:
        address = address_of(request.scope)
        if not self._tries.left(address):
            return self._form(429, words.CODE_TOO_OFTEN)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _LONGEST_FORM:
                return self._form(413, words.CODE_WRONG)
        given = parse_qs(body.decode("utf-8", "replace")).get("code", [""])[0].strip()
        if not hmac.compare_digest(given.encode(), self._code.encode()):
            self._tries.wrong(address)
            return self._form(403, words.CODE_WRONG)
        answer = RedirectResponse(f"{self._base}/", 303)
        answer.set_cookie(
            COOKIE,
            self._cookie(),
            SECONDS,
            path=f"{self._base}/",
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return answer

    def _cookie(self) -> str:
        until = str(int(self._clock()) + SECONDS)
        return f"{until}.{self._signature(until)}"

    def _signature(self, until: str) -> str:
        return hmac.new(self._key, until.encode(), hashlib.sha256).hexdigest()

    def _known(self, scope: Scope) -> bool:
        cookie = HTTPConnection(scope).cookies.get(COOKIE, "")
        until, _, signature = cookie.partition(".")
        if not (until.isascii() and until.isdigit() and len(until) < 16 and signature.isascii()):
            return False
        return hmac.compare_digest(signature, self._signature(until)) and int(until) > self._clock()

    def _form(self, status: int, said: str = "") -> Response:
        page = _PAGE.format(
            action=html.escape(f"{self._base}{PATH}"),
            said=f"<p role=alert>{html.escape(said)}</p>" if said else "",
            title=html.escape(words.NAME),
            label=html.escape(words.CODE_LABEL),
            button=html.escape(words.CODE_BUTTON),
        )
        return HTMLResponse(page, status, {"Cache-Control": "no-store"})


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }}
body {{ display: grid; min-height: 90svh; place-items: center }}
input, button {{ font: inherit; padding: .5rem .75rem; min-height: 44px }}
</style></head>
<body><main><h1>{title}</h1>{said}
<form method="post" action="{action}">
<label>{label} <input name="code" type="password" autocomplete="current-password" required autofocus></label>
<button>{button}</button></form></main></body></html>
"""
