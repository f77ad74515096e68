"""What is set before the first visitor."""

from __future__ import annotations

import gc
import io
import logging
import subprocess
import sys
import tempfile
import threading

import pytest
from starlette.applications import Starlette
from starlette.formparsers import MultiPartParser
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.browser.serving import ROOT
from vitviz.capture import memory
from vitviz.ui.server.watching import set_up_logs
from vitviz.ui.shell import startup


def test_the_heap_is_frozen_once_with_everything_imported_and_not_again_later(monkeypatch):
    """A second freeze, with visitors about, would keep what their requests hold."""
    loaded_at_freeze: list[bool] = []
    monkeypatch.setattr(gc, "freeze", lambda: loaded_at_freeze.append(all(n in sys.modules for n in startup.LATER)))
    kept: list[bool] = []
    monkeypatch.setattr(memory, "keep_freed_memory", lambda: kept.append(True))
    before = set(threading.enumerate())
    startup.settle()
    assert kept == [True], "the app keeps freed memory; the library by itself does not"
    assert loaded_at_freeze == [True]
    assert set(threading.enumerate()) <= before, "nothing waits to freeze again"


@pytest.mark.parametrize("megabytes", [1, 4, 10])
def test_an_upload_makes_no_file(monkeypatch, megabytes):
    """As Streamlit reads one: the form of a request, by starlette's parser."""
    monkeypatch.setattr(MultiPartParser, "spool_max_size", MultiPartParser.spool_max_size)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda *_, **__: pytest.fail("a file was made"))

    async def taken(request: Request) -> PlainTextResponse:
        form = await request.form()
        return PlainTextResponse(str(len(await form["photo"].read())))

    browser = TestClient(Starlette(routes=[Route("/", taken, methods=["PUT"])]))
    startup.keep_uploads_in_memory()
    answer = browser.put("/", files={"photo": ("photo.jpg", io.BytesIO(bytes(megabytes << 20)), "image/jpeg")})
    assert answer.text == str(megabytes << 20)


def test_log_lines_of_the_app_have_a_time(monkeypatch):
    logger = logging.getLogger("vitviz")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", False)  # pytest's own handlers
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    set_up_logs("text")
    set_up_logs("text")
    logging.getLogger("vitviz.ui.controls.errors").error("once")
    (line,) = written.getvalue().splitlines()
    assert line[:4].isdigit() and line[10] == " " and line.endswith("ERROR vitviz.ui.controls.errors: once")


def test_logging_that_was_set_up_stays_as_it_is(monkeypatch):
    logger = logging.getLogger("vitviz")
    own = logging.NullHandler()
    monkeypatch.setattr(logger, "handlers", [own])
    set_up_logs("text")
    assert logger.handlers == [own]


def test_idle_threads_sleep_before_torch_is_there():
    """OpenMP reads it once, when torch is imported: the app's own script says it first."""
    code = (
        "import os, runpy, sys; os.environ.pop('OMP_WAIT_POLICY', None); runpy.run_path('app.py', run_name='app'); "
        "assert os.environ['OMP_WAIT_POLICY'] == 'PASSIVE' and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)
