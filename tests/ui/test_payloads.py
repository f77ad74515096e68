from __future__ import annotations

import gzip

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from vitviz.ui import wire
from vitviz.ui.payloads import PayloadStore
from vitviz.ui.route import COOKIE, VisitorCookie, address, payload_route


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


def test_memory_is_bounded_and_shared_content_counts_once(store):
    for session in "abcdef":
        store.offer(session, "gallery", lambda: noise(0))
    assert store.nbytes < 400 and len(store) == 6
    first = store.offer("z", 1, lambda: noise(1))
    second = store.offer("z", 2, lambda: noise(2))
    store.offer("z", 3, lambda: noise(3))
    assert store.nbytes <= 1000
    assert store.fetch(first) or store.fetch(second), "the latest stay"


def client(store: PayloadStore, base: str = "") -> TestClient:
    front = Route("/", lambda _: PlainTextResponse("front"))
    return TestClient(Starlette(routes=[payload_route(store, base), front], middleware=[Middleware(VisitorCookie)]))


def test_route_serves_what_was_packed(store):
    name = store.offer("s", "k", lambda: wire.pack({"q": np.arange(4, dtype=np.float32)}))
    answer = client(store).get(address(name))
    assert answer.status_code == 200
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["cache-control"] == "private, max-age=3600, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert wire.unpack(answer.content)[0]["q"].tolist() == [0, 1, 2, 3]


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
