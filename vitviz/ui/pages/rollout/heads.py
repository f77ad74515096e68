"""One head: its attention and its rollout to the input; and all heads of all layers as small maps."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from vitviz.analysis.attention import head_maps, query_weights
from vitviz.analysis.queries import Query, layers_with_query
from vitviz.analysis.rollout import RolloutOptions
from vitviz.draw import Scale
from vitviz.figure import Figure
from vitviz.figures.attention import attention_figure, head_rollout_figure, heads_figure
from vitviz.heatmap import Heatmap
from vitviz.tokens import Cell
from vitviz.ui import state
from vitviz.ui.components.heatmap import MapNames, MapScales, show_board, show_picture
from vitviz.ui.context import PageContext
from vitviz.ui.controls import figure
from vitviz.ui.controls.errors import guarded
from vitviz.ui.controls.pickers import choose_head, choose_layer, head_words, named, shared_or_own, take_query
from vitviz.ui.controls.rollouts import head_rollouts_of
from vitviz.ui.pages.rollout import text as words
from vitviz.ui.text import common


@dataclass(frozen=True)
class _HeadMaps:
    """The maps of the board: `kind` of map for `query`, with all that they depend on in `params`.

    Attributes:
        first: Number of the layer in the first row; layers that only collect are counted after all others.
    """

    kind: str
    query: str
    maps: np.ndarray
    options: RolloutOptions
    params: tuple[tuple[str, Hashable], ...]
    first: int = 0


KINDS = ("attention", "last_hop", "leave_one_in")


def show_one(
    context: PageContext, options: RolloutOptions, kinds: Sequence[str] = KINDS, sinks: Sequence[Cell] = ()
) -> None:
    """The chosen head as maps side by side, one of each kind.

    Args:
        sinks: Of the rollout, marked where layers are multiplied.
    """
    for kind, column in zip(kinds, st.columns(len(kinds)), strict=True):
        with column, guarded(kind):
            st.markdown(f"**{words.MAPS[kind]}**", help=words.MAPS_TEXT[kind])
            shown = maps_of(context, options, kind)
            _enlarged(context, shown, () if kind == "attention" else sinks)


def choose_one(context: PageContext) -> None:
    """The widgets of layer and head."""
    choose_layer(context.trace.num_layers, context.layer, width=130)
    choose_head(context.trace.layers[context.layer].num_heads, context.head)


def show_all(context: PageContext, options: RolloutOptions, rollouts: bool = True) -> None:
    """The board of all heads.

    Args:
        rollouts: Whether the model has any.
    """
    _choices(rollouts)
    _board(context, maps_of(context, options, str(state.value_of("board")) if rollouts else "attention"))


def exports(context: PageContext, options: RolloutOptions, kinds: Sequence[str] = KINDS) -> None:
    """Downloads and code of the maps of the chosen head."""
    robust = context.robust
    for kind in kinds:
        shown = maps_of(context, options, kind)
        row, head = _chosen(context, shown)
        make = _figure(context, shown, row, head, robust)
        if make is not None:
            params = (*shown.params, ("kind", kind), ("layer", shown.first + row), ("head", head), ("robust", robust))
            figure.exports(context, f"one head {kind}", make, label=words.MAPS[kind], **dict(params))


def _choices(rollouts: bool) -> None:
    if rollouts:
        st.segmented_control(
            words.BOARD_OF,
            list(words.BOARDS),
            format_func=named(words.BOARDS),
            help=words.BOARD_HELP,
            required=True,
            label_visibility="collapsed",
            **state.bound("board"),
        )
    shared_or_own()


def maps_of(context: PageContext, options: RolloutOptions, kind: str) -> _HeadMaps:
    query = context.query
    if kind == "attention":
        params: tuple[tuple[str, Hashable], ...] = (("query", query),)
        maps = context.ask("head maps", lambda _: head_maps(context.trace, query), **dict(params))
        first = context.trace.num_layers if Query.parse(query).pools else 0
    else:
        params = (("query", query), ("method", kind), ("options", options))
        maps, first = head_rollouts_of(context, kind, query, options), options.first_layer
    return _HeadMaps(kind, query, maps, options, params, first)


def _chosen(context: PageContext, shown: _HeadMaps) -> tuple[int, int | None]:
    """(row of the board, head) of the selection: the nearest row where the board does not have the layer, None for the mean of
    heads where it does not have the head.
    """
    layers, heads = shown.maps.shape[:2]
    row = context.selection.layer_of(context.trace.num_layers) - shown.first
    return min(max(row, 0), layers - 1), context.selection.head_of(heads)


def _board(context: PageContext, shown: _HeadMaps) -> None:
    robust, shared = context.robust, context.shared
    layers, heads = shown.maps.shape[:2]
    flat = shown.maps.reshape(layers * heads, *shown.maps.shape[2:])  # (layers * heads, rows, cols)
    label = words.BOARD_LABELS[shown.kind]
    show_board(
        context,
        f"board {shown.kind}",
        shown.maps,
        MapScales.of(flat, label, shared=shared, robust=robust),
        alt=words.BOARD_ALT.format(heads=heads, layers=layers, label=label, query=common.token(shown.query)),
        facts=_facts(context, shown),
        params=(*shown.params, ("robust", robust), ("shared", shared)),
        names=MapNames(shown.first),
        chosen=_chosen(context, shown),
        on_pick=lambda row, head: state.change(of="head", layer=shown.first + row, head=head),
    )
    if shown.kind == "attention":
        figure.exports(
            context,
            "heads",
            lambda: heads_figure(
                context.subject, shown.query, maps=shown.maps, shared=shared, robust=robust, theme=context.theme
            ),
            query=shown.query,
            shared=shared,
            robust=robust,
        )


def _facts(context: PageContext, shown: _HeadMaps) -> dict[str, np.ndarray]:
    """Entropy and prefix mass of this query's row in every head: (layers, heads) each. Nothing for rollouts."""
    if shown.kind != "attention":
        return {}

    def read(_: object) -> tuple[np.ndarray, np.ndarray]:
        entropies, masses = [], []
        for layer in layers_with_query(context.trace, Query.parse(shown.query)):
            rows = query_weights(layer, shown.query)  # (heads, keys)
            spread = np.log(max(rows.shape[1], 2))
            entropies.append(-(rows * rows.clamp_min(1e-30).log()).sum(-1).cpu().numpy() / spread)
            masses.append(rows[:, : layer.key_layout.num_prefix].sum(-1).cpu().numpy())
        return np.stack(entropies), np.stack(masses)

    entropy, prefix = context.ask("query facts", read, query=shown.query)
    facts = {words.FACT_ENTROPY: entropy}
    return facts | {words.FACT_PREFIX: prefix} if context.layout.num_prefix else facts


def _enlarged(context: PageContext, shown: _HeadMaps, sinks: Sequence[Cell]) -> None:
    row, head = _chosen(context, shown)
    layer = shown.first + row
    values = shown.maps[row].mean(0) if head is None else shown.maps[row, head]
    label = words.BOARD_LABELS[shown.kind]
    heatmap = Heatmap(values, label.partition(" (")[0])  # which of the two stands above it
    show_picture(
        context,
        f"enlarged {shown.kind}",
        alt=words.ENLARGED_ALT.format(label=label, query=common.token(shown.query), layer=layer, head=head_words(head)),
        on_pick=take_query,
        heatmap=heatmap,
        scale=Scale.of(values, robust=context.robust),
        params=(*shown.params, ("kind", shown.kind), ("layer", layer), ("head", head)),
        chosen=shown.query,
        marks=sinks,
        tag=words.SINK,
        link="rollout",
        one_of_many=True,
    )


def _figure(context: PageContext, shown: _HeadMaps, row: int, head: int | None, robust: bool):  # type: ignore[no-untyped-def]
    if shown.kind == "attention":
        return lambda: attention_figure(context.subject, row, head, shown.query, robust=robust, theme=context.theme)
    if head is None:
        return None
    values = Heatmap(shown.maps[row, head], words.BOARD_LABELS[shown.kind])

    def make() -> Figure:
        return head_rollout_figure(
            context.subject,
            shown.first + row,
            head,
            shown.kind,
            shown.query,
            shown.options,
            heatmap=values,
            robust=robust,
            theme=context.theme,
        )

    return make
