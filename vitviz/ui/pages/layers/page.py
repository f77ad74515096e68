"""Layer by layer: which patches a patch can attend to in each layer, and which it does, on the layer's own grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from vitviz.analysis.layers import GLOBAL, POOLING, SPREAD, layer_kind, layer_maps, within_window
from vitviz.analysis.layers import window_labels as labels_of
from vitviz.analysis.queries import MEAN, corresponding_cell, layer_query, nearest_query
from vitviz.capture.trace import Layer
from vitviz.draw import Scale
from vitviz.draw.layer import borders, contour
from vitviz.errors import UnsupportedError
from vitviz.figure import Figure
from vitviz.figures.layers import layer_figure, layer_heads_figure, overview_figure, reach_of
from vitviz.glossary import GLOSSARY
from vitviz.heatmap import Heatmap
from vitviz.tokens import Query, cell_name, cell_of_name
from vitviz.ui import state
from vitviz.ui.components.heatmap import GridLines, MapNames, MapScales, PictureSize, in_a_row, show_board, show_picture
from vitviz.ui.context import PageContext
from vitviz.ui.controls import figure, navigation
from vitviz.ui.controls.captions import Facts, caption
from vitviz.ui.controls.errors import guarded
from vitviz.ui.controls.frame import Frame, page, verdict_on
from vitviz.ui.controls.pickers import choose_head, head_words, named, robust_or_raw, shared_or_own, take_query
from vitviz.ui.escape import escaped
from vitviz.ui.pages.layers import text as words
from vitviz.ui.text import common
from vitviz.ui.text.sentences import true_of

# Cuts between single patches are drawn up to this many a side: finer ones hide the picture.
CUTS = 32
MOST_BUTTONS = 4  # beside each other; more queries are a list


@dataclass(frozen=True, eq=False)
class Shown:
    """The chosen layer, and the query in it.

    Attributes:
        index: Among all layers, pooling layers last.
        first_query: The query on the model's first grid.
        query: Name of a token of this layer.
        head: None is the mean of heads.
        maps: (heads, rows, cols) over the keys' grid.
        reach: (rows, cols) bool over the keys' grid.
    """

    index: int
    layer: Layer
    kind: str
    first_query: str
    query: str
    head: int | None
    maps: np.ndarray
    reach: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """(rows, cols) of the head, or of the mean of heads."""
        return self.maps.mean(0) if self.head is None else self.maps[self.head]

    @property
    def query_name(self) -> str:
        return common.token(self.query)


def render(context: PageContext) -> None:
    with page(words.PAGE, context) as its:
        support = verdict_on(context)
        verdict = words.VERDICT.format(reason=escaped(support.reason), instead=escaped(support.instead))
        if not context.traced.trace.all_layers:
            st.info(verdict)
            return
        alike = whole_grid(context)
        with its.controls():
            shown = choose(context, heads=not alike)
        with its.settings():
            robust_or_raw()
        with its.figure(), guarded("layer"):
            if alike:
                _show_all_layers(context, shown)
            elif shown.kind == POOLING:
                _pools(its, context, shown)
            else:
                _show_query_and_map(its, context, shown)
        with its.details():
            if alike:
                navigation.link("microscope")
            st.caption(verdict)
            if not alike:
                with guarded("layer exports"):
                    st.caption(_reading(shown))
                    _exports(context, shown)
                st.subheader(words.HEADS_OF, anchor=False)
                with guarded("layer heads"):
                    show_heads(context, shown)
            st.subheader(words.OVERVIEW, anchor=False)
            pools = any(not layer.query_layout.num_patches for layer in context.traced.trace.all_layers)
            overview = true_of(words.OVERVIEW_TEXT, Facts(context))
            caption(f"{overview} {words.OVERVIEW_COLLECTS}" if pools else overview)
            with guarded("overview"):
                _overview(context, drawn=its.details().open is True)


def whole_grid(context: PageContext) -> bool:
    """Whether in every layer all patches of one grid attend to all: then the page compares layers and shows no single heads."""
    layers = context.traced.trace.all_layers
    return len({layer.key_layout.grid for layer in layers}) == 1 and {layer_kind(layer) for layer in layers} == {GLOBAL}


def _overview(context: PageContext, drawn: bool) -> None:
    """Every layer at a glance as one picture.

    Args:
        drawn: Whether it can be seen; its exports draw it themselves.
    """
    query_name, robust = query_of_layers(context), context.robust

    def make() -> Figure:
        return overview_figure(
            context.traced, query_name, robust=robust, theme=context.theme, width=figure.whole(context)
        )

    if drawn:
        figure.show(context, "layers", make, query=query_name, robust=robust)
    else:
        figure.exports(context, "layers", make, query=query_name, robust=robust)


def _show_all_layers(context: PageContext, shown: Shown) -> None:
    """The photograph with its grid, and beside it the maps of all layers, each the mean of its heads."""
    left, right = st.columns([2, 3])
    with left:
        st.markdown(f"**{words.ASKS}**")
        _show_query(context, shown, above="\N{NO-BREAK SPACE}")
    layers = context.traced.trace.all_layers
    robust = context.robust

    def read(_: object) -> np.ndarray:
        return np.stack([layer_maps(layer, shown.query).mean(0) for layer in layers])  # (layers, rows, cols)

    maps = context.ask("maps of layers", read, query=shown.query)
    across = in_a_row(len(maps)) if len(maps) > 6 else len(maps)
    across = min(across, 4) if len(maps) % 4 == 0 else across
    with right:
        st.markdown(f"**{words.EVERY_LAYER}**")
        show_board(
            context,
            "every layer",
            maps.reshape(-1, across, *maps.shape[1:]),  # (layers, rows, cols) -> (lines, layers a line, rows, cols)
            MapScales.of(maps, common.ATTENTION_WEIGHT, robust=robust),
            alt=words.EVERY_LAYER_ALT.format(count=len(maps), query=shown.query_name),
            params=(("query", shown.query), ("robust", robust)),
            chosen=divmod(shown.index, across),
            names=MapNames(wrapped=True, unit="layer"),
            on_pick=lambda row, place: state.change(layer=row * across + place),
            tallest=400,
        )


def query_of_layers(context: PageContext) -> str:
    """The query that was chosen on any page, else the patch in the middle: this page is about the patches that a patch can
    attend to.
    """
    rows, cols = context.layout.grid
    try:
        return str(layer_query(context.traced.trace, context.selection.query or cell_name(rows // 2, cols // 2)))
    except UnsupportedError:
        return cell_name(rows // 2, cols // 2)


def choose(context: PageContext, heads: bool) -> Shown:
    """The controls of the page, and what was chosen.

    Args:
        heads: Whether one of them is a head.
    """
    trace = context.traced.trace
    index = context.selection.layer_of(len(trace.all_layers))
    layer = trace.all_layers[index]
    every = range(len(trace.all_layers))
    names = {number: words.layer_words(trace, number) if heads else str(number) for number in every}
    st.selectbox(
        common.LAYER,
        list(names),
        format_func=named(names),
        help=GLOSSARY["layer"],
        width=240 if heads else 110,
        **state.bound("layer", index),
    )
    head = context.selection.head_of(layer.num_heads)
    if heads:
        choose_head(layer.num_heads, head, width=140)
    query = str(nearest_query(layer, query_of_layers(context), context.layout.grid))
    if layer.query_layout.num_patches:
        _choose_query(layer, query)
    maps = context.ask("layer maps", lambda _: layer_maps(layer, query), index=index, query=query)
    return Shown(
        index,
        layer,
        layer_kind(layer),
        query_of_layers(context),
        query,
        head,
        maps,
        reach_of(layer, Query.parse(query)),
    )


def _choose_query(layer: Layer, query: str) -> None:
    """A patch, which the picture chooses, a prefix token, or all patches at once."""
    others = {name: common.token(name) for name in (*layer.query_layout.prefix, MEAN)}
    names = {"": words.ASKS_PATCH} | others
    tied = state.bound("query", query if query in others else "", part="of a layer")
    if len(names) > MOST_BUTTONS:
        st.selectbox(words.ASKS, list(names), format_func=named(names), width=170, **tied)
    else:
        st.segmented_control(words.ASKS, list(names), format_func=named(names), required=True, **tied)


def _show_query_and_map(its: Frame, context: PageContext, shown: Shown) -> None:
    its.say(_reach_sentence(shown))
    left, right = st.columns(2)
    with left:
        st.markdown(f"**{words.ASKS}**")
        _show_query(context, shown)
    with right:
        st.markdown(f"**{words.LOOKS}**")
        _show_map(context, shown, "layer")


def _show_query(context: PageContext, shown: Shown, above: str = "") -> None:
    """The photograph with the layer's grid or its windows, on which a patch is chosen.

    Args:
        above: As `PictureSize`.
    """
    grid = shown.layer.query_layout.grid
    labels = labels_of(shown.layer)
    window_borders = borders(labels) if labels is not None and shown.kind != SPREAD else []
    show_picture(
        context,
        "who asks",
        alt=words.ASKS_ALT.format(rows=grid[0], cols=grid[1], query=shown.query_name),
        on_pick=lambda name: _pick(context, name, grid),
        lines=GridLines(grid, 1 if labels is None and max(grid) <= CUTS else 0, borders=window_borders),
        params=(("layer", shown.index),),
        chosen=shown.query,
        size=PictureSize(above=above),
        link="layer",
    )


def _reach_sentence(shown: Shown) -> str:
    if shown.query == MEAN:
        return words.ASKS_MEAN
    query_name = shown.query_name[0].upper() + shown.query_name[1:]
    keys = words.size(shown.layer.key_layout.grid)
    return words.ASKS_TEXT[shown.kind].format(query=query_name, keys=keys, count=int(shown.reach.sum()))


def _pools(its: Frame, context: PageContext, shown: Shown) -> None:
    its.say(words.COLLECTS_TEXT, query=shown.query_name)
    st.markdown(f"**{words.COLLECTS.format(query=shown.query_name)}**")
    _show_map(context, shown, "")


def _show_map(context: PageContext, shown: Shown, link: str) -> None:
    values = shown.values
    name = head_words(shown.head)
    label = words.LABEL.format(head=name)
    keys, robust, whole = shown.layer.key_layout, context.robust, bool(shown.reach.all())
    same = keys.grid == shown.layer.query_layout.grid
    pooling = shown.kind == POOLING
    params = (("layer", shown.index), ("head", shown.head), ("query", shown.query))
    show_picture(
        context,
        "where it looks",
        alt=words.LOOKS_ALT.format(
            label=label,
            query=shown.query_name,
            layer=shown.index,
            head=name,
            window="" if whole else words.LOOKS_WINDOW,
        ),
        on_pick=lambda token: _pick(context, token, keys.grid),
        heatmap=Heatmap(values, label),
        scale=Scale.of(values[shown.reach], robust=robust),
        among=shown.reach,
        lines=GridLines(contour=[] if whole else contour(shown.reach)),
        params=params,
        chosen=shown.query if same or pooling else "",
        prefix=shown.layer.query_layout.prefix if pooling and shown.layer.query_layout.num_prefix > 1 else (),
        link=link,
    )


def _exports(context: PageContext, shown: Shown) -> None:
    robust = context.robust
    figure.exports(
        context,
        "one layer",
        lambda: layer_figure(
            context.traced, shown.index, shown.head, shown.first_query, robust=robust, theme=context.theme
        ),
        label=words.LOOKS,
        robust=robust,
        query_name=shown.first_query,
        layer=shown.index,
        head=shown.head,
        query=shown.query,
    )


def _reading(shown: Shown) -> str:
    """A sentence on the numbers of the map."""
    on_patches = float(shown.values.sum())
    if not shown.layer.rows_sum_to_one:
        return words.NOT_ONE.format(total=on_patches)
    return words.SUM.format(patches=on_patches, prefix=max(0.0, 1 - on_patches), largest=float(shown.values.max()))


def _pick(context: PageContext, name: str, grid: tuple[int, int]) -> None:
    """A patch of a layer's grid selects the patch at the same place of the model's first grid, which all pages use."""
    cell = cell_of_name(name, grid)
    if cell is not None:
        name = cell_name(*corresponding_cell(cell, grid, context.layout.grid))
    take_query(name)


# All heads of one layer as small maps; of a windowed layer, the window alone.


def show_heads(context: PageContext, shown: Shown) -> None:
    """The board; clicking a head enlarges it above."""
    robust, shared = context.robust, context.shared
    shared_or_own()
    if not shown.reach.all():
        st.caption(words.HEADS_WINDOW)
    maps = within_window(shown.maps, shown.reach)  # (heads, rows, cols)
    across = in_a_row(len(maps))
    places = np.flatnonzero(shown.reach.any(1)).tolist(), np.flatnonzero(shown.reach.any(0)).tolist()
    params = (("layer", shown.index), ("query", shown.query), ("robust", robust), ("shared", shared))
    show_board(
        context,
        "layer heads",
        maps.reshape(-1, across, *maps.shape[1:]),  # (heads, rows, cols) -> (rows of heads, heads a row, rows, cols)
        MapScales.of(maps, common.ATTENTION_WEIGHT, shared=shared, robust=robust),
        alt=words.HEADS_ALT.format(heads=len(maps), layer=shown.index, query=shown.query_name),
        params=params,
        chosen=None if shown.head is None else divmod(shown.head, across),
        names=MapNames(wrapped=True, places=places),
        on_pick=lambda row, place: state.change(head=row * across + place),
        tallest=200 * -(-len(maps) // across),
    )
    figure.exports(
        context,
        "heads of a layer",
        lambda: layer_heads_figure(
            context.traced,
            shown.index,
            shown.first_query,
            maps=shown.maps,
            shared=shared,
            robust=robust,
            theme=context.theme,
        ),
        query_name=shown.first_query,
        **dict(params),
    )
