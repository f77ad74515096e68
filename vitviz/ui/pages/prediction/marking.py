"""Mark the object: painted, grown from one click, or found from features; and the effect of hiding it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image
from scipy.ndimage import binary_fill_holes

from vitviz.analysis.hiding import CONTROLS, ObjectTest, object_test
from vitviz.analysis.interventions.text import NumberReader, runs
from vitviz.draw.layer import contour
from vitviz.figures.prediction import object_figure
from vitviz.ui import state
from vitviz.ui.components.heatmap import GridLines, Paint, show_picture
from vitviz.ui.compute.heavy import Task
from vitviz.ui.context import PageContext
from vitviz.ui.controls import figure
from vitviz.ui.controls.errors import guarded
from vitviz.ui.controls.frame import Frame
from vitviz.ui.controls.objects import found_object, region_at
from vitviz.ui.controls.pickers import named
from vitviz.ui.controls.targets import ExplainedTarget
from vitviz.ui.escape import escaped
from vitviz.ui.pages.prediction import methods
from vitviz.ui.pages.prediction import text as words
from vitviz.ui.text import common

_LAST = "marks that the browser reported last"
TINT = 0.4  # how far marked patches are in the accent colour
LITTLE = 0.05  # of a probability: after a smaller fall the prediction counts as unchanged


def show_marking(its: Frame, explained: ExplainedTarget) -> None:
    """The picture to mark on the left, the effect of hiding what is marked on the right."""
    context = explained.context
    mask = marked(context)
    _marking_controls(its, context, mask)
    with its.figure():
        left, right = st.columns([3, 2], gap="medium")
    with left:
        show_picture(
            context,
            "mark",
            alt=words.MARK_ALT.format(count=int(mask.sum())),
            paint=Paint(
                tuple(int(patch) for patch in np.flatnonzero(mask)),
                words.MARK_HINT[str(state.value_of("click"))],
                lambda cells: take_drawn(context, marked(context), cells),
                hidden=lambda: _tinted(context),
                by=("tinted", context.theme.accent),
            ),
            lines=GridLines(line=1, contour=contour(mask)),
        )
    with right, guarded("object"):
        if mask.all():
            st.info(words.MARK_ALL)
        elif mask.any():
            show_test(its, explained, mask)


def marked(context: PageContext) -> np.ndarray:
    """(rows, cols) boolean: the patches marked in the URL, those that this model has."""
    patches = NumberReader().indices(str(state.value_of("object")))
    mask = np.zeros(context.layout.num_patches, bool)
    mask[[patch for patch in patches if patch < mask.size]] = True
    return mask.reshape(context.layout.grid)  # (patches,) -> (rows, cols)


def _mark(mask: np.ndarray) -> None:
    state.change(object=runs(np.flatnonzero(mask).tolist()))


def _marking_controls(its: Frame, context: PageContext, mask: np.ndarray) -> None:
    """The choice of what a click marks, and buttons that mark an object."""
    with its.settings():
        st.segmented_control(
            words.MARK_CLICK, list(words.MARK_CLICKS), format_func=named(words.MARK_CLICKS), **state.bound("click")
        )
    found = found_object(context)
    with its.controls():
        if found is not None:
            st.button(words.MARK_FOUND, help=words.MARK_FOUND_HELP, on_click=_mark, args=(found.mask,))
        st.button(words.MARK_CLEAR, disabled=not mask.any(), on_click=_mark, args=(np.zeros_like(mask),))


def take_drawn(context: PageContext, before: np.ndarray, cells: tuple[int, ...]) -> None:
    """Applies a stroke: a click may mark the similar patches around it, and a stroke around an area marks the area.

    A click that comes before the browser has the answer to the last one adds to that answer, and the second of a double click
    does nothing.
    """
    painted = np.isin(np.arange(before.size), cells).reshape(before.shape)  # (patches,) -> (rows, cols)
    last = st.session_state.get(_LAST, before)
    st.session_state[_LAST] = painted
    late = last.shape == before.shape and (painted ^ last).sum() < (painted ^ before).sum()
    on = last if late else before  # what the browser had when it was drawn on
    added, cleared = painted & ~on, on & ~painted
    alike = state.value_of("click") == "alike"
    if late and alike and not added.any():
        return
    marks = (before | added) & ~cleared
    if added.sum() == 1 and not cleared.any() and alike:
        row, col = (int(at) for at in np.argwhere(added)[0])
        region = region_at(context, (row, col))
        marks = marks if region is None else marks | region
    elif added.any():
        marks = binary_fill_holes(marks)
    _mark(marks)


def _tinted(context: PageContext) -> Image.Image:
    shown = context.shown.convert("RGB")
    return Image.blend(shown, Image.new("RGB", shown.size, context.theme.accent), TINT)


def show_test(its: Frame, explained: ExplainedTarget, mask: np.ndarray) -> None:
    """The answer without the marked object, against as many patches elsewhere, and the shares of the maps inside it."""
    context, found = explained.context, methods.all_maps(explained)
    result: ObjectTest = explained.ask(
        "object",
        lambda question, progress: object_test(question, mask, found, progress=progress),
        words.MARK_RUNNING,
        passes=CONTROLS + 2,
        task=Task("object", {"mask": mask, "maps": found}),
        mask=mask.tobytes(),
        methods=tuple(found),
    )
    make = partial(object_figure, context.subject, result, mask, explained.target, explained.name, theme=context.theme)
    params: dict[str, Any] = {
        "target": explained.target,
        "said": explained.name,
        "mask": mask.tobytes(),
        "methods": tuple(found),
    }
    figure.show(context, "object", make, exported=False, **params)
    numbers, meaning = sentences_of(explained, result)
    its.say(meaning)
    shares = sorted(result.shares.items(), key=lambda item: -item[1])
    columns = (
        [name for name, _ in shares],
        [share for _, share in shares],
        [share / result.area for _, share in shares],
    )
    share = st.column_config.ProgressColumn(min_value=0, max_value=1, format="percent")
    times = st.column_config.NumberColumn(format="%.1f")
    config = dict(zip(words.MARK_SHARES[1:], (share, times), strict=True))
    with its.details():
        st.markdown(numbers)
        st.dataframe(
            dict(zip(words.MARK_SHARES, columns, strict=True)),
            hide_index=True,
            column_config=config,
            placeholder=common.NOTHING,
        )
        st.caption(words.MARK_SHARES_TEXT.format(area=result.area))
        figure.exports(context, "object", make, **params)


def sentences_of(explained: ExplainedTarget, result: ObjectTest) -> tuple[str, str]:
    """What the likelihood is with the object hidden and without, and what that means."""
    said = words.MARK_REST if result.compared_with_rest else words.MARK_SENTENCE
    cheaper = int((result.control_drops < result.drop).sum())
    if result.drop < 0:
        meaning = words.MARK_RISES
    elif explained.shares and result.drop < LITTLE:
        meaning = words.MARK_STAYS
    elif cheaper == len(result.control_drops):
        meaning = words.MARK_NEEDED
    else:
        meaning = words.MARK_REST_NEEDED if result.compared_with_rest else words.MARK_CHEAPER
    found = {
        "target": escaped(explained.name),
        "before": explained.amount(result.likelihood, 0),
        "after": explained.amount(result.likelihood - result.drop, 0),
        "elsewhere": explained.amount(result.likelihood - float(result.control_drops.mean()), 0),
        "draws": len(result.control_drops),
        "rest": 1 - result.area,
        "cheaper": cheaper,
    }
    return said.format(**found), meaning.format(**found)
