"""What may be downloaded from the hub, and in whose name: everything, unless the operator of a server sets less.

The limits belong to the thread that loads: `with limited(Limits(...)):` around `load_model` or `weight_bytes`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from vitviz.errors import HubError

# What a disk keeps free whatever the limits are, so that other programs on the machine can go on.
FREE_BYTES = 500_000_000


@dataclass(frozen=True)
class Limits:
    """file_bytes: of one file, None for any number; cache_bytes: of all files in the hub's cache together, None for any number;
    token: whether the account that is set up on this machine is used.
    """

    file_bytes: int | None = None
    cache_bytes: int | None = None
    token: bool = True

    @property
    def hub_token(self) -> bool | None:
        """As the hub's client takes it: None for the account that is set up, False for none."""
        return None if self.token else False

    def need_file(self, what: str, nbytes: int) -> None:
        """Raises HubError where a file is larger than one may be. what: names it to people."""
        if self.file_bytes is not None and nbytes > self.file_bytes:
            raise HubError(
                f"{what} takes {_gigabytes(nbytes)}, and this server downloads files of at most "
                f"{_gigabytes(self.file_bytes)}. Choose a smaller model."
            )

    def need_space(self, what: str, nbytes: int, cache: Path) -> None:
        """Raises HubError where a file would not fit into the cache beside what is there, or into the disk."""
        self.need_file(what, nbytes)
        if self.cache_bytes is not None and _used(cache) + nbytes > self.cache_bytes:
            raise HubError(
                f"{what} takes {_gigabytes(nbytes)}, and the space that this server has for models is used up. Choose a model "
                "that is already there, or ask whoever runs the server."
            )
        if self != Limits() and _free(cache) - nbytes < FREE_BYTES:
            raise HubError(f"{what} takes {_gigabytes(nbytes)}, and the server's disk is full. Choose a smaller model.")


_LIMITS: ContextVar[Limits] = ContextVar("limits of downloads", default=Limits())  # noqa: B039  frozen


def limits() -> Limits:
    """Those of this thread."""
    return _LIMITS.get()


@contextmanager
def limited(to: Limits) -> Iterator[None]:
    """These limits in this thread, inside the block."""
    before = _LIMITS.set(to)
    try:
        yield
    finally:
        _LIMITS.reset(before)


def _gigabytes(nbytes: int) -> str:
    return f"{nbytes / 1e9:.1f} GB" if nbytes >= 1e9 else f"{nbytes / 1e6:.0f} MB"


def _used(cache: Path) -> int:
    """Bytes of the files in the cache; its links count nothing."""
    return sum(path.lstat().st_size for path in cache.rglob("*") if path.is_file() and not path.is_symlink())


def _free(cache: Path) -> int:
    there = next(folder for folder in (cache, *cache.parents) if folder.is_dir())
    return shutil.disk_usage(there).free
