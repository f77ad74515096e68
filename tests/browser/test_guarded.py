"""What the browser says of the server's protections: nothing is refused that a page needs, and nothing leaves the host."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from .serving import ROOT, served
from .tabs import AppTab


def test_a_page_is_not_hindered_and_nothing_leaves_the_host(tab: Any) -> None:
    """Every other test that opens a tab asserts the same when the tab is closed."""
    opened = tab("microscope", width=400)
    assert opened.failed == []


def test_what_a_page_must_not_do_is_refused_and_noticed(tab: Any) -> None:
    """A picture of another host, a connection to it, and scripts in the text of a page."""
    opened = tab("patches")
    opened.page.evaluate(
        """() => {
          document.body.append(Object.assign(new Image(), { src: "http://another.example/x.png" }));
          try { new WebSocket("ws://another.example/"); } catch {}
          const script = document.createElement("script");
          script.textContent = "window.ran = true";
          document.body.append(script);
          document.body.insertAdjacentHTML("beforeend", '<a onclick="window.ran = true" id="trap">x</a>');
          document.getElementById("trap").click();
        }"""
    )
    for part in ("img-src", "connect-src", "script-src"):
        opened.until(lambda part=part: any(part in said for said in opened.failed))
    assert not opened.page.evaluate("window.ran === true")
    with pytest.raises(AssertionError, match=r"another\.example"):
        opened.close()
    opened.failed.clear()


class Elsewhere(BaseHTTPRequestHandler):
    """A page of another server that shows the app inside it."""

    app = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(f'<iframe src="{self.app}/"></iframe>'.encode())

    def log_message(self, format: str, *args: object) -> None: ...


def test_no_page_of_another_server_shows_the_app_inside_it(browser: Any, server: str) -> None:
    Elsewhere.app = server
    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        page = browser.new_page()
        try:
            page.goto(f"http://127.0.0.1:{other.server_port}/")  # with its frames
            assert page.frames[-1] is not page.main_frame
            assert page.frames[-1].url.startswith("chrome-error:")
        finally:
            page.close()
            other.shutdown()


def headers_and_status(url: str, **given: str) -> tuple[Any, int]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=given), timeout=20) as answer:
            return answer.headers, answer.status
    except urllib.error.HTTPError as error:
        return error.headers, error.code


OPEN = ("/", "/rollout", "/_stcore/health", "/_stcore/host-config", "/healthz", "/readyz", "/favicon.png")
CLOSED = ("/payload/x", "/nothing", "/media/x", "/_stcore/metrics", "/_stcore/agent/openapi.json")


@pytest.mark.parametrize(("path", "status"), [*((path, 200) for path in OPEN), *((path, 404) for path in CLOSED)])
def test_every_answer_is_guarded(server: str, path: str, status: int) -> None:
    headers, found = headers_and_status(f"{server}{path}")
    assert found == status
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_another_name_for_the_server_is_refused(server: str) -> None:
    assert headers_and_status(f"{server}/", Host="evil.example")[1] == 400
    assert headers_and_status(f"{server}/", Host="localhost")[1] == 200


@pytest.mark.long
def test_a_class_code_and_a_base_path_together(browser: Any) -> None:
    environment = {
        "VITVIZ_CLASS_CODE": "violet-42",
        "STREAMLIT_SERVER_BASE_URL_PATH": "lab/vit",
        "VITVIZ_LOGS": "json",
    }
    with served(ROOT / "app.py", environment, base="/lab/vit") as address:
        assert headers_and_status(f"{address}/_stcore/host-config")[1] == 401
        opened = AppTab(browser, address)
        page = opened.page
        try:
            page.goto(f"{address}/patches")
            page.get_by_label("Class code").fill("wrong one")
            page.get_by_role("button").click()
            page.get_by_role("alert").wait_for()
            page.get_by_label("Class code").fill("violet-42")
            page.get_by_role("button").click()
            page.wait_for_selector("[data-testid=stApp]")
            opened.open("patches")
            assert opened.errors() == []
        finally:
            opened.close()
