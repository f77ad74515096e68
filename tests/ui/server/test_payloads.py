from __future__ import annotations

import gzip
import itertools
import json
import struct
import weakref

import numpy as np
import pytest
from hypothesis import given, settings, strategies
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.conftest import awaited
from vitviz.ui.server import payloads
from vitviz.ui.server.payloads import PayloadStore
from vitviz.ui.server.route import COOKIE, VisitorCookie, address, payload_route


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock) -> PayloadStore:
    return PayloadStore(max_bytes=1000, lifetime=100.0, clock=clock)


def noise(seed: int, size: int = 300) -> bytes:
    return np.random.default_rng(seed).bytes(size)  # does not compress


def test_same_offer_keeps_its_name_and_is_not_built_again(store):
    name = store.offer("s", "layer 1", lambda: b"one")
    assert gzip.decompress(store.fetch(name)) == b"one"
    assert store.offer("s", "layer 1", lambda: pytest.fail("built again")) == name
    assert store.offer("s", "layer 2", lambda: b"two") != name


def test_names_differ_between_sessions_and_processes(store, clock):
    name = store.offer("a", "k", lambda: b"same")
    assert store.offer("b", "k", lambda: b"same") != name
    assert PayloadStore(1000, 100.0, clock).offer("a", "k", lambda: b"same") != name
    assert len(name) == 64 and set(name) <= set("0123456789abcdef")


def test_names_run_out_and_are_renewed_before_that(store, clock):
    name = store.offer("s", "k", lambda: b"x")
    clock.now += 60
    renewed = store.offer("s", "k", lambda: b"x")
    assert renewed != name, "less than half a lifetime left"
    assert store.fetch(name) and store.fetch(renewed)
    clock.now += 50
    assert store.fetch(name) is None and store.fetch(renewed)
    clock.now += 51
    assert store.fetch(renewed) is None
    assert store.nbytes == 0 and len(store) == 0


def test_another_visitor_gets_nothing_even_with_the_name(store):
    name = store.offer("s", "k", lambda: b"x", visitor="ann")
    assert store.fetch(name, "ann") and store.fetch(name, "bob") is None and store.fetch(name) is None


def test_ended_session_takes_its_names_along_and_leaves_others(store):
    mine, yours = store.offer("a", "k", lambda: b"same"), store.offer("b", "k", lambda: b"same")
    store.forget("a")
    assert store.fetch(mine) is None and store.fetch(yours)
    store.forget("b")
    assert store.nbytes == 0


def test_what_is_offered_after_the_end_of_its_session_is_not_kept(store):
    """A run of the page may still be under way when its session ends."""

    def build() -> bytes:
        store.forget("a")
        return b"late"

    during, after = store.offer("a", "k", build), store.offer("a", "another", lambda: b"later")
    assert store.fetch(during) is None and store.fetch(after) is None
    assert len(store) == store.nbytes == 0


def test_memory_is_bounded_and_shared_content_counts_once(store):
    for session in "abcdef":
        store.offer(session, "gallery", lambda: noise(0))
    assert store.nbytes < 400 and len(store) == 6
    first = store.offer("z", 1, lambda: noise(1))
    second = store.offer("z", 2, lambda: noise(2))
    store.offer("z", 3, lambda: noise(3))
    assert store.nbytes <= 1000
    assert store.fetch(first) or store.fetch(second), "the latest stay"


def test_a_session_that_is_offered_much_drives_out_its_own_and_not_others(clock):
    store = PayloadStore(max_bytes=2000, lifetime=100.0, clock=clock, max_session_bytes=1000)
    first = store.offer("small", "first", lambda: noise(100))
    names = [store.offer("large", number, lambda number=number: noise(number)) for number in range(20)]
    latest = store.offer("small", "latest", lambda: noise(101))
    assert store.fetch(first) and store.fetch(latest), "though one of them was used longest ago"
    kept = [name for name in names if store.fetch(name)]
    assert kept == names[-len(kept) :] and 3 <= len(kept) <= 5 and store.nbytes <= 2000
    alone = PayloadStore(max_bytes=2000, lifetime=100.0, clock=clock, max_session_bytes=500)
    names = [alone.offer("large", number, lambda number=number: noise(number)) for number in range(6)]
    assert all(map(alone.fetch, names)), "where there is room, a share is no bound"


def test_what_sessions_share_is_no_part_of_what_one_of_them_takes(clock):
    store = PayloadStore(max_bytes=2000, lifetime=100.0, clock=clock, max_session_bytes=700)
    gallery = [
        store.offer(session, number, lambda number=number: noise(number), common=True)
        for session in ("one", "two")
        for number in range(4)
    ]
    own = [store.offer("large", number, lambda number=number: noise(10 + number)) for number in range(4)]
    assert all(map(store.fetch, gallery)), "though each has names of more than its share: without them nothing is freed"
    assert [bool(store.fetch(name)) for name in own] == [False, False, True, True] and store.nbytes <= 2000


def test_without_a_session_beyond_its_share_what_nobody_used_goes_with_all_its_names(clock):
    store = PayloadStore(max_bytes=1000, lifetime=100.0, clock=clock)
    first = [store.offer(session, "first", lambda: noise(1), common=True) for session in "ab"]
    second = [store.offer(session, "second", lambda: noise(2), common=True) for session in "ab"]
    unmade = store.offer("a", "unmade", lambda: noise(3), when_fetched=True)
    store.fetch(first[1])  # so that b uses it, and a's name of it is the oldest of all
    third, fourth = (store.offer("c", number, lambda number=number: noise(number)) for number in (4, 5))
    assert not any(map(store.fetch, second)), "the one that was used longest ago by anybody"
    assert all(map(store.fetch, (*first, third, fourth))) and len(store) == 5
    assert store.fetch(unmade), "what holds no bytes yet frees none"


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.booleans(), st.sampled_from(["", "forget", "fetch"]))
    )
)
def test_a_sessions_bytes_are_those_that_it_alone_has_names_of(steps):
    store = PayloadStore(max_bytes=900, max_session_bytes=500)
    for session, key, later, then in steps:
        name = store.offer(session, (key, later), lambda key=key: noise(key, 200), when_fetched=later)
        if then:
            store.fetch(name) if then == "fetch" else store.clear_session(session)
        for each in "abc":
            digests = {
                entry.digest: {other.session for other in store._entries.values() if other.digest == entry.digest}
                for entry in store._entries.values()
            }
            own = [len(store._bodies[digest].content) for digest, sessions in digests.items() if sessions == {each}]
            assert store._bytes_of[each] == sum(own)
        assert store.nbytes == sum(len(body.content) for body in store._bodies.values()) <= 900


class Seconds(float):
    """Counts how often such numbers are compared, wherever they are kept."""

    compared = 0

    def __add__(self, other: float) -> Seconds:
        return Seconds(float(self) + other)

    def __sub__(self, other: float) -> Seconds:
        return Seconds(float(self) - other)

    def __gt__(self, other: float) -> bool:
        Seconds.compared += 1
        return float(self) > float(other)

    def __le__(self, other: float) -> bool:
        Seconds.compared += 1
        return float(self) <= float(other)


class Trace:
    """What bytes can be made from."""

    def __bytes__(self) -> bytes:
        return b"trace"


def test_what_is_made_when_it_is_fetched_is_made_once_and_counts_from_then_on(store):
    made: list[int] = []

    def build() -> bytes:
        made.append(1)
        return noise(1)

    name = store.offer("tab", "maps", build, when_fetched=True)
    assert store.offer("tab", "maps", build, when_fetched=True) == name
    assert (made, store.nbytes) == ([], 0)
    assert [gzip.decompress(store.fetch(name)) for _ in range(2)] == [noise(1)] * 2
    assert made == [1] and store.nbytes == len(store.fetch(name))
    # What it was to be made from is gone: the name leads nowhere, and the next offer is another one.
    gone = store.offer("tab", "gone", lambda: None, when_fetched=True)
    assert store.fetch(gone) is None and store.fetch(gone) is None
    again = store.offer("tab", "gone", lambda: b"there", when_fetched=True)
    assert again != gone and gzip.decompress(store.fetch(again)) == b"there"
    trace = Trace()
    store.offer("tab", "held", lambda trace=trace: bytes(trace), when_fetched=True)
    held = weakref.ref(trace)
    del trace
    assert held() is not None
    store.forget("tab")
    assert store.nbytes == 0 and store.fetch(name) is None and held() is None, "nor is what it would be made from kept"


def test_names_are_bounded_and_an_offer_does_not_walk_over_all_others():
    ticks = itertools.count(1_000_000)
    store = PayloadStore(clock=lambda: Seconds(next(ticks) / 1000), max_entries=500, max_session_entries=50)
    Seconds.compared = 0
    for offered in range(20_000):
        store.offer(f"session {offered % 400}", offered, lambda: b"same")
    assert len(store) == 500 and store.nbytes < 100
    assert Seconds.compared < 20_000 * 10


def test_a_session_that_is_offered_much_does_not_drive_out_the_others():
    store = PayloadStore(max_entries=100, max_session_entries=10)
    quiet = store.offer("quiet", "k", lambda: b"x")
    names = [store.offer("loud", each, lambda each=each: b"%d" % each) for each in range(1_000)]
    assert store.fetch(quiet)
    assert [name for name in names if store.fetch(name)] == names[-10:]
    assert len(store) == 11


def test_a_session_older_than_half_a_lifetime_keeps_working_and_takes_all_its_names_along(store, clock):
    """In the order in which it came: offered, renewed, closed, another session's page and fetch, the old name's end."""
    first = store.offer("old", "k", lambda: b"x")
    clock.now += 60
    renewed = store.offer("old", "k", lambda: b"x")
    other = store.offer("other", "k", lambda: b"x")
    assert store.fetch(first) and store.fetch(renewed)
    assert store.offer("old", "k", lambda: pytest.fail("built again")) == renewed
    store.forget("old")
    assert store.fetch(first) is None and store.fetch(renewed) is None
    clock.now += 41  # the first name would have ended now
    assert store.fetch(other)
    assert store.offer("other", "k", lambda: pytest.fail("built again")) == other
    assert len(store) == 1


def test_the_order_of_ends_holds_when_builds_take_long(store, clock):
    def slow() -> bytes:
        clock.now += 50
        nested.append(store.offer("b", "quick", lambda: b"quick"))
        clock.now += 10
        return b"slow"

    nested: list[str] = []
    slow_name = store.offer("a", "slow", slow)
    clock.now += 91  # 101 after the quick one, 91 after the slow one
    assert store.fetch(nested[0]) is None and store.fetch(slow_name)


class Payloads(RuleBasedStateMachine):
    """Against a model that is a plain list of offers, each with its end."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.store = PayloadStore(max_bytes=10**6, lifetime=100.0, clock=self.clock)
        self.offers: dict[str, tuple[str, bytes, float]] = {}  # name -> (session, content, end)
        self.over: set[str] = set()  # names of sessions that have ended, which none gets again

    @rule(
        session=strategies.sampled_from("abcdef"),
        key=strategies.integers(0, 3),
        content=strategies.sampled_from([b"x", b"y"]),
    )
    def offer(self, session, key, content):
        built = []
        name = self.store.offer(session, (key, content), lambda: built.append(1) or content)
        if session in self.over:
            assert self.store.fetch(name) is None
        elif built:
            self.offers[name] = (session, content, self.clock.now + 100)

    @rule(seconds=strategies.integers(0, 70))
    def wait(self, seconds):
        self.clock.now += seconds

    @rule(session=strategies.sampled_from("abc"))
    def forget(self, session):
        self.store.forget(session)
        self.over.add(session)
        self.offers = {name: offer for name, offer in self.offers.items() if offer[0] != session}

    @invariant()
    def serves_what_was_offered_and_nothing_else(self):
        for name, (_, content, end) in self.offers.items():
            body = self.store.fetch(name)
            assert (None if body is None else gzip.decompress(body)) == (content if end > self.clock.now else None)
        self.offers = {name: offer for name, offer in self.offers.items() if offer[2] > self.clock.now}
        assert len(self.store) == len(self.offers)


TestPayloads = Payloads.TestCase
TestPayloads.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


def client(store: PayloadStore, base: str = "") -> TestClient:
    front = Route("/", lambda _: PlainTextResponse("front"))
    return TestClient(Starlette(routes=[payload_route(store, base), front], middleware=[Middleware(VisitorCookie)]))


def test_route_serves_what_was_packed(store):
    name = store.offer("s", "k", lambda: payloads.pack({"q": np.arange(4, dtype=np.float32)}))
    answer = client(store).get(address(name))
    assert answer.status_code == 200
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["cache-control"] == "private, max-age=3600, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert payloads.unpack(answer.content)[0]["q"].tolist() == [0, 1, 2, 3]


def test_an_answer_is_handed_over_as_fast_as_it_is_taken(clock):
    """A reader who takes nothing holds one part of it in memory, and no copy of it."""
    store = PayloadStore(max_bytes=10**6, lifetime=100.0, clock=clock)
    name = store.offer("s", "k", lambda: noise(0, 300_000))
    scope = {"type": "http", "method": "GET", "path": address(name), "headers": [], "query_string": b""}
    messages = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        messages.append(message)

    awaited(payload_route(store).app(scope | {"path_params": {"name": name}}, receive, send))
    parts = [message["body"] for message in messages[1:]]
    assert max(map(len, parts)) == 65_536 and not messages[-1].get("more_body")
    assert b"".join(parts) == store.fetch(name)
    assert dict(messages[0]["headers"])[b"content-length"] == str(len(store.fetch(name))).encode()


@pytest.mark.parametrize("base", ["/lab/vit/", "lab/vit"])
def test_route_under_a_base_path(store, base):
    name = store.offer("s", "k", lambda: b"x")
    assert address(name, base) == f"/lab/vit/payload/{name}"
    assert client(store, base).get(address(name, base)).status_code == 200
    assert client(store, base).get(address(name)).status_code == 404


def test_wrong_foreign_and_expired_names_look_the_same(store, clock):
    browser = client(store)
    visitor = browser.get("/").cookies[COOKIE]
    name = store.offer("s", "k", lambda: b"x", visitor=visitor)
    assert browser.get(address(name)).status_code == 200

    answers = [client(store).get(address(name))]  # another browser with the right name
    answers += [browser.get(address(wrong)) for wrong in ("0" * 64, name[:-1], name.upper(), "%2e%2e", "é")]
    clock.now += 101
    answers.append(browser.get(address(name)))
    seen = {(a.status_code, a.content, a.headers["content-type"], a.headers["cache-control"]) for a in answers}
    assert seen == {(404, b"not found", "text/plain; charset=utf-8", "no-store")}


def test_cookie_is_given_once_and_kept_from_scripts(store):
    browser = client(store)
    first = browser.get("/")
    assert "HttpOnly" in first.headers["set-cookie"] and "SameSite=Lax" in first.headers["set-cookie"]
    assert "set-cookie" not in browser.get("/").headers


def test_what_cannot_be_made_smaller_costs_no_time(clock, monkeypatch):
    store, levels = PayloadStore(max_bytes=10**6, lifetime=100.0, clock=clock), []
    real = gzip.compress
    monkeypatch.setattr(gzip, "compress", lambda raw, level, **more: levels.append(level) or real(raw, level, **more))
    for content, level in ((noise(0, 300_000), 0), (bytes(300_000), 1)):
        name = store.offer("me", content[:9], lambda content=content: content)
        assert gzip.decompress(store.fetch(name)) == content and levels[-1] == level


def test_what_is_the_same_for_everybody_is_built_once(store):
    first = store.offer("a", "picture", lambda: noise(1), common=True)
    second = store.offer("b", "picture", lambda: pytest.fail("built again"), "cookie", common=True)
    assert first != second and store.fetch(first) == store.fetch(second, "cookie") and store.fetch(second) is None
    store.forget("a")
    third = store.offer("c", "picture", lambda: pytest.fail("built again"), common=True)
    store.forget("b")
    store.forget("c")
    assert store.fetch(third) is None and store.nbytes == 0
    again = store.offer("d", "picture", lambda: b"anew", common=True)
    assert gzip.decompress(store.fetch(again)) == b"anew", "nobody had it any more"


def test_what_is_private_is_built_for_each(store):
    store.offer("a", "picture", lambda: b"hers", common=True)
    assert gzip.decompress(store.fetch(store.offer("b", "picture", lambda: b"his"))) == b"his"
    store.offer("a", "own", lambda: b"hers")
    assert gzip.decompress(store.fetch(store.offer("b", "own", lambda: b"his", common=True))) == b"his"


# .


arrays = st.dictionaries(
    st.text(min_size=1, max_size=8),
    st.sampled_from(payloads.DTYPES).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
    ),
    max_size=5,
)


@given(arrays)
def test_round_trip(given_arrays):
    back, meta = payloads.unpack(payloads.pack(given_arrays, {"layer": 3}))
    assert meta == {"layer": 3} and list(back) == list(given_arrays)
    for name, array in given_arrays.items():
        assert back[name].dtype == array.dtype and back[name].shape == array.shape
        assert back[name].tobytes() == array.tobytes()


def test_the_layout_byte_by_byte():
    payload = payloads.pack({"a": np.array([1, 2, 3], np.uint8), "b": np.array([[1.5]], np.float32)})
    assert payload[:4] == b"VVZ1"
    (length,) = struct.unpack("<I", payload[4:8])
    header = json.loads(payload[8 : 8 + length].decode())
    start = 8 + length
    assert start % 8 == 0
    assert header["arrays"]["a"] == {"dtype": "uint8", "shape": [3], "offset": 0}
    assert header["arrays"]["b"] == {"dtype": "float32", "shape": [1, 1], "offset": 8}
    assert payload[start : start + 3] == bytes([1, 2, 3])
    assert struct.unpack_from("<f", payload, start + 8) == (1.5,)


def test_row_order_does_not_depend_on_how_numpy_holds_it():
    turned = np.arange(6, dtype=np.int32).reshape(2, 3).T  # column by column in memory
    back, _ = payloads.unpack(payloads.pack({"t": turned}))
    assert back["t"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_other_types_and_other_bytes_are_refused():
    with pytest.raises(TypeError, match="float64"):
        payloads.pack({"a": np.zeros(2)})
    with pytest.raises(ValueError, match="VVZ1"):
        payloads.unpack(b"<!doctype html>")
