"""Limits on downloads from the hub, and the use of the machine's account; by default there are none.

Limits apply to the current thread: `with limited(Limits(...)):` around `load_model` or `weight_bytes`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from vitviz.errors import HubError

# Bytes of the disk that always stay free for other programs.
FREE_BYTES = 500_000_000


@dataclass(frozen=True)
class Limits:
    """Limits on downloads from the hub.

    Attributes:
        file_bytes: Largest size of one file; None for no limit.
        cache_bytes: Largest size of all files in the hub's cache together; None for no limit.
        token: Whether the account that is configured on this machine is used.
    """

    file_bytes: int | None = None
    cache_bytes: int | None = None
    token: bool = True

    @property
    def hub_token(self) -> bool | None:
        """The argument of the hub's client: None for the configured account, False for none."""
        return None if self.token else False

    def need_file(self, what: str, nbytes: int) -> None:
        """Raises HubError if a file of `nbytes` exceeds `file_bytes`; `what` is its name in the message."""
        if self.file_bytes is not None and nbytes > self.file_bytes:
            raise HubError(
                f"{what} takes {_gigabytes(nbytes)}, and this server downloads files of at most "
                f"{_gigabytes(self.file_bytes)}. Choose a smaller model."
            )

    def need_space(self, what: str, nbytes: int, cache: Path) -> None:
        """Raises HubError if a file of `nbytes` would exceed `cache_bytes` or the free disk space."""
        self.need_file(what, nbytes)
        if self.cache_bytes is not None and _used(cache) + nbytes > self.cache_bytes:
            raise HubError(
                f"{what} takes {_gigabytes(nbytes)}, and the space that this server has for models is used up. Choose a model "
                "that is already there, or ask the operator of the server."
            )
        if self != Limits() and _free(cache) - nbytes < FREE_BYTES:
            raise HubError(f"{what} takes {_gigabytes(nbytes)}, and the server's disk is full. Choose a smaller model.")


_LIMITS: ContextVar[Limits] = ContextVar("limits of downloads", default=Limits())  # noqa: B039  frozen


def limits() -> Limits:
    """The limits of this thread."""
    return _LIMITS.get()


@contextmanager
def limited(to: Limits) -> Iterator[None]:
    """Applies these limits to this thread inside the `with` block."""
    before = _LIMITS.set(to)
    try:
        yield
    finally:
        _LIMITS.reset(before)


def _gigabytes(nbytes: int) -> str:
    return f"{nbytes / 1e9:.1f} GB" if nbytes >= 1e9 else f"{nbytes / 1e6:.0f} MB"


def _used(cache: Path) -> int:
    """Bytes of the files in the cache, without symbolic links."""
    return sum(path.lstat().st_size for path in cache.rglob("*") if path.is_file() and not path.is_symlink())


def _free(cache: Path) -> int:
    there = next(folder for folder in (cache, *cache.parents) if folder.is_dir())
    return shutil.disk_usage(there).free
