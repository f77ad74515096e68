"""Two networks side by side, step by step (the Python half of `frontend/views/networks.js`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from vitviz.analysis.receptive_field import ReceptiveField
from vitviz.draw.objects import field_levels
from vitviz.ui.components.mounting import Component, mount, registered
from vitviz.ui.server.payloads import pack, pack_picture, unpack
from vitviz.ui.text.common import NETWORKS_WORDS

# Pixels to a side of what is sent: the pictures stand at no more than 320 CSS pixels.
MOST_PIXELS = 448


@dataclass(frozen=True)
class NetworkSide:
    """One of the two networks.

    Attributes:
        title: Above its picture.
        name: Of its curve.
        url: Of `fields_payload` or `pictures_payload`.
        frames: "fields" or "pictures": which of the two.
        captions: (frames,) below its picture, one a frame.
        x, values: (frames,) of its curve.
        band: (lower, upper), (frames,) each; None where the curve has none.
        ratio: Width over height of its pictures.
        alt: Text alternative of its pictures.
    """

    title: str
    name: str
    url: str
    frames: str
    captions: Sequence[str]
    x: Sequence[float]
    values: Sequence[float]
    band: tuple[Sequence[float], Sequence[float]] | None
    ratio: float
    alt: str

    def message(self) -> dict[str, Any]:
        """As JSON."""
        low, high = self.band or (None, None)
        return {
            "title": self.title,
            "name": self.name,
            "url": self.url,
            "frames": self.frames,
            "captions": list(self.captions),
            "x": [round(float(each), 6) for each in self.x],
            "values": [round(float(each), 6) for each in self.values],
            "low": low and [round(float(each), 6) for each in low],
            "high": high and [round(float(each), 6) for each in high],
            "ratio": self.ratio,
            "alt": self.alt,
        }


@dataclass(frozen=True)
class NetworkStep:
    """One position of the playhead: its place on the axis, the frame that each network shows there, and its sentence."""

    x: float
    frames: tuple[int, ...]
    said: str


@dataclass(frozen=True)
class Axes:
    """The axes of the curves: names, the upper end, and the numbers beside them as (value, text)."""

    x: str
    y: str
    top: float
    ticks: Sequence[tuple[float, str]]
    x_ticks: Sequence[tuple[float, str]]


@cache
def _component() -> Component:
    return registered("networks", "networks.css", NETWORKS_WORDS)


def show_networks(
    key: str,
    question: str,
    sides: Sequence[NetworkSide],
    steps: Sequence[NetworkStep],
    axes: Axes,
    *,
    alt: str,
    smooth: bool,
) -> None:
    """Mounts the view.

    Args:
        question: Identifies what is shown: while it is the same, the playhead stays.
        smooth: Whether there are pictures between two steps, so that it starts to play by itself.
        alt: Of the curves.
    """
    data = {
        "question": question,
        "sides": [side.message() for side in sides],
        "steps": [{"x": round(step.x, 6), "frames": list(step.frames), "said": step.said} for step in steps],
        "start": len(steps) - 1 if smooth else 0,
        "smooth": smooth,
        "axes": {
            "x": axes.x,
            "y": axes.y,
            "top": axes.top,
            "ticks": [list(tick) for tick in axes.ticks],
            "x_ticks": [list(tick) for tick in axes.x_ticks],
        },
        "chart_alt": alt,
    }
    mount(_component(), key, data, lambda _: None, slot="height: 300px;")


def fields_payload(fields: Sequence[ReceptiveField], picture: Image.Image | None) -> bytes:
    """What each field is painted with (fields, height, width), and the picture under them; none under a mean over pictures."""
    height, width = fields[0].gradient.shape
    scale = max(1, math.ceil(max(height, width) / MOST_PIXELS))
    small = (max(1, width // scale), max(1, height // scale))
    gradients = [_shrunk(field.gradient, small) for field in fields]
    arrays = {"frames": np.stack([field_levels(gradient) for gradient in gradients])}
    if picture is not None:
        arrays |= unpack(pack_picture(picture.resize(small, Image.Resampling.BOX)))[0]
    meta = {
        "centres": [list(field.centre) for field in fields],
        "sides": [field.side for field in fields],
        "pixels": [height, width],
    }
    return pack(arrays, meta)


def pictures_payload(pictures: np.ndarray) -> bytes:
    """(frames, height, width, 3) uint8, one below the other in one picture."""
    _, height, width, _ = pictures.shape
    scale = max(1, math.ceil(max(height, width) / MOST_PIXELS))
    if scale > 1:
        small = (width // scale, height // scale)
        pictures = np.stack(
            [np.asarray(Image.fromarray(each).resize(small, Image.Resampling.BOX)) for each in pictures]
        )
    return pack_picture(Image.fromarray(pictures.reshape(-1, *pictures.shape[2:])))  # (frames * height, width, 3)


def _shrunk(gradient: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if size == gradient.shape[::-1]:
        return gradient
    return np.asarray(Image.fromarray(gradient.astype(np.float32)).resize(size, Image.Resampling.BOX))
