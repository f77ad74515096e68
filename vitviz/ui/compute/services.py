"""The queues that the whole server shares, made once a process."""

from __future__ import annotations

from functools import cache

from vitviz.images.decoding import Decoders
from vitviz.models.limits import Limits
from vitviz.ui.compute import ComputeQueue, Results
from vitviz.ui.server import session
from vitviz.ui.server.settings import settings

# Traces and what is computed from them. A trace of the embedded model is 15 MB at 257 tokens and 80 MB at 1,370.
RESULT_BYTES, RESULT_ENTRIES = 1_500_000_000, 2_000
# Loaded models, each at its own input size. The embedded one is 88 MB. Sessions that show a larger one
# hold it themselves.
MODEL_BYTES, MODEL_ENTRIES = 4_000_000_000, 6
# Copies of models at other input sizes, where one module does not take several. Apart, so that they drive out one another and
# no model.
COPY_BYTES, COPY_ENTRIES = 1_000_000_000, 6


@cache
def queue() -> ComputeQueue:
    """Every forward pass and every analysis goes through here."""
    return ComputeQueue(Results(RESULT_BYTES, RESULT_ENTRIES))


@cache
def models() -> ComputeQueue:
    """Models are loaded here, and stay while there is room."""
    return ComputeQueue(Results(MODEL_BYTES, MODEL_ENTRIES, weakly=True))


@cache
def copies() -> ComputeQueue:
    """Models at another input size than their own, where that takes a copy of the module."""
    return ComputeQueue(Results(COPY_BYTES, COPY_ENTRIES, weakly=True))


def download_limits() -> Limits:
    """What visitors may have downloaded from the hub, and in whose name."""
    chosen = settings()
    return Limits(chosen.max_download, chosen.max_models_disk, chosen.hub_token)


@cache
def decoders() -> Decoders:
    """Uploads are decoded in these processes and never here."""
    return Decoders()


session.on_end(lambda name: queue().forget(name))
