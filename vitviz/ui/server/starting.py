"""How far the server has started: the page is there before torch, the model and what is computed from it."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class StartStep:
    """One part of the start.

    Attributes:
        name: For the log.
        weight: How long it takes, relative to the other steps.
        work: Does it; raising ends the server.
    """

    name: str
    weight: float
    work: Callable[[], object]


class Start:
    """The steps of a server's start, in a thread of their own, one after the other.

    Until they are done nothing may be imported that they import: two threads that import the same modules in different orders
    may see partially initialised ones.

    Args:
        end: Ends the server if a step fails; by default the signal that supervisors send.
    """

    def __init__(self, end: Callable[[], None] | None = None) -> None:
        self._end = end or (lambda: os.kill(os.getpid(), signal.SIGTERM))
        self._done = threading.Event()
        self._steps: Sequence[StartStep] = ()
        self._weight = 0.0  # of the steps that are done
        self.begun = self.failed = False

    @property
    def state(self) -> str:
        """ "starting", "ready", or "failed". A process that starts nothing, such as a test's, is ready."""
        if self.failed:
            return "failed"
        return "starting" if self.begun and not self._done.is_set() else "ready"

    @property
    def fraction(self) -> float:
        """How much of it is done, 0 to 1."""
        total = sum(step.weight for step in self._steps)
        return min(self._weight / total, 1.0) if total else 1.0

    def wait(self, seconds: float | None = None) -> bool:
        """Waits for the end of the start, at most so long; whether it is over."""
        return self.state != "starting" or self._done.wait(seconds)

    def begin(self, steps: Sequence[StartStep]) -> None:
        """Starts with the steps, once for a process."""
        if self.begun:
            return
        self.begun, self._steps = True, steps
        threading.Thread(target=self._run, name="start", daemon=True).start()

    def _run(self) -> None:
        began = time.monotonic()
        try:
            for step in self._steps:
                step.work()
                self._weight += step.weight
        except BaseException as error:
            _LOG.critical("the server cannot start (%s): %s", step.name, error, exc_info=error)
            self.failed = True
            self._done.set()
            self._end()
        else:
            self._done.set()
            _LOG.info("ready after %.1f s", time.monotonic() - began)


START = Start()
