"""Results by key, within bounds of bytes and of entries; what was used longest ago goes first."""

from __future__ import annotations

import dataclasses
import sys
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from vitviz.ui.compute.key import Key

# Sessions that ended last: a run of one of them may still be under way and offer what it has computed.
FORGOTTEN = 10_000


def size_of(value: Any) -> int:
    """Bytes a result keeps alive: its own `nbytes` where it knows, else the sum of its parts."""
    nbytes = getattr(value, "nbytes", None)
    if isinstance(nbytes, int):
        return nbytes
    if hasattr(value, "getbands"):  # a PIL image
        return int(value.width * value.height * len(value.getbands()))
    if callable(getattr(value, "parameters", None)):  # a module
        return sum(parameter.nbytes for parameter in value.parameters())
    if isinstance(value, Mapping):
        return sum(size_of(part) for part in value.values())
    if isinstance(value, (tuple, list)):
        return sum(size_of(part) for part in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return sum(size_of(getattr(value, field.name)) for field in dataclasses.fields(value))
    return sys.getsizeof(value)


class Results:
    """A bounded store, safe to use from every thread. Values are shared between askers: nobody writes to them."""

    def __init__(self, max_bytes: int, max_entries: int) -> None:
        self.max_bytes = max_bytes
        self.max_entries = max_entries
        self._lock = threading.Lock()
        self._held: OrderedDict[Key, tuple[Any, int]] = OrderedDict()
        self._forgotten: OrderedDict[str, None] = OrderedDict()  # scopes, the last FORGOTTEN of them
        self._bytes = 0

    def get(self, key: Key) -> Any:
        """The result, or None; marks it as just used."""
        with self._lock:
            if key not in self._held:
                return None
            self._held.move_to_end(key)
            return self._held[key][0]

    def put(self, key: Key, value: Any) -> None:
        """Keeps the result if it fits at all and its session is not over, and lets go of what was used longest ago until the
        bounds hold.
        """
        size = size_of(value)
        with self._lock:
            self._drop(key)
            if size > self.max_bytes or key.scope in self._forgotten:
                return
            self._held[key] = (value, size)
            self._bytes += size
            while self._bytes > self.max_bytes or len(self._held) > self.max_entries:
                self._drop(next(iter(self._held)))

    def forget(self, scope: str) -> None:
        """Lets go of everything private to one session, and keeps nothing more of it."""
        with self._lock:
            self._forgotten[scope] = None
            if len(self._forgotten) > FORGOTTEN:
                self._forgotten.popitem(last=False)
            for key in [key for key in self._held if key.scope == scope]:
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
        return key in self._held
