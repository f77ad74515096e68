"""Heavy work: in turn between sessions, beside light work, once for equal work, with its place and time. No step is timed."""

from __future__ import annotations

import os
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.ui.compute.test_queue import LONG, Gate, key
from vitviz.analysis.faithfulness import faithfulness
from vitviz.analysis.question import Question
from vitviz.analysis.targets import ClassLogit
from vitviz.errors import Cancelled
from vitviz.models import load_cnn, load_model
from vitviz.tracing import trace_input
from vitviz.ui import context
from vitviz.ui.compute import ComputeQueue, Results, consent
from vitviz.ui.compute.queue import HEAVY_OPERATIONS
from vitviz.ui.compute.turns import NICER, OPERATIONS_PER_SECOND, SpeedEstimate, Turns, UsualDurations

HEAVY = 10 * HEAVY_OPERATIONS


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> ComputeQueue:
    return ComputeQueue(Results(10_000, 20), linger=0.0, idle=0.1, clock=clock)


class Requests:
    """What sessions ask of a queue that is busy, and in which order it is done."""

    def __init__(self, queue: ComputeQueue) -> None:
        self.queue, self.gate, self.done = queue, Gate(), []
        self.busy = queue.submit(key("busy"), "m", self.gate, HEAVY, "somebody")
        assert self.gate.begun.wait(LONG)

    def ask(self, session: str, what: str, operations: float = HEAVY):
        return self.queue.submit(key(what), "m", lambda _: self.done.append(what) or what, operations, session)


def test_one_who_asked_for_much_does_not_make_the_others_wait_for_all_of_it(queue):
    requests = Requests(queue)
    tickets = [requests.ask("a", what) for what in ("a1", "a2", "a3")]
    tickets += [requests.ask("b", "b1"), requests.ask("c", "c1"), requests.ask("b", "b2")]
    assert [ticket.place for ticket in tickets] == [1, 4, 6, 2, 3, 5]
    requests.gate.open.set()
    for ticket in tickets:
        ticket.result(LONG)
    assert requests.done == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert [ticket.place for ticket in tickets] == [0] * 6


def test_light_work_waits_behind_no_heavy_work_even_in_the_same_lane(queue):
    requests = Requests(queue)
    waits = requests.ask("a", "waits")
    assert requests.ask("b", "light", operations=HEAVY_OPERATIONS).result(LONG) == "light"
    assert not requests.busy.done and not waits.done
    requests.gate.open.set()
    assert waits.result(LONG) == "waits"


def test_a_short_answer_goes_before_passes_that_came_before_it_and_none_waits_for_ever(queue, clock):
    def takes(seconds):
        def work(_):
            clock.now += seconds

        return work

    for what, seconds in (("pass", 0.3), ("click", 0.01)):
        queue.submit(key(what, "known"), "m", takes(seconds)).result(LONG)
    gate, done = Gate(), []
    queue.submit(key("busy"), "m", gate)
    assert gate.begun.wait(LONG)

    def ask(what, session):
        name = f"{what} of {session}"
        return queue.submit(key(what, session), "m", lambda _: done.append(name) or name)

    tickets = [ask("pass", "a"), ask("pass", "b")]
    clock.now += 0.02
    tickets += [ask("click", "c"), ask("click", "d")]
    assert [ticket.place for ticket in tickets] == [1, 2, 3, 4], (
        "before they have waited, those go first who came first"
    )
    clock.now += 0.1
    assert [ticket.place for ticket in tickets] == [3, 4, 1, 2]
    gate.open.set()
    for ticket in tickets:
        ticket.result(LONG)
    assert done == ["click of c", "click of d", "pass of a", "pass of b"]


def test_what_waited_long_goes_before_what_is_short(queue, clock):
    usual = UsualDurations()
    usual.learn("pass", 0.3)
    usual.learn("click", 0.01)
    assert usual.response_ratio("click", 0.05) > usual.response_ratio("pass", 1.0)
    assert usual.response_ratio("click", 0.05) < usual.response_ratio("pass", 2.0)
    assert usual.response_ratio("new", 0.0) == 1.0


def test_equal_work_is_done_once_and_when_the_first_who_wants_it_has_a_turn(queue):
    requests = Requests(queue)
    own, shared = requests.ask("a", "own"), requests.ask("a", "shared")
    again = requests.ask("b", "shared")
    assert (own.place, shared.place, again.place) == (1, 2, 2)
    requests.gate.open.set()
    assert again.result(LONG) == shared.result(LONG) == "shared"
    own.result(LONG)
    assert requests.done == ["own", "shared"]


def test_what_a_session_gave_up_costs_it_no_turn_and_is_never_begun(queue):
    requests = Requests(queue)
    given_up, wanted, other = requests.ask("a", "given up"), requests.ask("a", "wanted"), requests.ask("b", "other")
    given_up.cancel()
    assert (wanted.place, other.place) == (1, 2)
    requests.gate.open.set()
    other.result(LONG)
    with pytest.raises(Cancelled):
        given_up.result(LONG)
    assert requests.done == ["wanted", "other"]


def test_private_heavy_work_ends_with_its_session_while_it_waits_and_while_it_runs(queue):
    gate = Gate()
    runs = queue.submit(key("runs", scope="a"), "m", gate, HEAVY, "a")
    assert gate.begun.wait(LONG)
    waits = queue.submit(key("waits", scope="a"), "m", lambda _: "never", HEAVY, "a")
    other = queue.submit(key("other", scope="b"), "m", lambda _: "other", HEAVY, "b")
    queue.forget("a")
    assert other.result(LONG) == "other"
    for ticket in (runs, waits):
        with pytest.raises(Cancelled):
            ticket.result(LONG)
    assert len(queue.results) == 1


def test_as_many_at_once_as_there_are_places(clock):
    queue = ComputeQueue(Results(10_000, 20), linger=0.0, idle=0.1, clock=clock, places=2)
    gates = [Gate(), Gate(), Gate()]
    tickets = [queue.submit(key(str(at)), "m", gate, HEAVY, "a") for at, gate in enumerate(gates)]
    assert gates[0].begun.wait(LONG) and gates[1].begun.wait(LONG)
    assert not gates[2].begun.is_set() and queue.jobs() == (1, 2)
    gates[1].open.set()
    assert gates[2].begun.wait(LONG)
    for gate in gates:
        gate.open.set()
    assert [ticket.result(LONG) for ticket in tickets] == ["done"] * 3


def test_how_long_it_will_take_is_learnt_from_what_was_done(queue, clock):
    clock.now = 7.0
    requests = Requests(queue)
    first = requests.ask("a", "first", 2 * HEAVY)
    assert requests.busy.seconds == pytest.approx(HEAVY / OPERATIONS_PER_SECOND)
    assert first.seconds == pytest.approx(3 * HEAVY / OPERATIONS_PER_SECOND)
    clock.now = 47.0
    requests.gate.open.set()
    first.result(LONG)  # in no time on this clock, which says nothing
    assert requests.busy.seconds == 0.0  # done
    gate = Gate()
    queue.submit(key("next"), "m", gate, HEAVY, "a")
    assert gate.begun.wait(LONG)
    assert requests.ask("b", "behind").seconds == pytest.approx(2 * 40.0)
    gate.open.set()


def test_the_time_left_follows_the_progress_once_there_is_some():
    class Job:
        operations, fraction = 1e12, 0.25

        def wanted(self) -> bool:
            return True

    speed = SpeedEstimate()
    speed.learn(1e12, 100.0)
    assert speed.left(Job(), 30.0) == pytest.approx(90.0)
    Job.fraction = None
    assert speed.left(Job(), 30.0) == pytest.approx(70.0)
    assert speed.left(Job(), 200.0) == 0.0
    speed.learn(1e12, 50.0)
    assert speed.seconds(Job()) == pytest.approx(75.0)


def test_what_is_prepared_makes_room_for_a_session_and_is_begun_again(queue):
    gate, runs = Gate(), []

    def prepared(progress):
        runs.append(1)
        return gate(progress)

    queue.prepare(key("gallery"), prepared, HEAVY)
    assert gate.begun.wait(LONG)
    assert queue.submit(key("asked"), "m", lambda _: "asked", HEAVY, "a").result(LONG) == "asked"
    gate.open.set()
    assert queue.submit(key("gallery"), "m", prepared, HEAVY, "a").result(LONG) == "done"
    assert len(runs) == 2
    queue.prepare(key("gallery"), prepared, HEAVY)
    assert len(runs) == 2, "it is known"


def test_what_is_begun_again_is_under_way_and_what_was_known_teaches_no_pace(queue, clock, monkeypatch):
    gate = Gate()
    queue.prepare(key("gallery"), gate, HEAVY)
    assert gate.begun.wait(LONG)
    hold = Gate()
    asked = queue.submit(key("asked"), "m", hold, HEAVY, "a")
    assert hold.begun.wait(LONG)
    assert key("gallery") in queue.under_way(), "so that nobody begins it a second time beside it"
    joined = queue.submit(key("gallery"), "m", gate, HEAVY, "b")
    queue.results.put(key("gallery"), "known")
    known = queue.results.get

    def get(wanted):
        clock.now += 40.0
        return known(wanted)

    monkeypatch.setattr(queue.results, "get", get)
    before = queue.speed.seconds(SimpleNamespace(operations=HEAVY))
    hold.open.set()
    assert asked.result(LONG) == "done" and joined.result(LONG) == "known"
    assert queue.speed.seconds(SimpleNamespace(operations=HEAVY)) == before


def test_what_is_prepared_stays_while_a_session_waits_for_it(queue):
    gate = Gate()
    queue.prepare(key("gallery"), gate, HEAVY)
    assert gate.begun.wait(LONG)
    joined = queue.submit(key("gallery"), "m", gate, HEAVY, "a")
    other = queue.submit(key("other"), "m", lambda _: "other", HEAVY, "b")
    gate.open.set()
    assert joined.result(LONG) == "done" and other.result(LONG) == "other" and gate.runs == 1


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux only")
def test_threads_with_heavy_work_have_a_lower_priority(queue):
    def mine(_):
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    here = mine(None)
    assert queue.submit(key("light"), "m", mine).result(LONG) == here
    assert queue.submit(key("heavy"), "m", mine, HEAVY, "a").result(LONG) == min(here + NICER, 19)


def test_a_trace_is_taken_while_a_faithfulness_run_holds_its_model(queue):
    """The run is stopped inside a forward pass; the same model answers beside it, and both have the right numbers."""
    model = load_model("test_vit", weights="random")
    pixels = torch.randn(3, *model.input_size, generator=torch.Generator().manual_seed(0))
    wanted = trace_input(model, pixels).logits
    inside, go_on = threading.Event(), threading.Event()

    def hold(*_):
        inside.set()
        assert go_on.wait(LONG)

    def run(progress):
        background = model.background_copy
        background.module.patch_embed.register_forward_pre_hook(hold)
        question = Question(background, pixels, ClassLogit(3))
        return list(faithfulness(question, {}, levels=(2,), seeds=1, progress=progress))[-1]

    heavy = queue.submit(key("faithfulness"), "m", run, HEAVY, "a")
    assert inside.wait(LONG)
    light = queue.submit(key("trace"), "m", lambda progress: trace_input(model, pixels, progress=progress))
    torch.testing.assert_close(light.result(LONG).logits, wanted)
    assert not heavy.done
    go_on.set()
    found = heavy.result(LONG)
    alone = list(faithfulness(Question(model, pixels, ClassLogit(3)), {}, levels=(2,), seeds=1))[-1]
    assert found.centre.gap == pytest.approx(alone.centre.gap, abs=1e-6)


@pytest.mark.parametrize("kind", ["transformer", "convolutional"])
def test_a_model_beside_another_shares_its_weights_and_nothing_else(kind):
    load = load_model if kind == "transformer" else load_cnn
    model = load("test_vit" if kind == "transformer" else "test_byobnet.r160_in1k", weights="random")
    background = model.background_copy
    assert background is model.background_copy and background.weights_hash == model.weights_hash
    assert [id(p) for p in background.module.parameters()] == [id(p) for p in model.module.parameters()]
    assert [id(b) for b in background.module.buffers()] == [id(b) for b in model.module.buffers()]
    assert not {id(m) for m in background.module.modules()} & {id(m) for m in model.module.modules()}
    assert background.lock is not model.lock


def test_work_of_many_operations_takes_its_turn_whatever_it_is_counted_in(app, monkeypatch):
    """Passes of the page's model, of another network, and what is no pass."""
    opened, asked = [], []
    real = context.open_context
    monkeypatch.setattr(context, "open_context", lambda *given: opened.append(real(*given)) or opened[-1])
    app("patches")
    ours = opened[0][0]
    monkeypatch.setattr(context, "answer", lambda *given: asked.append(given[-1]) or given[3](None))
    cnn = load_cnn("test_byobnet.r160_in1k", weights="random")
    one = consent.operations(ours.model)
    given = (
        0,
        1,
        40,
        consent.operations(cnn, 10),
        consent.operations_of_cuts(5_000),
        consent.operations_of_walk(10**6),
    )
    for passes in given:
        ours.ask(str(passes), lambda _: 0, "", passes)
    assert asked[:3] == [0.0, one, 40 * one] and asked[3:] == [*given[3:]]
    assert [each > HEAVY_OPERATIONS for each in asked] == [False, False, True, False, True, True]
    assert ours.runs_on(1) is ours.model and ours.runs_on(40) is ours.model.background_copy
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        cnn.module.eval()(torch.zeros(1, 3, *cnn.input_size))
    assert consent.operations(cnn, 10) == 10 * counter.get_total_flops()


def test_what_is_prepared_stays_though_the_store_is_full(queue):
    queue.prepare(key("gallery"), lambda _: np.ones(10, np.uint8), HEAVY)
    first = queue.submit(key("gallery"), "m", lambda _: None, HEAVY, "a").result(LONG)
    for at in range(30):
        queue.results.put(key(str(at)), np.zeros(5_000, np.uint8))
    assert queue.results.get(key("gallery")) is first and queue.results.nbytes <= 10_000


def test_order_without_a_thread():
    class Job:
        def __init__(self, name: str, wanted: bool = True) -> None:
            self.name, self.operations, self.fraction, self._wanted = name, HEAVY, None, wanted

        def wanted(self) -> bool:
            return self._wanted

    turns = Turns()
    jobs = {name: Job(name, name != "x") for name in ("a1", "x", "a2", "b1", "both")}
    turns.prepare(Job("prepared"))
    for session, name in (("a", "x"), ("a", "a1"), ("a", "a2"), ("b", "b1"), ("b", "both"), ("a", "both")):
        turns.add(jobs[name], session)
    assert [job.name for job in turns.before(jobs["both"])] == ["a1", "b1", "a2"]
    assert len(list(turns)) == 6
    assert [turns.take().name for _ in range(6)] == ["x", "a1", "b1", "a2", "both", "prepared"]
    assert turns.take() is None and not turns
