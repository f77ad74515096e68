"""What happens once, before and shortly after the first visitor."""

from __future__ import annotations

import gc
import threading
from importlib import import_module

# Libraries that only some pages need: imported while the first visitor looks at the first page, so that it opens sooner.
LATER = ("scipy.stats", "captum.attr")
LATER_SECONDS = 20.0


def settle() -> None:
    """Takes what is loaded out of the garbage collector's way.

    After every run of a page Streamlit collects garbage over the whole heap. With torch imported that takes 300 ms; what is
    frozen here is not walked through again.
    """
    gc.collect()
    gc.freeze()


def import_later() -> None:
    """Imports the rest in the background, a while from now, and settles again: what comes after a freeze is walked through."""
    timer = threading.Timer(LATER_SECONDS, _import_the_rest)
    timer.daemon = True
    timer.start()


def _import_the_rest() -> None:
    for name in LATER:
        import_module(name)
    settle()
