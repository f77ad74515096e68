"""The payload store: binary arrays under unguessable names, for one session, for a while.

A page offers arrays and gets an address; the browser fetches them once and keeps them. The address is a keyed hash over the
session, the content and the time it ends, so it cannot be made up, and it stays the same while the page is drawn again.

A payload is small enough to read in thirty lines of JavaScript, aligned so that nothing is copied there:

    4 bytes    "VVZ1"
    4 bytes    length of the header, unsigned, little endian
    header     UTF-8 JSON {"arrays": {name: {"dtype", "shape", "offset"}}, "meta": {...}}, padded with spaces so that what
               follows starts at a multiple of 8
    arrays     raw, little endian, row by row; each at its offset, counted from the end of the header, a multiple of 8

The first four bytes let a reader distinguish a payload from the page that a server sends for an address it does not know.
"""

from __future__ import annotations

import gzip
import hashlib
import hmac
import io
import json
import secrets
import struct
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

# Fast (100 MB/s), and close to the best compression of gzip for float32, which is small, and for uint8, which is large.
GZIP_LEVEL = 1
# Bytes from the middle that are tried first, and the largest share of them that compression may leave: queries and keys shrink
# by 7% only, for which 13 ms a layer are too much.
TRIED, WORTH = 65_536, 0.85


# What one session is offered without a fetch in between is a few dozen arrays; a page with every layer of a large model has
# hundreds. Both bounds are of names: content that several names share is held once.
MAX_ENTRIES, MAX_SESSION_ENTRIES = 8_192, 1_024
# Compressed, of all sessions together, and the share of one: where room ends, the session with most beyond it loses its own.
# What others share with it is no part of that: its names lead to bytes that stay held without them.
MAX_BYTES, MAX_SESSION_BYTES = 256 * 2**20, 64 * 2**20
# Sessions that ended last: a run of one of them may still be under way.
FORGOTTEN = 10_000


MAGIC = b"VVZ1"
DTYPES = ("float32", "float16", "uint16", "int32", "uint8")
_ALIGNMENT = 8


def pack(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any] | None = None) -> bytes:
    """One payload.

    Raises:
        TypeError: For an array of another type than `DTYPES`: a silent conversion would hide a loss.
    """
    described: dict[str, dict[str, Any]] = {}
    parts: list[bytes] = []
    offset = 0
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise TypeError(f"array {name!r} is {array.dtype}; a payload carries {', '.join(DTYPES)}")
        raw = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
        described[name] = {"dtype": array.dtype.name, "shape": list(array.shape), "offset": offset}
        parts.append(raw + bytes(-len(raw) % _ALIGNMENT))
        offset += len(parts[-1])
    header = json.dumps(
        {"arrays": described, "meta": dict(meta or {})}, allow_nan=False, separators=(",", ":")
    ).encode()
    header += b" " * (-(len(header) + 8) % _ALIGNMENT)
    return b"".join([MAGIC, struct.pack("<I", len(header)), header, *parts])


def pack_picture(picture: Image.Image) -> bytes:
    """A payload of a picture, as the array "picture" that holds a PNG file: one route and one rule serve everything."""
    encoded = io.BytesIO()
    picture.convert("RGB").save(encoded, "PNG", compress_level=3)
    return pack({"picture": np.frombuffer(encoded.getvalue(), np.uint8)})


def unpack(payload: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays by name, read only, and the meta.

    Raises:
        ValueError: For bytes that are no payload.
    """
    if payload[:4] != MAGIC or len(payload) < 8:
        raise ValueError("these bytes are not a payload: they do not begin with VVZ1")
    (length,) = struct.unpack_from("<I", payload, 4)
    header = json.loads(payload[8 : 8 + length])
    start = 8 + length
    arrays = {
        name: np.frombuffer(
            payload, np.dtype(entry["dtype"]).newbyteorder("<"), int(np.prod(entry["shape"])), start + entry["offset"]
        ).reshape(entry["shape"])
        for name, entry in header["arrays"].items()
    }
    return arrays, header["meta"]


def _compressed(raw: bytes) -> bytes:
    """The bytes in gzip's format, compressed where that saves enough."""
    middle = raw[max(0, len(raw) - TRIED) // 2 :][:TRIED]
    pays = len(raw) <= TRIED or len(gzip.compress(middle, GZIP_LEVEL)) <= WORTH * len(middle)
    return gzip.compress(raw, GZIP_LEVEL if pays else 0, mtime=0)


OfferKey = tuple[str, str, Hashable]  # (session, visitor, key)


@dataclass(frozen=True)
class Payload:
    """One entry.

    Attributes:
        digest: Names the compressed bytes, which entries share.
        offer: What it was offered as: (session, visitor's cookie or "" for any client with the name, key).
        expires: In seconds of the store's clock.
    """

    digest: bytes
    offer: OfferKey
    expires: float

    @property
    def session(self) -> str:
        return self.offer[0]

    @property
    def visitor(self) -> str:
        return self.offer[1]


@dataclass
class _Body:
    """Compressed bytes, empty while they are not made, with the names that lead to them, and how many each session has."""

    content: bytes
    names: set[str] = field(default_factory=set)
    holders: Counter[str] = field(default_factory=Counter)


class PayloadStore:
    """Bounded in bytes and in names, those of one session too; safe to use from every thread. Times are in seconds on `clock`,
    which never goes back.
    """

    def __init__(
        self,
        max_bytes: int = MAX_BYTES,
        lifetime: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
        max_entries: int = MAX_ENTRIES,
        max_session_entries: int = MAX_SESSION_ENTRIES,
        max_session_bytes: int = MAX_SESSION_BYTES,
    ) -> None:
        self.max_bytes, self.lifetime = max_bytes, lifetime
        self.max_entries, self.max_session_entries = max_entries, max_session_entries
        self.max_session_bytes = max_session_bytes
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, Payload] = OrderedDict()  # name -> entry, used longest ago first
        self._names: OrderedDict[str, None] = OrderedDict()  # names in the order in which they expire
        self._names_of: dict[str, OrderedDict[str, None]] = {}  # session -> all its names, used longest ago first
        self._offers: dict[OfferKey, str] = {}  # -> the latest name under which it was offered
        self._bodies: OrderedDict[bytes, _Body] = OrderedDict()  # by digest, used longest ago by any session first
        self._common: dict[Hashable, bytes] = {}  # key of what is the same in every session -> digest, while it is held
        self._common_of: dict[bytes, set[Hashable]] = {}  # and back
        self._builds: dict[bytes, Callable[[], bytes | None]] = {}  # digest -> makes the bytes that are not made yet
        self._bytes = 0
        self._bytes_of: Counter[str] = Counter()  # session -> bytes that no other session's names lead to
        self._forgotten: OrderedDict[str, None] = OrderedDict()  # sessions, the last FORGOTTEN of them

    def offer(
        self,
        session: str,
        key: Hashable,
        build: Callable[[], bytes | None],
        visitor: str = "",
        common: bool = False,
        when_fetched: bool = False,
    ) -> str:
        """The name under which `build()`'s bytes can be fetched by this session.

        Args:
            key: Names the content within the session; while it was offered less than half a lifetime ago, `build` is
                not called.
            visitor: The cookie of the browser behind the session, where there is one: others get nothing, even with the name.
            common: Whether key names the same content in every session: then it is built once for all, and each gets a name of
                its own.
            when_fetched: Calls `build` at the first fetch, for what no other session will be offered; None from it means that
                what it was to be made from is gone, and the name is invalid then. It must hold nothing large.
        """
        offered = (session, visitor, key)
        with self._lock:
            now = self._clock()
            self._drop_expired(now)
            known = self._offers.get(offered)
            if known is not None and self._entries[known].expires - now > self.lifetime / 2:
                self._used(known)
                return known
            digest = self._common.get(key) if common else None
            body = self._bodies[digest].content if digest else b""
        if when_fetched:
            digest = secrets.token_bytes(32)
        elif digest is None:
            raw = build() or b""  # outside the lock: it may compute
            digest = hashlib.sha256(raw).digest()
            with self._lock:
                shared = self._bodies.get(digest)
            body = shared.content if shared else _compressed(raw)
        with self._lock:
            # After `build`, so that names are added in the order in which they expire.
            expires = self._clock() + self.lifetime
            name = self._name(session, visitor, digest, expires)
            if session in self._forgotten:
                return name  # of a run that went on after the end of its session: the name is never valid
            self._drop(name)
            self._add(name, Payload(digest, offered, expires), body)
            if common:
                self._common[key] = digest
                self._common_of.setdefault(digest, set()).add(key)
            if when_fetched:
                self._builds[digest] = build
            self._keep_bounds(session)
        return name

    def fetch(self, name: str, visitor: str = "") -> bytes | None:
        """The compressed bytes, or None alike for a name that is wrong, has expired or is another session's."""
        with self._lock:
            self._drop_expired(self._clock())
            entry = self._entries.get(name)
            if entry is None or (entry.visitor and not hmac.compare_digest(entry.visitor.encode(), visitor.encode())):
                return None
            self._used(name)
            build, body = self._builds.get(entry.digest), self._bodies[entry.digest].content
        return body if build is None else self._built(name, entry, build)

    def _built(self, name: str, entry: Payload, build: Callable[[], bytes | None]) -> bytes | None:
        """The bytes of what is made when it is fetched, kept from now on; two fetches at once may both make them."""
        raw = build()
        body = None if raw is None else _compressed(raw)
        with self._lock:
            if body is None:
                self._drop(name)
            elif self._builds.pop(entry.digest, None):
                made = self._bodies[entry.digest]
                self._count(made, -1)
                made.content = body
                self._count(made, 1)
                self._keep_bounds(entry.session)
        return body

    def forget(self, session: str) -> None:
        """A session is over: all its names stop working, those that were renewed since included, and what a run of it that
        has not stopped yet still offers is not kept.
        """
        with self._lock:
            self._forgotten[session] = None
            if len(self._forgotten) > FORGOTTEN:
                self._forgotten.popitem(last=False)
            for name in [*self._names_of.get(session, ())]:
                self._drop(name)

    def clear_session(self, session: str) -> None:
        """All names of a session stop working; it goes on and will be offered others."""
        with self._lock:
            for name in [*self._names_of.get(session, ())]:
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

    def _used(self, name: str) -> None:
        entry = self._entries[name]
        self._entries.move_to_end(name)
        self._names_of[entry.session].move_to_end(name)
        self._bodies.move_to_end(entry.digest)

    def _count(self, body: _Body, sign: int) -> None:
        """Adds what a body takes to the sums, or takes it off: before and after each change of it."""
        if body.names:
            self._bytes += sign * len(body.content)
        if len(body.holders) == 1:
            self._bytes_of[next(iter(body.holders))] += sign * len(body.content)

    def _add(self, name: str, entry: Payload, content: bytes) -> None:
        body = self._bodies.setdefault(entry.digest, _Body(content))
        self._count(body, -1)
        body.names.add(name)
        body.holders[entry.session] += 1
        self._count(body, 1)
        self._entries[name] = entry
        self._names[name] = None
        self._names_of.setdefault(entry.session, OrderedDict())[name] = None
        self._offers[entry.offer] = name
        self._bodies.move_to_end(entry.digest)

    def _drop(self, name: str) -> None:
        entry = self._entries.pop(name, None)
        if entry is None:
            return
        del self._names[name]
        body = self._bodies[entry.digest]
        self._count(body, -1)
        body.names.remove(name)
        body.holders[entry.session] -= 1
        body.holders += Counter()  # without those that have none left
        self._count(body, 1)
        own = self._names_of[entry.session]
        del own[name]
        if not own:
            del self._names_of[entry.session], self._bytes_of[entry.session]
        if self._offers.get(entry.offer) == name:  # else it was offered again, under a later name
            del self._offers[entry.offer]
        self._builds.pop(entry.digest, None)
        if not body.names:
            del self._bodies[entry.digest]
            for key in self._common_of.pop(entry.digest, ()):
                self._common.pop(key, None)

    def _keep_bounds(self, session: str) -> None:
        """Drops what was used longest ago: of the session with too many names, of all, then what holds too many bytes. The
        latest offer stays.
        """
        own = self._names_of[session]
        while len(own) > max(self.max_session_entries, 1):
            self._drop(next(iter(own)))
        while len(self._entries) > max(self.max_entries, 1):
            self._drop(next(iter(self._entries)))
        while self._bytes > self.max_bytes and (names := self._first_to_go()):
            for name in names:
                self._drop(name)

    def _first_to_go(self) -> list[str]:
        """The names of what was used longest ago, of the session that alone holds most where that is more than its share, else
        of all; none where only the latest is left. Without all names of a body nothing is freed.
        """
        latest = self._entries[next(reversed(self._entries))].digest
        most, nbytes = max(self._bytes_of.items(), key=lambda item: item[1], default=("", 0))
        own = (self._entries[name].digest for name in self._names_of.get(most, ()))
        alone = (digest for digest in own if len(self._bodies[digest].holders) == 1)
        for digests in (alone if nbytes > self.max_session_bytes else (), self._bodies):
            for digest in digests:
                if digest != latest and self._bodies[digest].content:
                    return [*self._bodies[digest].names]
        return []

    def _drop_expired(self, now: float) -> None:
        while self._names:
            name = next(iter(self._names))
            if self._entries[name].expires > now:
                return
            self._drop(name)
