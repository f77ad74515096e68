"""Pictures that visitors sent, kept for a short time so that they survive a reload of the page; and how much anybody may send.

A picture belongs to the random cookie of the browser that sent it (`route.VisitorCookie`), which no script can read. A browser
without cookies has its pictures for as long as its tab is open. They are never written to disk and never shown to others,
and they are deleted when the visitor asks for it, in all tabs of that browser.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from weakref import WeakKeyDictionary

KEPT_SECONDS = 30 * 60.0  # after a picture was last shown
KEPT_BYTES = 128 * 2**20  # of all visitors
QUOTA_SECONDS = 3600.0
COUNTED = 10_000  # visitors and sessions that are remembered


@dataclass(eq=False)
class Upload:
    """A picture as it was sent.

    Attributes:
        content: the file; empty once its browser has asked for it to be deleted, whatever still refers to this.
        scaled: (width, height) before the browser scaled it down; None where it did not.
        turn: how often its browser had asked for its pictures to be forgotten when it was sent.
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
