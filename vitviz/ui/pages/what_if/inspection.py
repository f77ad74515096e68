"""Measurements of the unchanged model: outlying tokens, a map without them, and the importance of every head."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import streamlit as st
import torch

from vitviz.analysis.attention import query_weights
from vitviz.analysis.head_importance import (
    HeadImportance,
    correlation_with_confidence,
    head_confidence,
    head_importance,
)
from vitviz.analysis.interventions import Interventions
from vitviz.analysis.queries import MEAN, POOL
from vitviz.analysis.sinks import TokenOutliers, exclude_tokens
from vitviz.analysis.targets import needs_classifier
from vitviz.draw import Scale
from vitviz.figures.interventions import outliers_figure
from vitviz.heatmap import Heatmap
from vitviz.tokens import TokenLayout
from vitviz.ui import state
from vitviz.ui.components.heatmap import MapScales, PictureSize, show_board, show_picture
from vitviz.ui.compute.heavy import Task
from vitviz.ui.context import PageContext
from vitviz.ui.controls import edits, figure
from vitviz.ui.controls.captions import caption, sentence
from vitviz.ui.controls.edits import found_outliers
from vitviz.ui.controls.frame import Frame
from vitviz.ui.controls.pickers import choose_layer, take_query
from vitviz.ui.controls.targets import ExplainedTarget
from vitviz.ui.escape import escaped
from vitviz.ui.pages.what_if import text as words
from vitviz.ui.pages.what_if.interventions import fill_of, painted
from vitviz.ui.text import common, outputs

PICTURE = 330  # CSS pixels
NAMES_SHOWN, NAMES_IN_LINE, LINES_SHOWN = 6, 2, 4


def show_sinks(its: Frame, explained: ExplainedTarget) -> None:
    """Thresholds, both measures on the picture, the outliers through the layers, and a map without them."""
    context = explained.context
    layer = context.layer
    with its.controls():
        st.slider(words.NORM_TIMES, 1.5, 20.0, step=0.5, format="%.1f", width=190, **state.bound("norm_times"))
        st.slider(words.MASS_TIMES, 2.0, 50.0, step=1.0, format="%.0f", width=190, **state.bound("mass_times"))
        choose_layer(context.trace.num_layers, layer, words.SINK_LAYER, width=120)
    found = found_outliers(explained)
    here = np.flatnonzero(found.by_norm[layer + 1] | found.by_mass[layer]).tolist()
    with its.figure():
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
                _picture(context, values, standing, title.format(layer=layer), label, key, layer)
    with its.details():
        caption(words.SINKS_TEXT)
    if not found.tokens:
        its.say(words.SINK_NONE)
        return
    its.say(
        words.SINK_HERE if here else words.SINK_NOT_HERE,
        names=_names(here or found.tokens, context.layout, NAMES_IN_LINE),
    )
    with its.details():
        st.markdown(words.SINK_ALL.format(names=_names(found.tokens, context.layout)))
        _through_layers(context, found)
        _without_tokens(context, layer, tuple(here or found.tokens))


def _picture(
    context: PageContext, values: np.ndarray, standing: np.ndarray, title: str, label: str, key: str, layer: int
) -> None:
    heatmap = Heatmap(context.layout.patches(values), label)
    marks = [(int(row), int(col)) for row, col in np.argwhere(context.layout.patches(standing))]
    st.markdown(f"**{title}**")
    show_picture(
        context,
        f"sink {key}",
        alt=words.SINK_ALT.format(name=title, count=len(marks)),
        heatmap=heatmap,
        scale=Scale.of(heatmap.values, low=0.0),
        params=(("layer", layer),),
        marks=marks,
        size=PictureSize(around=330),
        link="sinks",
        on_pick=take_query,
        chosen=context.selection.query,
        one_of_many=True,
    )


def _names(tokens: list[int] | tuple[int, ...], layout: TokenLayout, most: int = NAMES_SHOWN) -> str:
    names = ", ".join(common.token(layout.name_of(token)) for token in tokens[:most])
    return words.AND_MORE.format(names=names) if len(tokens) > most else names


def _through_layers(context: PageContext, found: TokenOutliers) -> None:
    st.subheader(words.SINK_THROUGH, anchor=False)
    for column, kind in zip(st.columns(2), ("norm", "mass"), strict=True):
        with column:
            figure.show(
                context,
                f"outliers by {kind}",
                partial(
                    outliers_figure,
                    context.subject,
                    found,
                    kind,
                    words.SINK_CURVES[kind],
                    words.SINK_ALONG[kind],
                    count=LINES_SHOWN,
                    names=common.token,
                    theme=context.theme,
                    width=figure.HALF,
                ),
                norm=found.norm_times,
                mass=found.mass_times,
            )


def _without_tokens(context: PageContext, layer: int, tokens: tuple[int, ...]) -> None:
    st.subheader(words.WITHOUT_SINKS, anchor=False)
    query = context.query
    query = MEAN if query == POOL else query  # the pooling query is in no layer of outlying tokens
    row: torch.Tensor = context.ask(
        "mean row", lambda _: query_weights(context.trace.layers[layer], query).mean(0), query=query, layer=layer
    )  # (tokens,)
    without = exclude_tokens(row, tokens, context.layout)
    titles = (
        words.SINK_WITH.format(query=common.token(query), layer=layer),
        words.SINK_WITHOUT.format(count=words.TOKENS[len(tokens) != 1].format(count=len(tokens))),
    )
    for column, values, title, key in zip(st.columns(2), (row, without), titles, ("with", "without"), strict=True):
        heatmap = Heatmap(context.layout.patches(values).cpu().numpy(), words.SINK_MASS_LABEL)
        with column:
            st.markdown(f"**{title}**")
            show_picture(
                context,
                f"without {key}",
                alt=words.MAP_ALT.format(name=title),
                heatmap=heatmap,
                params=(("query", query), ("layer", layer), ("tokens", tokens)),
                size=PictureSize(widest=PICTURE),
                link="sinks",
                on_pick=take_query,
                chosen=context.selection.query,
                one_of_many=True,
            )
    # The class token is left out: the output is read from it.
    others = [token for token in tokens if context.layout.name_of(token) != "cls"]
    if not others:
        return
    st.caption(words.WITHOUT_SINKS_TEXT)

    def cut(tokens: list[int]) -> None:
        edits.switch(edits.set_cut(edits.latest(), tokens, None), switch="cut")

    st.button(words.SINK_CUT, on_click=cut, args=(others,))


# The measured effect of every head on this picture, beside an estimate from its attention.

TALLEST = 400  # CSS pixels
POINTS_MOVED = 0.1  # of a probability: a head that changes it by more is counted


def show_head_importance(its: Frame, explained: ExplainedTarget, given: Interventions) -> None:
    """The estimate from attention on the left; on the right the measured importance, computed on request."""
    context = explained.context
    said: np.ndarray = context.ask("head confidence", lambda _: head_confidence(context.trace))
    with its.details():
        caption(words.WORTH_TEXT)
    with its.figure():
        left, right = st.columns(2)
    with left:
        st.markdown(f"**{words.WORTH_SAID}**")
        _board(explained, given, "said", said, Scale.of(said), words.WORTH_SAID, words.WORTH_SAID_CAPTION)
    if state.value_of("weighed") == "later" and not explained.answered("head importance"):
        with its.controls():
            st.button(words.WORTH_RUN, type="primary", on_click=state.change, kwargs={"weighed": "now"})
        return
    with right:
        st.markdown(f"**{words.WORTH_MEASURED}**")
        measured: HeadImportance = explained.ask(
            "head importance",
            lambda question, progress: head_importance(question, progress=progress),
            words.WORTH_RUNNING,
            passes=said.size * (len(said) + 1) / (2 * len(said)),
            task=Task("head importance"),
        )
        fall = measured.likelihood_drop
        below = outputs.SHARE_FALL if explained.shares else outputs.NUMBER_FALL
        below = (below if needs_classifier(explained.target) else outputs.COSINE_FALL).format(target=explained.name)
        _board(explained, given, "measured", fall, Scale.of(fall, signed=True), words.WORTH_MEASURED, below)
    together = correlation_with_confidence(fall, said)
    if math.isnan(together):
        its.say(words.NO_CORRELATION)
        return
    shown = next(text for least, text in words.CORRELATION_WORDS if together >= least)
    its.say(shown, correlation=f"{together:.2f}".replace("-", "\N{MINUS SIGN}"))
    with its.details():
        _most(explained, fall)


def _most(explained: ExplainedTarget, fall: np.ndarray) -> None:
    """The quantities that are correlated, how many heads matter, and the most important one.

    Args:
        fall: (layers, heads).
    """
    layer, head = (int(at) for at in np.unravel_index(int(fall.argmax()), fall.shape))
    if explained.shares:
        moved = int((np.abs(fall) > POINTS_MOVED).sum())
        sentence(words.MOVED, moved=moved, heads=fall.size)
    if needs_classifier(explained.target):
        before = explained.question.likelihood()
        st.markdown(
            words.MOST.format(
                layer=layer,
                head=head,
                target=escaped(explained.name),
                before=explained.amount(before),
                after=explained.amount(before - float(fall.max())),
            )
        )
    else:
        sentence(words.MOST_COSINE, layer=layer, head=head, fall=float(fall.max()))
    caption(words.CORRELATION_HELP)


def _board(
    explained: ExplainedTarget,
    given: Interventions,
    key: str,
    values: np.ndarray,
    scale: Scale,
    name: str,
    caption: str,
) -> None:
    layers, heads = values.shape
    show_board(
        explained.context,
        f"worth {key}",
        values[:, :, None, None],  # (layers, heads, 1, 1)
        MapScales([scale] * values.size, caption, scale),
        alt=words.WORTH_ALT.format(name=name, heads=heads, layers=layers),
        params=(("target", explained.target),) if key == "measured" else (),
        chosen=(-1, None),
        tallest=TALLEST,
        paint=painted(given, heads, fill_of(given), words.BOARD_HINT),
    )
