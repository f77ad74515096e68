"""The list of what is switched, each with its way back."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

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
from vitviz.tokens import TokenLayout
from vitviz.ui import changes
from vitviz.ui.stage import Stage
from vitviz.ui.text import common
from vitviz.ui.text import what_if as words

NAMES_SHOWN = 4


def show(stage: Stage, given: Interventions) -> None:
    """One button an intervention, which undoes it, and one that undoes them all."""
    if not given.items:
        st.caption(words.NOTHING)
        return
    st.caption(words.SWITCHED)
    with st.container(horizontal=True, gap="small"):
        for at, item in enumerate(given):
            line = sentence(item, stage.layout)
            st.button(
                line, icon=":material/close:", key=f"undo {at}", help=words.REMOVE.format(change=line),
                on_click=changes.switch, args=(changes.without(given, at),),
            )  # fmt: skip
        st.button(
            words.UNDO, icon=":material/undo:", key="undo everything", type="tertiary", on_click=changes.switch,
            args=(Interventions(),),
        )  # fmt: skip


def sentence(item: Intervention, layout: TokenLayout) -> str:
    """An intervention in a few words."""
    match item:
        case HidePatches(patches, fill):
            return words.HIDE_LINE[fill].format(count=_count(words.PATCHES, patches))
        case ShufflePatches(seed):
            return words.SHUFFLE_LINE.format(seed=seed)
        case ChangePositions(how, seed):
            return words.POSITIONS_LINE[how].format(seed=seed)
        case SwitchOffHeads(heads, fill):
            names = [words.HEAD_NAME.format(layer=layer, head=head) for layer, head in heads]
            return words.HEADS_LINE[fill].format(count=_count(words.HEADS, heads), names=_few(names, 2))
        case SwitchOffLayers(layers):
            return words.LAYERS_LINE.format(names=_few([str(layer) for layer in layers]))
        case CutTokens(tokens, layers):
            names = [common.token(layout.name_of(token)) for token in tokens]
            line = words.CUT_LINE.format(count=_count(words.TOKENS, tokens), names=_few(names, 1))
            return line if layers is None else words.CUT_SOME.format(line=line, layers=_few([str(at) for at in layers]))


def _count(forms: tuple[str, str], things: Sequence[object]) -> str:
    return forms[len(things) != 1].format(count=len(things))


def _few(names: Sequence[str], most: int = NAMES_SHOWN) -> str:
    shown = ", ".join(names[:most])
    return words.AND_MORE.format(names=shown) if len(names) > most else shown
