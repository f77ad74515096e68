"""A piece of work under way: what the worker is handed, and what those who wait can see of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from vitviz.errors import Cancelled
from vitviz.ui.compute.key import Key


class Progress:
    """Handed to the work: a place to say how far it is, and the flag that says nobody wants it any more."""

    def __init__(self, wanted: Callable[[], bool]) -> None:
        self._wanted = wanted
        self.fraction: float | None = None

    def report(self, fraction: float) -> None:
        """Says how far the work is, 0 to 1, and raises Cancelled once nobody waits for it."""
        self.check()
        self.fraction = min(max(float(fraction), 0.0), 1.0)

    def check(self) -> None:
        """Raises Cancelled once nobody waits for the work; cheap, so that it can be called in every loop."""
        if not self._wanted():
            raise Cancelled("The computation was called off before it was finished.")


Work = Callable[[Progress], Any]


class Job:
    """One piece of work with everybody who waits for it. All fields but `finished` are guarded by the queue's lock."""

    def __init__(self, key: Key, work: Work, linger: float) -> None:
        self.key = key
        self.work = work
        self.linger = linger
        self.waiting = 0
        self.left_at = 0.0  # when the last waiter went, on the monotonic clock; -inf if it called the work off
        self.running = False
        self.progress = Progress(self.wanted)
        self.finished = threading.Event()
        self.value: Any = None
        self.error: BaseException | None = None

    def wanted(self) -> bool:
        """Whether somebody waits, or went so lately that it may be a page being drawn again."""
        return self.waiting > 0 or time.monotonic() - self.left_at < self.linger
