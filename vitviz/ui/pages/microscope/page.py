"""The microscope: the attention of every head of a layer for the patch under the pointer."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import streamlit as st
import torch

from vitviz.analysis.attention import sink_tokens
from vitviz.analysis.sinks import kept_value_norms, value_norms
from vitviz.errors import UnsupportedError
from vitviz.figures.microscope import TokenAttention, microscope_figure
from vitviz.tokens import TokenLayout, cell_name
from vitviz.ui import state
from vitviz.ui.components.microscope import MicroscopeView, layer_arrays, microscope
from vitviz.ui.compute import JobProgress
from vitviz.ui.context import PageContext
from vitviz.ui.controls import figure
from vitviz.ui.controls.captions import caption
from vitviz.ui.controls.frame import page
from vitviz.ui.escape import escaped
from vitviz.ui.pages.microscope import text as words
from vitviz.ui.server.payloads import pack, pack_picture
from vitviz.ui.text import common

# Beyond this a layer is over 12 MB for six heads, and is sent only when it is chosen.
PREFETCHED_TOKENS = 4000
SINKS_SHOWN = 3


def render(context: PageContext) -> None:
    with page(words.PAGE, context) as its:
        if not context.trace.layers:
            st.info(words.NO_LAYERS)
            return
        norms = _value_norms(context)
        view = view_of(context)

        def layer_payload(layer: int) -> bytes:
            norm = None if isinstance(norms, str) else norms[layer]
            return pack(*layer_arrays(context.layers[layer], norm))

        with its.figure():
            microscope(
                view,
                keep,
                picture=context.offer("microscope picture", lambda: pack_picture(context.shown)),
                ratio=context.shown.width / context.shown.height,
                num_layers=context.trace.num_layers,
                layer_address=lambda layer: context.offer(
                    "microscope layer", lambda: layer_payload(layer), layer=layer
                ),
                key="microscope",
                words=words.MICROSCOPE,
                neighbours=int(context.layout.num_tokens <= PREFETCHED_TOKENS),
            )
        with its.details():
            if isinstance(norms, str):
                st.caption(words.NO_VALUES.format(reason=escaped(norms)))
            _sinks(context, view.layer, norms)
            _exports(context, view)


def _sinks(context: PageContext, layer: int, norms: list[torch.Tensor] | str) -> None:
    """The sinks of the layer, and how long a vector each gives beside the median patch."""
    sinks = context.ask("sinks", lambda _: tuple(sink_tokens(context.layers[layer])), layer=layer)
    if not sinks or isinstance(norms, str):
        if not sinks:
            caption(words.NO_SINK, layer=layer)
        return
    mean = norms[layer].mean(0)  # (heads, keys) -> (keys,)
    median = float(mean[context.trace.layers[layer].key_layout.num_prefix :].median())
    said = [
        words.SINK_ONE.format(
            name=common.token(sink.name), times=sink.times_median, given=float(mean[sink.token]) / max(median, 1e-30)
        )
        for sink in sinks[:SINKS_SHOWN]
    ]
    caption(words.SINK, layer=layer, sinks="; ".join(said))


def view_of(context: PageContext) -> MicroscopeView:
    """The selection as the microscope's state."""
    selection = context.selection
    one_head: int | Literal["mean"] = "mean" if context.head is None else context.head
    return MicroscopeView(
        token=selection.query if _exists(selection.query, context.layout) else None,
        layer=context.layer,
        head=one_head if state.value_of("heads") == "chosen" else "all",
        direction=state.value_of("direction"),
        measure=state.value_of("measure"),
        scale=selection.scale,
        shared=context.shared,
        links=state.value_of("links") == "shown",
    )


def keep(view: MicroscopeView) -> None:
    """Stores the microscope's state in the selection of the session, and so in the URL and for other pages."""
    state.change(
        query=view.token or "",
        layer=view.layer,
        head=view.head if isinstance(view.head, int) else None,
        heads="all" if view.head == "all" else "chosen",
        direction=view.direction,
        measure=view.measure,
        scale=view.scale,
        colours="shared" if view.shared else "own",
        links="shown" if view.links else "hidden",
    )


def _exists(token: str, layout: TokenLayout) -> bool:
    try:
        layout.token_named(token)
    except ValueError:
        return False
    return True


def _value_norms(context: PageContext) -> list[torch.Tensor] | str:
    """(heads, keys) for each layer, or why there are none. Large values are not kept: they take another pass."""
    kept, hidden_states = all(layer.v is not None for layer in context.layers), context.hidden_states

    def measure(progress: JobProgress) -> list[torch.Tensor] | str:
        try:
            if hidden_states and kept:
                return kept_value_norms(context.model, context.trace, hidden_states)
            return value_norms(context.model, context.trace.input, progress)
        except UnsupportedError as reason:
            return str(reason)

    norms: list[torch.Tensor] | str = context.ask("value norms", measure, words.VALUES)
    return norms


def _exports(context: PageContext, view: MicroscopeView) -> None:
    """The microscope's maps as a figure with exports: of the pinned token, else of the first one."""
    layout = context.layout
    token = view.token or (layout.prefix[0] if layout.prefix else cell_name(layout.grid[0] // 2, layout.grid[1] // 2))
    shown = TokenAttention(view.layer, token, view.head, view.direction, view.measure)
    params: dict[str, Any] = {"links": view.links, "shared": view.shared, "robust": context.robust}
    make = partial(microscope_figure, context.subject, shown, **params, theme=context.theme)
    figure.exports(context, "attention", make, shown=shown, **params)
