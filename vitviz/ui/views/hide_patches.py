"""Switches on the picture and its tokens: patches hidden or shuffled, positions changed, tokens cut out of attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from vitviz.analysis.interventions import Interventions, ShufflePatches
from vitviz.figures.interventions import seen_picture
from vitviz.ui import changes, exhibits, state
from vitviz.ui.asking import asked
from vitviz.ui.changes import current as now
from vitviz.ui.choices import named
from vitviz.ui.exhibits import Paint
from vitviz.ui.stage import Stage
from vitviz.ui.text import common
from vitviz.ui.text import what_if as words
from vitviz.ui.views.sink_inspector import found_outliers

PICTURE = 380  # CSS pixels


def tied(name: str, shown: Any, taken: Callable[[Any], None]) -> dict[str, Any]:
    """Arguments that let a widget show a part of what is switched, and hand on what somebody sets it to."""
    key = f"switch {name}"
    st.session_state[key] = shown
    return {"key": key, "on_change": lambda: taken(st.session_state[key])}


def show(stage: Stage, given: Interventions) -> None:
    """The picture to draw on, and how patches are hidden."""
    fill = changes.hiding(given) or str(state.value_of("hide_by"))
    cells = changes.hidden(given)

    def hide_by(chosen: str | None) -> None:
        if chosen:
            changes.switch(changes.hide(now(), changes.hidden(now()), chosen), hide_by=chosen)

    st.segmented_control(
        words.HIDE_BY, list(words.HIDE_BYS), format_func=named(words.HIDE_BYS), help=words.HIDE_BY_HELP,
        **tied("hide by", fill, hide_by),
    )  # fmt: skip
    exhibits.picture(
        stage,
        "hide",
        alt=words.HIDE_ALT.format(count=len(cells)),
        line=1,
        widest=PICTURE,
        paint=Paint(cells, words.HIDE_HINT, lambda painted: changes.switch(changes.hide(now(), painted, fill))),
    )
    if fill == "removed" and cells and changes.shuffled(given) is not None:
        st.caption(words.REMOVED_AND_SHUFFLED)


def show_order(stage: Stage, given: Interventions) -> None:
    """Shuffled patches and changed positions, with what the model then sees."""
    seed = changes.shuffled(given)
    how = changes.positions(given)
    st.toggle(
        words.SHUFFLE, help=words.SHUFFLE_HELP,
        **tied("shuffle", seed is not None, lambda on: changes.switch(changes.set_shuffle(now(), 0 if on else None))),
    )  # fmt: skip
    if seed is not None:
        another = changes.set_shuffle(given, seed + 1)
        st.button(words.ANOTHER_ORDER, icon=":material/shuffle:", on_click=changes.switch, args=(another,))
    st.segmented_control(
        words.POSITIONS, list(words.POSITIONS_OF), format_func=named(words.POSITIONS_OF), help=words.POSITIONS_HELP,
        **tied("positions", how or "", lambda to: changes.switch(changes.set_positions(now(), to or None))),
    )  # fmt: skip
    st.caption(words.ORDER_TEXT)
    exhibits.picture(
        stage,
        "order",
        alt=words.SEEN_ALT,
        line=1 if any(isinstance(item, ShufflePatches) for item in given) else 0,
        widest=PICTURE,
        shown=seen_picture(stage.subject, given),
        knobs=(("changes", given.encode()),),
        on_pick=lambda token: state.change(query=token),
        chosen=stage.selection.query,
    )


def show_cut(stage: Stage, given: Interventions) -> None:
    """Tokens to cut out of attention: patches on the picture, the others by name, sinks by a button."""
    st.caption(words.CUT_TEXT)
    tokens, layers = changes.cut_tokens(given), changes.cut_layers(given)
    prefix = list(stage.layout.prefix)
    first = len(prefix)

    def cut(chosen: tuple[int, ...]) -> None:
        changes.switch(changes.set_cut(now(), chosen, layers))

    patches = tuple(token for token in tokens if token >= first)
    if prefix:
        others = tuple(token for token in tokens if token < first)
        st.pills(
            words.CUT_PREFIX, range(first), selection_mode="multi", wrap=True, format_func=lambda at: common.token(prefix[at]),
            **tied("prefix", list(others), lambda chosen: cut((*chosen, *patches))),
        )  # fmt: skip
    else:
        others = ()
    _sinks(stage, given, cut)
    exhibits.picture(
        stage,
        "cut",
        alt=words.CUT_ALT.format(count=len(tokens)),
        line=1,
        widest=PICTURE,
        paint=Paint(
            tuple(token - first for token in patches),
            words.CUT_HINT,
            lambda cells: cut((*others, *(cell + first for cell in cells))),
        ),
    )
    if tokens:
        st.pills(
            words.CUT_LAYERS, range(stage.trace.num_layers), selection_mode="multi", wrap=True,
            **tied("cut layers", list(layers or ()), lambda at: changes.switch(changes.set_cut(now(), tokens, at or None))),
        )  # fmt: skip


def _sinks(stage: Stage, given: Interventions, cut: Callable[[tuple[int, ...]], None]) -> None:
    # The class token is not among them: with it cut, its own answer is another question.
    first = stage.layout.num_prefix
    sinks = tuple(token for token in found_outliers(asked(stage)).tokens if token >= first)
    if not sinks:
        st.caption(words.CUT_NO_SINKS)
        return
    whole = tuple(sorted({*changes.cut_tokens(given), *sinks}))
    st.button(words.CUT_SINKS.format(count=len(sinks)), help=words.CUT_SINKS_HELP, on_click=cut, args=(whole,))
