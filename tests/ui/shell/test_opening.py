"""What is there before torch and the model: the page's frame, the prepared figure, and how far the start is."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from scripts import prepare_opening
from tests.test_walls import HEAVY, ROOT
from vitviz.draw import LIGHT
from vitviz.draw.scale import table
from vitviz.ui.pages.start import opening as prepared
from vitviz.ui.server import starting
from vitviz.ui.server.starting import Start, StartStep
from vitviz.ui.server.watching import health_routes
from vitviz.ui.shell import opening, startup, styles
from vitviz.ui.shell import text as words


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Start:
    """One that has begun and is not over, in the place of the server's."""
    mine = Start(end=lambda: None)
    mine.begun = True
    monkeypatch.setattr(starting, "START", mine)
    return mine


def opened() -> AppTest:
    return AppTest.from_file(opening.__file__, default_timeout=120)


def figure_data(page: AppTest) -> dict[str, Any]:
    (figure,) = page.get("bidi_component")
    data: dict[str, Any] = json.loads(figure.proto.json)
    return data


def test_the_app_is_there_before_anything_heavy():
    code = "import sys, app; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    loaded = set(run.stdout.split())
    assert "vitviz.ui.shell.opening" in loaded
    assert not (HEAVY - {"streamlit"} | {"matplotlib", "scipy", "sympy", "sklearn"}) & loaded
    code = "import sys; from vitviz.ui.pages.start import opening; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert not (HEAVY - {"streamlit"} | {"matplotlib", "scipy"}) & set(run.stdout.split())


def test_what_was_prepared_is_what_the_page_says():
    """Run scripts/prepare_opening.py where this fails."""
    kept, arrays = prepared.prepared_figure()
    live, computed = prepare_opening.prepared()
    assert alike(kept, live), "run scripts/prepare_opening.py"
    assert np.array_equal(arrays["picture"], computed["picture"])
    np.testing.assert_allclose(arrays["shares"], computed["shares"], atol=1e-4)


def alike(one: Any, other: Any) -> bool:
    """Equal, but for the last digits of numbers, which processors do not share."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == pytest.approx(other, abs=1e-3) if isinstance(one, float) else bool(one == other)


def test_nothing_is_shown_that_was_prepared_from_another_model_or_photograph(monkeypatch):
    other = prepared.made_from() | {"weights": "0" * 64}
    monkeypatch.setattr(prepared, "made_from", lambda: other)
    prepared.prepared_figure.cache_clear()
    assert prepared.prepared_figure() is None
    monkeypatch.undo()
    prepared.prepared_figure.cache_clear()
    assert prepared.prepared_figure() is not None


def test_the_figure_is_there_while_the_server_starts_and_then_the_page(start):
    start.failed = True  # so that the run ends with what stands there
    page = opened().run()
    data = figure_data(page)
    assert data["starting"] and not data["hiding"] and len(data["layers"]) == 12 and data["answer"]["bars"][-1]
    assert [error.value for error in page.error] == [words.NOT_STARTED]
    start.failed = start.begun = False
    start.begin([StartStep("half a second", 1, lambda: time.sleep(0.5))])
    page.run()
    shown = figure_data(page)
    assert shown["question"] == data["question"] and shown["hiding"] and "starting" not in shown
    assert not page.exception and not page.error


def test_other_views_wait_with_their_heading(start):
    start.failed = True
    page = opened()
    page.query_params["image"] = "cat"
    page.run()
    assert not page.get("bidi_component") and page.header[0].value and not page.exception


def test_a_start_says_how_far_it_is_and_a_failed_one_ends_the_server(caplog):
    ended, gate = [], threading.Event()
    start = Start(end=lambda: ended.append(start.state))
    browser = TestClient(Starlette(routes=health_routes({}, start=start)))
    assert start.state == "ready" and start.wait(0)
    start.begin(
        [StartStep("first", 1, lambda: None), StartStep("second", 3, gate.wait), StartStep("third", 0, lambda: 1 / 0)]
    )
    assert not start.wait(0.05) and start.state == "starting" and start.fraction == 0.25
    answer = browser.get("/readyz")
    assert answer.status_code == 503 and answer.json() == {"ready": False, "start": "starting"}
    assert browser.get("/healthz").status_code == 200
    gate.set()
    assert start.wait(5) and start.state == "failed" and browser.get("/readyz").json()["start"] == "failed"
    assert "third" in caplog.text
    for _ in range(50):
        if ended:
            break
        threading.Event().wait(0.01)
    assert ended == ["failed"]


def test_the_heap_is_frozen_once_all_is_there():
    names = [step.name for step in startup.steps()]
    assert names.index("torch") < names.index("pages") < names.index("heap") and names[-1] == "heap"


@pytest.mark.long
def test_everything_that_a_page_may_import_is_imported_by_the_steps():
    """What a page imported later, two sessions would import at once, and one of them see a module half made."""
    code = """
import importlib, pkgutil, sys
from vitviz.ui.shell import assembly, startup  # as the app's own script has them
steps = {step.name: step.work for step in startup.steps()}
assert "torch" not in sys.modules
for name in ("torch", "models", "figures", "pages"):
    steps[name]()
before = set(sys.modules)
import vitviz.ui
for module in pkgutil.walk_packages(vitviz.ui.__path__, "vitviz.ui."):
    importlib.import_module(module.name)
print(*sorted(name for name in set(sys.modules) - before if name.startswith("vitviz")))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_the_icon_has_the_colours_of_the_maps():
    colours = {"#" + "".join(f"{int(part):02x}" for part in colour) for colour in table(LIGHT.sequential)}
    assert {colour for row in styles.ICON for colour in row} <= colours
