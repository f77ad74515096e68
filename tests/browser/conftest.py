"""A real server and a real browser. Screenshots are kept under build/screenshots, to be looked at."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

from .serving import CHROMIUM_FLAGS, ROOT, served

SCREENSHOTS = ROOT / "build" / "screenshots"
# Milliseconds the browser waits for anything. Nothing is measured here: a slow machine may take its time.
PATIENCE = 60_000
# How many pictures and boards paint themselves in the browser, by page.
EXHIBITS = {"patches": 1, "positions": 1, "rollout": 3}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app's address, served as users serve it."""
    with served(ROOT / "app.py", tmp_path_factory.mktemp("server") / "log.txt") as address:
        yield address


@pytest.fixture(scope="session")
def browser(chromium: str):
    """Chromium through playwright; skipped without playwright, which in CI is a failure."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        if os.environ.get("CI"):
            pytest.fail("playwright is not installed, and CI must not skip the browser tests")
        pytest.skip("playwright is not installed: pip install -e '.[test]' brings it")
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield running
        running.close()


class Tab:
    """One tab of a browser of its own (cookies and all), on one page of the app."""

    def __init__(self, browser, server: str, width: int = 1024, height: int = 768, scheme: str = "light") -> None:
        self.server = server
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.failed: list[str] = []
        self.page.on("pageerror", lambda error: self.failed.append(str(error)))
        self.page.on("request", self._note_request)

    def _note_request(self, request) -> None:
        if not request.url.startswith((self.server, self.server.replace("http", "ws"), "data:", "blob:")):
            self.failed.append(f"asked somebody else: {request.url}")

    def open(self, path: str = "") -> Tab:
        self.page.goto(f"{self.server}/{path}")
        return self.settled()

    def settled(self) -> Tab:
        """Waits until the script has run and every exhibit has painted what it was last told to."""
        self.page.wait_for_selector("[data-testid=stHeading] h2")
        self.page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
        wanted = EXHIBITS.get(self.page.url.removeprefix(self.server).strip("/").partition("?")[0])
        if wanted is not None and not self.page.locator("[data-testid=stAlertContentError]").count():
            self.expect(self.page.locator(".exhibit[data-ready]")).to_have_count(wanted, timeout=PATIENCE)
        self.page.wait_for_timeout(150)
        return self

    def parameters(self) -> dict[str, str]:
        return dict(re.findall(r"[?&](\w+)=([^&]*)", self.page.url))

    def errors(self) -> list[str]:
        return [*self.failed, *self.page.locator("[data-testid=stAlertContentError]").all_inner_texts()]

    def screenshot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")

    def expect(self, locator):
        """playwright's own assertion, which waits until it holds."""
        from playwright.sync_api import expect

        return expect(locator)

    def close(self) -> None:
        self.context.close()


@pytest.fixture
def tab(browser, server: str) -> Iterator:
    """tab(path, width=..., height=..., scheme=...) opens a tab in a browser of its own."""
    opened: list[Tab] = []

    def open_tab(path: str = "", **look) -> Tab:
        opened.append(Tab(browser, server, **look))
        return opened[-1].open(path)

    yield open_tab
    for each in opened:
        each.close()
