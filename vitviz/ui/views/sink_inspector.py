"""Tokens that stand out by their length or by the attention they are given, on the picture and through the layers."""

from __future__ import annotations

from functools import partial

import numpy as np
import streamlit as st
import torch

from vitviz.analysis.attention import query_weights
from vitviz.analysis.interventions import Interventions
from vitviz.analysis.queries import MEAN, POOL
from vitviz.analysis.sinks import TokenOutliers, set_aside, token_outliers
from vitviz.draw import Scale
from vitviz.figures.interventions import outliers_figure
from vitviz.heatmap import Heatmap
from vitviz.tokens import TokenLayout
from vitviz.ui import changes, exhibits, figure, state
from vitviz.ui.asking import Asked
from vitviz.ui.stage import Stage
from vitviz.ui.text import common
from vitviz.ui.text import what_if as words

PICTURE = 330  # CSS pixels
NAMES_SHOWN, LINES_SHOWN = 6, 4


def found_outliers(about: Asked) -> TokenOutliers:
    """The picture's outlying tokens at the thresholds chosen."""
    norm, mass = float(state.value_of("norm_times")), float(state.value_of("mass_times"))
    found: TokenOutliers = about.ask(
        "outliers", lambda question, _: token_outliers(question, norm, mass), norm=norm, mass=mass
    )
    return found


def show(about: Asked, given: Interventions) -> None:
    """Thresholds, both measures on the picture, the outliers through the layers, and a map without them."""
    stage = about.stage
    st.caption(words.SINKS_TEXT)
    one, two, three = st.columns([2, 2, 1])
    with one:
        st.slider(words.NORM_TIMES, 1.5, 20.0, step=0.5, format="%.1f", **state.bound("norm_times"))
    with two:
        st.slider(words.MASS_TIMES, 2.0, 50.0, step=1.0, format="%.0f", **state.bound("mass_times"))
    layer, last = stage.layer, stage.trace.num_layers - 1
    if last > 0:
        three.number_input(words.SINK_LAYER, 0, last, step=1, **state.bound("layer", layer))
    found = found_outliers(about)
    here = np.flatnonzero(found.by_norm[layer + 1] | found.by_mass[layer]).tolist()
    for column, values, standing, title, label, key in zip(
        st.columns(2),
        (found.norms[layer + 1], found.mass[layer]),
        (found.by_norm[layer + 1], found.by_mass[layer]),
        (words.SINK_NORM, words.SINK_MASS),
        (words.SINK_NORM_LABEL, words.SINK_MASS_LABEL),
        ("norm", "mass"),
        strict=True,
    ):
        with column:
            _picture(stage, values, standing, title.format(layer=layer), label, key, layer)
    if not found.tokens:
        st.info(words.SINK_NONE)
        return
    where = words.SINK_HERE if here else words.SINK_NOT_HERE
    st.markdown(where.format(names=_names(here or found.tokens, stage.layout)))
    _through_layers(stage, found)
    _aside(stage, given, layer, tuple(here or found.tokens))


def _picture(
    stage: Stage, values: np.ndarray, standing: np.ndarray, title: str, label: str, key: str, layer: int
) -> None:
    heatmap = Heatmap(stage.layout.patches(values), label)
    marks = [(int(row), int(col)) for row, col in np.argwhere(stage.layout.patches(standing))]
    st.markdown(f"**{title}**")
    exhibits.picture(
        stage, f"sink {key}", alt=words.SINK_ALT.format(name=title, count=len(marks)), heatmap=heatmap,
        scale=Scale.of(heatmap.values, low=0.0), knobs=(("layer", layer),), marks=marks, widest=PICTURE, link="sinks",
        on_pick=lambda token: state.change(query=token), chosen=stage.selection.query, one_of_many=True,
    )  # fmt: skip


def _names(tokens: list[int] | tuple[int, ...], layout: TokenLayout) -> str:
    names = ", ".join(common.token(layout.name_of(token)) for token in tokens[:NAMES_SHOWN])
    return words.AND_MORE.format(names=names) if len(tokens) > NAMES_SHOWN else names


def _through_layers(stage: Stage, found: TokenOutliers) -> None:
    st.subheader(words.SINK_THROUGH, anchor=False)
    for column, kind in zip(st.columns(2), ("norm", "mass"), strict=True):
        with column:
            figure.show(
                stage,
                f"outliers by {kind}",
                partial(
                    outliers_figure,
                    stage.subject,
                    found,
                    kind,
                    words.SINK_CURVES[kind],
                    words.SINK_ALONG[kind],
                    count=LINES_SHOWN,
                    names=common.token,
                    theme=stage.theme,
                    width=480,
                ),
                norm=found.norm_times,
                mass=found.mass_times,
            )


def _aside(stage: Stage, given: Interventions, layer: int, tokens: tuple[int, ...]) -> None:
    st.subheader(words.SINK_SET_ASIDE, anchor=False)
    query = stage.query
    query = MEAN if query == POOL else query  # the pooling query asks in no layer of tokens that stand out
    row: torch.Tensor = stage.ask(
        "mean row", lambda _: query_weights(stage.trace.layers[layer], query).mean(0), query=query, layer=layer
    )  # (tokens,)
    without = set_aside(row, tokens, stage.layout)
    titles = (
        words.SINK_WITH.format(query=common.token(query), layer=layer),
        words.SINK_WITHOUT.format(count=words.TOKENS[len(tokens) != 1].format(count=len(tokens))),
    )
    for column, values, title, key in zip(st.columns(2), (row, without), titles, ("with", "without"), strict=True):
        heatmap = Heatmap(stage.layout.patches(values).cpu().numpy(), words.SINK_MASS_LABEL)
        with column:
            st.markdown(f"**{title}**")
            exhibits.picture(
                stage, f"aside {key}", alt=words.MAP_ALT.format(name=title), heatmap=heatmap,
                knobs=(("query", query), ("layer", layer), ("tokens", tokens)), widest=PICTURE, link="sinks",
                on_pick=lambda token: state.change(query=token), chosen=stage.selection.query, one_of_many=True,
            )  # fmt: skip
    # Without the class token the answer would have nobody to be read from but itself: that is another question.
    others = [token for token in tokens if stage.layout.name_of(token) != "cls"]
    if not others:
        return
    st.caption(words.SINK_ASIDE_TEXT)
    cut = changes.set_cut(given, others, None)
    st.button(words.SINK_CUT, on_click=changes.switch, args=(cut,), kwargs={"switch": "cut"})
