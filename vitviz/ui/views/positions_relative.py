"""Relative positions: the bias of every head over displacements, layer by layer."""

from __future__ import annotations

import streamlit as st

from vitviz.analysis.relative import OffsetBias
from vitviz.draw import Scale
from vitviz.errors import UnsupportedError
from vitviz.figures.embeddings import bias_figure, bias_heads_figure, biases_of, straddles
from vitviz.ui import exhibits, figure, state
from vitviz.ui.choices import named
from vitviz.ui.stage import Stage
from vitviz.ui.text import positions as words
from vitviz.ui.text import rollout as board_words
from vitviz.ui.views.layer_heads import in_a_row
from vitviz.ui.views.positions_rotary import SHOWN


def show(stage: Stage) -> None:
    """One layer's heads as small maps, and one of them enlarged."""
    st.subheader(words.RELATIVE, anchor=False)
    try:
        biases = stage.ask("bias by displacement", lambda _: biases_of(stage.sight))
    except UnsupportedError:
        st.info(words.RELATIVE_MORE)
        return
    st.caption(words.RELATIVE_TEXT)
    number = min(int(state.value_of("bias_layer")), len(biases) - 1)
    names = {index: _name(index, bias) for index, bias in enumerate(biases)}
    st.selectbox(words.RELATIVE_LAYER, list(names), format_func=named(names), **state.bound("bias_layer", number))
    bias = biases[number]
    head = min(int(state.value_of("bias_head")), bias.num_heads - 1)
    left, right = st.columns(2)
    with left:
        _board(stage, number, bias, head)
    with right:
        st.markdown(f"**{words.RELATIVE_HEAD.format(head=head)}**")
        figure.show(
            stage,
            "relative bias",
            lambda: bias_figure(stage.sight, number, head, bias, theme=stage.theme, width=SHOWN),
            number=number,
            head=head,
        )


def _steps(patches: int, step: int) -> range:
    """The displacements along one side, in patches."""
    return range(-(patches - 1) * step, (patches - 1) * step + 1, step)


def _name(number: int, bias: OffsetBias) -> str:
    name = words.RELATIVE_NAME.format(number=number, layer=bias.layer, rows=bias.window[0], cols=bias.window[1])
    return name if bias.step == (1, 1) else words.RELATIVE_STEP.format(name=name, step=bias.step[0])


def _board(stage: Stage, number: int, bias: OffsetBias, head: int) -> None:
    shared = state.value_of("colours") == "shared"
    st.segmented_control(
        board_words.TILE_SCALES, list(board_words.TILE_SCALE_OF), format_func=named(board_words.TILE_SCALE_OF),
        help=board_words.TILE_SCALE_HELP, required=True, **state.bound("colours"),
    )  # fmt: skip
    maps, across = (
        bias.values,
        min(in_a_row(bias.num_heads), 4) if bias.num_heads % 4 == 0 else in_a_row(bias.num_heads),
    )
    signed = straddles(maps)
    one = Scale.of(maps, signed=signed) if shared else None
    scales = [one] * len(maps) if one else [Scale.of(each, signed=signed) for each in maps]
    scale = one.label if one else board_words.OWN_CAPTION.format(label=words.RELATIVE_LABEL, scale="raw")
    exhibits.board(
        stage,
        "bias heads",
        maps.reshape(-1, across, *maps.shape[1:]),  # (heads, down, right) -> (rows of heads, heads a row, down, right)
        scales,
        alt=words.RELATIVE_BOARD_ALT.format(heads=len(maps), layer=bias.layer),
        caption=board_words.SHARED_CAPTION.format(label=words.RELATIVE_LABEL, scale=scale) if one else scale,
        shared=one,
        own_ends=board_words.OWN_ENDS,
        facts={},
        knobs=(("number", number), ("shared", shared)),
        chosen=divmod(head, across),
        wrapped=True,
        places=(_steps(bias.window[0], bias.step[0]), _steps(bias.window[1], bias.step[1])),
        on_pick=lambda row, place: state.change(bias_head=row * across + place),
    )
    figure.ways_out(
        stage,
        "relative bias of all heads",
        lambda: bias_heads_figure(stage.sight, number, bias, shared=shared, theme=stage.theme),
        number=number,
        shared=shared,
    )
