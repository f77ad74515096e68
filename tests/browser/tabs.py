"""A tab in a browser of its own, cookies and all; a test fails where something went wrong in it that it did not provoke."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from vitviz.ui.pages.registry import pages
from vitviz.ui.params import Choice

from .serving import ROOT

SCREENSHOTS = ROOT / "build" / "screenshots"
# Milliseconds the browser waits for anything. Nothing is measured here: a slow machine may take its time.
PATIENCE = 60_000
# How many pictures and boards paint themselves in the browser, by page; on that of rollout one more while it shows one head.
HEATMAPS = {"patches": 1, "positions": 2, "rollout": 3}
# The parameter by which a page with several figures shows one of them.
PARTS = {
    "by_hand": "step",
    "compare": "compared",
    "features": "shows",
    "find": "finder",
    "prediction": "part",
    "rollout": "of",
    "vit_or_cnn": "side_by_side",
    "what_if": "switch",
}


def views() -> list[str]:
    """Every page and, where it has several figures, each of them: `page` or `page?parameter=value`."""
    found = []
    for page in pages():
        part = page.params.get(PARTS.get(page.name, ""))
        names = [f"{PARTS[page.name]}={value}" for value in part.options] if isinstance(part, Choice) else [""]
        found += ["?".join(filter(None, [page.name, name])) for name in names]
    return found


class Tab:
    """One tab on one server. look: of the browser, as playwright calls it (`viewport`, `color_scheme`, ...)."""

    def __init__(self, browser: Any, server: str, **look: Any) -> None:
        self.server = server
        self.context = browser.new_context(**{"viewport": {"width": 1024, "height": 768}, **look})
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.failed: list[str] = []
        self.page.on("pageerror", lambda error: self.failed.append(str(error)))
        self.page.on("request", lambda request: self._note_address(request.url))
        self.page.on("websocket", lambda socket: self._note_address(socket.url))
        self.page.on("console", self._note_refusal)

    def _note_address(self, url: str) -> None:
        if not url.startswith((f"{self.server}/", f"{self.server}/".replace("http", "ws", 1), "data:", "blob:")):
            self.failed.append(f"asked somebody else: {url}")

    def _note_refusal(self, said: Any) -> None:
        """Whatever the server's policy does not allow, the browser says in its console."""
        if "Content Security Policy" in said.text or "Permissions policy" in said.text:
            self.failed.append(said.text)

    def screenshot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")

    def expect(self, locator: Any) -> Any:
        """playwright's own assertion, which waits until it holds."""
        from playwright.sync_api import expect

        expect.set_options(timeout=PATIENCE)
        return expect(locator)

    def until(self, holds: Callable[[], Any]) -> Any:
        """What `holds()` gives, as soon as it is something."""
        end = time.monotonic() + PATIENCE / 1000
        while not (found := holds()):
            assert time.monotonic() < end, "it never held"
            self.page.wait_for_timeout(50)
        return found

    def eventually(self, check: Callable[[], Any]) -> Any:
        """`check()`, again until none of its assertions fails: what it reads may still be painted or laid out."""
        end = time.monotonic() + PATIENCE / 1000
        while True:
            try:
                return check()
            except AssertionError:
                if time.monotonic() > end:
                    raise
            self.page.wait_for_timeout(100)

    def close(self) -> None:
        """Fails where a page raised, was refused something or asked another host; a test that provokes it clears `failed`."""
        self.context.close()
        assert self.failed == [], self.failed


class AppTab(Tab):
    """A tab on a page of the app."""

    def open(self, path: str = "") -> AppTab:
        self.page.goto(f"{self.server}/{path}")
        return self.settled()

    def settled(self) -> AppTab:
        """Waits until the script has run and every picture and board has painted the data it was sent last."""
        self.page.wait_for_selector("[data-testid=stHeading] h2")
        self.page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
        wanted = HEATMAPS.get(self.page.url.removeprefix(self.server).strip("/").partition("?")[0])
        if "/rollout" in self.page.url and "of=head" in self.page.url:
            wanted = HEATMAPS["rollout"] + 1
        if wanted is not None and not self.page.locator("[data-testid=stAlertContentError]").count():
            self.expect(self.page.locator(".heatmap[data-ready]")).to_have_count(wanted)
        self.page.wait_for_timeout(150)
        return self

    def wait_for_parameter(self, name: str, value: str) -> None:
        self.page.wait_for_url(re.compile(rf"[?&]{name}={value}(&|$)"))
        self.settled()

    def parameters(self) -> dict[str, str]:
        return dict(re.findall(r"[?&](\w+)=([^&]*)", self.page.url))

    def errors(self) -> list[str]:
        return [*self.failed, *self.page.locator("[data-testid=stAlertContentError]").all_inner_texts()]
