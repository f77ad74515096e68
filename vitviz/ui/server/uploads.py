"""Pictures that visitors sent, kept for a short time so that they survive a reload of the page; and how much anybody may send.

A picture belongs to the random cookie of the browser that sent it (`route.VisitorCookie`), which no script can read. A browser
without cookies has its pictures for as long as its tab is open. They are never written to disk and never shown to others,
and they are deleted when the visitor asks for it, in all tabs of that browser.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from weakref import WeakKeyDictionary

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vitviz.ui.server.guards import SHARE, address_of, has_place, refuse
from vitviz.ui.server.settings import url_prefix

KEPT_SECONDS = 30 * 60.0  # after a picture was last shown
KEPT_BYTES = 128 * 2**20  # of all visitors
QUOTA_SECONDS = 3600.0
COUNTED = 10_000  # visitors and sessions that are remembered
UPLOADS = "/_stcore/upload_file/"
# Uploads of one session at once; each is held in memory while it is received.
UPLOADS_AT_ONCE = 2
# Read at once of everybody; who comes later waits, so many of one address and for so many seconds at most.
READ_AT_ONCE, WAITING, WAIT_SECONDS = 20, 100, 300.0
# Bytes a second that the uploads of one address have to come with together, from their first seconds on, since a class shares
# its line; and the seconds that one takes at most: 10 MB alone take up to nine minutes.
SLOWEST, FIRST_SECONDS, LONGEST_SECONDS = 20_000, 10.0, 600.0
# Of one session, kept by Streamlit beside the newest: the app takes a file's bytes as soon as it has come.
UPLOADS_KEPT = 1


@dataclass(eq=False)
class Upload:
    """A picture as it was sent.

    Attributes:
        content: The file; empty once its browser has asked for it to be deleted, whatever still refers to this.
        scaled: (width, height) before the browser scaled it down; None where it did not.
        turn: How often its browser had asked for its pictures to be forgotten when it was sent.
    """

    content: bytes
    scaled: tuple[int, int] | None = None
    turn: int = 0


class KeptUploads:
    """Pictures by (visitor's cookie, name): bounded in bytes, those shown longest ago go first."""

    def __init__(
        self,
        lifetime: float = KEPT_SECONDS,
        max_bytes: int = KEPT_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lifetime, self._max_bytes, self._clock = lifetime, max_bytes, clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], tuple[Upload, float]] = OrderedDict()  # -> (picture, when shown last)
        self._turns: OrderedDict[str, int] = OrderedDict()
        self._sent: WeakKeyDictionary[Upload, str] = WeakKeyDictionary()  # -> visitor: also those that only a tab holds

    def keep(self, visitor: str, name: str, content: bytes, scaled: tuple[int, int] | None = None) -> Upload:
        """The picture, kept for its visitor where the browser has a cookie."""
        with self._lock:
            upload = Upload(content, scaled, self._turns.get(visitor, 0))
            if visitor:
                self._sent[upload] = visitor
                self._kept[visitor, name] = upload, self._clock()
                self._kept.move_to_end((visitor, name))
            self._clean()
            return upload

    def find(self, visitor: str, name: str) -> Upload | None:
        """The picture of that name that this visitor sent last, which is kept anew from now on."""
        with self._lock:
            self._clean()
            if (visitor, name) not in self._kept:
                return None
            upload, _ = self._kept[visitor, name]
            self._kept[visitor, name] = upload, self._clock()
            self._kept.move_to_end((visitor, name))
            return upload

    def holds(self, visitor: str, upload: Upload) -> bool:
        """Whether its visitor has not deleted their pictures since."""
        return self._turns.get(visitor, 0) == upload.turn

    def forget(self, visitor: str) -> None:
        """Deletes everything that this visitor sent, in all tabs."""
        with self._lock:
            for key in [key for key in self._kept if key[0] == visitor]:
                del self._kept[key]
            for upload in [upload for upload, sender in self._sent.items() if sender == visitor]:
                upload.content = b""  # a tab that is open keeps it until it runs again
            if visitor:
                self._turns[visitor] = self._turns.pop(visitor, 0) + 1
                while len(self._turns) > COUNTED:
                    self._turns.popitem(last=False)

    def clean(self) -> None:
        """Deletes pictures whose time is over, without a request."""
        with self._lock:
            self._clean()

    @property
    def nbytes(self) -> int:
        return sum(len(upload.content) for upload, _ in self._kept.values())

    def _clean(self) -> None:
        oldest = self._clock() - self._lifetime
        while self._kept and (next(iter(self._kept.values()))[1] <= oldest or self.nbytes > self._max_bytes):
            self._kept.popitem(last=False)


class Quota:
    """Bytes that a session may send within an hour; those that were sent count less as time passes, in the end not at all."""

    def __init__(self, nbytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.nbytes, self._clock = nbytes, clock
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()  # session -> (bytes that count, when)

    def left(self, session: str) -> float:
        """Bytes that Streamlit's session of that id may still send."""
        spent, when = self._spent.get(session, (0.0, 0.0))
        return self.nbytes - max(0.0, spent - (self._clock() - when) * self.nbytes / QUOTA_SECONDS)

    def spend(self, session: str, nbytes: int) -> None:
        """Counts bytes that were received."""
        self._spent[session] = (self.nbytes - self.left(session) + nbytes, self._clock())
        self._spent.move_to_end(session)
        while len(self._spent) > COUNTED:
            self._spent.popitem(last=False)


@cache
def kept() -> KeptUploads:
    """The pictures that this server keeps."""
    return KeptUploads()


@cache
def quota(nbytes: int) -> Quota:
    """The quota of this server, for uploads and for pictures that components send."""
    return Quota(nbytes)


class _GivenUp(Exception):
    """An upload that is read no further: status and reason of the answer."""


class _Places:
    """Uploads that are read at once, of all and of one address. Who comes later waits: nothing of it is read until its turn."""

    def __init__(self, share: float) -> None:
        self._share = share
        self.taken: Counter[str] = Counter()  # address -> uploads that are read
        self._waiting: dict[asyncio.Future[None], str] = {}  # turn -> address, in the order in which they came

    @asynccontextmanager
    async def place(self, address: str) -> AsyncIterator[None]:
        """A place inside the block. Raises _GivenUp where too many wait, or it took too long."""
        busy = _GivenUp(503, "too many pictures are coming now; try again in a minute")
        if [*self._waiting.values()].count(address) >= WAITING:
            raise busy
        turn = asyncio.get_running_loop().create_future()
        self._waiting[turn] = address
        self._call_in()
        try:
            try:
                async with asyncio.timeout(WAIT_SECONDS):  # `wait_for` loses a cancellation in the moment of the turn
                    await turn
            except TimeoutError:
                raise busy from None
            yield
        finally:
            self._waiting.pop(turn, None)
            if turn.done() and not turn.cancelled():  # it has a place, though its sender may have left in that moment
                self.taken[address] -= 1
                self.taken += Counter()  # without those that have none
            self._call_in()

    def _call_in(self) -> None:
        """Gives the places that are free to who waits longest, of the addresses that may have one more."""
        for turn, address in [*self._waiting.items()]:
            if self.taken.total() >= READ_AT_ONCE:
                return
            if not turn.done() and has_place(self.taken, address, READ_AT_ONCE, self._share):
                del self._waiting[turn]
                self.taken[address] += 1
                turn.set_result(None)


class UploadQuota:
    """Bounds what one session, a tab, uploads: at once, within an hour, and in files kept. Of everybody, so many are read at
    once, and none that does not come on.

    Args:
        quota: Bytes within an hour.
        kept: Gives the names of a session's files, the oldest first.
        drop: Deletes one of them.
        known: Whether there is such a session.
        share: Of the uploads that are read at once, that one address may have.
    """

    def __init__(
        self,
        app: ASGIApp,
        quota: Quota,
        kept: Callable[[str], list[str]],
        drop: Callable[[str, str], None],
        base_path: str = "",
        known: Callable[[str], bool] = lambda _: True,
        share: float = SHARE,
    ) -> None:
        self.app, self._quota, self._kept, self._drop, self._known = app, quota, kept, drop, known
        self._path = f"{url_prefix(base_path)}{UPLOADS}"
        self._under_way: dict[str, int] = {}
        self._places = _Places(share)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "PUT" or not scope["path"].startswith(self._path):
            await self.app(scope, receive, send)
            return
        session = scope["path"].removeprefix(self._path).partition("/")[0]
        length = Headers(scope=scope).get("content-length", "")
        announced = int(length) if length.isascii() and length.isdigit() and len(length) < 16 else 0
        if not self._known(session):
            await refuse(scope, receive, send, 400, "this page is over; reload it")
        elif self._under_way.get(session, 0) >= UPLOADS_AT_ONCE:
            await refuse(scope, receive, send, 429, "send one picture at a time")
        elif self._quota.left(session) < max(announced, 1):
            await refuse(scope, receive, send, 429, "upload limit reached; try again in an hour")
        else:
            await self._take(session, scope, receive, send)

    async def _take(self, session: str, scope: Scope, receive: Receive, send: Send) -> None:
        until, latest, more, begun, address = 0.0, 0.0, True, False, address_of(scope)

        async def counted() -> Message:
            nonlocal until, more
            if not more:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(until - time.monotonic(), 0))
            except TimeoutError:
                raise _GivenUp(413, "the picture came too slowly; try a smaller one") from None
            size = len(message.get("body", b""))
            more = message.get("more_body", False)
            # Others of the address take their part of its line, so that each may come more slowly while they do.
            until = min(until + size * self._places.taken[address] / SLOWEST, latest)
            self._quota.spend(session, size)
            return message

        async def answer(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        self._under_way[session] = self._under_way.get(session, 0) + 1
        try:
            async with self._places.place(address):
                for file in self._kept(session)[:-UPLOADS_KEPT]:
                    self._drop(session, file)
                until = time.monotonic() + FIRST_SECONDS
                latest = until + LONGEST_SECONDS
                await self.app(scope, counted, answer)
        except _GivenUp as given_up:
            if not begun:
                await refuse(scope, receive, send, *given_up.args)
        finally:
            self._under_way[session] -= 1
            if not self._under_way[session]:
                del self._under_way[session]
