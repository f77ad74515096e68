"""All heads of one layer as small maps; of a windowed layer, the window alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from vitviz.analysis.layers import within_window
from vitviz.draw import Scale
from vitviz.figures.layers import layer_heads_figure
from vitviz.ui import exhibits, figure, state
from vitviz.ui.choices import named
from vitviz.ui.stage import Stage
from vitviz.ui.text import common
from vitviz.ui.text import layers as words
from vitviz.ui.text import rollout as board_words

if TYPE_CHECKING:
    from vitviz.ui.views.layers import Shown

MOST_IN_A_ROW = 8


def show(stage: Stage, shown: Shown) -> None:
    """The board; clicking a head enlarges it above."""
    robust, shared = stage.selection.scale == "robust", state.value_of("colours") == "shared"
    st.segmented_control(
        board_words.TILE_SCALES, list(board_words.TILE_SCALE_OF), format_func=named(board_words.TILE_SCALE_OF),
        help=board_words.TILE_SCALE_HELP, required=True, **state.bound("colours"),
    )  # fmt: skip
    if not shown.reach.all():
        st.caption(words.HEADS_WINDOW)
    maps = within_window(shown.maps, shown.reach)  # (heads, rows, cols)
    across = in_a_row(len(maps))
    one = Scale.of(maps, robust=robust) if shared else None
    scales = [one] * len(maps) if one else [Scale.of(each, robust=robust) for each in maps]
    label = board_words.BOARD_LABELS["attention"]
    if one:
        caption = board_words.SHARED_CAPTION.format(label=label, scale=one.label)
    else:
        scale = common.SCALE_ROBUST if robust else common.SCALE_RAW
        caption = board_words.OWN_CAPTION.format(label=label, scale=scale)
    knobs = (("layer", shown.index), ("query", shown.query), ("robust", robust), ("shared", shared))
    exhibits.board(
        stage,
        "layer heads",
        maps.reshape(-1, across, *maps.shape[1:]),  # (heads, rows, cols) -> (rows of heads, heads a row, rows, cols)
        scales,
        alt=words.HEADS_ALT.format(heads=len(maps), layer=shown.index, query=shown.asked),
        caption=caption,
        shared=one,
        own_ends=board_words.OWN_ENDS_ROBUST if robust else board_words.OWN_ENDS,
        facts={},
        knobs=knobs,
        chosen=None if shown.head is None else divmod(shown.head, across),
        wrapped=True,
        places=(np.flatnonzero(shown.reach.any(1)).tolist(), np.flatnonzero(shown.reach.any(0)).tolist()),
        on_pick=lambda row, place: state.change(head=row * across + place),
        tallest=200 * -(-len(maps) // across),
    )
    figure.ways_out(
        stage,
        "heads of a layer",
        lambda: layer_heads_figure(
            stage.staged, shown.index, shown.asked_by, maps=shown.maps, shared=shared, robust=robust,
            theme=stage.theme,
        ),
        asked=shown.asked_by,
        **dict(knobs),
    )  # fmt: skip


def in_a_row(heads: int) -> int:
    """How many heads stand in one row of the board: all rows are full."""
    fitting = [count for count in range(1, MOST_IN_A_ROW + 1) if heads % count == 0]
    return max(fitting) if max(fitting) >= min(heads, 4) else heads
