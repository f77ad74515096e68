"""A tab on `replies_page.py`, whose payloads a test holds back, loses and lets go."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from .tabs import Tab


class Replies(Tab):
    """A tab whose payloads the test holds back, loses and lets go."""

    def __init__(self, browser: Any, bench: str, only: str, **look: Any) -> None:
        super().__init__(browser, bench, **look)
        self.held: list[Any] = []
        self.parts = 4 if only == "all" else 1
        self.page.goto(f"{bench}/?only={only}")
        self.shown()

    def shown(self) -> None:
        """Until nothing is on its way any more."""
        self.expect(self.page.locator(":is(.microscope, .heatmap)[data-state=shown]")).to_have_count(self.parts)

    def hold(self) -> None:
        self.page.route("**/payload/**", lambda route: self.held.append(route))

    def let_go(self) -> None:
        from playwright.sync_api import Error

        self.page.unroute("**/payload/**")
        for route in self.held:
            with suppress(Error):  # of a question that was taken back
                route.continue_()
        self.held.clear()

    def choose(self, subject: str) -> None:
        """Returns once Python has run and the browser has what it sent."""
        self.page.get_by_text(subject, exact=True).click()
        self.said(subject=subject)

    def said(self, **wanted: Any) -> dict[str, Any]:
        """What Python holds, once that includes `wanted`."""
        code = self.page.locator("[data-testid=stCode] code")
        for name, value in wanted.items():
            code.filter(has_text=f'"{name}": {json.dumps(value)}').wait_for()
        return json.loads(code.inner_text())

    def picture(self, beginning: str = "picture") -> Any:
        return self.page.locator(f".heatmap:has([aria-label^='{beginning}'])")

    def over(self, canvas: Any, row: int, col: int, side: int) -> dict[str, float]:
        canvas.evaluate("canvas => canvas.scrollIntoView({ block: 'center' })")  # the page's header may cover its top
        box = None
        while box != (box := canvas.bounding_box()):  # what stands above it may still be laid out
            self.page.wait_for_timeout(100)
        return {"x": box["x"] + (col + 0.5) * box["width"] / side, "y": box["y"] + (row + 0.5) * box["height"] / side}
