"""A real server and a real browser. Screenshots are kept under build/screenshots, to be looked at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .replies import Replies
from .serving import CHROMIUM_FLAGS, ROOT, served
from .tabs import AppTab


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The app's address, served as users serve it."""
    with served(ROOT / "app.py") as address:
        yield address


@pytest.fixture(scope="session")
def playwright_driver() -> Iterator[Any]:
    """playwright; skipped without it, which in CI is a failure."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        if os.environ.get("CI"):
            pytest.fail("playwright is not installed, and CI must not skip the browser tests")
        pytest.skip("playwright is not installed: pip install -e '.[test]' brings it")
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="session")
def browser(chromium: str, playwright_driver: Any) -> Iterator[Any]:
    """Chromium through playwright."""
    running = playwright_driver.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
    yield running
    running.close()


@pytest.fixture
def tab(browser: Any, server: str) -> Iterator[Any]:
    """tab(path, width=..., height=..., scheme=..., reduced_motion=...) opens a tab in a browser of its own."""
    opened: list[AppTab] = []

    def open_tab(path: str = "", width: int = 1024, height: int = 768, scheme: str = "light", **look: Any) -> AppTab:
        viewport = {"width": width, "height": height}
        opened.append(AppTab(browser, server, viewport=viewport, color_scheme=scheme, **look))
        return opened[-1].open(path)

    yield open_tab
    for each in opened:
        each.close()


@pytest.fixture(scope="session")
def replies_server() -> Iterator[str]:
    """The address of the four views alone, over arrays that the tests know."""
    with served(Path(__file__).with_name("replies_app.py")) as address:
        yield address


@pytest.fixture
def replies(browser: Any, replies_server: str) -> Iterator[Any]:
    """replies(only, **look) opens a tab on one of the views or on all."""
    opened: list[Replies] = []

    def open_one(only: str = "all", **look: Any) -> Replies:
        opened.append(Replies(browser, replies_server, only, **look))
        return opened[-1]

    yield open_one
    for one in opened:
        one.page.unroute_all(behavior="ignoreErrors")
        one.close()
