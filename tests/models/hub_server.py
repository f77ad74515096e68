"""A model hub of one repository on loopback: the URLs and headers that the hub's client uses, and ways of failing."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the hub holds and how it behaves; tests change the fields while it runs.

    cut_after      bytes after which the connection of a full download breaks; None for never
    ignores_range  whether it begins from the start when asked for the rest
    pause          seconds before each piece of 1,024 bytes
    status         another HTTP status instead of the file, with `error_code` as the hub names its reason
    as_page        answers everything with a page of HTML and none of a hub's headers, as a captive portal does
    silent         accepts the connection and says nothing
    etag           named as the file's hash; the right sha256 by default
    accounts       what each request said of who asks
    claims         a size that is named where only the size was asked for, in place of the true one
    beside         further files by name; the weights, `content`, are model.safetensors, and not there where empty
    """

    content: bytes
    repository: str = "timm/test_vit.r160_in1k"
    cut_after: int | None = None
    ignores_range: bool = False
    pause: float = 0.0
    status: int | None = None
    error_code: str | None = None
    as_page: bool = False
    silent: bool = False
    etag: str | None = None
    beside: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    accounts: list[str | None] = field(default_factory=list)
    claims: int | None = None
    endpoint: str = ""


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(
        self, request: object, client_address: object
    ) -> None: ...  # clients that give up are expected here


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    server = _QuietServer(("127.0.0.1", 0), _handler(hub))
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None: ...

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            hub.requests.append((self.command, self.path))
            hub.accounts.append(self.headers.get("Authorization"))
            if hub.silent:
                time.sleep(30)
            if hub.as_page:
                page = b"<html>Please log in to the network</html>"
                return self._send(
                    200, {"Content-Type": "text/html", "Content-Length": str(len(page))}, page if body else b""
                )
            if hub.status is not None:
                headers = {"X-Error-Code": hub.error_code} if hub.error_code else {}
                return self._send(hub.status, {**headers, "Content-Length": "0"}, b"")
            files = {"model.safetensors": hub.content, **hub.beside}
            content = files.get(self.path.removeprefix(f"/{hub.repository}/resolve/main/"))
            if not content:
                return self._send(
                    404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT, "Content-Length": "0"}, b""
                )
            self._send_file(content, body)

        def _send_file(self, content: bytes, body: bool) -> None:
            start = 0
            asked = self.headers.get("Range", "")
            if asked.startswith("bytes=") and not hub.ignores_range:
                start = int(asked.removeprefix("bytes=").split("-")[0])
            headers = {
                "ETag": f'"{hub.etag or hashlib.sha256(content).hexdigest()}"',
                "X-Repo-Commit": COMMIT,
                "X-Linked-Size": str(len(content) if body or hub.claims is None else hub.claims),
                "Accept-Ranges": "bytes",
                "Content-Length": str(len(content) - start),
            }
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            rest = content[start:]
            cut = hub.cut_after is not None and start == 0 and body
            self._send(206 if start else 200, headers, (rest[: hub.cut_after] if cut else rest) if body else b"")
            if cut:
                self.close_connection = True

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for start in range(0, len(body), 1024) if hub.pause else ():
                    time.sleep(hub.pause)
                    self.wfile.write(body[start : start + 1024])
                if not hub.pause:
                    self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client has given up, as some tests want it to

    return Handler
