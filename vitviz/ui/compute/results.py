"""Results by key, within bounds of bytes and of entries; the least recently used are removed first."""

from __future__ import annotations

import dataclasses
import sys
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakValueDictionary

import numpy as np


@dataclass(frozen=True)
class Key:
    """Identifies one result: equal keys mean equal numbers.

    Attributes:
        what: The question: "trace", "rollout", .
        model: The name the model was loaded by.
        weights: Fingerprint of the loaded model (see `Model.fingerprint`), so that two of one name never meet.
        image: Hash of the image, "" where the result depends on no picture.
        size: (height, width) of the model input in pixels, None for the model's own.
        framing: How the picture was brought to that size.
        params: Whatever else the result depends on, as (name, value) pairs in alphabetical order.
        scope: None for shared results (gallery pictures), a session's id for private ones. It is part of the key, so that a
            session never gets a result of another's upload, not even for the same bytes.
    """

    what: str
    model: str
    weights: str
    image: str = ""
    size: tuple[int, int] | None = None
    framing: str = ""
    params: tuple[tuple[str, Hashable], ...] = ()
    scope: str | None = None

    def derive(self, what: str, **params: Hashable) -> Key:
        """The key of another question about the same model and image."""
        return replace(self, what=what, params=tuple(sorted(params.items())))


# Sessions that ended last: a run of one of them may still be under way and offer what it has computed.
FORGOTTEN = 10_000


def size_of(value: Any) -> int:
    """Bytes that a result holds in memory: of every array and tensor in it the whole memory that it is a view of, once."""
    return _size(value, set())


def _size(value: Any, seen: set[int]) -> int:
    while isinstance(value, np.ndarray) and (isinstance(value.base, np.ndarray) or _is_tensor(value.base)):
        value = value.base
    if _is_tensor(value):
        storage = value.untyped_storage()
        name, nbytes = storage._cdata, storage.nbytes()
    elif isinstance(value, np.ndarray):
        name, nbytes = id(value), value.nbytes
    elif hasattr(value, "getbands"):  # a PIL image
        name, nbytes = id(value), int(value.width * value.height * len(value.getbands()))
    else:
        parts = _parts(value)
        if parts is None:
            name, nbytes = id(value), sys.getsizeof(value)
        elif id(value) in seen:
            return 0
        else:
            seen.add(id(value))
            return sum(_size(part, seen) for part in parts)
    if name in seen:
        return 0
    seen.add(name)
    return nbytes


def _is_tensor(value: Any) -> bool:
    return callable(getattr(value, "untyped_storage", None))


def _parts(value: Any) -> Iterable[Any] | None:
    """What a value is made of; None where it is one piece."""
    if callable(getattr(value, "parameters", None)) and callable(getattr(value, "buffers", None)):  # a module
        return [*value.parameters(), *value.buffers()]
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, tuple | list | set | frozenset):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        own = getattr(value, "__dict__", None)  # with what cached properties keep
        return [*own.values()] if own is not None else [getattr(value, f.name) for f in dataclasses.fields(value)]
    return None


class Results:
    """A bounded store, safe to use from every thread. Values are shared between callers, which must not write to them.

    Attributes:
        weakly: Whether what does not fit can still be found for as long as another reference holds it, so that it is not
            made twice.
        max_share: Bytes of them that may be private to one session; beyond, the session's own are removed. All of them where 0.
    """

    def __init__(self, max_bytes: int, max_entries: int, weakly: bool = False, max_share: int = 0) -> None:
        self.max_bytes = max_bytes
        self.max_entries = max_entries
        self.max_share = max_share
        self._weakly = weakly
        self._weak: WeakValueDictionary[Key, Any] = WeakValueDictionary()
        self._lock = threading.Lock()
        self._held: OrderedDict[Key, tuple[Any, int]] = OrderedDict()
        self._for_ever: dict[Key, Any] = {}
        self._forgotten: OrderedDict[str, None] = OrderedDict()  # scopes, the last FORGOTTEN of them
        self._bytes = 0

    def get(self, key: Key) -> Any:
        """The result, or None; marks it as just used."""
        with self._lock:
            if key in self._for_ever:
                return self._for_ever[key]
            if key not in self._held:
                return self._weak.get(key)
            self._held.move_to_end(key)
            return self._held[key][0]

    def put(self, key: Key, value: Any, for_ever: bool = False) -> None:
        """Keeps the result if it fits at all and its session is not over, and removes the least recently used until the
        bounds hold.

        Args:
            for_ever: As long as the server runs, beside the bounds: for small results that are known before it starts.
        """
        size = size_of(value)
        with self._lock:
            self._drop(key)
            if for_ever:
                self._for_ever[key] = value
                return
            if key.scope in self._forgotten:
                return
            if self._weakly:
                self._weak[key] = value
            if size <= self.max_bytes:
                self._hold(key, value, size)

    def measure(self, key: Key) -> None:
        """Counts a result again that has grown since it was put, and keeps the bounds."""
        with self._lock:
            if key in self._held:
                value = self._held[key][0]
                self._drop(key)
                size = size_of(value)
                if size <= self.max_bytes:
                    self._hold(key, value, size)

    def keeps(self, key: Key) -> bool:
        """Whether the result stays here even without another reference."""
        return key in self._held or key in self._for_ever

    def _hold(self, key: Key, value: Any, size: int) -> None:
        self._held[key] = (value, size)
        self._bytes += size
        if self.max_share and key.scope is not None:
            own = [each for each in self._held if each.scope == key.scope]  # the least recently used first
            nbytes = sum(self._held[each][1] for each in own)
            while nbytes > self.max_share and len(own) > 1:
                nbytes -= self._held[own[0]][1]
                self._drop(own.pop(0))
        while self._bytes > self.max_bytes or len(self._held) > self.max_entries:
            self._drop(next(iter(self._held)))

    def forget(self, scope: str) -> None:
        """Removes everything private to one session, and keeps nothing more of it."""
        with self._lock:
            self._forgotten[scope] = None
            if len(self._forgotten) > FORGOTTEN:
                self._forgotten.popitem(last=False)
            for key in [key for key in self._held if key.scope == scope]:
                self._drop(key)
            for key in [key for key in self._weak if key.scope == scope]:
                del self._weak[key]

    def clear_scope(self, scope: str, but: Hashable = None) -> None:
        """Removes the results private to one session, whose picture has changed.

        Args:
            scope: The session.
            but: Key of a result that is kept.
        """
        with self._lock:
            for key in [key for key in self._held if key.scope == scope and key != but]:
                self._drop(key)

    def clear(self) -> None:
        """Drops everything, also weak references: the next request computes it again."""
        with self._lock:
            for key in list(self._held):
                self._drop(key)
            self._for_ever.clear()
            self._weak.clear()

    def __iter__(self) -> Iterator[Key]:
        """The keys of what is held now, the least recently used first."""
        with self._lock:
            return iter(tuple(self._held))

    def remove(self, key: Key) -> None:
        """Drops one result; nothing where it is not held."""
        with self._lock:
            self._drop(key)

    def _drop(self, key: Key) -> None:
        held = self._held.pop(key, None)
        if held is not None:
            self._bytes -= held[1]

    @property
    def nbytes(self) -> int:
        return self._bytes

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, key: Key) -> bool:
        return key in self._held or key in self._for_ever or key in self._weak
