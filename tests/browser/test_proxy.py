"""Two replicas below a path behind a reverse proxy that keeps each visitor on one of them: nginx as in `deploy/nginx.conf`
where it is installed, and everywhere a proxy of this file's own.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from benchmarks.load.classroom import is_of, photograph
from benchmarks.load.visitor import Visitor
from vitviz.ui.server.class_code import PATH, TRIES, ClassCode

from .serving import ROOT, served
from .tabs import AppTab

BASE = "/lab/vit"
COOKIE = "vitviz_replica"
ENVIRONMENT = {
    "STREAMLIT_SERVER_BASE_URL_PATH": BASE.strip("/"),
    "STREAMLIT_SERVER_COOKIE_SECRET": "the same for both",
    "FORWARDED_ALLOW_IPS": "*",
}
MOST_DRAWN = 40  # visitors until both replicas have some: all on one is as likely as 1 in 2^39


@pytest.fixture(scope="module")
def replicas() -> Iterator[tuple[str, str]]:
    """Host and port of each."""
    with (
        served(ROOT / "app.py", ENVIRONMENT, base=BASE) as one,
        served(ROOT / "app.py", ENVIRONMENT, base=BASE) as two,
    ):
        yield one.split("/")[2], two.split("/")[2]


@pytest.fixture(scope="module", params=["nginx", "own"])
def proxy(request: pytest.FixtureRequest, replicas: tuple[str, str], tmp_path_factory: Any) -> Iterator[str]:
    start = {"nginx": nginx, "own": own_proxy}[request.param]
    with start(replicas, tmp_path_factory.mktemp("proxy")) as port:
        yield f"http://127.0.0.1:{port}{BASE}"


@contextmanager
def nginx(replicas: tuple[str, str], folder: Path) -> Iterator[int]:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    port = free_port()
    text = of_replicas("nginx.conf", replicas)
    text = text.replace("listen 80;", f"listen 127.0.0.1:{port};")
    text = text.replace("http {", f"http {{ {_paths(folder)}")
    # Its workers would be nobody otherwise, who cannot write into this folder: files that they keep would not be seen.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(f"{user} pid {folder}/pid; error_log {folder}/errors; daemon off;\n{text}")
    with running([program, "-c", str(folder / "nginx.conf"), "-e", str(folder / "errors")], port):
        yield port


@contextmanager
def caddy(replicas: tuple[str, str], folder: Path) -> Iterator[int]:
    program = shutil.which("caddy")
    if program is None:
        pytest.skip("caddy is not installed")
    port = free_port()
    text = of_replicas("Caddyfile", replicas).replace("{\n", "{\n\tadmin off\n", 1)
    (folder / "Caddyfile").write_text(text.replace("{$VITVIZ_HOST}", f"http://127.0.0.1:{port}"))
    with running([program, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"], port):
        yield port


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def of_replicas(name: str, replicas: tuple[str, str]) -> str:
    """A file of `deploy/` for replicas that run here."""
    text = (ROOT / "deploy" / name).read_text()
    for number, replica in enumerate(replicas, 1):
        text = text.replace(f"app{number}:8501", replica)
    return text


@contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    server = subprocess.Popen(command)
    try:
        _await(port)
        yield
    finally:
        server.terminate()
        server.wait(10)


def _paths(folder: Path) -> str:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)


def _await(port: int) -> None:
    for _ in range(100):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError("the proxy did not come up")


@contextmanager
def own_proxy(replicas: tuple[str, str], folder: Path) -> Iterator[int]:
    """Passes each connection's one request on, with who asked; what follows goes both ways as it comes, websockets included."""
    drawn = iter([1, 2] * 10_000)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            known = re.search(rf"{COOKIE}=([12])", head)
            number = int(known[1]) if known else next(drawn)
            host, port = replicas[number - 1].split(":")
            own = ("connection:", "x-forwarded-for:", "x-forwarded-proto:")
            lines = [line for line in head.strip().split("\r\n") if not line.lower().startswith(own)]
            lines += [
                "X-Forwarded-For: 203.0.113.7",
                "X-Forwarded-Proto: http",
                f"Connection: {'Upgrade' if 'websocket' in head.lower() else 'close'}",
            ]
            from_app, to_app = await asyncio.open_connection(host, int(port))
            to_app.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

            async def answer() -> None:
                first = await from_app.readuntil(b"\r\n\r\n")
                cookie = f"Set-Cookie: {COOKIE}={number}; Path={BASE}\r\n\r\n".encode()
                writer.write(first[:-2] + cookie)
                await _pump(from_app, writer)

            await asyncio.gather(_pump(reader, to_app), answer())

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)  # the browser's driver has this thread's loop
    thread.start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(serve, "127.0.0.1", 0), loop).result(10)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while part := await reader.read(65_536):
            writer.write(part)
            await writer.drain()
    writer.close()


@pytest.mark.long
def test_each_visitor_has_one_replica_with_connection_photograph_and_arrays(proxy: str) -> None:
    visitors: dict[str, Visitor] = {}
    for _ in range(MOST_DRAWN):
        visitor = Visitor(proxy)
        visitors.setdefault(str(visitor.http.cookies.get(COOKIE)), visitor)
        if len(visitors) == 2:
            break
    assert sorted(visitors) == ["1", "2"], "both replicas have visitors"
    payloads = {}
    for name, visitor in visitors.items():
        visitor.open("patches")
        session = visitor.session
        view = visitor.upload(photograph(int(name)))
        assert not view.wrong and is_of(visitor.pictures()[0], int(name))
        assert view.addresses and all(address.startswith(f"{BASE}/payload/") for address in view.addresses)
        view = visitor.choose("choice of cut", double_array_value=[5.0])
        assert not view.wrong and visitor.session == session, "one connection, one session"
        assert visitor.http.cookies.get(COOKIE) == name
        payloads[name] = requests.compat.urljoin(proxy, view.addresses[0])
    for name, visitor in visitors.items():
        assert visitor.http.get(payloads[name]).ok
        astray = {**visitor.http.cookies.get_dict(), COOKIE: {"1": "2", "2": "1"}[name]}
        assert requests.get(payloads[name], cookies=astray).status_code == 404, "the other replica has nothing of it"
        visitor.close()


@pytest.mark.long
def test_a_browser_gets_everything_through_the_proxy(browser: Any, proxy: str) -> None:
    opened = AppTab(browser, proxy)
    try:
        opened.open("rollout")
        assert opened.errors() == [] and opened.failed == []
        opened.open()
        assert opened.errors() == [] and opened.failed == []
    finally:
        opened.close()


@contextmanager
def in_a_thread(app: Starlette) -> Iterator[str]:
    """Host and port of an application, with a web server that is told of visitors behind a proxy as the app's is."""
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, forwarded_allow_ips=ENVIRONMENT["FORWARDED_ALLOW_IPS"])
    )
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        own.listen()
        thread = threading.Thread(target=server.run, args=([own],), daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{own.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


def class_code_alone() -> AbstractContextManager[str]:
    """The class code's page."""
    guard = Middleware(ClassCode, code="violet-42", base_path=BASE, open_paths=("/readyz",))
    ready = Route("/readyz", lambda _: PlainTextResponse("ready"))
    return in_a_thread(Starlette(routes=[ready], middleware=[guard]))


@pytest.mark.parametrize("started", [nginx, caddy, own_proxy])
def test_an_address_that_a_visitor_makes_up_gives_no_further_tries(started: Any, tmp_path: Path) -> None:
    """Whoever guesses the class code names another address each time; the proxy puts the real one in its place."""
    with class_code_alone() as app, started((app, app), tmp_path) as port:
        asked = [
            requests.post(
                f"http://127.0.0.1:{port}{BASE}{PATH}",
                data={"code": "guess"},
                headers={"X-Forwarded-For": f"198.51.100.{number}"},
            ).status_code
            for number in range(TRIES + 1)
        ]
    assert asked == [403] * TRIES + [429]


@pytest.mark.skipif(sys.platform != "linux", reason="open files are read from /proc")
def test_what_passes_through_nginx_is_written_to_no_file(tmp_path: Path) -> None:
    """A photograph that is still on its way, and an answer that is not fetched as fast as it is made."""
    came, body = threading.Event(), os.urandom(1 << 20)
    noise = bytes(1 << 24)  # more than the system itself holds of a connection

    async def answer(request: Request) -> Response:
        async for part in request.stream():
            if len(part):
                came.set()
        return Response(noise)

    reads = Starlette(routes=[Route("/{rest:path}", answer, methods=["PUT"])])
    with (
        in_a_thread(reads) as app,
        nginx((app, app), tmp_path) as port,
        socket.create_connection(("127.0.0.1", port)) as sent,
    ):
        lines = [f"PUT {BASE}/x HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", "", ""]
        sent.sendall("\r\n".join(lines).encode() + body[:-1])
        assert came.wait(20), "it is passed on as it comes"
        during = files_of("nginx", tmp_path)
        sent.sendall(body[-1:])
        assert sent.recv(15) == b"HTTP/1.1 200 OK"
        time.sleep(0.5)  # for the rest to come to nginx, as far as it takes it
        during |= files_of("nginx", tmp_path)
    assert during and not {name for name in during if "client_body" in name or "/proxy/" in name}


def files_of(program: str, folder: Path) -> set[str]:
    """What the processes of a program have open below a folder, deleted files included."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "comm").read_text().strip() == program:
                found |= {os.readlink(link) for link in (process / "fd").iterdir()}
    return {name for name in found if name.startswith(str(folder))}
