"""The board of heads to switch off one by one, and whole layers."""

from __future__ import annotations

import numpy as np
import streamlit as st

from vitviz.analysis.attention import head_maps
from vitviz.analysis.interventions import Interventions
from vitviz.analysis.queries import MEAN, POOL
from vitviz.draw import Scale
from vitviz.ui import changes, exhibits, outcome, state
from vitviz.ui.changes import current as now
from vitviz.ui.choices import named
from vitviz.ui.exhibits import Paint
from vitviz.ui.stage import Stage
from vitviz.ui.text import common
from vitviz.ui.text import what_if as words
from vitviz.ui.views.hide_patches import tied


def show(stage: Stage, given: Interventions) -> None:
    """What replaces a head, the board, and the layers."""
    fill = fill_of(given)

    def head_by(chosen: str | None) -> None:
        if chosen:
            changes.switch(changes.set_heads(now(), changes.heads_off(now()), chosen), head_by=chosen)

    st.segmented_control(
        words.HEAD_BY, list(words.HEAD_BYS), format_func=named(words.HEAD_BYS), help=words.HEAD_BY_HELP,
        **tied("head by", fill, head_by),
    )  # fmt: skip
    if fill == "mean":
        means = outcome.gallery_means(stage)
        st.caption(words.MEANS_OF.format(images=means.images, digest=means.digest))
    # Heads of the layers are switched. A pooling query asks in none of them, and is not shown.
    query = MEAN if stage.query == POOL else stage.query
    maps: np.ndarray = stage.ask("head maps", lambda _: head_maps(stage.trace, query), query=query)
    layers, heads = maps.shape[:2]
    flat = maps.reshape(layers * heads, *maps.shape[2:])  # (layers * heads, rows, cols)
    exhibits.board(
        stage,
        "heads to switch",
        maps,
        [Scale.of(each, robust=True) for each in flat],
        alt=words.BOARD_ALT.format(
            heads=heads, layers=layers, query=common.token(query), off=len(changes.heads_off(given))
        ),
        caption=words.BOARD_CAPTION,
        shared=None,
        own_ends=words.BOARD_ENDS,
        facts={},
        knobs=(("query", query),),
        chosen=(-1, None),
        tallest=430,
        paint=painted(given, heads, fill, words.BOARD_HINT),
    )
    st.pills(
        words.LAYERS, range(layers), selection_mode="multi", help=words.LAYERS_HELP, wrap=True,
        **tied("layers", list(changes.layers_off(given)), _layers),
    )  # fmt: skip


def _layers(chosen: list[int]) -> None:
    changes.switch(changes.set_layers(now(), chosen))


def fill_of(given: Interventions) -> str:
    """What replaces a head that is off: of those that are off now, else as chosen last."""
    return changes.head_fill(given) or str(state.value_of("head_by"))


def painted(given: Interventions, heads: int, fill: str, hint: str) -> Paint:
    """Heads off, as cells of a board that has `heads` of them in a row."""
    cells = tuple(layer * heads + head for layer, head in changes.heads_off(given) if head < heads)
    return Paint(
        cells, hint, lambda chosen: changes.switch(changes.set_heads(now(), (divmod(c, heads) for c in chosen), fill))
    )
