"""The component "who looks at whom": registered once, fed with addresses, answering with what is pinned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Literal

from vitviz.ui.components.mounting import Component, mount, registered
from vitviz.ui.text.microscope import MICROSCOPE


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
def _component() -> Component:
    return registered("microscope", "view.js", "microscope.css", MICROSCOPE)


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
                   `view`, and the microscope moves there
    picture        address of a payload of `wire.pack_picture`
    layer_address  layer -> address of a payload of `layer_arrays`; called for the shown layer and its neighbours
    key            the component's key
    neighbours     layers on either side that the browser may fetch before anybody turns to them

    Only addresses and the view travel through Streamlit.
    """

    def taken(report: object) -> None:
        reported = MicroscopeView.reported(report, num_layers)
        if reported is not None:
            on_change(reported)

    nearest = range(view.layer - neighbours, view.layer + neighbours + 1)
    near = [layer for layer in nearest if 0 <= layer < num_layers]
    data = {
        "asked": {"selection": asdict(view)},
        "picture": picture,
        "num_layers": num_layers,
        "layers": {str(layer): layer_address(layer) for layer in near},
    }
    mount(_component(), key, data, taken)
