"""A piece of work under way: what the worker is handed, and what those who wait can see of it."""

from __future__ import annotations

import threading
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
    """One piece of work with everybody who waits for it. All fields but `finished` are guarded by the queue's lock.

    lane          where it runs: one at a time in each
    waiting       tickets that wait for it
    wanted_until  on `clock`: how long it goes on once nobody waits; -inf where the last to wait called it off
    forgotten     its session is over: nobody can want it again
    """

    def __init__(self, key: Key, lane: str, work: Work, clock: Callable[[], float]) -> None:
        self.key, self.lane, self.work = key, lane, work
        self.waiting = 0
        self.wanted_until = float("-inf")
        self.forgotten = self.running = False
        self.progress = Progress(self.wanted)
        self.finished = threading.Event()
        self.value: Any = None
        self.error: BaseException | None = None
        self._clock = clock

    def wanted(self) -> bool:
        """Whether somebody waits, or may come back: a page that is drawn again, a browser whose network failed."""
        return not self.forgotten and (self.waiting > 0 or self._clock() < self.wanted_until)
