"""The journey: one photograph's pass through the model in one figure (the Python half of `frontend/views/journey.js`)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from vitviz.ui.components.mounting import Component, mount, registered
from vitviz.ui.selection import MAX_QUERY

LARGEST_UPLOAD = 4_000_000  # bytes that the figure sends as they are; it scales larger pictures down
LONGEST_NAME = 200


@dataclass(frozen=True)
class JourneyView:
    """What was chosen in the figure.

    pinned  name of the chosen token ("r3c5", "cls"), "" where none is
    hidden  patches that are hidden, counted row by row, ascending
    """

    pinned: str = ""
    hidden: tuple[int, ...] = ()

    @classmethod
    def reported(cls, report: object, num_patches: int) -> JourneyView | None:
        """A browser's report, None where it is invalid: a browser may send anything."""
        if not isinstance(report, Mapping):
            return None
        pinned, mask = report.get("pinned") or "", report.get("mask")
        if not isinstance(pinned, str) or len(pinned) > MAX_QUERY or not isinstance(mask, list):
            return None
        if not all(type(cell) is int and 0 <= cell < num_patches for cell in mask):
            return None
        return cls(pinned, tuple(sorted(set(mask))))


@dataclass(frozen=True)
class SentPhotograph:
    """A photograph from a file or the camera.

    Attributes:
        scaled: (width, height) before the browser scaled it down; None where it did not.
    """

    name: str
    content: bytes
    scaled: tuple[int, int] | None


@dataclass(frozen=True)
class Action:
    """An action of a control of the figure.

    kind    "page": open a page; "image": take a sample; "upload": take `upload`
    name    of the page or the sample
    layer, head, pinned  what that page is to show; head None for all
    """

    kind: str
    name: str = ""
    layer: int = 0
    head: int | None = None
    pinned: str = ""
    upload: SentPhotograph | None = None

    @classmethod
    def reported(cls, report: object) -> Action | None:
        """As `JourneyView.reported`."""
        if not isinstance(report, Mapping):
            return None
        kind = report.get("kind")
        if kind == "image" and isinstance(report.get("id"), str):
            return cls("image", str(report["id"])[:LONGEST_NAME])
        if kind == "upload":
            upload = _upload(report)
            return None if upload is None else cls("upload", upload=upload)
        if kind == "page":
            page, layer, head, pinned = (report.get(name) for name in ("page", "layer", "head", "pinned"))
            if type(layer) is not int or not (head is None or type(head) is int) or min(layer, head or 0) < 0:
                return None
            if isinstance(page, str) and isinstance(pinned or "", str) and len(pinned or "") <= MAX_QUERY:
                return cls("page", page[:LONGEST_NAME], layer, head, pinned or "")
        return None


def _upload(report: Mapping[str, Any]) -> SentPhotograph | None:
    name, data, scaled = report.get("name"), report.get("data"), report.get("scaled")
    if not isinstance(name, str) or not isinstance(data, str) or len(data) > 4 * LARGEST_UPLOAD // 3 + 4:
        return None
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None
    size = None
    if isinstance(scaled, list) and len(scaled) == 2 and all(type(side) is int and 0 < side < 10**6 for side in scaled):
        size = (scaled[0], scaled[1])
    return SentPhotograph(name[:LONGEST_NAME], content, size)


# CSS of the space that the figure takes, as `frontend/views/journey_figure.js` sizes it, with empty places for the photograph,
# the line of patches and two rows of six layers; on a phone one row. The figure has a ground of its own and covers it.
_SPACE = """--high: calc(100svh - 386px); --empty: color-mix(in srgb, currentColor 9%, transparent);
--answer: clamp(150px, 21cqi, 280px); --frame: min((100cqi - var(--answer) - 58px) / 6, 0.2175 * var(--high), 160px);
--photo: min(var(--high) - max(146px, 2 * var(--frame)), 36cqi, 480px); --below: calc(var(--photo) + 82px);
--row: repeating-linear-gradient(90deg, var(--empty) 0 var(--frame), transparent 0 calc(var(--frame) + 6px));
--place: linear-gradient(var(--empty) 0 0); --line: repeating-linear-gradient(var(--empty) 0 12px, transparent 0 28px);
background: var(--place) 0 28px / var(--photo) var(--photo),
  var(--line) calc(var(--photo) + 28px) 28px / 100% calc(var(--photo) - 40px),
  var(--row) 2px var(--below) / calc(6 * var(--frame) + 30px) var(--frame),
  var(--row) 2px calc(var(--below) + var(--frame) + 30px) / calc(6 * var(--frame) + 30px) var(--frame);
background-repeat: no-repeat; height: calc(var(--photo) + 43.5svh + 116px);
@media (max-width: 640px) {
  --photo: min(100cqi, 340px); --frame: 64px; --below: calc(var(--photo) + 498px);
  background: var(--place) 0 28px / var(--photo) var(--photo),
  var(--line) 0 calc(var(--photo) + 318px) / 100% 96px,
    var(--row) 2px var(--below) / 100% var(--frame);
  background-repeat: no-repeat;
}"""


@cache
def _component(words: tuple[tuple[str, str], ...]) -> Component:
    return registered("journey", "journey.css", dict(words))


def journey(
    data: Mapping[str, Any],
    words: Mapping[str, str],
    num_patches: int,
    on_change: Callable[[JourneyView], None],
    on_act: Callable[[Action], None],
    *,
    key: str,
) -> None:
    """Mounts the figure.

    data       what it shows, with addresses in place of arrays: see `pages/start/figure.py`, which makes it
    words      its sentences
    on_change  called with the chosen token and the hidden patches, before the page runs again
    on_act     called with a control's action, before the page runs again
    """

    def changed(report: object) -> None:
        view = JourneyView.reported(report, num_patches)
        if view is not None:
            on_change(view)

    def acted(report: object) -> None:
        act = Action.reported(report)
        if act is not None:
            on_act(act)

    mount(_component(tuple(sorted(words.items()))), key, data, changed, acted, slot=_SPACE)
