"""Rotary positions: what is left of a score after each step, from the model's own table of frequencies."""

from __future__ import annotations

import streamlit as st

from vitviz.analysis.relative import RotaryTable, rotary_table
from vitviz.draw import Scale
from vitviz.figures.embeddings import kernel_figure
from vitviz.heatmap import Heatmap
from vitviz.tokens import cell_name
from vitviz.ui import exhibits, figure, state
from vitviz.ui.stage import Stage
from vitviz.ui.text import positions as words
from vitviz.ui.views.positions_added import choose_place

# Pixels; half a page, or a phone, shows a map of this width about as it is, its lettering included.
SHOWN = 440


def show(stage: Stage) -> None:
    """The kernel of one layer and head, from one place and by displacement."""
    st.subheader(words.ROTARY, anchor=False)
    st.caption(words.ROTARY_TEXT)
    with stage.model.lock:
        table = rotary_table(stage.model, stage.layout)
    layer, head = _choose(table)
    raw = state.value_of("bent") == "raw"
    left, right = st.columns(2)
    with left:
        st.markdown(f"**{words.ROTARY_PLACE}**")
        _one_place(stage, table, layer, head, raw)
    with right:
        st.markdown(f"**{words.ROTARY_KERNEL}**")
        figure.show(
            stage,
            "rotary kernel",
            lambda: kernel_figure(stage.sight, layer, head, table=table, raw=raw, theme=stage.theme, width=SHOWN),
            layer=layer,
            head=head,
            raw=raw,
        )


def _choose(table: RotaryTable) -> tuple[int, int]:
    """Which layer and head, where the model learned frequencies for each; 0 where they share one table."""
    layers, heads = table.sin.shape[:2]
    layer, head = (
        min(int(state.value_of("turned_layer")), layers - 1),
        min(int(state.value_of("turned_head")), heads - 1),
    )
    if layers == heads == 1:
        st.caption(words.ROTARY_ONE)
        return 0, 0
    one, two, _ = st.columns([1, 1, 2])
    if layers > 1:
        one.number_input(words.LAYER, 0, layers - 1, step=1, **state.bound("turned_layer", layer))
    if heads > 1:
        two.number_input(words.HEAD, 0, heads - 1, step=1, **state.bound("turned_head", head))
    return layer, head


def _one_place(stage: Stage, table: RotaryTable, layer: int, head: int, raw: bool) -> None:
    row, col = stage.selection.patch_of(stage.layout)
    patch = stage.layout.token_at(row, col) - stage.layout.num_prefix
    values = stage.ask(
        "rotary similarity", lambda _: table.similarity(layer, head, [patch])[0], layer=layer, head=head, patch=patch
    )
    label = words.ROTARY_LABEL.format(row=row, col=col)
    heatmap = Heatmap(stage.layout.patches(values), label, signed=not raw)
    exhibits.picture(
        stage,
        "rotary from one place",
        alt=words.ROTARY_ALT.format(row=row, col=col),
        on_pick=lambda name: state.change(query=name),
        heatmap=heatmap,
        scale=Scale.of(heatmap.values) if raw else Scale(-1, 1, signed=True),
        knobs=(("patch", patch), ("layer", layer), ("head", head)),
        chosen=cell_name(row, col),
        widest=400,
    )
    choose_place(stage, row, col, "rotary")
