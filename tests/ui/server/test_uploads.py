"""Pictures of one's own: for their browser, for a while, within bounds, and gone when it asks."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from tests.conftest import awaited
from tests.ui.server.test_guards import client
from vitviz.ui.server import uploads
from vitviz.ui.server.uploads import KeptUploads, Quota, UploadQuota


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(clock: Clock) -> KeptUploads:
    return KeptUploads(lifetime=100, max_bytes=10, clock=clock)


def test_a_picture_is_its_own_browsers_alone(kept: KeptUploads) -> None:
    own = kept.keep("ann", "upload", b"abc", (60, 40))
    assert kept.find("ann", "upload") == own and own.scaled == (60, 40)
    assert kept.find("bob", "upload") is None and kept.find("ann", "second") is None and kept.find("", "upload") is None


def test_a_browser_without_cookies_leaves_nothing_behind(kept: KeptUploads) -> None:
    own = kept.keep("", "upload", b"abc")
    assert kept.find("", "upload") is None and kept.nbytes == 0
    kept.forget("")
    assert kept.holds("", own)


def test_it_goes_a_while_after_it_was_last_shown(kept: KeptUploads, clock: Clock) -> None:
    kept.keep("ann", "upload", b"abc")
    for clock.now in (99.0, 198.0):
        assert kept.find("ann", "upload") is not None
    clock.now = 298.0
    assert kept.find("ann", "upload") is None and kept.nbytes == 0


def test_it_goes_though_nobody_comes_back(kept: KeptUploads, clock: Clock) -> None:
    kept.keep("ann", "upload", b"abc")
    clock.now = 99.0
    kept.clean()
    assert kept.nbytes == 3
    clock.now = 100.0
    kept.clean()
    assert kept.nbytes == 0


def test_those_shown_longest_ago_make_room(kept: KeptUploads) -> None:
    for visitor in ("ann", "bob", "cid"):
        kept.keep(visitor, "upload", b"abc")
    kept.find("ann", "upload")
    kept.keep("dan", "upload", b"abcd")
    assert [kept.find(visitor, "upload") is None for visitor in ("ann", "bob", "cid", "dan")] == [
        False,
        True,
        False,
        False,
    ]
    assert kept.nbytes == 10


def test_forgotten_is_forgotten_in_every_tab(kept: KeptUploads) -> None:
    first = kept.keep("ann", "upload", b"abc")
    other = kept.keep("bob", "upload", b"abc")
    kept.forget("ann")
    assert kept.find("ann", "upload") is None and not kept.holds("ann", first) and kept.holds("bob", other)
    assert first.content == b"" and other.content == b"abc"  # an open tab has nothing left, though it has not run since
    assert kept.holds("ann", kept.keep("ann", "upload", b"new"))


class TestUploads:
    def quota(self, nbytes: int = 1000, base: str = "") -> tuple[TestClient, dict[str, list[str]], Clock]:
        files: dict[str, list[str]] = {}
        clock = Clock()

        def drop(session: str, file: str) -> None:
            files[session].remove(file)

        guard = Middleware(
            UploadQuota,
            quota=Quota(nbytes, clock),
            kept=lambda session: [*files.get(session, ())],
            drop=drop,
            base_path=base,
        )
        return client(guard), files, clock

    def put(self, browser: TestClient, session: str, size: int, base: str = "", **options: object) -> int:
        return browser.put(f"{base}/_stcore/upload_file/{session}/file", content=bytes(size), **options).status_code

    @pytest.mark.parametrize("base", ["", "/lab"])
    def test_a_session_has_so_many_bytes_an_hour(self, base: str) -> None:
        browser, _, clock = self.quota(base=base)
        assert [self.put(browser, "a", 400, base) for _ in range(3)] == [200, 200, 429]
        assert self.put(browser, "a", 200, base) == 200
        assert self.put(browser, "a", 1, base) == 429
        assert self.put(browser, "b", 1000, base) == 200, "another session has its own"
        clock.now += 1800
        assert [self.put(browser, "a", size, base) for size in (501, 500, 1)] == [429, 200, 429]
        clock.now += 3600
        assert self.put(browser, "a", 1000, base) == 200

    def test_150_uploads_of_10_megabytes_are_not_all_taken(self) -> None:
        browser, files, _ = self.quota(300_000_000)
        taken = 0
        content = bytes(10_000_000)
        for number in range(150):
            if browser.put("/_stcore/upload_file/a/f", content=content).status_code == 200:
                taken += 1
                files.setdefault("a", []).append(str(number))
            assert len(files["a"]) <= 2
            if taken < number + 1:
                break
        assert taken == 30

    def test_bytes_that_were_not_announced_count_as_well(self) -> None:
        browser, _, _ = self.quota()
        for _ in range(2):
            answer = browser.put("/_stcore/upload_file/a/f", content=(bytes(300) for _ in range(2)))
            assert answer.status_code == 200
        assert self.put(browser, "a", 1) == 429

    def test_earlier_files_are_let_go_of_before_the_next_is_kept(self) -> None:
        browser, files, _ = self.quota()
        files.update(a=["first", "second", "third"], b=["first", "second"])
        self.put(browser, "a", 1)
        assert files == {"a": ["third"], "b": ["first", "second"]}

    def test_so_many_at_once(self) -> None:
        guard = UploadQuota(None, Quota(1000), lambda _: [], lambda *_: None)
        begun: list[int] = []

        async def inner(scope: Scope, receive: Receive, send: Send) -> None:
            begun.append(1)
            await guard(scope, receive, send)  # one more while this one is under way

        guard.app = inner
        browser = TestClient(guard)
        for times in (1, 2):
            assert self.put(browser, "a", 1) == 429
            assert len(begun) == times * uploads.UPLOADS_AT_ONCE, "and what is refused or over takes no place"

    def slow(self, takes: object) -> UploadQuota:
        """The guard around an answer that `takes` gives."""
        return UploadQuota(takes, Quota(10_000_000), lambda _: [], lambda *_: None)

    async def send(self, guard: UploadQuota, receive: object, address: str = "203.0.113.1", session: str = "a") -> int:
        """The status that an upload is answered with."""
        path = f"/_stcore/upload_file/{session}/file"
        scope = {"type": "http", "method": "PUT", "path": path, "headers": [], "client": (address, 5000)}
        answers: list[dict[str, object]] = []

        async def answer(message: dict[str, object]) -> None:
            answers.append(message)

        await guard(scope, receive, answer)
        self.headers = dict(answers[0]["headers"])
        return answers[0]["status"]

    @staticmethod
    async def read(scope: object, receive: object, send: object) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            size, more = size + len(message["body"]), message["more_body"]
        await PlainTextResponse(str(size))(scope, receive, send)

    def test_an_upload_that_does_not_come_on_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(uploads, "FIRST_SECONDS", 0.05)
        monkeypatch.setattr(uploads, "READ_AT_ONCE", 1)
        monkeypatch.setattr(uploads, "WAIT_SECONDS", -1.0)
        monkeypatch.setattr(uploads, "UPLOADS_AT_ONCE", 1)
        guard, parts = self.slow(self.read), [bytes(100)]

        async def receive() -> dict[str, object]:
            if not parts:
                await asyncio.sleep(60)
            return {"type": "http.request", "body": parts.pop(), "more_body": True}

        assert awaited(self.send(guard, receive)) == 413
        assert self.headers[b"connection"] == b"close", "what still comes is not read"

        async def receive_whole() -> dict[str, object]:
            return {"type": "http.request", "body": b"", "more_body": False}

        assert awaited(self.send(guard, receive_whole)) == 200, "the only place is free again"

    def waited(self, monkeypatch: pytest.MonkeyPatch, others: int, parts: list[tuple[float, int]]) -> list[float]:
        """The seconds that each part of an upload, (seconds it takes, bytes), is waited for, beside others of the address."""
        clock, given = Clock(), []
        monkeypatch.setattr(uploads, "time", SimpleNamespace(monotonic=clock))

        async def wait_for(coming: object, seconds: float) -> object:
            given.append(seconds)
            return await coming

        monkeypatch.setattr(uploads.asyncio, "wait_for", wait_for)
        guard, coming = self.slow(self.read), [*parts]

        async def receive() -> dict[str, object]:
            seconds, size = coming.pop(0)
            clock.now += seconds
            return {"type": "http.request", "body": bytes(size), "more_body": bool(coming)}

        guard._places.taken["203.0.113.1"] = others
        assert awaited(self.send(guard, receive)) == 200
        return given

    def test_what_has_come_gives_an_upload_more_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        parts = [(30, 1_000_000), (30, 500_000), (30, 0)]
        assert self.waited(monkeypatch, 0, parts) == [10, 10 + 50 - 30, 10 + 75 - 60], "20 kB a second"

    def test_uploads_of_one_address_have_to_come_so_fast_together(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A class whose line carries 20 kB a second: ten at once come with 2 kB a second each."""
        parts = [(5, 10_000)] * 20
        assert self.waited(monkeypatch, 9, parts) == [10.0] * 20

    def test_no_upload_takes_longer_than_ten_minutes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        parts = [(100, 5_000_000)] * 3
        assert self.waited(monkeypatch, 0, parts) == [10, 10 + 250 - 100, 10 + 500 - 200]
        assert self.waited(monkeypatch, 9, parts) == [10, 610 - 100, 610 - 200]

    def test_so_many_are_read_at_once_and_half_of_them_of_one_address(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(uploads, "READ_AT_ONCE", 4)

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def run() -> None:
            over, reading = asyncio.Event(), []

            async def hold(scope: dict[str, object], receive: object, send: object) -> None:
                reading.append(scope["client"][0])
                await over.wait()
                await self.read(scope, receive, send)

            guard = self.slow(hold)

            async def reads(*addresses: str) -> None:
                while sorted(reading) != [*addresses]:
                    await asyncio.sleep(0.01)

            sent = [asyncio.create_task(self.send(guard, receive, "one", str(number))) for number in range(3)]
            await reads("one", "one")
            sent += [asyncio.create_task(self.send(guard, receive, "two", str(number))) for number in range(3, 5)]
            await reads("one", "one", "two", "two")
            monkeypatch.setattr(uploads, "WAIT_SECONDS", -1.0)
            assert await self.send(guard, receive, "three", "5") == 503
            over.set()
            assert await asyncio.gather(*sent) == [200] * 5, "who waited has the place of another"
            over.clear()
            reading.clear()
            addresses = ["one", "one", "two", "two"]
            sent = [
                asyncio.create_task(self.send(guard, receive, *each)) for each in zip(addresses, "abcd", strict=True)
            ]
            await reads(*addresses)
            over.set()
            assert await asyncio.gather(*sent) == [200] * 4, "all places were free again"

        awaited(run())

    def test_who_waits_has_a_turn_in_the_order_of_coming_and_too_many_of_one_address_do_not_wait(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(uploads, "READ_AT_ONCE", 2)
        monkeypatch.setattr(uploads, "WAITING", 3)

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def run() -> None:
            order, ends = [], {}

            async def hold(scope: dict[str, object], receive: object, send: object) -> None:
                order.append(scope["path"].split("/")[-2])
                ends[order[-1]] = asyncio.Event()
                await ends[order[-1]].wait()
                await self.read(scope, receive, send)

            async def settle() -> None:
                for _ in range(20):
                    await asyncio.sleep(0)

            guard = self.slow(hold)
            sent = {}
            for address, session in (
                ("one", "a"),
                ("one", "b"),
                ("one", "c"),
                ("one", "d"),
                ("two", "e"),
                ("two", "f"),
            ):
                sent[session] = asyncio.create_task(self.send(guard, receive, address, session))
                await settle()
            assert order == ["a", "e"], "one of each address"
            assert await self.send(guard, receive, "one", "g") == 503, "three of it wait"
            sent["b"].cancel()  # whose sender has left
            await settle()
            for ended, next_one in (("e", "f"), ("a", "c"), ("c", "d")):
                ends[ended].set()
                await settle()
                assert order[-1] == next_one
            for last in "df":
                ends[last].set()
            assert await asyncio.gather(*(sent[session] for session in "acdef")) == [200] * 5
            later = [asyncio.create_task(self.send(guard, receive, address, address)) for address in ("one", "two")]
            await settle()
            assert order[-2:] == ["one", "two"], "both places are free again"
            for last in ("one", "two"):
                ends[last].set()
            assert await asyncio.gather(*later) == [200] * 2

        awaited(run())

    def test_a_session_that_is_not_there_takes_no_place(self) -> None:
        guard = UploadQuota(
            PlainTextResponse(), Quota(9), lambda _: [], lambda *_: None, known=lambda name: name == "a"
        )
        browser = TestClient(guard)
        assert [self.put(browser, session, 1) for session in "ab"] == [200, 400]

    def test_sessions_that_are_counted_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(uploads, "COUNTED", 5)
        quota = Quota(1000)
        for number in range(50):
            quota.spend(str(number), 10)
        assert [number for number in range(50) if quota.left(str(number)) < 1000] == [45, 46, 47, 48, 49]
