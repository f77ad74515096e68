"""What is set up once for the whole server, at once or while the first visitors are served."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module

from starlette.formparsers import MultiPartParser

from vitviz.errors import VitvizError
from vitviz.ui.pages.registry import pages_shown
from vitviz.ui.server.settings import settings
from vitviz.ui.server.starting import StartStep

_LOG = logging.getLogger(__name__)

# Libraries that only some pages import. What is imported after `gc.freeze` is visited by the garbage collector after every run
# of a page, and a second freeze would also keep whatever the requests of that moment hold, for as long as the server runs.
LATER = ("scipy.stats", "captum.attr", "pandas")
# Seconds after which a thread is switched while libraries are imported, so that the first visitor's page does not wait.
SWITCH_SECONDS = 0.001
embedded_read = False


def steps() -> list[StartStep]:
    """The steps of the start in their order. Their weights are seconds on two idle cores."""
    return [
        StartStep("torch", 1.5, _import_torch),
        StartStep("models", 2.5, partial(import_module, "vitviz.ui.compute.loading")),
        StartStep("figures", 2.0, partial(import_module, "vitviz.ui.controls.targets")),
        StartStep("pages", 0.7, _import_pages),
        StartStep("embedded model", 0.8, _read_model),
        StartStep("decoders", 0.2, _start_services),
        StartStep("first view", 0.8, _prepare_first_view),
        StartStep("heap", 0.5, settle),
    ]


def _import_torch() -> None:
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.disable()  # imports leave no garbage, and collecting takes a fifth of their time; until `settle`
    import_module("torch")


def _import_pages() -> None:
    import_module("vitviz.ui.shell.main")
    for page in pages_shown():
        page.load()


def _read_model() -> None:
    from vitviz.ui.compute import loading

    global embedded_read
    embedded_read = read_embedded(loading.embedded)


def _start_services() -> None:
    from vitviz.ui.compute import loading, services
    from vitviz.ui.controls.targets import prepare_gallery
    from vitviz.ui.shell import assembly

    services.decoders().start()
    assembly.watch(settings())
    services.pool()
    if embedded_read and settings().prepare:
        prepare_gallery(loading.embedded())


def _prepare_first_view() -> None:
    from vitviz.ui.compute import loading
    from vitviz.ui.controls.captions import prepare_first_view

    if embedded_read:
        prepare_first_view(loading.embedded())


def read_embedded(read: Callable[[], object]) -> bool:
    """Reads the embedded model. Where it cannot be read, the server starts nevertheless: pages that need it say why, and
    other models work. Returns whether it was read.
    """
    try:
        read()
    except VitvizError as error:
        _LOG.error("the server starts without the embedded model: %s", error)
        return False
    return True


def settle() -> None:
    """Exempts loaded objects from garbage collection, and keeps freed memory for the next pass. Call once, when
    everything is imported.

    After every run of a page Streamlit collects garbage over the whole heap. With torch imported that takes 300 ms; frozen
    objects are not visited again.
    """
    from vitviz.capture import memory

    for name in LATER:
        import_module(name)
    gc.collect()
    gc.freeze()
    gc.enable()
    sys.setswitchinterval(0.005)
    memory.keep_freed_memory()


def let_idle_threads_sleep() -> None:
    """Lets torch's threads sleep while they wait for one another, unless the operator said otherwise. Call before torch is
    imported, whose OpenMP reads it once.

    By default they spin. Where several passes or programs share the processor, the thread that is waited for is not scheduled:
    on two busy cores a pass then takes 1.5 s of processor time instead of 0.3 s.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def keep_uploads_in_memory() -> None:
    """Keeps uploads from being written to disk, as the sidebar promises.

    Starlette parses an upload into a `SpooledTemporaryFile`, which becomes a file on disk beyond 1 MB, and with a limit of 0
    never. Streamlit refuses a body larger than `server.maxUploadSize` and 1 MB while it is read, and keeps files in memory.
    """
    MultiPartParser.spool_max_size = 0
