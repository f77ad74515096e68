"""Monitoring of a server: whether it is alive and ready, its log, and its metrics for Prometheus.

None of them contains what visitors look at: no names of files, no addresses, no pictures.
"""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vitviz.errors import VitvizError
from vitviz.ui.server.settings import url_prefix
from vitviz.ui.server.starting import Start

HEALTH, READINESS = "/healthz", "/readyz"
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# Loggers of Streamlit and of the web server that write about whatever a run, a message or an answer raised.
OTHERS = (
    "streamlit.error_util",
    "streamlit.runtime.app_session",
    "streamlit.runtime.fragment",
    "streamlit.runtime.scriptrunner.script_runner",
    "uvicorn.error",
)
# Seconds of work that a bucket of the histogram ends at.
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


def health_routes(
    checks: dict[str, Callable[[], bool]], base_path: str = "", start: Start | None = None
) -> list[Route]:
    """GET {base}/healthz, which answers as long as the server does, and {base}/readyz, which says whether it can show a page.

    Args:
        checks: What has to hold for a page to be shown, by a name for people.
        base_path: The server's `baseUrlPath`.
        start: How far the server has started; it is not ready before that is over.
    """
    state = start or Start()

    async def healthy(_: Request) -> Response:
        return JSONResponse({"alive": True}, headers={"Cache-Control": "no-store"})

    async def ready(_: Request) -> Response:
        found = {name: _holds(check) for name, check in checks.items()}
        status = 200 if state.state == "ready" and all(found.values()) else 503
        return JSONResponse(
            {"ready": status == 200, "start": state.state, **found}, status, {"Cache-Control": "no-store"}
        )

    return [
        Route(path, answer, methods=["GET"])
        for path, answer in zip(health_paths(base_path), (healthy, ready), strict=True)
    ]


def health_paths(base_path: str = "") -> tuple[str, str]:
    """The two addresses."""
    base = url_prefix(base_path)
    return f"{base}{HEALTH}", f"{base}{READINESS}"


def _holds(check: Callable[[], bool]) -> bool:
    try:
        return bool(check())
    except VitvizError:
        return False


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the traceback of an error."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def without_message(error: BaseException) -> str:
    """An error for the log: its type, where it was raised, and the same of what it came from. Messages of errors are left out:
    it may hold a path or a piece of a visitor's file.
    """
    parts: list[str] = []
    seen: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in seen:
        seen.append(each)
        parts.append(
            f"{type(each).__module__}.{type(each).__qualname__}\n{''.join(traceback.format_tb(each.__traceback__))}"
        )
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    return "which came from ".join(parts).rstrip()


class VisitorFilter(logging.Filter):
    """Puts `without_message` in the place of an error that a line is about, and leaves out the lines that the web server writes
    about each connection, with the visitor's address.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if '"WebSocket %s"' in str(record.msg):
            return False
        if record.exc_info and record.exc_info[1]:
            record.msg, record.args = f"{record.getMessage()}: {without_message(record.exc_info[1])}", ()
            record.exc_info = record.exc_text = None
        return True


_NOTHING_OF_VISITORS = VisitorFilter()


def set_up_logs(form: str) -> None:
    """Writes the app's log lines as text or as JSON, unless the operator has set up logging. Lines of the loggers in
    `OTHERS` contain nothing about visitors.

    As JSON also those of Streamlit and of the web server, whose loggers have handlers of their own: call it again once
    they exist.
    """
    formatter = JsonLines() if form == "json" else logging.Formatter(LOG_FORMAT)
    own = logging.getLogger("vitviz")
    if not own.hasHandlers():
        lines = logging.StreamHandler()
        lines.setFormatter(formatter)
        own.addHandler(lines)
    for name in OTHERS:
        logging.getLogger(name).addFilter(_NOTHING_OF_VISITORS)
    if form == "json":
        for name, logger in list(logging.root.manager.loggerDict.items()):
            if name.partition(".")[0] in ("streamlit", "uvicorn") and isinstance(logger, logging.Logger):
                for handler in logger.handlers:
                    handler.setFormatter(formatter)


class _Results(Protocol):
    @property
    def nbytes(self) -> int: ...


class Queue(Protocol):
    """What is asked of a queue of work."""

    @property
    def results(self) -> _Results: ...

    def jobs(self) -> tuple[int, int]:
        """(pieces of work that wait, pieces under way)."""


class ServerMetrics:
    """The numbers of a server, collected when they are asked for.

    Args:
        queues: By name.
        sizes: Gives a number now, by the name of its metric and what it means.
    """

    def __init__(self, queues: Mapping[str, Queue], sizes: dict[str, tuple[str, Callable[[], float]]]) -> None:
        self._queues, self._sizes = queues, sizes

    def describe(self) -> Iterable[Any]:
        return ()

    def collect(self) -> Iterable[Any]:
        from prometheus_client.core import GaugeMetricFamily

        waiting = GaugeMetricFamily("vitviz_jobs_waiting", "Work that waits for its turn", labels=["queue"])
        running = GaugeMetricFamily("vitviz_jobs_running", "Work under way", labels=["queue"])
        kept = GaugeMetricFamily("vitviz_results_bytes", "Memory of kept results", labels=["queue"])
        for name, queue in self._queues.items():
            ahead, under_way = queue.jobs()
            waiting.add_metric([name], ahead)
            running.add_metric([name], under_way)
            kept.add_metric([name], queue.results.nbytes)
        yield from (waiting, running, kept)
        for name, (meaning, now) in self._sizes.items():
            yield GaugeMetricFamily(name, meaning, value=now())


def serve_metrics(place: tuple[str, int], numbers: ServerMetrics) -> Callable[[str, float], None]:
    """Serves the numbers to Prometheus at an address and port of their own, for as long as the process runs.

    Returns:
        What takes the seconds that a piece of work took, under the first word of its lane: "run", "analyse", "load".

    Raises:
        VitvizError: Where prometheus-client is not installed, or the port is taken.
    """
    try:
        from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, start_http_server
    except ImportError as error:
        raise VitvizError('VITVIZ_METRICS needs prometheus-client: pip install "vitviz[metrics]"') from error
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(numbers)
    seconds = Histogram(
        "vitviz_work_seconds", "Seconds that a piece of work took", ["kind"], buckets=BUCKETS, registry=registry
    )
    host, port = place
    try:
        start_http_server(port, host, registry)
    except OSError as error:
        raise VitvizError(f"The metrics cannot be served at {host}:{port}: {error.strerror}.") from error

    def observe(lane: str, took: float) -> None:
        seconds.labels(lane.partition(" ")[0]).observe(took)

    return observe
