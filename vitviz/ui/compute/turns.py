"""The order of heavy work, taken from one session after the other, and estimates of how long work takes."""

from __future__ import annotations

import os
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Protocol

# Operations that a processor does in a second, about, before any heavy work was timed on this server.
OPERATIONS_PER_SECOND = 5e10
# The weight of the latest work in the speed that is learnt.
LATEST = 0.5
# Seconds assumed for light work before any of its name was timed, and the least that is assumed.
UNKNOWN_SECONDS, SHORTEST = 0.1, 0.002
# What is added to the niceness of threads with heavy work: a quarter of the processor where light work wants all of it.
NICER = 5


def lower_priority() -> None:
    """Lowers the priority of this thread and of those that torch starts for it; on Linux."""
    if sys.platform == "linux":
        with suppress(OSError):
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICER)


class Waiting(Protocol):
    """Work that waits, as `Turns` needs it."""

    operations: float

    def wanted(self) -> bool:
        """Whether a visitor still waits for it."""

    @property
    def fraction(self) -> float | None:
        """How far it is, 0 to 1, or None where it has not said."""


class Turns:
    """Work that waits, by session. Not safe by itself: hold the queue's lock.

    `take` is round-robin: the oldest work of one session after the other, so that the others do not wait for all work of one
    that submitted much. Work that several sessions wait for is taken when the first of them has its turn, and once. What
    the server prepares for everybody is taken only when no session waits.
    """

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, deque[Waiting]] = OrderedDict()  # the next to have its turn stands first
        self._preparing: deque[Waiting] = deque()

    def add(self, job: Waiting, session: str) -> None:
        """`session` waits for `job`, behind what it waits for already."""
        own = self._sessions.setdefault(session, deque())
        if job not in own:
            own.append(job)

    def prepare(self, job: Waiting) -> None:
        """For when no session waits."""
        self._preparing.append(job)

    def take(self) -> Waiting | None:
        """The next work, which then waits no more; None where nothing waits.

        Work that is no longer wanted is returned as well, to be ended, and does not count as its session's turn.
        """
        if not self._sessions:
            return self._preparing.popleft() if self._preparing else None
        session, own = next(iter(self._sessions.items()))
        job = own[0]
        if job.wanted():
            self._sessions.move_to_end(session)
        if job in self._preparing:
            self._preparing.remove(job)
        for name in [name for name, waiting in self._sessions.items() if job in waiting]:
            self._sessions[name].remove(job)
            if not self._sessions[name]:
                del self._sessions[name]
        return job

    def before(self, job: Waiting) -> list[Waiting]:
        """The wanted work that will be taken before `job`, in order; all of it where `job` does not wait."""
        rounds = [deque(waiting) for waiting in self._sessions.values()]
        found: list[Waiting] = []
        while rounds:
            own = rounds.pop(0)
            while own and (own[0] in found or not own[0].wanted()):
                if own.popleft() is job:
                    return found
            if not own:
                continue
            if own[0] is job:
                return found
            found.append(own.popleft())
            rounds.append(own)
        return found

    def __iter__(self) -> Iterator[Waiting]:
        """Each piece of work once."""
        yield from dict.fromkeys([job for own in self._sessions.values() for job in own] + [*self._preparing])

    def __bool__(self) -> bool:
        return bool(self._sessions or self._preparing)


class UsualDurations:
    """How long light work of each name usually takes, and which goes first: the one of the highest response ratio, (waited +
    takes) / takes. Short work runs before longer work that was submitted with it, and work that waits runs first in the end.
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def learn(self, what: str, seconds: float) -> None:
        """Work of this name took so long."""
        known = self._seconds.get(what, seconds)
        self._seconds[what] = known + LATEST * (seconds - known)

    def response_ratio(self, what: str, waited: float) -> float:
        """The response ratio of work of this name that has waited so long."""
        takes = max(self._seconds.get(what, UNKNOWN_SECONDS), SHORTEST)
        return (waited + takes) / takes


class SpeedEstimate:
    """How fast this server does heavy work, estimated from work that was done."""

    def __init__(self) -> None:
        self._seconds_per_operation = 1 / OPERATIONS_PER_SECOND
        self._known = False

    def learn(self, operations: float, seconds: float) -> None:
        """So many operations took so long."""
        if operations <= 0 or seconds <= 0:
            return
        latest = seconds / operations
        share = LATEST if self._known else 1.0
        self._seconds_per_operation += share * (latest - self._seconds_per_operation)
        self._known = True

    def seconds(self, job: Waiting) -> float:
        """How long all of the work takes, about."""
        return job.operations * self._seconds_per_operation

    def left(self, job: Waiting, ran: float) -> float:
        """How much longer work takes that has run for `ran` seconds."""
        fraction = job.fraction or 0.0
        if fraction < 0.05:  # too early for an estimate
            return max(self.seconds(job) - ran, 0.0)
        return ran * (1 - fraction) / fraction
