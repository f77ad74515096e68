"""Rotary positions: the share of a score that remains at each displacement, from the model's own table of frequencies."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from vitviz.analysis.relative import OffsetBias, RotaryTable, rotary_table
from vitviz.draw import Scale
from vitviz.draw.heatmap import signed_number
from vitviz.errors import UnsupportedError
from vitviz.figure import Figure
from vitviz.figures.embeddings import bias_figure, bias_heads_figure, biases_of, kernel_figure, straddles
from vitviz.heatmap import Heatmap
from vitviz.tokens import cell_name
from vitviz.ui import state
from vitviz.ui.components.heatmap import MapNames, MapScales, PictureSize, in_a_row, show_board, show_picture
from vitviz.ui.context import PageContext
from vitviz.ui.controls import figure
from vitviz.ui.controls.captions import caption
from vitviz.ui.controls.pickers import (
    choose_layer,
    choose_one_head,
    choose_patch,
    head_words,
    named,
    shared_or_own,
    take_query,
)
from vitviz.ui.pages.positions import text as words


@dataclass(frozen=True)
class SectionContainers:
    """The containers in which a section of the page is drawn: those of the page, or all of it among the details."""

    figure: DeltaGenerator
    controls: DeltaGenerator
    settings: DeltaGenerator
    details: DeltaGenerator


def show_rotary(context: PageContext, its: SectionContainers) -> None:
    """The kernel of one layer and head, from one position and by displacement."""
    row, col = context.selection.patch_of(context.layout)
    with context.model.lock:
        table = rotary_table(context.model, context.layout)
    with its.controls:
        layer, head = _choose(table)
    with its.settings:
        choose_place(context, row, col, "rotary")
    raw = state.value_of("bent") == "raw"
    kernel = {"layer": layer, "head": head, "raw": raw}

    def draw() -> Figure:
        return kernel_figure(context.traced, layer, head, table=table, raw=raw, theme=context.theme)

    with its.figure:
        left, right = st.columns(2)
        with left:
            _one_place(context, table, layer, head, raw)
        with right:
            values = table.kernel(layer, head)
            scale = Scale.of(values) if raw else Scale(-1, 1, signed=True)
            label = words.KERNEL_LABEL
            _displacements(context, "rotary kernel", Heatmap(values, label, signed=not raw), scale, **kernel)
    with its.details:
        caption(words.ROTARY_TEXT)
        figure.exports(context, "rotary kernel", draw, label=words.ROTARY_KERNEL, **kernel)


def _choose(table: RotaryTable) -> tuple[int, int]:
    """Which layer and head, where the model learned frequencies for each; 0 where they share one table."""
    layers, heads = table.sin.shape[:2]
    layer, head = (
        min(int(state.value_of("turned_layer")), layers - 1),
        min(int(state.value_of("turned_head")), heads - 1),
    )
    if layers == heads == 1:
        caption(words.ROTARY_ONE)
        return 0, 0
    choose_layer(layers, layer, param="turned_layer")
    choose_one_head(heads, head, param="turned_head")
    return layer, head


def _one_place(context: PageContext, table: RotaryTable, layer: int, head: int, raw: bool) -> None:
    row, col = context.selection.patch_of(context.layout)
    patch = context.layout.token_at(row, col) - context.layout.num_prefix
    values = context.ask(
        "rotary similarity", lambda _: table.similarity(layer, head, [patch])[0], layer=layer, head=head, patch=patch
    )
    label = words.ROTARY_LABEL.format(row=row, col=col)
    heatmap = Heatmap(context.layout.patches(values), label, signed=not raw)
    show_picture(
        context,
        "rotary from one place",
        alt=words.ROTARY_ALT.format(row=row, col=col),
        on_pick=take_query,
        heatmap=heatmap,
        scale=Scale.of(heatmap.values) if raw else Scale(-1, 1, signed=True),
        params=(("patch", patch), ("layer", layer), ("head", head)),
        chosen=cell_name(row, col),
    )


def _displacements(
    context: PageContext,
    key: str,
    heatmap: Heatmap,
    scale: Scale,
    step: tuple[int, int] = (1, 1),
    above: str = "",
    **params: Hashable,
) -> None:
    """A map over displacements, the query in the middle.

    Args:
        step: (down, right) patches in one of them.
        above: Its name.
    """
    reach = heatmap.grid[0] // 2, heatmap.grid[1] // 2
    down, across = (
        [signed_number(at * by) for at in range(-most, most + 1)] for most, by in zip(reach, step, strict=True)
    )
    show_picture(
        context,
        key,
        alt=words.DISPLACEMENTS_ALT.format(label=heatmap.label),
        heatmap=heatmap,
        scale=scale,
        params=tuple(params.items()),
        marks=[reach],
        places=(down, across),
        size=PictureSize(above=above),
        plain=True,
        one_of_many=True,
    )


# Relative positions: the bias of every head over displacements, layer by layer.


def show_relative(context: PageContext, its: SectionContainers) -> None:
    """One layer's heads as small maps, and one of them enlarged."""
    try:
        biases = context.ask("bias by displacement", lambda _: biases_of(context.traced))
    except UnsupportedError:
        its.figure.info(words.RELATIVE_MORE)
        return
    number = min(int(state.value_of("bias_layer")), len(biases) - 1)
    names = {index: _name(index, bias) for index, bias in enumerate(biases)}
    bias = biases[number]
    head = min(int(state.value_of("bias_head")), bias.num_heads - 1)
    shared = context.shared
    one, every = {"number": number, "head": head}, {"number": number, "shared": shared}

    def draw() -> Figure:
        return bias_figure(context.traced, number, head, bias, theme=context.theme)

    def draw_all() -> Figure:
        return bias_heads_figure(context.traced, number, bias, shared=shared, theme=context.theme)

    with its.controls:
        st.selectbox(words.RELATIVE_LAYER, list(names), format_func=named(names), **state.bound("bias_layer", number))
    with its.settings:
        shared_or_own()
    with its.figure:
        left, right = st.columns(2)
        with left:
            _board(context, number, bias, head, shared)
        with right:
            values, signed = bias.values[head], straddles(bias.values[head])
            label = words.RELATIVE_OF.format(head=head)
            heatmap, scale = Heatmap(values, label, signed), Scale.of(values, signed=signed)
            _displacements(context, "relative bias", heatmap, scale, bias.step, head_words(head), **one)
    with its.details:
        caption(words.RELATIVE_TEXT)
        figure.exports(context, "relative bias", draw, label=words.RELATIVE_HEAD.format(head=head), **one)
        figure.exports(context, "relative bias of all heads", draw_all, label=words.RELATIVE_HEADS, **every)


def _steps(patches: int, step: int) -> range:
    """The displacements along one side, in patches."""
    return range(-(patches - 1) * step, (patches - 1) * step + 1, step)


def _name(number: int, bias: OffsetBias) -> str:
    name = words.RELATIVE_NAME.format(number=number, layer=bias.layer, rows=bias.window[0], cols=bias.window[1])
    return name if bias.step == (1, 1) else words.RELATIVE_STEP.format(name=name, step=bias.step[0])


def _board(context: PageContext, number: int, bias: OffsetBias, head: int, shared: bool) -> None:
    maps, across = (
        bias.values,
        min(in_a_row(bias.num_heads), 4) if bias.num_heads % 4 == 0 else in_a_row(bias.num_heads),
    )
    show_board(
        context,
        "bias heads",
        maps.reshape(-1, across, *maps.shape[1:]),  # (heads, down, right) -> (rows of heads, heads a row, down, right)
        MapScales.of(maps, words.RELATIVE_LABEL, shared=shared, signed=straddles(maps)),
        alt=words.RELATIVE_BOARD_ALT.format(heads=len(maps), layer=bias.layer),
        params=(("number", number), ("shared", shared)),
        chosen=divmod(head, across),
        names=MapNames(
            wrapped=True,
            places=(_steps(bias.window[0], bias.step[0]), _steps(bias.window[1], bias.step[1])),
        ),
        on_pick=lambda row, place: state.change(bias_head=row * across + place),
    )


def choose_place(context: PageContext, row: int, col: int, part: str) -> None:
    """The place by its numbers, and the scale.

    Args:
        part: Distinguishes the sections of the page.
    """
    choose_patch(context.layout.grid, (row, col), part)
    st.selectbox(
        words.COLOURS, list(words.COLOURS_OF), format_func=named(words.COLOURS_OF), **state.bound("bent", part=part)
    )
