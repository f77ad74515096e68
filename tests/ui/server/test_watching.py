"""What a server tells of itself, and what it keeps to itself."""

from __future__ import annotations

import io
import json
import logging
import socket
import sys
import urllib.request
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit import error_util
from uvicorn.protocols.websockets import websockets_impl

from vitviz.errors import ModelError, VitvizError
from vitviz.ui.compute import ComputeQueue, Key, Results
from vitviz.ui.server.watching import ServerMetrics, health_routes, serve_metrics, set_up_logs, without_message


@pytest.mark.parametrize("base", ["", "/lab/vit/"])
def test_alive_and_ready(base: str) -> None:
    there = {"embedded model": True, "decoders": False}

    def embedded() -> bool:
        if not there["embedded model"]:
            raise ModelError("it cannot be read")
        return True

    checks = {"embedded model": embedded, "decoders": lambda: there["decoders"]}
    browser = TestClient(Starlette(routes=health_routes(checks, base)))
    prefix = base.rstrip("/")
    assert browser.get(f"{prefix}/healthz").json() == {"alive": True}
    answer = browser.get(f"{prefix}/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "start": "ready", "embedded model": True, "decoders": False}
    there["decoders"] = True
    assert browser.get(f"{prefix}/readyz").status_code == 200
    there["embedded model"] = False
    assert browser.get(f"{prefix}/readyz").json()["embedded model"] is False


def test_log_lines_are_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    for name in ("vitviz", "uvicorn.error", "streamlit.web"):
        monkeypatch.setattr(
            logging.getLogger(name), "handlers", [] if name == "vitviz" else [logging.StreamHandler(written)]
        )
        monkeypatch.setattr(logging.getLogger(name), "propagate", False)
    set_up_logs("json")
    set_up_logs("json")
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("vitviz.ui").exception("what went wrong: %s", "a\nb")
    logging.getLogger("uvicorn.error").warning("from the web server")
    logging.getLogger("streamlit.web").warning("from Streamlit")
    first, second, third = (json.loads(line) for line in written.getvalue().splitlines())
    assert first["message"] == "what went wrong: a\nb" and first["level"] == "ERROR" and first["logger"] == "vitviz.ui"
    assert "ValueError: why" in first["error"] and first["time"].endswith("Z")
    assert second["message"] == "from the web server" and "error" not in second
    assert third["logger"] == "streamlit.web"


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_errors_of_a_run_say_is_in_no_line(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """Streamlit logs what its callbacks raise, with the words of the error."""
    written = io.StringIO()
    streamlits = error_util._LOGGER
    monkeypatch.setattr(streamlits, "handlers", [logging.StreamHandler(written)])
    said = "holiday.jpg of somebody"
    set_up_logs(form)
    set_up_logs(form)
    try:
        try:
            raise KeyError(said)
        except KeyError as error:
            raise ValueError(said) from error
    except ValueError as error:
        error_util._log_uncaught_app_exception(error)
    text = written.getvalue()
    assert "holiday" not in text and text.count("Uncaught app execution") == 1
    assert text.index("builtins.ValueError") < text.index("which came from builtins.KeyError")
    assert "test_watching.py" in text, "where it was raised"


def test_no_line_names_who_connects() -> None:
    """The web server writes one for each connection, with its address and what it asked for."""
    written = io.StringIO()
    lines = logging.getLogger("uvicorn.error")
    source = Path(websockets_impl.__file__).read_text()
    assert source.count("get_client_addr(self.scope),") == source.count('"WebSocket %s"') > 1, (
        "the words that are left out"
    )
    lines.addHandler(handler := logging.StreamHandler(written))
    try:
        set_up_logs("text")
        lines.warning('%s - "WebSocket %s" [accepted]', "203.0.113.7:1234", "/_stcore/stream?model=x")
        lines.warning("from the web server")
    finally:
        lines.removeHandler(handler)
    assert written.getvalue() == "from the web server\n"


def test_an_error_that_comes_from_itself_ends() -> None:
    error = ValueError("x")
    error.__cause__ = error
    assert without_message(error) == "builtins.ValueError"


def test_the_numbers_are_right_and_come_from_a_port_of_their_own() -> None:
    queue = ComputeQueue(Results(10**6, 10))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    numbers = ServerMetrics({"analyses": queue}, {"vitviz_sessions": ("Sessions", lambda: 3.0)})
    queue.observe = serve_metrics(("127.0.0.1", port), numbers)
    with queue.submit(
        Key("trace", "secret-model", "w", "a-picture"), "analyse secret-model", lambda _: bytes(1000)
    ) as one:
        one.result(10)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert lines["vitviz_sessions"] == "3.0"
    assert lines['vitviz_jobs_waiting{queue="analyses"}'] == lines['vitviz_jobs_running{queue="analyses"}'] == "0.0"
    assert float(lines['vitviz_results_bytes{queue="analyses"}']) == queue.results.nbytes > 1000
    assert lines['vitviz_work_seconds_count{kind="analyse"}'] == "1.0"
    assert float(lines["process_resident_memory_bytes"]) > 10**7
    assert "secret" not in text and "picture" not in text


def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(VitvizError, match="cannot be served"):
            serve_metrics(("127.0.0.1", other.getsockname()[1]), ServerMetrics({}, {}))


def test_without_the_package_it_is_said_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(VitvizError, match="prometheus-client"):
        serve_metrics(("127.0.0.1", 9), ServerMetrics({}, {}))


def test_work_is_counted_where_it_waits_and_where_it_runs() -> None:
    import threading

    queue, go = ComputeQueue(Results(10**6, 10)), threading.Event()
    tickets = [queue.submit(Key("x", "m", str(n)), "lane", lambda _: go.wait(10)) for n in range(3)]
    for _ in range(1000):
        if queue.jobs() == (2, 1):
            break
        threading.Event().wait(0.005)
    assert queue.jobs() == (2, 1)
    go.set()
    for ticket in tickets:
        ticket.result(10)
        ticket.leave()
