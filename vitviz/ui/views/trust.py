"""Which map to trust: deletion and insertion on this picture, agreement between methods, and the sanity check."""

from __future__ import annotations

from functools import partial

import streamlit as st

from vitviz.analysis.faithfulness import (
    CENTRE,
    LEVELS,
    RANDOM,
    Faithfulness,
    disagreement,
    faithfulness,
    rank_agreement,
)
from vitviz.analysis.methods import METHODS, explain
from vitviz.analysis.question import Question
from vitviz.analysis.sanity import Stage as Forgotten
from vitviz.analysis.sanity import cascade, insensitive
from vitviz.draw import Scale
from vitviz.figures.prediction import curves_figure
from vitviz.heatmap import Heatmap
from vitviz.ui import exhibits, figure, maps, state
from vitviz.ui.asking import Asked, fraction
from vitviz.ui.compute import Progress
from vitviz.ui.text import prediction as words
from vitviz.ui.trouble import guarded

SANITY_EVERY = 3  # layers randomised between two looks


def show(about: Asked) -> None:
    """The test on a button, then what the maps have in common, then the sanity check on another."""
    found = maps.all_maps(about)
    st.caption(words.TEST_TEXT)
    with st.container(horizontal=True):
        if state.value_of("slow") == "later":
            st.button(words.SLOW, help=words.SLOW_TEXT, on_click=state.change, kwargs={"slow": "now"})
        if state.value_of("tested") == "later":
            st.button(words.TEST, type="primary", on_click=state.change, kwargs={"tested": "now"})
    if state.value_of("tested") == "now":
        with guarded("test"):
            _tested(about, found)
    with guarded("agreement"):
        _agreement(about, found)
    with guarded("sanity"):
        _sanity(about)


def _tested(about: Asked, found: dict[str, Heatmap]) -> None:
    """Coarse first: a quarter of the points is there soon, and is replaced by the fine curves."""
    place = st.empty()
    for level in sorted({1, len(LEVELS)}):
        scores = about.ask(
            "faithfulness",
            partial(_walk, found, LEVELS[:level]),
            words.TESTING,
            passes=2 * LEVELS[-1] * (len(found) + 2),  # both curves of every map and of the two controls
            methods=tuple(found),
            level=level,
        )
        with place.container():
            _curves(about, scores, level)


def _walk(found: dict[str, Heatmap], levels: tuple[int, ...], question: Question, progress: Progress) -> Faithfulness:
    *_, last = faithfulness(question, found, levels=levels, progress=fraction(progress))
    return last


def _curves(about: Asked, scores: Faithfulness, level: int) -> None:
    if level < len(LEVELS):
        st.caption(words.COARSE)
    for column, kind in zip(st.columns(2), ("deletion", "insertion"), strict=True):
        with column:
            names = tuple(each.name for each in scores.methods)
            make = partial(
                curves_figure, about.stage.subject, scores, kind, about.target, about.name, theme=about.stage.theme
            )
            figure.show(about.stage, f"{kind} curves {level}", make, target=about.target, methods=names, level=level)
    rows = scores.table()
    columns = ([row[name] for row in rows] for name in ("name", "deletion", "insertion", "gap"))
    digits = {name: st.column_config.NumberColumn(format="%.3f") for name in words.AREAS[1:]}
    st.dataframe(dict(zip(words.AREAS, columns, strict=True)), hide_index=True, column_config=digits)
    gaps = {str(row["name"]): float(row["gap"]) for row in rows}
    best = max(gaps, key=gaps.__getitem__)
    st.markdown(words.BEST_NONE if best in (CENTRE, RANDOM) else words.BEST.format(best=best))


def _agreement(about: Asked, found: dict[str, Heatmap]) -> None:
    if len(found) < 2:
        return
    left, right = st.columns([3, 2])
    with left:
        st.markdown(f"**{words.AGREEMENT}**")
        agreement = rank_agreement(found)
        shown = {"": list(found), **{name: agreement[:, i].tolist() for i, name in enumerate(found)}}
        st.dataframe(
            shown, hide_index=True, column_config={n: st.column_config.NumberColumn(format="%.2f") for n in found}
        )
    with right:
        st.markdown(f"**{words.DISAGREEMENT}**")
        apart = disagreement(found)
        exhibits.picture(
            about.stage,
            "disagreement",
            alt=words.DISAGREEMENT_ALT,
            on_pick=lambda token: state.change(query=token),
            chosen=about.stage.selection.query,
            heatmap=apart,
            scale=Scale.of(apart.values, low=0.0),
            knobs=(("target", about.target), ("methods", tuple(found))),
            widest=400,
        )


def _sanity(about: Asked) -> None:
    st.subheader(words.SANITY, anchor=False)
    st.caption(words.SANITY_TEXT)
    if state.value_of("forget") == "later":
        st.button(words.SANITY_RUN, on_click=state.change, kwargs={"forget": "now"})
        return
    keys = tuple(key for key in METHODS if key not in maps.SLOW and maps.map_of(about, key) is not None)

    def work(question: Question, progress: Progress) -> tuple[Forgotten, ...]:
        methods = {METHODS[key].name: partial(_one, key) for key in keys}
        return tuple(cascade(question, methods, every=SANITY_EVERY, progress=fraction(progress)))

    passes = 3 * len(keys) * (about.stage.trace.num_layers / SANITY_EVERY + 3)
    stages = about.ask("sanity", work, words.SANITY_RUNNING, passes=passes, methods=keys)
    table: dict[str, list[object]] = {words.SANITY_STAGE: [stage.name for stage in stages]}
    table |= {METHODS[key].name: [stage.likeness[METHODS[key].name] for stage in stages] for key in keys}
    digits = {METHODS[key].name: st.column_config.NumberColumn(format="%.2f") for key in keys}
    st.dataframe(table, hide_index=True, column_config=digits)
    told = insensitive(stages[-1])
    st.markdown(words.SANITY_TOLD.format(names=", ".join(told)) if told else words.SANITY_FINE)


def _one(key: str, question: Question) -> Heatmap:
    return explain(question, key)
