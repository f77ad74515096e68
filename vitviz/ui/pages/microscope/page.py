"""Who looks at whom: hover a patch, and every head of a layer answers at once."""

from __future__ import annotations

from typing import Literal

import streamlit as st
import torch

from vitviz.analysis.queries import MEAN, POOL
from vitviz.analysis.sinks import value_norms
from vitviz.errors import UnsupportedError
from vitviz.figures.attention import attention_figure
from vitviz.tokens import TokenLayout
from vitviz.ui import state
from vitviz.ui.components.microscope import MicroscopeView, layer_arrays, microscope
from vitviz.ui.compute import JobProgress
from vitviz.ui.context import Stage
from vitviz.ui.controls import figure
from vitviz.ui.controls.frame import page
from vitviz.ui.escape import escaped
from vitviz.ui.pages.microscope import text as words
from vitviz.ui.server.payloads import pack, pack_picture

# Beyond this a layer is over 12 MB for six heads, and is sent only when somebody turns to it.
PREFETCHED_TOKENS = 4000


def render(stage: Stage) -> None:
    with page(words.PAGE):
        if not stage.trace.layers:
            st.info(words.NO_LAYERS)
            return
        norms = _value_norms(stage)
        if isinstance(norms, str):
            st.caption(words.NO_VALUES.format(reason=escaped(norms)))
        view = view_of(stage)

        def layer_payload(layer: int) -> bytes:
            norm = None if isinstance(norms, str) else norms[layer]
            return pack(*layer_arrays(stage.trace.layers[layer], norm))

        microscope(
            view,
            keep,
            picture=stage.offer("microscope picture", lambda: pack_picture(stage.shown)),
            num_layers=stage.trace.num_layers,
            layer_address=lambda layer: stage.offer("microscope layer", lambda: layer_payload(layer), layer=layer),
            key="microscope",
            words=words.MICROSCOPE,
            neighbours=int(stage.layout.num_tokens <= PREFETCHED_TOKENS),
        )
        _way_out(stage, view)


def view_of(stage: Stage) -> MicroscopeView:
    """What the selection says, in the microscope's terms."""
    selection = stage.selection
    one_head: int | Literal["mean"] = "mean" if stage.head is None else stage.head
    return MicroscopeView(
        token=selection.query if _exists(selection.query, stage.layout) else None,
        layer=stage.layer,
        head=one_head if state.value_of("heads") == "chosen" else "all",
        direction=state.value_of("direction"),
        measure=state.value_of("measure"),
        scale=selection.scale,
        shared=state.value_of("colours") == "shared",
        links=state.value_of("links") == "shown",
    )


def keep(view: MicroscopeView) -> None:
    """What was chosen in the microscope becomes the selection of the session, and so of the URL and the other pages."""
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


def _value_norms(stage: Stage) -> list[torch.Tensor] | str:
    """(heads, keys) for each layer, or why there are none. The values are not kept: they are as large as the keys."""

    def measure(progress: JobProgress) -> list[torch.Tensor] | str:
        layers = stage.trace.num_layers
        try:
            return value_norms(stage.model, stage.trace.input, lambda done: progress.report(min(done / layers, 1)))
        except UnsupportedError as reason:
            return str(reason)

    norms: list[torch.Tensor] | str = stage.ask("value norms", measure, words.VALUES)
    return norms


def _way_out(stage: Stage, view: MicroscopeView) -> None:
    """The map of the pinned token, or of what the output is read from, as a figure to keep."""
    head = view.head if isinstance(view.head, int) else None
    robust = view.scale == "robust"
    query = MEAN if stage.query == POOL else stage.query  # the pooling query asks in no layer of this page
    figure.ways_out(
        stage,
        "attention",
        lambda: attention_figure(stage.subject, view.layer, head, query, robust=robust, theme=stage.theme),
        layer=view.layer,
        head=head,
        query=query,
        robust=robust,
    )
