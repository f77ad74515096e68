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
from vitviz.analysis.hiding import ELSEWHERE, ObjectTest, object_test
from vitviz.analysis.methods import METHODS, explain
from vitviz.analysis.question import Question
from vitviz.analysis.sanity import CascadeStep as Forgotten
from vitviz.analysis.sanity import cascade, insensitive
from vitviz.analysis.targets import needs_classifier
from vitviz.draw import Scale
from vitviz.draw.scale import number
from vitviz.figure import Figure
from vitviz.figures.prediction import curves_figure
from vitviz.heatmap import Heatmap
from vitviz.tokens import cell_name, cell_of_name
from vitviz.ui import state
from vitviz.ui.components.heatmap import show_picture
from vitviz.ui.compute import JobProgress, consent
from vitviz.ui.compute.heavy import Task
from vitviz.ui.controls import figure
from vitviz.ui.controls.questions import ExplainedTarget
from vitviz.ui.controls.say import caption
from vitviz.ui.escape import escaped
from vitviz.ui.pages.prediction import methods
from vitviz.ui.pages.prediction import text as words
from vitviz.ui.shell.errors import guarded

KINDS = ("deletion", "insertion")
OPPOSED = 0.1  # of a rank correlation: between its negative and this, two maps have nothing to do with each other
SANITY_EVERY = 3  # layers randomised between two looks


def show_trust(explained: ExplainedTarget) -> None:
    """The curves with their one verdict, where somebody asked for them; then how far the maps agree, and the sanity check."""
    found = methods.all_maps(explained)
    with guarded("test"):
        _test(explained, found)
    with guarded("agreement"):
        _agreement(explained, found)
    with guarded("sanity"):
        _sanity(explained)


def _test(explained: ExplainedTarget, found: dict[str, Heatmap]) -> None:
    caption(words.TEST_TEXT)
    later = state.value_of("tested") == "later"
    with st.container(horizontal=True, vertical_alignment="center"):
        if state.value_of("slow") == "later":
            st.button(words.SLOW, help=words.SLOW_TEXT, on_click=state.change, kwargs={"slow": "now"})
        if later:
            st.button(words.TEST, type="primary", on_click=state.change, kwargs={"tested": "now"})
            passes = passes_needed(explained.question, found, LEVELS)
            caption(words.TEST_COST, passes=passes, time=consent.cost_of(explained.context.model, passes))
    if not later:
        _tested(explained, found)


def _tested(explained: ExplainedTarget, found: dict[str, Heatmap]) -> None:
    """Coarse first: a quarter of the points is there soon, and is replaced by the fine curves.

    Each place holds one element, which the next one takes the place of. A container that is filled again would keep what
    the first filling had more than the second until the script has ended, and so show two verdicts for minutes.
    """
    places = [column.empty() for column in st.columns(2)]
    verdict, table = st.empty(), st.empty()
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
        fine = level == len(LEVELS)
        for place, kind in zip(places, KINDS, strict=True):
            name, make, params = _curves(explained, scores, kind, level)
            figure.show_in(place, explained.context, name, make, **params)
        verdict.markdown(_verdict(explained, scores) if fine else words.COARSE)
        _areas(table, scores)
    for column, kind in zip(st.columns(2), KINDS, strict=True):
        with column:
            name, make, params = _curves(explained, scores, kind, level)
            figure.exports(explained.context, name, make, **params)


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
    make = partial(curves_figure, context.subject, scores, kind, explained.target, explained.name, theme=context.theme)
    names = tuple(each.name for each in scores.methods)
    return f"{kind} curves", make, {"target": explained.target, "methods": names, "level": level}


def _verdict(explained: ExplainedTarget, scores: Faithfulness) -> str:
    """Which map comes out first, in one sentence."""
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
    place.dataframe(dict(zip(words.AREAS, columns, strict=True)), hide_index=True, column_config=digits)


def _agreement(explained: ExplainedTarget, found: dict[str, Heatmap]) -> None:
    if len(found) < 2:
        return
    agreement = rank_agreement(found)
    caption(_least_alike(list(found), agreement))
    left, right = st.columns([3, 2])
    with left:
        st.markdown(f"**{words.AGREEMENT}**")
        shown = {"": list(found), **{name: agreement[:, i].tolist() for i, name in enumerate(found)}}
        st.dataframe(
            shown, hide_index=True, column_config={n: st.column_config.NumberColumn(format="%.2f") for n in found}
        )
    with right:
        st.markdown(f"**{words.DISAGREEMENT}**")
        apart = disagreement(found)
        show_picture(
            explained.context,
            "disagreement",
            alt=words.DISAGREEMENT_ALT,
            on_pick=lambda token: state.change(query=token),
            chosen=explained.context.selection.query,
            heatmap=apart,
            scale=Scale.of(apart.values, low=0.0),
            params=(("target", explained.target), ("methods", tuple(found))),
            widest=400,
        )


def _least_alike(names: list[str], agreement: np.ndarray) -> str:
    """The pair of maps whose ranks are the least alike, in a sentence that says what a negative correlation means."""
    told = np.nan_to_num(agreement, nan=1.0)  # a constant map ranks nothing
    one, other = np.unravel_index(int(told.argmin()), told.shape)
    least = float(told[one, other])
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
    stages = explained.ask("sanity", work, words.SANITY_RUNNING, passes=passes, task=task, methods=keys)
    table: dict[str, list[object]] = {words.SANITY_STAGE: [stage.name for stage in stages]}
    table |= {METHODS[key].name: [stage.likeness[METHODS[key].name] for stage in stages] for key in keys}
    digits = {METHODS[key].name: st.column_config.NumberColumn(format="%.2f") for key in keys}
    st.dataframe(table, hide_index=True, column_config=digits)
    told = insensitive(stages[-1])
    st.markdown(words.SANITY_TOLD.format(names=", ".join(told)) if told else words.SANITY_FINE)


def _one(key: str, question: Question) -> Heatmap:
    return explain(question, key)


# Mark the object: each map's share inside it, and what hiding it does beside hiding as much elsewhere.

Corner = tuple[int, int]


def show_marking(explained: ExplainedTarget) -> None:
    """The picture to mark on the left, what follows from it on the right."""
    context = explained.context
    corners = corners_of(str(state.value_of("object")), context.layout.grid)
    mask = rectangle(corners, context.layout.grid)
    left, right = st.columns(2)
    with left:
        said = (words.MARK_FIRST, words.MARK_SECOND, words.MARK_DONE)[len(corners)]
        st.caption(said.format(area=mask.mean()))
        show_picture(
            context,
            "mark",
            alt=words.MARK_ALT.format(count=int(mask.sum())),
            on_pick=lambda token: state.change(object=_marked(corners, token)),
            marks=[(int(row), int(col)) for row, col in np.argwhere(mask)],
            line=1,
        )
    with right, guarded("object"):
        if len(corners) == 2:
            _result(explained, mask)


def corners_of(text: str, grid: Corner) -> list[Corner]:
    """The corners that a link names, moved inside the grid: none, one, or two."""
    rows, cols = grid
    cells = [cell for part in text.split("-") if (cell := cell_of_name(part)) is not None]
    return [(min(row, rows - 1), min(col, cols - 1)) for row, col in cells]


def rectangle(corners: list[Corner], grid: Corner) -> np.ndarray:
    """(rows, cols) boolean: the patches between two opposite corners, or the first corner alone."""
    mask = np.zeros(grid, bool)
    if corners:
        (top, left), (bottom, right) = corners[0], corners[-1]
        mask[min(top, bottom) : max(top, bottom) + 1, min(left, right) : max(left, right) + 1] = True
    return mask


def _marked(corners: list[Corner], token: str) -> str:
    """The object after another click: a click on a finished frame begins a new one."""
    if len(corners) != 1:
        return token
    return f"{cell_name(*corners[0])}-{token}"


def _result(explained: ExplainedTarget, mask: np.ndarray) -> None:
    found = methods.all_maps(explained)
    if 2 * mask.sum() > mask.size:
        st.info(words.MARK_TOO_LARGE)
        return
    result: ObjectTest = explained.ask(
        "object",
        lambda question, progress: object_test(question, mask, found, progress=progress),
        words.MARK_RUNNING,
        passes=ELSEWHERE + 2,
        task=Task("object", {"mask": mask, "maps": found}),
        mask=mask.tobytes(),
        methods=tuple(found),
    )
    elsewhere = float(result.elsewhere.mean())
    one, two = st.columns(2)
    plain = (
        needs_classifier(explained.target) and not explained.shares
    )  # of any size, where the others lie between -1 and 1
    one.metric(words.MARK_FALL, number(result.fall) if plain else f"{result.fall:.2f}", border=True)
    two.metric(words.MARK_ELSEWHERE, number(elsewhere) if plain else f"{elsewhere:.2f}", border=True)
    st.markdown(
        words.MARK_SENTENCE.format(
            target=escaped(explained.name),
            before=explained.amount(result.likelihood, 0),
            after=explained.amount(result.likelihood - result.fall, 0),
            elsewhere=explained.amount(result.likelihood - elsewhere, 0),
            draws=len(result.elsewhere),
        )
    )
    shares = sorted(result.shares.items(), key=lambda item: -item[1])
    columns = (
        [name for name, _ in shares],
        [share for _, share in shares],
        [share / result.area for _, share in shares],
    )
    share = st.column_config.ProgressColumn(min_value=0, max_value=1, format="percent")
    times = st.column_config.NumberColumn(format="%.1f")
    config = dict(zip(words.MARK_SHARES[1:], (share, times), strict=True))
    st.dataframe(dict(zip(words.MARK_SHARES, columns, strict=True)), hide_index=True, column_config=config)
    st.caption(words.MARK_SHARES_TEXT.format(area=result.area))
