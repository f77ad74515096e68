"""How two maps are shown: pictures under one cursor, scales, their difference, their agreement, and the exports."""

from __future__ import annotations

from math import isnan

import streamlit as st

from vitviz.analysis.faithfulness import rank_agreement
from vitviz.analysis.queries import corresponding_cell
from vitviz.draw import Scale
from vitviz.figure import Figure
from vitviz.figures.comparison import comparison_figure, difference, difference_scale, shared_scale
from vitviz.heatmap import Heatmap
from vitviz.tokens import cell_name, cell_of_name
from vitviz.ui import state
from vitviz.ui.components.heatmap import PictureSize, show_picture
from vitviz.ui.context import PageContext
from vitviz.ui.controls import figure
from vitviz.ui.controls.pickers import mark, marked_or_middle, marked_patch, robust_or_raw, shared_or_own
from vitviz.ui.pages.compare import sides
from vitviz.ui.pages.compare import text as words
from vitviz.ui.pages.compare.sides import ComparedSide, exported
from vitviz.ui.text import common

GROUP = "compared maps"
# CSS pixels of a window's height for what stands around both maps; layer and head are chosen above those of attention.
AROUND = {"attention": 400, "rollout": 340, "positions": 340}
POSITION_SCALE = Scale(-1, 1, signed=True)


def maps(one: ComparedSide, two: ComparedSide | None) -> None:
    """Both maps beside each other, and their difference where it is chosen and defined."""
    sides = [one] if two is None else [one, two]
    gap = two is not None and _difference_shown(one, two)
    columns = st.columns(3 if gap else 2)
    for column, side in zip(columns, sides, strict=False):
        with column:
            _picture(one.context, side, _scale(sides if one.context.shared else [side]))
    if gap and two is not None:
        with columns[2]:
            _difference(one, two)


def verdict(one: ComparedSide, two: ComparedSide) -> str:
    """How well the two agree, in one sentence."""
    if one.heatmap.grid != two.heatmap.grid:
        (a_rows, a_cols), (b_rows, b_cols) = one.heatmap.grid, two.heatmap.grid
        return words.NO_DIFFERENCE.format(a_rows=a_rows, a_cols=a_cols, b_rows=b_rows, b_cols=b_cols)
    agreement = float(rank_agreement({"a": one.heatmap, "b": two.heatmap})[0, 1])
    return words.AGREEMENT_FLAT if isnan(agreement) else agreement_words(agreement)


def agreement_words(agreement: float) -> str:
    """A sentence on a rank correlation and the meaning of its sign."""
    least = next((least for least in words.AGREEMENT if agreement >= least), -1.0)
    return words.AGREEMENT[least].format(value=f"{agreement:.2f}".replace("-", "\N{MINUS SIGN}"))


def _wants_difference() -> bool:
    return bool(state.value_of("difference") == "shown")


def _difference_shown(one: ComparedSide, two: ComparedSide) -> bool:
    return _wants_difference() and one.heatmap.grid == two.heatmap.grid


def _scale(sides: list[ComparedSide]) -> Scale:
    if sides[0].kind == "positions":
        return POSITION_SCALE
    return shared_scale(*(side.heatmap for side in sides), robust=sides[0].context.robust)


def _picture(context: PageContext, side: ComparedSide, scale: Scale) -> None:
    grid = side.heatmap.grid
    marked = marked_patch(context) or (marked_or_middle(context) if side.kind == "positions" else None)
    alt = (words.ALT_POSITIONS if side.kind == "positions" else words.ALT).format(
        side=side.letter, label=side.heatmap.label, query=common.token(side.query), name=side.name
    )
    show_picture(
        side.context,
        f"map {side.letter}",
        alt=alt,
        on_pick=lambda name: _picked(context, name, grid),
        heatmap=side.heatmap,
        scale=scale,
        params=side.params,
        chosen=cell_name(*corresponding_cell(marked, context.layout.grid, grid)) if marked else "",
        link=GROUP,
        size=PictureSize(around=AROUND[side.kind]),
        one_of_many=side.letter != "A",
    )


def _picked(context: PageContext, name: str, grid: tuple[int, int]) -> None:
    cell = cell_of_name(name, grid)
    if cell is not None:
        mark(context, corresponding_cell(cell, grid, context.layout.grid))


def _difference(one: ComparedSide, two: ComparedSide) -> None:
    gap = difference(one.heatmap, two.heatmap)
    label = one.heatmap.label.partition(",")[0]
    marked = marked_patch(one.context)
    show_picture(
        sides.shared_context(one.context, two.context.key.scope),
        "difference",
        alt=words.ALT_DIFFERENCE.format(label=label),
        on_pick=lambda name: _picked(one.context, name, gap.grid),
        heatmap=Heatmap(gap.values, words.DIFFERENCE_LABEL.format(label=label), signed=True),
        scale=difference_scale(one.heatmap, two.heatmap, one.context.robust),
        params=(("a", one.params), ("b", (two.context.key, *two.params))),
        chosen=cell_name(*corresponding_cell(marked, one.context.layout.grid, gap.grid)) if marked else "",
        link=GROUP,
        size=PictureSize(around=AROUND[one.kind]),
        one_of_many=True,
    )


def display(one: ComparedSide, two: ComparedSide) -> None:
    """How the maps are shown: scales and the difference."""
    if one.kind != "positions":
        shared_or_own(words.SCALES, words.SCALES_HELP)
        robust_or_raw(words.ENDS)
    if one.heatmap.grid == two.heatmap.grid:
        st.toggle(
            words.DIFFERENCE,
            help=words.DIFFERENCE_HELP,
            **state.bound("difference", _wants_difference(), lambda on: "shown" if on else "hidden"),
        )


def details(one: ComparedSide, two: ComparedSide) -> None:
    """What both maps are, and their exports."""
    if one.heatmap.grid != two.heatmap.grid:
        st.caption(words.OTHER_GRID)
    if one.kind in words.KIND_NOTES:
        st.caption(words.KIND_NOTES[one.kind])
    both, asked = (
        sides.shared_context(one.context, two.context.key.scope),
        (one.context.shared, one.context.robust, _difference_shown(one, two)),
    )

    def make() -> Figure:
        shared, robust, gap = asked
        return comparison_figure(
            exported(one),
            exported(two),
            words.METHODS[one.kind],
            shared=shared,
            robust=robust,
            with_difference=gap,
            theme=both.theme,
        )

    figure.exports(both, "comparison", make, a=one.params, b=(two.context.key, *two.params), asked=asked)
