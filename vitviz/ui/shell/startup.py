"""What is set once for the whole server, before the first visitor."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from importlib import import_module

from starlette.formparsers import MultiPartParser

from vitviz.capture.memory import keep_freed_memory
from vitviz.errors import VitvizError

_LOG = logging.getLogger(__name__)

# Libraries that only some pages import. What is imported after `gc.freeze` is walked through after every run of a page, and a
# second freeze would also keep whatever the requests of that moment hold, for as long as the server runs.
LATER = ("scipy.stats", "captum.attr")


def read_embedded(read: Callable[[], object]) -> bool:
    """Reads the embedded model before the first visitor comes. Where it cannot be read, the server starts all the same: every
    page that needs it says why, and other models work. Whether it was read.
    """
    try:
        read()
    except VitvizError as error:
        _LOG.error("the server starts without the embedded model: %s", error)
        return False
    return True


def settle() -> None:
    """Takes what is loaded out of the garbage collector's way, and keeps freed memory for the next pass. Call once, before
    anybody is served.

    After every run of a page Streamlit collects garbage over the whole heap. With torch imported that takes 300 ms; what is
    frozen here is not walked through again.
    """
    for name in LATER:
        import_module(name)
    gc.collect()
    gc.freeze()
    keep_freed_memory()


def keep_uploads_in_memory() -> None:
    """Lets no upload be written to disk, as the sidebar says.

    Starlette parses an upload into a `SpooledTemporaryFile`, which becomes a file on disk beyond 1 MB, and with a limit of 0
    never. Streamlit refuses a body larger than `server.maxUploadSize` and 1 MB while it is read, and keeps files in memory.
    """
    MultiPartParser.spool_max_size = 0
