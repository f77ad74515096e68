"""What the start page shows while the server starts: its figure, with what was prepared for the gallery's first photograph.

`scripts/prepare_opening.py` stores what the page sends to the browser about it: the photograph as the model's input, the
prediction read after every layer, the shares of attention of one patch. It is shown where model and photograph are still those
it was made from, and until the page itself replaces it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Any

import streamlit as st
from PIL import Image, ImageOps

from vitviz.assets import asset_path
from vitviz.errors import VitvizError
from vitviz.images import load_image
from vitviz.samples import Sample, samples
from vitviz.ui.components.journey import journey
from vitviz.ui.controls import navigation
from vitviz.ui.pages.start import text as words
from vitviz.ui.server import session, starting
from vitviz.ui.server.payloads import pack, unpack
from vitviz.ui.server.route import publish

FOLDER = "opening"
THUMBNAIL = 104  # pixels, for screens with two to a CSS pixel


def draw() -> None:
    """The heading, and the figure where it was prepared."""
    st.header(words.HEADING, anchor=False)
    figure = st.container(key="figure")
    prepared = prepared_figure()
    if prepared is None:
        return
    data, arrays = prepared
    own = session.current()
    layers = [
        {**layer, "url": own.offer(("opening", i), partial(pack, {"shares": arrays["shares"][i]}))}
        for i, layer in enumerate(data["layers"])
    ]
    sent = {
        **data,
        "picture": own.offer(("opening", "picture"), partial(pack, {"picture": arrays["picture"]})),
        "layers": layers,
        "position_map": own.offer(("opening", "position map"), partial(pack, {"features": arrays["position_map"]})),
        "gallery": [tile(sample) for sample in samples()],
        "pages": {name: page.title for name, page in navigation.pages().items()},
        "hiding": False,
        "starting": True,
    }
    rows, cols = data["layout"]["grid"]
    with figure:
        journey(sent, words.JOURNEY, rows * cols, _later("keep"), _later("act"), key="journey")


def _later(name: str) -> Callable[[Any], None]:
    """Actions of the figure, which the page takes over once it is there."""

    def taken(value: Any) -> None:
        starting.START.wait()
        getattr(import_module("vitviz.ui.pages.start.page"), name)(value)

    return taken


@cache
def prepared_figure() -> tuple[dict[str, Any], dict[str, Any]] | None:
    """(what is sent to the browser, arrays), or None where they are missing or of another model or photograph."""
    try:
        sent = json.loads(asset_path(FOLDER, "start.json").read_text(encoding="utf-8"))
        content = asset_path(FOLDER, "start.bin").read_bytes()
        if sent["made_from"] != made_from() or sent["sha256"] != hashlib.sha256(content).hexdigest():
            return None
        return sent["data"], unpack(content)[0]
    except (OSError, ValueError, KeyError, TypeError, VitvizError):  # the page says what is missing, once it is there
        return None


def made_from() -> dict[str, str]:
    """Hashes of the photograph and of the weights that `load_model` compares theirs with."""
    model = json.loads(asset_path("models", "vit_small_patch14_everyday.json").read_text(encoding="utf-8"))
    return {"photograph": samples()[0].sha256, "weights": model["sha256"]}


def tile(sample: Sample) -> dict[str, Any]:
    """A photograph of the gallery as the figure shows it."""
    address = publish(f"{sample.sha256} {THUMBNAIL}", lambda: thumbnail(load_image(sample.path)))
    note = "" if sample.shows else words.OUTSIDE
    return {"id": sample.id, "title": sample.title, "alt": sample.alt, "note": note, "url": address}


def thumbnail(image: Image.Image) -> bytes:
    """The middle of a photograph as a small JPEG."""
    file = io.BytesIO()
    ImageOps.fit(image, (THUMBNAIL, THUMBNAIL)).save(file, "JPEG", quality=80)
    return file.getvalue()
