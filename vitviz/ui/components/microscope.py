"""The component "who looks at whom": registered once, fed with addresses, answering with what is pinned."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import streamlit as st
from PIL import Image

from vitviz.draw.colour import table
from vitviz.draw.theme import LIGHT
from vitviz.ui.components.modules import joined
from vitviz.ui.text.microscope import MICROSCOPE
from vitviz.ui.wire import pack

FOLDER = Path(__file__).parent / "js"


@dataclass(frozen=True)
class MicroscopeView:
    """What the microscope shows, as it says so itself.

    token      name of the pinned token ("cls", "reg0", "r3c5"), None where nothing is pinned
    layer      counted from 0
    head       counted from 0, or "mean", or "all"
    direction  "at": where the token looks (a row of the weights); "by": who looks at it (a column)
    measure    "weight", or "value" for weight times value norm
    scale      "robust" ends the colours at the 99th percentile, "raw" at the largest
    shared     one scale for all heads
    links      the strongest links are drawn over the picture
    """

    token: str | None = None
    layer: int = 0
    head: int | Literal["mean", "all"] = "all"
    direction: Literal["at", "by"] = "at"
    measure: Literal["weight", "value"] = "weight"
    scale: Literal["robust", "raw"] = "robust"
    shared: bool = False
    links: bool = False

    @classmethod
    def reported(cls, report: object, num_layers: int) -> MicroscopeView | None:
        """What the browser reported, or None where it makes no sense: a browser may send anything."""
        if not isinstance(report, Mapping):
            return None
        try:
            view = cls(**{field.name: report[field.name] for field in fields(cls)})
        except KeyError:
            return None
        whole = [view.layer, *([view.head] if view.head not in ("mean", "all") else [])]
        known = (
            all(type(number) is int and number >= 0 for number in whole)
            and view.layer < num_layers
            and (view.token is None or (isinstance(view.token, str) and len(view.token) <= 16))
            and view.direction in ("at", "by")
            and view.measure in ("weight", "value")
            and view.scale in ("robust", "raw")
            and isinstance(view.shared, bool)
            and isinstance(view.links, bool)
        )
        return view if known else None


@cache
def _component() -> Callable[..., Any]:
    """Registers the component, once for a server."""
    given = {
        "WORDS": MICROSCOPE,
        "COLOURS": {
            "sequential": table(LIGHT.sequential).tobytes().hex(),
            "signed": table(LIGHT.diverging).tobytes().hex(),
        },
    }
    css = (FOLDER / "microscope.css").read_text(encoding="utf-8")
    return st.components.v2.component("vitviz.microscope", js=joined(FOLDER, "index.js", given), css=css)


def picture_payload(picture: Image.Image) -> bytes:
    """The picture under the grid, as the model saw it, in the form the component fetches."""
    encoded = io.BytesIO()
    picture.convert("RGB").save(encoded, "PNG", compress_level=3)
    return pack({"picture": np.frombuffer(encoded.getvalue(), np.uint8)}, {"type": "image/png"})


def microscope(
    view: MicroscopeView,
    on_change: Callable[[MicroscopeView], None],
    *,
    picture: str,
    num_layers: int,
    layer_address: Callable[[int], str],
    key: str,
    neighbours: int = 1,
) -> None:
    """Mounts the microscope.

    view           what to show; the page keeps it
    on_change      called with what has been chosen in the microscope, before the page runs again; what it keeps comes back as
                   `view`. A view that is not the one reported moves the microscope there.
    picture        address of a `picture_payload`
    layer_address  layer -> address of a payload of `layer_arrays`; called for the shown layer and its neighbours
    key            the component's key
    neighbours     layers on either side that the browser may fetch before anybody turns to them

    Only addresses and the view travel through Streamlit, and they stay the same from run to run, so that nothing is sent again.
    """

    def changed() -> None:
        reported = _reported(key, num_layers)
        if reported is not None:
            on_change(reported)

    asked = _asked(key, view, _reported(key, num_layers))
    nearest = range(view.layer - neighbours, view.layer + neighbours + 1)
    near = [layer for layer in nearest if 0 <= layer < num_layers]
    _component()(
        key=key,
        data={
            "asked": {"number": asked.number, "selection": asdict(asked.sent)},
            "picture": picture,
            "num_layers": num_layers,
            "layers": {str(layer): layer_address(layer) for layer in near},
        },
        on_selection_change=changed,
        on_stale_change=lambda: None,  # the run that follows offers every payload again
    )


def _reported(key: str, num_layers: int) -> MicroscopeView | None:
    state = st.session_state.get(key)
    return MicroscopeView.reported(state.get("selection"), num_layers) if isinstance(state, Mapping) else None


@dataclass(frozen=True)
class _Asked:
    """A view that Python asked for.

    number  tells the browser whether it has followed it already
    sent    the view that goes with the number
    seen    (the page's view, the browser's report) when this was last looked at
    """

    number: int
    sent: MicroscopeView
    seen: tuple[MicroscopeView, MicroscopeView | None]


def _asked(key: str, view: MicroscopeView, reported: MicroscopeView | None) -> _Asked:
    """The request to send: the one sent before, unless the page now wants something that the browser is not showing.

    A view that the browser itself reported is no request. Were it sent back, a hand that is quicker than the server would see
    its own past arrive.
    """
    place = f"{key}.asked"
    asked: _Asked | None = st.session_state.get(place)
    if asked is None:
        asked = _Asked(1, view, (view, reported))
    elif view == reported:
        asked = replace(asked, seen=(view, reported))
    elif asked.seen != (view, reported):
        asked = _Asked(asked.number + 1, view, (view, reported))
    st.session_state[place] = asked
    return asked
