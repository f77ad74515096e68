"""The compute queue: light work in lanes, heavy work in turn, equal work joined, results kept.

Light work runs one piece at a time in each lane, what is usually short before what is long (`UsualDurations`). Work of one
lane never runs at the same time; a lane is usually one loaded model. Each lane has one thread of its own while it has work, so
that torch's own pool of threads is made once a lane and not once a click.

Heavy work (`HEAVY_OPERATIONS`) waits for one of few places and is taken from one session after the other (`Turns`). It runs in
threads of lower priority, and on `Model.background_copy`, so that light work waits neither behind it nor for its model.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Self

from vitviz.errors import Cancelled
from vitviz.ui.compute.results import Key, Results
from vitviz.ui.compute.turns import SpeedEstimate, Turns, UsualDurations, lower_priority

# A page that is drawn again joins its work again at once; work that no request joins within this time is dropped.
LINGER_SECONDS = 3.0
# A lane's thread ends after this long without work.
IDLE_SECONDS = 60.0
# Work of more operations is heavy: some two seconds on two cores, nine forward passes of the embedded model.
HEAVY_OPERATIONS = 1e11


class JobProgress:
    """The `vitviz.progress.Progress` of a job in the queue, which ends the work once no visitor waits for it."""

    def __init__(self, wanted: Callable[[], bool]) -> None:
        self._wanted = wanted
        self.fraction: float | None = None

    def __call__(self, done: int, total: int) -> None:
        """So many of `total` steps are done. Raises Cancelled once no visitor waits for the work."""
        self.report(done / total if total else 0.0)

    def report(self, fraction: float) -> None:
        """Sets how far the work is, 0 to 1, and raises Cancelled once no visitor waits for it."""
        self.check()
        self.fraction = min(max(float(fraction), 0.0), 1.0)

    def check(self) -> None:
        """Raises Cancelled once no visitor waits for the work; cheap, so that it can be called in every loop."""
        if not self._wanted():
            raise Cancelled("The computation was stopped before it was finished.")


Work = Callable[[JobProgress], Any]


class Job:
    """One piece of work with everybody who waits for it. All fields but `finished` are guarded by the queue's lock.

    Attributes:
        lane: Where it runs, if it is light: one at a time in each.
        operations: That it takes, about; 0 where they were not counted.
        prepares: Whether the server started it in advance: it is wanted by itself while no session has heavy work.
        waiting: Tickets that wait for it.
        wanted_until: On `clock`: how long it goes on once no visitor waits; -inf where the last one that waited cancelled it.
        forgotten: Its session is over: no request can follow.
        asked, began: On `clock`, when it was first asked for, and once it runs.
    """

    def __init__(
        self,
        key: Key,
        lane: str,
        work: Work,
        clock: Callable[[], float],
        operations: float = 0.0,
        prepares: bool = False,
    ) -> None:
        self.key, self.lane, self.work, self.operations, self.prepares = key, lane, work, operations, prepares
        self.waiting, self.asked = 0, clock()
        self.wanted_until = float("inf") if prepares else float("-inf")
        self.forgotten = self.running = False
        self.began = 0.0
        self.progress = JobProgress(self.wanted)
        self.finished = threading.Event()
        self.value: Any = None
        self.error: BaseException | None = None
        self._clock = clock

    def wanted(self) -> bool:
        """Whether a visitor waits, or may come back: a page that is drawn again, a browser whose network failed."""
        return not self.forgotten and (self.waiting > 0 or self._clock() < self.wanted_until)

    @property
    def heavy(self) -> bool:
        return self.operations > HEAVY_OPERATIONS

    @property
    def fraction(self) -> float | None:
        """How far it is, 0 to 1, or None where it has not said."""
        return self.progress.fraction


class Ticket:
    """One caller's wait for a result. Leave it when done (a `with` block does), or the work counts as wanted for ever."""

    def __init__(self, queue: ComputeQueue, job: Job) -> None:
        self._queue, self._job = queue, job
        self._here = True

    @property
    def done(self) -> bool:
        return self._job.finished.is_set()

    @property
    def place(self) -> int:
        """How many pieces of work will run before this one, in its lane or in turn; 0 once it runs or is done."""
        return self._queue.place_of(self._job)

    @property
    def seconds(self) -> float:
        """How long heavy work will take until it is done, about, with the work before it; 0 for light work."""
        return self._queue.seconds_until(self._job)

    @property
    def fraction(self) -> float | None:
        """How far the work is, 0 to 1, or None where it has not said."""
        return self._job.fraction

    def wait(self, seconds: float) -> bool:
        """Waits at most so long; whether the work is done."""
        return self._job.finished.wait(seconds)

    def result(self, timeout: float | None = None) -> Any:
        """The answer, waiting for it. Raises what the work raised, Cancelled, or TimeoutError."""
        if not self._job.finished.wait(timeout):
            raise TimeoutError("the work is not done yet")
        if self._job.error is not None:
            raise self._job.error
        return self._job.value

    def leave(self, linger: float | None = None) -> None:
        """Stops waiting. Work that no visitor waits for is dropped after `linger` seconds, by default the queue's, unless
        it is asked for again.
        """
        self._go(self._queue.now() + (self._queue.linger if linger is None else linger))

    def cancel(self) -> None:
        """Stops waiting and drops the work at once, unless another visitor waits for it."""
        self._go(float("-inf"))

    def _go(self, until: float) -> None:
        if self._here:
            self._here = False
            self._queue.left(self._job, until)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()


class ComputeQueue:
    """Runs light work in lanes and heavy work in turn, and keeps what comes out in `results`.

    Args:
        places: How many pieces of heavy work run at once.
    """

    def __init__(
        self,
        results: Results,
        linger: float = LINGER_SECONDS,
        idle: float = IDLE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        places: int = 1,
    ) -> None:
        self.results, self.linger, self.now, self.places = results, linger, clock, places
        self._idle = idle
        # Called with the lane and the seconds of each job.
        self.observe: Callable[[str, float], None] = lambda lane, seconds: None
        self._changed = threading.Condition()
        self._jobs: dict[Key, Job] = {}  # asked for and not finished
        self._lanes: dict[str, deque[Job]] = {}  # a lane is here while it has a thread; the first job may be running
        self._turns, self._usual = Turns(), UsualDurations()
        self.speed = SpeedEstimate()  # of heavy work on this server
        self._heavy: list[Job] = []  # that run
        self._threads = 0  # for heavy work

    def submit(self, key: Key, lane: str, work: Work, operations: float = 0.0, session: str = "") -> Ticket:
        """A ticket for the result of `work`, from the store, from the same work already asked for, or newly queued.

        Args:
            operations: That the work takes, about, where they may be many.
            session: That asks; heavy work is taken from one session after the other.
        """
        kept = self.results.get(key)
        with self._changed:
            job = self._jobs.get(key)
            if job is not None and not job.wanted():
                job = None  # cancelled; it may not have ended yet
            if job is None:
                job = Job(key, lane, work, self.now, operations)
                if kept is not None:
                    job.value = kept
                    job.finished.set()
                else:
                    self._jobs[key] = job
                    self._enqueue(job)
            if job.heavy and not job.running and not job.finished.is_set():
                self._turns.add(job, session)
                self._make_room()
                self._changed.notify_all()
            job.waiting += 1
            return Ticket(self, job)

    def under_way(self) -> tuple[Key, ...]:
        """What was asked for and is not finished."""
        with self._changed:
            return tuple(self._jobs)

    def prepare(self, key: Key, work: Work, operations: float) -> None:
        """Computes and keeps a result in advance, while no session has heavy work."""
        with self._changed:
            if key not in self._jobs and key not in self.results:
                self._prepare(Job(key, "prepare", work, self.now, max(operations, 2 * HEAVY_OPERATIONS), prepares=True))

    def cancel(self, key: Key) -> None:
        """Drops the work of a key at once, unless a visitor waits for it."""
        with self._changed:
            job = self._jobs.get(key)
            if job is not None and not job.waiting and not job.prepares:
                job.wanted_until = float("-inf")

    def forget(self, scope: str) -> None:
        """A session is over: its private results go, its private work is called off for good, and what a run of it that has
        not stopped yet still asks for is not kept.
        """
        with self._changed:
            for job in self._every():
                if job.key.scope == scope:
                    job.forgotten = True
            self.results.forget(scope)

    def jobs(self) -> tuple[int, int]:
        """(pieces of work that wait, pieces under way)."""
        with self._changed:
            every = [job.running for job in self._every()]
            return len(every) - sum(every), sum(every)

    def place_of(self, job: Job) -> int:
        with self._changed:
            if job.running or job.finished.is_set():
                return 0
            if job.heavy:
                return len(self._turns.before(job)) + (len(self._heavy) >= self.places)
            lane = self._lanes.get(job.lane, deque())
            # The one that runs holds the lane until it stops; those behind it that are no longer wanted will be skipped.
            order = sorted(lane, key=self._precedence, reverse=True)
            return sum(
                other.running or other.wanted() for other in itertools.takewhile(lambda other: other is not job, order)
            )

    def _precedence(self, job: Job) -> tuple[bool, float]:
        """The precedence of light work in its lane: the largest runs next, of equal ones the one that came first."""
        return job.running, self._usual.response_ratio(job.key.what, self.now() - job.asked)

    def seconds_until(self, job: Job) -> float:
        with self._changed:
            if not job.heavy or job.finished.is_set():
                return 0.0
            now = self.now()
            if job.running:
                return self.speed.left(job, now - job.began)
            running = sum(self.speed.left(other, now - other.began) for other in self._heavy)
            waiting = sum(map(self.speed.seconds, self._turns.before(job)))
            return (running + waiting) / self.places + self.speed.seconds(job)

    def left(self, job: Job, until: float) -> None:
        with self._changed:
            job.waiting -= 1
            if job.prepares:
                return
            job.wanted_until = until if until == float("-inf") else max(job.wanted_until, until)

    def _every(self) -> list[Job]:
        light = [job for lane in self._lanes.values() for job in lane]
        return [*light, *self._heavy, *self._turns]

    def _enqueue(self, job: Job) -> None:
        try:
            if job.heavy:
                if self._threads < self.places:
                    threading.Thread(target=self._run_heavy, name="compute heavy", daemon=True).start()
                    self._threads += 1
            elif job.lane in self._lanes:
                self._lanes[job.lane].append(job)
                self._changed.notify_all()
            else:
                lane, name = job.lane, f"compute {job.lane}"
                threading.Thread(target=self._run_lane, args=(lane,), name=name, daemon=True).start()
                self._lanes[lane] = deque([job])  # the thread runs once the lock is released
        except RuntimeError as error:  # the system starts no more threads; heavy work can wait for an existing one
            if not job.heavy or not self._threads:
                job.error = error
                self._finish(job)

    def _run_lane(self, lane: str) -> None:
        while True:
            with self._changed:
                waiting = self._lanes[lane]
                if not waiting and not self._changed.wait_for(partial(bool, waiting), self._idle):
                    del self._lanes[lane]
                    return
                job = max(waiting, key=self._precedence)
                job.running, job.began = True, self.now()
            computed = self._run(job)
            with self._changed:
                waiting.remove(job)
                if computed:
                    self._usual.learn(job.key.what, self.now() - job.began)
                self._finish(job)
            del job  # or an idle lane would hold the last result in memory

    def _run_heavy(self) -> None:
        lower_priority()
        while True:
            with self._changed:
                if not self._changed.wait_for(partial(bool, self._turns), self._idle):
                    self._threads -= 1
                    return
                job: Job = self._turns.take()  # type: ignore[assignment]
                job.running, job.began = True, self.now()
                self._heavy.append(job)
            computed = self._run(job)
            with self._changed:
                self._heavy.remove(job)
                if computed:
                    self.speed.learn(job.operations, self.now() - job.began)
                self._finish(job)
            del job

    def _finish(self, job: Job) -> None:
        if self._jobs.get(job.key) is job:
            del self._jobs[job.key]
        job.finished.set()

    def _run(self, job: Job) -> bool:
        """Whether the value was computed here: otherwise it was known, or there is none."""
        again = job.work if job.prepares else _finished
        try:
            job.progress.check()
            # Perhaps submitted, finished and removed from the queue between the look-up in the store and this one.
            job.value = self.results.get(job.key)
            if job.value is None:
                began = time.monotonic()
                job.value = job.work(job.progress)
                self.observe(job.lane, time.monotonic() - began)
                if job.key.scope is None or job.wanted():
                    self.results.put(job.key, job.value, for_ever=job.prepares)
                return True
        except Cancelled as called_off:
            job.error = called_off
            if job.prepares:
                with self._changed:
                    self._prepare(Job(job.key, job.lane, again, self.now, job.operations, prepares=True))
        except BaseException as error:
            job.error = error
        finally:
            job.work = _finished  # the closure may hold a model and an image
        return False

    def _prepare(self, job: Job) -> None:
        if (other := self._jobs.get(job.key)) is None or other.prepares:  # the same, which was called off
            self._jobs[job.key] = job
        self._enqueue(job)
        if not job.finished.is_set():
            self._turns.prepare(job)
            self._changed.notify_all()

    def _make_room(self) -> None:
        """Stops work prepared in advance for a session's heavy work; it is begun again later."""
        if len(self._heavy) >= self.places:
            for job in self._heavy:
                if job.prepares and not job.waiting:
                    job.wanted_until = float("-inf")


def _finished(_: Any) -> None:
    raise AssertionError("this work has been done")
