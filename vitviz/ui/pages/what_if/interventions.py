"""Controls of the interventions, on the picture, its tokens, heads and layers, and the sentence that says what each one did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import singledispatch
from typing import Any

import numpy as np
import streamlit as st

from vitviz.analysis.attention import head_maps
from vitviz.analysis.interventions import (
    ChangePositions,
    CutTokens,
    HidePatches,
    Intervention,
    Interventions,
    ShufflePatches,
    SwitchOffHeads,
    SwitchOffLayers,
)
from vitviz.analysis.queries import MEAN, POOL
from vitviz.draw import Scale
from vitviz.figures.interventions import seen_picture
from vitviz.tokens import TokenLayout
from vitviz.ui import state
from vitviz.ui.components.heatmap import GridLines, MapScales, Paint, show_board, show_picture
from vitviz.ui.context import PageContext
from vitviz.ui.controls import edits
from vitviz.ui.controls.captions import Facts, caption
from vitviz.ui.controls.edits import found_outliers, latest
from vitviz.ui.controls.frame import Frame
from vitviz.ui.controls.pickers import named, take_query
from vitviz.ui.controls.targets import explained_target
from vitviz.ui.pages.what_if import text as words
from vitviz.ui.text import common
from vitviz.ui.text.sentences import true_of


def tied(name: str, shown: Any, taken: Callable[[Any], None]) -> dict[str, Any]:
    """Arguments that tie a widget to a part of the interventions."""
    key = f"switch {name}"
    st.session_state[key] = shown
    return {"key": key, "on_change": lambda: taken(st.session_state[key])}


def show_hide(its: Frame, context: PageContext, given: Interventions) -> None:
    """The picture to paint on, and how patches are hidden."""
    fill = edits.hide_by(given)
    cells = edits.hidden(given)

    def hide_by(chosen: str | None) -> None:
        if chosen:
            edits.switch(edits.hide(latest(), edits.hidden(latest()), chosen), hide_by=chosen)

    with its.settings():
        st.segmented_control(
            words.HIDE_BY,
            list(words.HIDE_BYS),
            format_func=named(words.HIDE_BYS),
            help=words.HIDE_BY_HELP,
            **tied("hide by", fill, hide_by),
        )
    with its.controls():
        edits.hide_buttons(context, given, fill)
    everything = Interventions((HidePatches(tuple(range(context.layout.num_patches)), fill),))
    show_picture(
        context,
        "hide",
        alt=words.HIDE_ALT.format(count=len(cells)),
        lines=GridLines(line=1),
        paint=Paint(
            cells,
            words.HIDE_HINT,
            lambda painted: edits.switch(edits.hide(latest(), painted, fill)),
            hidden=lambda: seen_picture(context.subject, everything),
            by=fill,
            touch_hint=words.HIDE_HINT_TOUCH,
        ),
    )
    if fill == "removed" and cells and edits.shuffled(given) is not None:
        with its.details():
            caption(words.REMOVED_AND_SHUFFLED)


def show_order(its: Frame, context: PageContext, given: Interventions) -> None:
    """Shuffled patches and changed positions, and the resulting input."""
    facts, seed, how = Facts(context), edits.shuffled(given), edits.positions(given)

    def another(after: int) -> None:
        edits.switch(edits.set_shuffle(latest(), after + 1))

    with its.controls():
        st.toggle(
            words.SHUFFLE,
            help=words.SHUFFLE_HELP,
            **tied(
                "shuffle", seed is not None, lambda on: edits.switch(edits.set_shuffle(latest(), 0 if on else None))
            ),
        )
        if seed is not None:
            st.button(words.ANOTHER_ORDER, icon=":material/shuffle:", on_click=another, args=(seed,))
        if "added" in facts:
            st.segmented_control(
                words.POSITIONS,
                list(words.POSITIONS_OF),
                format_func=named(words.POSITIONS_OF),
                help=words.POSITIONS_HELP,
                **tied("positions", how or "", lambda to: edits.switch(edits.set_positions(latest(), to or None))),
            )
    with its.details():
        st.caption(true_of(words.ORDER_TEXT, facts))
    show_picture(
        context,
        "order",
        alt=words.SEEN_ALT,
        lines=GridLines(line=int(any(isinstance(item, ShufflePatches) for item in given))),
        shown=seen_picture(context.subject, given),
        params=(("changes", given.encode()),),
        on_pick=take_query,
        chosen=context.selection.query,
    )


def show_cut(its: Frame, context: PageContext, given: Interventions) -> None:
    """Tokens to cut out of attention: patches on the picture, the others by name, sinks by a button."""
    with its.details():
        caption(words.CUT_TEXT)
    tokens, layers = edits.cut_tokens(given), edits.cut_layers(given)
    prefix = list(context.layout.prefix)
    first = len(prefix)

    def patches(given: Interventions) -> tuple[int, ...]:
        return tuple(token for token in edits.cut_tokens(given) if token >= first)

    def others(given: Interventions) -> tuple[int, ...]:
        return tuple(token for token in edits.cut_tokens(given) if token < first)

    with its.controls():
        if prefix:
            st.pills(
                words.CUT_PREFIX,
                range(first),
                selection_mode="multi",
                wrap=True,
                format_func=lambda at: common.token(prefix[at]),
                **tied("prefix", list(others(given)), lambda chosen: _cut((*chosen, *patches(latest())))),
            )
        _sinks(context)
    show_picture(
        context,
        "cut",
        alt=words.CUT_ALT.format(count=len(tokens)),
        lines=GridLines(line=1),
        paint=Paint(
            tuple(token - first for token in patches(given)),
            words.CUT_HINT,
            lambda cells: _cut((*others(latest()), *(cell + first for cell in cells))),
        ),
    )
    if not tokens:
        return
    with its.settings():
        st.pills(
            words.CUT_LAYERS,
            range(context.trace.num_layers),
            selection_mode="multi",
            wrap=True,
            **tied("cut layers", list(layers or ()), _cut_in),
        )


def _cut(tokens: Iterable[int]) -> None:
    """Cuts exactly these, in the layers chosen."""
    given = latest()
    edits.switch(edits.set_cut(given, tokens, edits.cut_layers(given)))


def _cut_in(layers: Sequence[int]) -> None:
    """Cuts what is cut in these layers, in all where there is none."""
    given = latest()
    edits.switch(edits.set_cut(given, edits.cut_tokens(given), layers or None))


def _sinks(context: PageContext) -> None:
    # The class token is not among them: the output is read from it.
    first = context.layout.num_prefix
    sinks = tuple(token for token in found_outliers(explained_target(context)).tokens if token >= first)

    def cut_sinks(sinks: tuple[int, ...]) -> None:
        _cut(sorted({*edits.cut_tokens(latest()), *sinks}))

    st.button(
        words.CUT_SINKS.format(count=len(sinks)),
        help=words.CUT_SINKS_HELP if sinks else words.CUT_NO_SINKS,
        disabled=not sinks,
        on_click=cut_sinks,
        args=(sinks,),
    )


# The board of heads to switch off one by one, and whole layers.


def show_heads(its: Frame, context: PageContext, given: Interventions) -> None:
    """What replaces a head, the board, and the layers."""
    fill = fill_of(given)

    def head_by(chosen: str | None) -> None:
        if chosen:
            edits.switch(edits.set_heads(latest(), edits.heads_off(latest()), chosen), head_by=chosen)

    with its.settings():
        st.segmented_control(
            words.HEAD_BY,
            list(words.HEAD_BYS),
            format_func=named(words.HEAD_BYS),
            help=words.HEAD_BY_HELP,
            **tied("head by", fill, head_by),
        )
        if fill == "mean":
            means = edits.gallery_means(context)
            st.caption(words.MEANS_OF.format(images=means.images, digest=means.digest))
    # Heads of the layers are switched. A pooling query is in none of them, and is not shown.
    query = MEAN if context.query == POOL else context.query
    maps: np.ndarray = context.ask("head maps", lambda _: head_maps(context.trace, query), query=query)
    layers, heads = maps.shape[:2]
    flat = maps.reshape(layers * heads, *maps.shape[2:])  # (layers * heads, rows, cols)
    show_board(
        context,
        "heads to switch",
        maps,
        MapScales([Scale.of(each, robust=True) for each in flat], words.BOARD_CAPTION, ends=words.BOARD_ENDS),
        alt=words.BOARD_ALT.format(
            heads=heads, layers=layers, query=common.token(query), off=len(edits.heads_off(given))
        ),
        params=(("query", query),),
        chosen=(-1, None),
        tallest=430,
        paint=painted(given, heads, fill, words.BOARD_HINT),
    )
    with its.controls():
        st.pills(
            words.LAYERS,
            range(layers),
            selection_mode="multi",
            help=words.LAYERS_HELP,
            wrap=True,
            **tied("layers", list(edits.layers_off(given)), _set_layers),
        )


def _set_layers(chosen: list[int]) -> None:
    edits.switch(edits.set_layers(latest(), chosen))


def fill_of(given: Interventions) -> str:
    """What replaces a head that is off: as for those that are off now, else as chosen last."""
    return edits.head_fill(given) or str(state.value_of("head_by"))


def painted(given: Interventions, heads: int, fill: str, hint: str) -> Paint:
    """Heads off, as cells of a board that has `heads` of them in a row."""
    cells = tuple(layer * heads + head for layer, head in edits.heads_off(given) if head < heads)
    return Paint(
        cells,
        hint,
        lambda chosen: edits.switch(edits.set_heads(latest(), (divmod(c, heads) for c in chosen), fill)),
        touch_hint=words.BOARD_HINT_TOUCH,
    )


# The list of interventions, each with a button that undoes it.

NAMES_SHOWN = 4


def show_list(context: PageContext, given: Interventions) -> None:
    """One button an intervention, which undoes it, and one that undoes them all."""
    if not given.items:
        return
    st.caption(words.SWITCHED)
    with st.container(horizontal=True, gap="small"):
        for at, item in enumerate(given):
            line = sentence(item, context.layout)
            st.button(
                line,
                icon=":material/close:",
                key=f"undo {at}",
                help=words.REMOVE.format(change=line),
                on_click=lambda item: edits.switch(edits.without(latest(), item)),
                args=(item,),
            )
        st.button(
            words.UNDO,
            icon=":material/undo:",
            key="undo everything",
            type="tertiary",
            on_click=edits.switch,
            args=(Interventions(),),
        )


@singledispatch
def sentence(item: Intervention, layout: TokenLayout) -> str:
    """An intervention in a few words. Each kind registers its own."""
    raise NotImplementedError(f"no sentence was written for {type(item).__name__}")


@sentence.register
def _(item: HidePatches, layout: TokenLayout) -> str:
    return words.HIDE_LINE[item.fill].format(count=_count(words.PATCHES, item.patches))


@sentence.register
def _(item: ShufflePatches, layout: TokenLayout) -> str:
    return words.SHUFFLE_LINE.format(seed=item.seed)


@sentence.register
def _(item: ChangePositions, layout: TokenLayout) -> str:
    return words.POSITIONS_LINE[item.how].format(seed=item.seed)


@sentence.register
def _(item: SwitchOffHeads, layout: TokenLayout) -> str:
    names = [words.LAYER_HEAD_NAME.format(layer=layer, head=head) for layer, head in item.heads]
    return words.HEADS_LINE[item.fill].format(count=_count(words.HEADS, item.heads), names=_few(names, 2))


@sentence.register
def _(item: SwitchOffLayers, layout: TokenLayout) -> str:
    return words.LAYERS_LINE.format(names=_few([str(layer) for layer in item.layers]))


@sentence.register
def _(item: CutTokens, layout: TokenLayout) -> str:
    names = [common.token(layout.name_of(token)) for token in item.tokens]
    line = words.CUT_LINE.format(count=_count(words.TOKENS, item.tokens), names=_few(names, 1))
    return (
        line if item.layers is None else words.CUT_SOME.format(line=line, layers=_few([str(at) for at in item.layers]))
    )


def _count(forms: tuple[str, str], things: Sequence[object]) -> str:
    return forms[len(things) != 1].format(count=len(things))


def _few(names: Sequence[str], most: int = NAMES_SHOWN) -> str:
    shown = ", ".join(names[:most])
    return words.AND_MORE.format(names=shown) if len(names) > most else shown
