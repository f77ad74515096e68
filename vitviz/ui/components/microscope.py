"""The Python half of the microscope: its view, and one layer's attention as arrays for the browser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from vitviz.capture.attention import Attention, BiasTable, DenseBias
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout
from vitviz.ui.components.mounting import Component, mount, registered


@dataclass(frozen=True)
class MicroscopeView:
    """The state of the microscope, as the browser reports it.

    Attributes:
        token: Name of the pinned token ("cls", "reg0", "r3c5"), None where nothing is pinned.
        layer: Counted from 0.
        head: Counted from 0, or "mean", or "all".
        direction: "at": the row of the weights with the token as query; "by": the column with it as key.
        measure: "weight", or "value" for weight times value norm.
        scale: "robust" ends the colours at the 99th percentile, "raw" at the largest.
        shared: One scale for all heads.
        links: The strongest links are drawn over the picture.
    """

    token: str | None = None
    layer: int = 0
    head: int | Literal["mean", "all"] = "all"
    direction: Literal["at", "by"] = "at"
    measure: Literal["weight", "value"] = "weight"
    scale: Literal["robust", "raw"] = "robust"
    shared: bool = False
    links: bool = True

    @classmethod
    def reported(cls, report: object, num_layers: int) -> MicroscopeView | None:
        """A browser's report, None where it is invalid: a browser may send anything."""
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
def _component(words: tuple[tuple[str, str], ...]) -> Component:
    return registered("microscope", "microscope.css", dict(words))


def microscope(
    view: MicroscopeView,
    on_change: Callable[[MicroscopeView], None],
    *,
    picture: str,
    ratio: float,
    num_layers: int,
    layer_address: Callable[[int], str],
    key: str,
    words: Mapping[str, str],
    neighbours: int = 1,
) -> None:
    """Mounts the microscope.

    Args:
        view: What to show; the page keeps it.
        on_change: Called with a new state of the microscope, before the page runs again, which then passes it as `view`.
        picture: Address of a payload of `payloads.pack_picture`.
        ratio: Its width over its height.
        layer_address: Layer -> address of a payload of `layer_arrays`; called for the shown layer and its neighbours.
        key: The component's key.
        words: Its sentences in the browser, by their names in the JavaScript.
        neighbours: Layers on either side that the browser may fetch in advance.

    Only addresses and the view travel through Streamlit.
    """

    def taken(report: object) -> None:
        reported = MicroscopeView.reported(report, num_layers)
        if reported is not None:
            on_change(reported)

    nearest = range(view.layer - neighbours, view.layer + neighbours + 1)
    near = [layer for layer in nearest if 0 <= layer < num_layers]
    data = {
        "view": asdict(view),
        "picture": picture,
        "num_layers": num_layers,
        "layers": {str(layer): layer_address(layer) for layer in near},
    }
    # As core/layout.js sizes the picture on a wide screen, and what stands around it.
    slot = (
        f"width: min(56%, max(300px, 100svh - 290px) * {ratio}); aspect-ratio: {ratio}; margin-bottom: 161px; "
        "min-height: max(0px, min(800px, (640px - 100vw) * 99));"
    )
    mount(_component(tuple(words.items())), key, data, taken, slot=slot)


# The largest payload that a browser can hold and a home network can transfer: 1,370 tokens and 12 heads of explicit weights
# are 45 MB, and the queries and keys of 21,905 tokens and 6 heads 68 MB.
MAX_BYTES = 72 * 2**20
# Explicit weights are sent as 16-bit codes of each head's range: for weights in [0, 1] no code is further than 8e-6 off.
CODES = 65535


def layer_arrays(
    attention: Attention, value_norm: Tensor | None = None, *, half: bool = False
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """One layer's attention as the arrays from which a browser computes any weight: O(tokens x width), not tokens squared.

    Arrays and meta of one payload (see `payloads.pack`); `frontend/core/weights.js` is the reader.

    From queries and keys: "q" (heads, queries, head_dim), "k" (heads, keys, head_dim), "lse" (heads, queries) float32, and
    the bias as "bias_table" (entries, heads) float32 with "bias_index" (queries, keys) uint16 or int32, or as "bias" (heads
    or 1, queries or 1, keys) float32. From explicit weights: "explicit" (heads, queries, keys) uint16 codes,
    "explicit_range" (heads, 2) float32: the value is range[h, 0] + code * range[h, 1].

    Args:
        half: "q" and "k" are sent as float16, half as many bytes; a weight is then within a percent or so of its value.
            value_norm (heads, keys), where given, goes along as "value_norm": ||v_k W_o|| of each head, so that weight
            times norm is the value-weighted attention of Kobayashi et al. (2020, arXiv 2004.10102).

    Raises:
        UnsupportedError: Where the payload would be too large for a browser.
    """
    arrays = _explicit(attention.explicit) if attention.explicit is not None else _from_queries_and_keys(attention)
    if half:
        arrays |= {name: arrays[name].astype(np.float16) for name in ("q", "k") if name in arrays}
    if value_norm is not None:
        arrays["value_norm"] = _float32(value_norm)
    size = sum(array.nbytes for array in arrays.values())
    if size > MAX_BYTES:
        raise UnsupportedError(
            f"The weights of {attention.name} need {size / 2**20:,.0f} MB in the browser, more than the "
            f"{MAX_BYTES / 2**20:,.0f} MB allowed. Choose a smaller input size."
        )
    meta = {
        "name": attention.name,
        "num_heads": attention.num_heads,
        "scale": float(attention.scale),
        "rows_sum_to_one": attention.rows_sum_to_one,
        "query": _layout(attention.query_layout),
        "key": _layout(attention.key_layout),
    }
    return arrays, meta


def _from_queries_and_keys(attention: Attention) -> dict[str, np.ndarray]:
    assert attention.q is not None and attention.k is not None
    arrays = {"q": _float32(attention.q), "k": _float32(attention.k), "lse": _float32(attention.log_sum_exp())}
    if isinstance(attention.bias, BiasTable):
        index = attention.bias.index.cpu().numpy()
        arrays["bias_table"] = _float32(attention.bias.table)
        arrays["bias_index"] = index.astype(np.uint16 if len(attention.bias.table) <= CODES else np.int32)
    elif isinstance(attention.bias, DenseBias):
        arrays["bias"] = _float32(attention.bias.values)
    return arrays


def _explicit(weights: Tensor) -> dict[str, np.ndarray]:
    # Head by head: a stack of float32 copies would hold several times what is sent.
    codes = np.empty(tuple(weights.shape), np.uint16)  # (heads, queries, keys)
    ranges = np.empty((len(codes), 2), np.float32)
    for head, matrix in enumerate(weights):
        values = _float32(matrix)
        low = min(0.0, float(values.min()))
        step = (float(values.max()) - low) / CODES or 1.0
        codes[head] = np.rint((values - low) / step)
        ranges[head] = low, step
    return {"explicit": codes, "explicit_range": ranges}


def _float32(tensor: Tensor) -> np.ndarray:
    return tensor.detach().to("cpu", torch.float32).contiguous().numpy()


def _layout(layout: TokenLayout) -> dict[str, Any]:
    return {"prefix": list(layout.prefix), "grid": list(layout.grid), "patch_size": list(layout.patch_size)}
