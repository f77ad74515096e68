"""Positions: how a model encodes where a patch is, of each kind that it has."""

from __future__ import annotations

import numpy as np
import streamlit as st

from vitviz.analysis.positions import (
    chance_similarity,
    named_positions,
    patch_embedding,
    position_embedding,
    position_similarity,
    similarity_by_step,
)
from vitviz.draw import Scale, draw_sum
from vitviz.draw.small_multiples import paint_atlas
from vitviz.figure import Figure
from vitviz.figures.embeddings import atlas_figure, distance_figure, position_figure
from vitviz.heatmap import Heatmap
from vitviz.tokens import cell_name
from vitviz.ui import state
from vitviz.ui.components.heatmap import show_picture
from vitviz.ui.context import PageContext
from vitviz.ui.controls import figure
from vitviz.ui.controls.captions import caption, kinds_of_positions
from vitviz.ui.controls.errors import guarded
from vitviz.ui.controls.frame import page
from vitviz.ui.controls.pickers import take_query
from vitviz.ui.escape import escaped
from vitviz.ui.pages.positions import in_attention
from vitviz.ui.pages.positions import text as words
from vitviz.ui.pages.positions.in_attention import SectionContainers, choose_place


def render(context: PageContext) -> None:
    with page(words.PAGE, context) as its:
        kinds = kinds_of_positions(context)
        for kind in kinds:
            if kind in SECTIONS:
                # Where a model has several, the first is the page's figure.
                first = kind == kinds[0]
                places = SectionContainers(*[its.details()] * 4)
                if first:
                    places = SectionContainers(its.figure(), its.controls(), its.settings(), its.details())
                with guarded(kind):
                    SECTIONS[kind](context, places)
            else:
                with its.figure():
                    names = named_positions(context.model.module)
                    st.info(words.NAMED.format(names=", ".join(map(escaped, names[:3]))) if names else words.NONE)


# Positions that are added to the patches: how alike their vectors are, learned or fixed by formula.

# With more, the similarities of all pairs of positions would be too large a picture and payload: 44 x 44 patches.
MOST_PATCHES = 2000
LINK = "one place and all"


def show_added(context: PageContext, its: SectionContainers) -> None:
    """One position against all others, the maps of all positions, the sum with the patch embedding, the curve over distance.

    With very many patches the curve and the maps of all positions, which need all pairs of positions, are left out.
    """
    row, col = context.selection.patch_of(context.layout)
    # Figures of the model are drawn once for all pictures of one framing, which their provenance contains.
    model, framing = context.of_model, context.key.framing
    similarity = None
    if context.layout.num_patches <= MOST_PATCHES:
        similarity = model.ask("position similarity", lambda _: position_similarity(context.model, context.layout))
    with its.settings:
        choose_place(context, row, col, "added")
    with its.figure:
        left, right = st.columns(2)
        with left:
            _one_added(context, similarity, row, col)
        if similarity is not None:
            with right:
                _all_added(context, similarity, row, col)
    with its.details:
        kind = model.ask("position kind", lambda _: position_embedding(context.model, context.layout).kind)
        caption(words.KIND, kind=words.LEARNED if kind == "learned" else words.FIXED)
        figure.exports(
            model,
            "position similarity",
            lambda: position_figure(model.traced, row, col, similarity, theme=model.theme),
            label=words.SIMILARITY,
            framing=framing,
            row=row,
            col=col,
        )
        if similarity is not None:
            figure.exports(
                model,
                "position atlas",
                lambda: _atlas(model, similarity, row, col),
                label=words.ATLAS,
                framing=framing,
                row=row,
                col=col,
            )
        st.subheader(words.SUM, anchor=False)
        with guarded("sum"):
            _sum(context, row, col)
        st.subheader(words.CURVE, anchor=False)
        _curve(model, similarity, framing)


def _all_added(context: PageContext, similarity: np.ndarray, row: int, col: int) -> None:
    """The maps of all positions, each at its own place, under one cursor with the map of one position."""
    layout, signed = context.layout, state.value_of("bent") == "signed"
    scale = Scale(-1, 1, signed=True) if signed else Scale.of(similarity)
    params = (("signed", signed), ("theme", context.theme.name))
    painted = context.of_model.ask(
        "atlas painted", lambda _: paint_atlas(similarity, layout.grid, scale, theme=context.theme), **dict(params)
    )
    show_picture(
        context,
        "position atlas",
        alt=words.ATLAS_ALT.format(rows=layout.grid[0], cols=layout.grid[1]),
        on_pick=take_query,
        shown=painted,
        scale=scale,
        label=words.ATLAS_LABEL,
        params=params,
        chosen=cell_name(row, col),
        link=LINK,
        one_of_many=True,
    )


def _atlas(context: PageContext, similarity: np.ndarray, row: int, col: int) -> Figure:
    return atlas_figure(context.traced, similarity, chosen=(row, col), theme=context.theme, width=figure.HALF)


def _curve(context: PageContext, similarity: np.ndarray | None, framing: str) -> None:
    if similarity is None:
        st.caption(words.TOO_MANY.format(count=f"{context.layout.num_patches:,}"))
        return
    st.caption(words.CURVE_TEXT)
    figure.show(
        context,
        "similarity by distance",
        lambda: distance_figure(context.traced, similarity, theme=context.theme, width=figure.whole(context)),
        framing=framing,
    )
    step = min(context.layout.grid) // 2
    if step:
        found = similarity_by_step(similarity, context.layout, step)
        st.caption(words.STEP_TEXT.format(step=step, row=found.row, column=found.column, diagonal=found.diagonal))


def _one_added(context: PageContext, similarity: np.ndarray | None, row: int, col: int) -> None:
    layout = context.layout
    patch = layout.token_at(row, col) - layout.num_prefix
    label = words.SIMILARITY_LABEL.format(row=row, col=col)
    if similarity is None:
        values = context.of_model.ask(
            "one position", lambda _: position_similarity(context.model, layout, [patch])[0], patch=patch
        )
    else:
        values = similarity[patch]
    heatmap = Heatmap(layout.patches(values), label, signed=True)
    signed = state.value_of("bent") == "signed"
    if not signed:
        heatmap = Heatmap(heatmap.values, label)
    scale = Scale(-1, 1, signed=True) if signed else Scale.of(heatmap.values)
    show_picture(
        context,
        "position similarity",
        alt=words.SIMILARITY_ALT.format(row=row, col=col),
        on_pick=take_query,
        heatmap=heatmap,
        scale=scale,
        params=(("patch", patch),),
        chosen=cell_name(row, col),
        link=LINK,
    )


def _sum(context: PageContext, row: int, col: int) -> None:
    layout = context.layout
    patch = layout.token_at(row, col) - layout.num_prefix

    def embedded(_: object) -> np.ndarray:
        content = patch_embedding(context.model, context.traced.trace.input, layout)  # (patches, width)
        return content.cpu().numpy()

    content = context.ask("patch embedding", embedded)
    place = context.of_model.ask(
        "position embedding", lambda _: position_embedding(context.model, layout).vectors.cpu().numpy()
    )  # (patches, width)
    one, two = content[patch], place[patch]
    total = one + two
    lengths = {name: float(np.linalg.norm(v)) for name, v in (("patch", one), ("position", two), ("total", total))}
    cosine = float(one @ two / max(lengths["patch"] * lengths["position"], 1e-30))
    chance = words.SUM_CHANCE.format(width=one.size, chance=chance_similarity(one.size))
    st.caption(f"{words.SUM_TEXT.format(**lengths, cosine=cosine)} {chance}")

    def draw() -> Figure:
        terms = dict(zip(words.SUM_NAMES, (one, two), strict=True))
        return Figure(
            arrays={"patch_embedding": one, "position_embedding": two, "total": total},
            drawing=draw_sum(terms, result=words.SUM_RESULT, theme=context.theme, width=figure.whole(context)),
            alt=words.SUM_ALT,
            provenance=context.traced.provenance("embedding sum", query=cell_name(row, col)),
            snippet=context.traced.snippet("sums = vitviz.embedding_sum(model, trace.input, trace.layout)"),
        )

    figure.show(context, "embedding sum", draw, patch=patch)


SECTIONS = {
    "learned": show_added,
    "sin-cos": show_added,
    "rotary": in_attention.show_rotary,
    "relative": in_attention.show_relative,
}
