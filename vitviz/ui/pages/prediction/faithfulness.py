"""Which map to trust: deletion and insertion on this picture, agreement between methods, and the sanity check."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from vitviz.analysis.faithfulness import (
    CENTRE,
    LEVELS,
    RANDOM,
    Faithfulness,
    disagreement,
    faithfulness,
    passes_needed,
    rank_agreement,
)
from vitviz.analysis.methods import METHODS, explain
from vitviz.analysis.question import Question
from vitviz.analysis.sanity import CascadeStep as Forgotten
from vitviz.analysis.sanity import cascade, insensitive
from vitviz.draw import Scale
from vitviz.draw.scale import number
from vitviz.figure import Figure
from vitviz.figures.prediction import curves_figure
from vitviz.heatmap import Heatmap
from vitviz.ui import state
from vitviz.ui.components.heatmap import PictureSize, show_picture
from vitviz.ui.compute import JobProgress, consent
from vitviz.ui.compute.heavy import Task
from vitviz.ui.controls import figure, tables
from vitviz.ui.controls.captions import caption
from vitviz.ui.controls.errors import guarded
from vitviz.ui.controls.frame import Frame
from vitviz.ui.controls.pickers import take_query
from vitviz.ui.controls.targets import ExplainedTarget
from vitviz.ui.escape import escaped
from vitviz.ui.pages.prediction import methods
from vitviz.ui.pages.prediction import text as words
from vitviz.ui.text import common

KINDS = ("deletion", "insertion")
OPPOSED = 0.1  # of a rank correlation: maps whose correlation is smaller in absolute value are called unrelated
SANITY_EVERY = 3  # layers randomised between two maps


def show_faithfulness(its: Frame, explained: ExplainedTarget) -> None:
    """The curves and their verdict, on request; otherwise the agreement of the maps. Then the sanity check."""
    found = methods.all_maps(explained)
    later = state.value_of("tested") == "later"
    with its.settings():
        methods.slow_button()
    tested = False
    with guarded("test"):
        if later:
            passes = passes_needed(explained.question, found, LEVELS)
            cost = words.TEST_COST.format(passes=passes, time=consent.cost_of(explained.context.model, passes))
            with its.controls():
                st.button(words.TEST, type="primary", help=cost, on_click=state.change, kwargs={"tested": "now"})
        else:
            _tested(its, explained, found)
            tested = True
    # The page's figure until there are curves, also while the test waits for consent.
    with its.details() if tested else its.figure(), guarded("agreement"):
        if said := _agreement(explained, found):
            caption(said) if tested else its.say(said)
    with its.details(), guarded("sanity"):
        _sanity(explained)


def _tested(its: Frame, explained: ExplainedTarget, found: dict[str, Heatmap]) -> None:
    """Coarse curves of a quarter of the points first, which the fine ones replace.

    Each place holds one element, which the next one takes the place of. A container that is filled again would keep what
    the first filling had more than the second until the script has ended, and so show two verdicts for minutes.
    """
    with its.figure():
        places = [column.empty() for column in st.columns(2)]
        coarse = st.empty()
    with its.details():
        caption(words.TEST_TEXT)
        table = st.empty()
    for level in sorted({1, len(LEVELS)}):
        scores = explained.ask(
            "faithfulness",
            partial(_walk, found, LEVELS[:level]),
            words.TESTING,
            passes=passes_needed(explained.question, found, LEVELS),
            task=Task("faithfulness", {"maps": found, "levels": LEVELS[:level]}),
            methods=tuple(found),
            level=level,
        )
        for place, kind in zip(places, KINDS, strict=True):
            name, make, params = _curves(explained, scores, kind, level)
            figure.show_in(place, explained.context, name, make, **params)
        coarse.caption(words.COARSE)  # of the first, until the last is there
        _areas(table, scores)
    coarse.empty()
    its.say(_verdict(explained, scores))
    with its.details():
        for kind in KINDS:
            name, make, params = _curves(explained, scores, kind, level)
            figure.exports(explained.context, name, make, label=words.CURVES[kind], **params)


def _walk(
    found: dict[str, Heatmap], levels: tuple[int, ...], question: Question, progress: JobProgress
) -> Faithfulness:
    *_, last = faithfulness(question, found, levels=levels, progress=progress)
    return last


def _curves(
    explained: ExplainedTarget, scores: Faithfulness, kind: str, level: int
) -> tuple[str, Callable[[], Figure], dict[str, Hashable]]:
    """The figure's name, what makes it, and what it depends on."""
    context = explained.context
    about = (context.subject, scores, kind, explained.target, explained.name)
    make = partial(curves_figure, *about, theme=context.theme, width=figure.HALF)
    names = tuple(each.name for each in scores.methods)
    return (
        f"{kind} curves",
        make,
        {"target": explained.target, "said": explained.name, "methods": names, "level": level},
    )


def _verdict(explained: ExplainedTarget, scores: Faithfulness) -> str:
    """A sentence that names the best map."""
    gaps = {str(row["name"]): float(row["gap"]) for row in scores.table()}
    best = max(gaps, key=gaps.__getitem__)
    said = {CENTRE: words.BEST_CENTRE, RANDOM: words.BEST_RANDOM}.get(best, words.BEST)
    return said.format(
        best=best,
        count=len(scores.methods),
        target=escaped(explained.name),
        gap=number(gaps[best]),
        random=number(gaps[RANDOM]),
    )


def _areas(place: DeltaGenerator, scores: Faithfulness) -> None:
    rows = scores.table()
    columns = ([row[name] for row in rows] for name in ("name", "deletion", "insertion", "gap"))
    digits = {name: st.column_config.NumberColumn(format="%.3f") for name in words.AREAS[1:]}
    place.dataframe(
        dict(zip(words.AREAS, columns, strict=True)), hide_index=True, column_config=digits, placeholder=common.NOTHING
    )


def _agreement(explained: ExplainedTarget, found: dict[str, Heatmap]) -> str:
    """The correlations of all pairs, and where the maps disagree. -> the least alike, in a sentence; empty without a pair."""
    if len(found) < 2:
        return ""
    agreement = rank_agreement(found)
    left, right = st.columns([3, 2])
    with left:
        st.markdown(f"**{words.AGREEMENT}**")
        tables.show(tables.STYLE + tables.matrix(list(found), agreement))
    with right:
        st.markdown(f"**{words.DISAGREEMENT}**")
        apart = disagreement(found)
        show_picture(
            explained.context,
            "disagreement",
            alt=words.DISAGREEMENT_ALT,
            on_pick=take_query,
            chosen=explained.context.selection.query,
            heatmap=apart,
            scale=Scale.of(apart.values, low=0.0),
            params=(("target", explained.target), ("methods", tuple(found))),
            size=PictureSize(around=340),
            one_of_many=True,
        )
    return _least_alike(list(found), agreement)


def _least_alike(names: list[str], agreement: np.ndarray) -> str:
    """The pair of maps whose ranks are the least alike, in a sentence that says what a negative correlation means."""
    rated = np.nan_to_num(agreement, nan=1.0)  # a constant map ranks nothing
    one, other = np.unravel_index(int(rated.argmin()), rated.shape)
    least = float(rated[one, other])
    said = words.LEAST_OPPOSED if least < -OPPOSED else words.LEAST_UNRELATED if least < OPPOSED else words.LEAST_ALIKE
    return said.format(one=names[one], other=names[other], correlation=f"{least:.2f}".replace("-", "\N{MINUS SIGN}"))


def _sanity(explained: ExplainedTarget) -> None:
    st.subheader(words.SANITY, anchor=False)
    st.caption(words.SANITY_TEXT)
    if state.value_of("forget") == "later":
        st.button(words.SANITY_RUN, on_click=state.change, kwargs={"forget": "now"})
        return
    keys = tuple(key for key in METHODS if key not in methods.SLOW and methods.map_of(explained, key) is not None)

    def work(question: Question, progress: JobProgress) -> tuple[Forgotten, ...]:
        methods = {METHODS[key].name: partial(_one, key) for key in keys}
        return tuple(cascade(question, methods, every=SANITY_EVERY, progress=progress))

    passes = 3 * len(keys) * (explained.context.trace.num_layers / SANITY_EVERY + 3)
    task = Task("sanity", {"keys": keys, "every": SANITY_EVERY})
    steps = explained.ask("sanity", work, words.SANITY_RUNNING, passes=passes, task=task, methods=keys)
    table: dict[str, list[object]] = {words.SANITY_DEPTH: [step.name for step in steps]}
    table |= {METHODS[key].name: [step.similarity[METHODS[key].name] for step in steps] for key in keys}
    digits = {METHODS[key].name: st.column_config.NumberColumn(format="%.2f") for key in keys}
    st.dataframe(table, hide_index=True, column_config=digits, placeholder=common.NOTHING)
    unchanged = insensitive(steps[-1])
    st.markdown(words.SANITY_UNCHANGED.format(names=", ".join(unchanged)) if unchanged else words.SANITY_FINE)


def _one(key: str, question: Question) -> Heatmap:
    return explain(question, key)
