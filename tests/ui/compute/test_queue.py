"""The compute queue with real threads. Nothing here waits for a fixed time: every step is let go by an event."""

from __future__ import annotations

import threading

import pytest

from vitviz.errors import Cancelled, CaptureError
from vitviz.ui.compute import ComputeQueue, Key, Results
from vitviz.ui.compute.queue import HEAVY_OPERATIONS

LONG = 10.0  # seconds a broken test may hang before it fails


@pytest.fixture
def queue() -> ComputeQueue:
    return ComputeQueue(Results(max_bytes=10_000, max_entries=8), linger=0.0, idle=0.1)


def key(what: str = "trace", scope: str | None = None) -> Key:
    return Key(what, "embedded", "w0", "i0", scope=scope)


class Gate:
    """Work that says when it has begun and goes on when it is let."""

    def __init__(self, value: object = "done") -> None:
        self.begun, self.open = threading.Event(), threading.Event()
        self.value, self.runs = value, 0

    def __call__(self, progress) -> object:
        self.runs += 1
        self.begun.set()
        while not self.open.wait(0.005):
            progress.check()
        return self.value


def test_same_key_runs_once_and_answers_everybody(queue):
    gate = Gate(value=[1, 2])
    tickets = [queue.submit(key(), "m", gate) for _ in range(5)]
    assert gate.begun.wait(LONG)
    gate.open.set()
    answers = [ticket.result(LONG) for ticket in tickets]
    assert gate.runs == 1
    assert all(answer is answers[0] for answer in answers)
    assert queue.submit(key(), "m", gate).result(LONG) is answers[0], "kept for those who come later"
    assert gate.runs == 1


def test_same_key_runs_once_though_its_result_does_not_fit_the_store():
    queue = ComputeQueue(Results(max_bytes=0, max_entries=8), linger=0.0, idle=0.1)
    gate = Gate(value=[1, 2])
    tickets = [queue.submit(key(), "m", gate) for _ in range(5)]
    gate.open.set()
    answers = [ticket.result(LONG) for ticket in tickets]
    assert gate.runs == 1 and all(answer is answers[0] for answer in answers) and key() not in queue.results


def test_one_at_a_time_in_a_lane_in_order_and_side_by_side_between_lanes(queue):
    first, other = Gate(), Gate()
    order: list[str] = []
    running = queue.submit(key("first"), "m", first)
    assert first.begun.wait(LONG)
    second = queue.submit(key("second"), "m", lambda _: order.append("second") or 2)
    third = queue.submit(key("third"), "m", lambda _: order.append("third") or 3)
    assert (running.place, second.place, third.place) == (0, 1, 2)
    elsewhere = queue.submit(key("elsewhere"), "another model", other)
    assert other.begun.wait(LONG), "another lane does not wait for this one"
    other.open.set()
    assert elsewhere.result(LONG) == "done"
    assert order == [] and not second.done
    first.open.set()
    assert third.result(LONG) == 3
    assert order == ["second", "third"]


def test_progress_is_seen_by_those_who_wait(queue):
    halfway, go_on = threading.Event(), threading.Event()

    def work(progress):
        progress.report(0.5)
        halfway.set()
        go_on.wait(LONG)
        return 1

    ticket = queue.submit(key(), "m", work)
    assert halfway.wait(LONG)
    assert ticket.fraction == 0.5
    go_on.set()
    assert ticket.result(LONG) == 1


def test_cancel_stops_running_work_and_the_lane_goes_on(queue):
    gate = Gate()
    ticket = queue.submit(key(), "m", gate)
    assert gate.begun.wait(LONG)
    ticket.cancel()
    with pytest.raises(Cancelled):
        ticket.result(LONG)
    assert queue.submit(key("next"), "m", lambda _: "next").result(LONG) == "next"
    again = Gate()
    again.open.set()
    assert queue.submit(key(), "m", again).result(LONG) == "done", "what was called off can be asked for again"


def test_cancelled_before_its_turn_never_runs(queue):
    gate, never = Gate(), Gate()
    queue.submit(key("first"), "m", gate)
    assert gate.begun.wait(LONG)
    ticket = queue.submit(key("second"), "m", never)
    ticket.cancel()
    gate.open.set()
    with pytest.raises(Cancelled):
        ticket.result(LONG)
    assert never.runs == 0


def test_one_who_leaves_does_not_cancel_for_another(queue):
    gate = Gate()
    one, another = queue.submit(key(), "m", gate), queue.submit(key(), "m", gate)
    assert gate.begun.wait(LONG)
    one.cancel()
    one.cancel()  # a second time counts for nothing
    queue.cancel(key())
    assert not another.wait(0.05)
    gate.open.set()
    assert another.result(LONG) == "done"
    assert gate.runs == 1


def test_work_is_joined_again_by_a_page_that_is_drawn_again():
    queue = ComputeQueue(Results(10_000, 8), linger=LONG, idle=0.1)
    gate = Gate()
    queue.submit(key(), "m", gate).leave()
    assert gate.begun.wait(LONG)
    again = queue.submit(key(), "m", gate)
    gate.open.set()
    assert again.result(LONG) == "done"
    assert gate.runs == 1


def test_an_explicit_cancel_by_key_does_not_linger():
    queue = ComputeQueue(Results(10_000, 8), linger=LONG, idle=0.1)
    gate = Gate()
    ticket = queue.submit(key(), "m", gate)
    assert gate.begun.wait(LONG)
    ticket.leave()
    queue.cancel(key())
    with pytest.raises(Cancelled):
        ticket.result(LONG)


def test_an_error_reaches_every_waiter_and_is_not_kept(queue):
    gate = Gate()

    def fail(progress):
        gate(progress)
        raise CaptureError("no attention was seen")

    tickets = [queue.submit(key(), "m", fail) for _ in range(3)]
    gate.open.set()
    for ticket in tickets:
        with pytest.raises(CaptureError, match="no attention was seen"):
            ticket.result(LONG)
    assert queue.submit(key(), "m", lambda _: "better").result(LONG) == "better"


def test_a_lane_whose_thread_has_ended_starts_again(queue):
    queue.submit(key(), "m", lambda _: 1).result(LONG)
    for thread in [t for t in threading.enumerate() if t.name == "compute m"]:
        thread.join(LONG)
        assert not thread.is_alive()
    assert queue.submit(key("later"), "m", lambda _: 2).result(LONG) == 2


def test_private_results_never_cross_sessions_and_go_with_them(queue):
    mine, yours = key(scope="a"), key(scope="b")
    assert queue.submit(mine, "m", lambda _: "mine").result(LONG) == "mine"
    assert queue.submit(yours, "m", lambda _: "yours").result(LONG) == "yours", "same model and bytes, another session"
    queue.forget("a")
    assert mine not in queue.results and yours in queue.results


def test_private_work_under_way_is_called_off_and_not_kept_when_its_session_ends(queue):
    gate = Gate()
    ticket = queue.submit(key(scope="a"), "m", gate)
    assert gate.begun.wait(LONG)
    queue.forget("a")
    with pytest.raises(Cancelled):
        ticket.result(LONG)

    stubborn = threading.Event()
    ticket = queue.submit(key("stubborn", scope="a"), "m", lambda _: stubborn.wait(LONG))
    queue.forget("a")
    stubborn.set()
    ticket.wait(LONG)
    assert key("stubborn", scope="a") not in queue.results


def test_what_was_forgotten_is_not_wanted_again_when_its_page_leaves(queue):
    queue = ComputeQueue(Results(10_000, 8), linger=LONG, idle=0.1)
    begun, finish = threading.Event(), threading.Event()

    def work(progress):
        begun.set()
        assert finish.wait(LONG)
        progress.check()
        return "private"

    with queue.submit(key(scope="a"), "m", work) as ticket:
        assert begun.wait(LONG)
        queue.forget("a")
    finish.set()
    with pytest.raises(Cancelled):
        ticket.result(LONG)
    assert len(queue.results) == 0


def test_nothing_is_kept_for_a_session_that_is_over(queue):
    queue.forget("a")
    assert queue.submit(key(scope="a"), "m", lambda _: "late").result(LONG) == "late", "its last run may still end"
    queue.results.put(key("other", scope="a"), "later")
    queue.results.put(key("other", scope="b"), "another session's")
    assert [kept.scope for kept in queue.results] == ["b"]


def test_a_job_called_off_and_asked_for_again_is_forgotten_in_both_forms(queue):
    first, second = Gate(), Gate()
    stopped = queue.submit(key(scope="a"), "m", lambda progress: first.begun.set() or first.open.wait(LONG))
    assert first.begun.wait(LONG)
    stopped.cancel()
    again = queue.submit(key(scope="a"), "m", second)
    queue.forget("a")
    first.open.set()
    with pytest.raises(Cancelled):
        again.result(LONG)
    assert stopped.wait(LONG) and second.runs == 0 and len(queue.results) == 0


def test_a_place_in_the_queue_does_not_count_what_was_stopped(queue):
    gate = Gate()
    queue.submit(key("running"), "m", gate)
    assert gate.begun.wait(LONG)
    waiting = [queue.submit(key(name), "m", lambda _, name=name: name) for name in "abcd"]
    assert [ticket.place for ticket in waiting] == [1, 2, 3, 4]
    waiting[0].cancel()
    waiting[2].cancel()
    assert waiting[1].place == 1 and waiting[3].place == 2
    gate.open.set()
    assert waiting[3].result(LONG) == "d" and waiting[3].place == 0


def test_one_who_leaves_for_a_moment_does_not_shorten_anothers_absence():
    now = 0.0
    queue = ComputeQueue(Results(10_000, 8), linger=3.0, idle=0.1, clock=lambda: now)
    gate = Gate()
    away, here = queue.submit(key(), "m", gate), queue.submit(key(), "m", gate)
    assert gate.begun.wait(LONG)
    away.leave(60.0)
    here.leave()
    now = 59.0
    assert not away.wait(0.05)
    gate.open.set()
    assert away.result(LONG) == "done" and gate.runs == 1


def test_a_ticket_that_was_cancelled_does_not_let_the_work_linger_when_its_page_leaves(queue):
    """The button's run may begin before the run that showed the button has stopped waiting."""
    started, go_on = threading.Event(), threading.Event()

    def work(progress):
        started.set()
        go_on.wait(LONG)
        progress.check()
        return 1

    with queue.submit(key(), "lane", work) as ticket:
        assert started.wait(LONG)
        ticket.cancel()
        queue.cancel(key())
        ticket.leave(60)
        go_on.set()
        with pytest.raises(Cancelled):
            ticket.result(LONG)
    assert queue.results.get(key()) is None


def test_where_no_thread_can_be_had_work_ends_with_the_error_and_may_be_asked_for_again(queue, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    heavy = 10 * HEAVY_OPERATIONS
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        for operations in (0.0, heavy):
            with pytest.raises(RuntimeError, match="new thread"):
                queue.submit(key(), "m", lambda _: 1, operations, "a").result(LONG)
        queue.prepare(key("prepared"), lambda _: 2, heavy)
        assert queue.under_way() == () and queue.jobs() == (0, 0)
    assert queue.submit(key(), "m", lambda _: 1).result(LONG) == 1
    assert queue.submit(key("heavy"), "m", lambda _: 3, heavy, "a").result(LONG) == 3
    assert queue.submit(key("prepared"), "m", lambda _: 4).result(LONG) == 4
