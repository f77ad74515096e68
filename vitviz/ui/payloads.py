"""The payload store: binary arrays under names nobody can guess, for one session, for a while.

A page offers arrays and gets an address; the browser fetches them once and keeps them. The address is a keyed hash over the
session, the content and the time it ends, so it cannot be made up, and it stays the same while the page is drawn again.
"""

from __future__ import annotations

import gzip
import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

# Fast enough to be no burden (100 MB/s), and most of what gzip can do for float32, which is little, and for uint8,
# which is much.
GZIP_LEVEL = 1


@dataclass(frozen=True)
class Payload:
    """One entry: the compressed bytes, who may fetch them (a visitor's cookie, "" for whoever has the name), and until when."""

    body: bytes
    visitor: str
    expires: float


@dataclass
class _Offer:
    name: str
    expires: float


class PayloadStore:
    """Bounded, safe to use from every thread. Times are in seconds on `clock`."""

    def __init__(
        self,
        max_bytes: int = 256 * 2**20,
        lifetime: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_bytes, self.lifetime = max_bytes, lifetime
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, Payload] = OrderedDict()  # name -> entry, used longest ago first
        self._bodies: dict[
            bytes, tuple[bytes, int]
        ] = {}  # content digest -> (compressed bytes, entries that share them)
        self._digest_of: dict[str, bytes] = {}  # name -> content digest
        self._offers: dict[tuple[str, str, Hashable], _Offer] = {}  # (session, visitor, key) -> what was offered
        self._offer_of: dict[str, tuple[str, str, Hashable]] = {}
        self._bytes = 0

    def offer(self, session: str, key: Hashable, build: Callable[[], bytes], visitor: str = "") -> str:
        """The name under which `build()`'s bytes can be fetched by this session.

        key      names the content within the session; while it was offered less than half a lifetime ago, `build` is not called
        visitor  the cookie of the browser behind the session, where there is one: others get nothing, even with the name
        """
        now = self._clock()
        with self._lock:
            self._drop_expired(now)
            known = self._offers.get((session, visitor, key))
            if known is not None and known.name in self._entries and known.expires - now > self.lifetime / 2:
                self._entries.move_to_end(known.name)
                return known.name
        raw = build()  # outside the lock: it may compute
        digest = hashlib.sha256(raw).digest()
        with self._lock:
            shared = self._bodies.get(digest)
        body = shared[0] if shared else gzip.compress(raw, GZIP_LEVEL, mtime=0)
        expires = now + self.lifetime
        name = self._name(session, visitor, digest, expires)
        with self._lock:
            self._drop(name)
            self._add(name, Payload(body, visitor, expires), digest)
            self._offers[session, visitor, key] = _Offer(name, expires)
            self._offer_of[name] = (session, visitor, key)
            while self._bytes > self.max_bytes and len(self._entries) > 1:
                self._drop(next(iter(self._entries)))
        return name

    def fetch(self, name: str, visitor: str = "") -> bytes | None:
        """The compressed bytes, or None for a name that is wrong, has run out or is somebody else's: all look the same."""
        now = self._clock()
        with self._lock:
            self._drop_expired(now)
            entry = self._entries.get(name)
            if entry is None or (entry.visitor and not hmac.compare_digest(entry.visitor.encode(), visitor.encode())):
                return None
            self._entries.move_to_end(name)
            return entry.body

    def forget(self, session: str) -> None:
        """A session is over: its names stop working."""
        with self._lock:
            for name in [offer.name for (owner, _, _), offer in self._offers.items() if owner == session]:
                self._drop(name)

    @property
    def nbytes(self) -> int:
        """Compressed bytes held; content that several sessions were offered counts once."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    def _name(self, session: str, visitor: str, digest: bytes, expires: float) -> str:
        parts = [session.encode(), visitor.encode(), digest, repr(expires).encode()]
        framed = b"".join(
            len(part).to_bytes(4, "little") + part for part in parts
        )  # lengths, so that parts cannot run together
        return hmac.new(self._secret, framed, hashlib.sha256).hexdigest()

    def _add(self, name: str, entry: Payload, digest: bytes) -> None:
        body, sharers = self._bodies.get(digest, (entry.body, 0))
        if not sharers:
            self._bytes += len(body)
        self._bodies[digest] = (body, sharers + 1)
        self._entries[name] = Payload(body, entry.visitor, entry.expires)
        self._digest_of[name] = digest

    def _drop(self, name: str) -> None:
        if self._entries.pop(name, None) is None:
            return
        digest = self._digest_of.pop(name)
        body, sharers = self._bodies.pop(digest)
        if sharers > 1:
            self._bodies[digest] = (body, sharers - 1)
        else:
            self._bytes -= len(body)
        offered = self._offer_of.pop(name, None)
        if offered is not None and self._offers[offered].name == name:
            del self._offers[offered]

    def _drop_expired(self, now: float) -> None:
        for name in [name for name, entry in self._entries.items() if entry.expires <= now]:
            self._drop(name)
