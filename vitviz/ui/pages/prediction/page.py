"""Prediction: the input, the prediction layer by layer, its explanations, and which of these to trust."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from vitviz.analysis.prediction import logit_lens, patch_lens, target_by_layer
from vitviz.analysis.targets import ClassLogit, LogitDifference, needs_classifier
from vitviz.draw import Scale
from vitviz.figures.prediction import classes_figure, forming_figure
from vitviz.heatmap import Heatmap
from vitviz.models.embedded import right_by_layer
from vitviz.outputs import has_classifier
from vitviz.ui import state
from vitviz.ui.components.heatmap import show_picture
from vitviz.ui.context import PageContext
from vitviz.ui.controls import figure
from vitviz.ui.controls.captions import caption, sentence
from vitviz.ui.controls.errors import guarded
from vitviz.ui.controls.frame import Frame, page
from vitviz.ui.controls.pickers import answer_button, named, take_query
from vitviz.ui.controls.targets import ExplainedTarget, choose_target, class_name, explained_target
from vitviz.ui.escape import escaped
from vitviz.ui.pages.prediction import faithfulness, marking, methods
from vitviz.ui.pages.prediction import text as words
from vitviz.ui.text import common, outputs


def render(context: PageContext) -> None:
    # Without a classifier there is no answer that could form.
    parts = [name for name in words.PARTS if name != "forming" or has_classifier(context.model)]
    part = str(state.value_of("part"))
    part = part if part in parts else parts[0]
    text = words.PAGES[part]
    with page(text, context, answers=outputs.ANSWERS[context.model.output_kind]) as its:
        with its.controls():
            st.selectbox(words.PART, parts, format_func=named(words.PARTS), width=190, **state.bound("part", part))
        with guarded("target"):
            explained = explained_target(context)
            _target(its, context, explained)
        with guarded(f"part {part}"):
            PARTS[part](its, explained)


def _target(its: Frame, context: PageContext, explained: ExplainedTarget) -> None:
    if not needs_classifier(explained.target):
        with its.details():
            caption(words.SELF_DOT)
        return
    kind, classes = explained.kind, [-1, *range(len(context.trace.logits))]
    with its.controls():
        choose_target(context, outputs.TARGET[kind], outputs.TARGET_HELP[kind])
    if len(classes) > 2:
        with its.settings():
            st.selectbox(
                words.AGAINST,
                classes,
                format_func=lambda i: words.NOTHING_ELSE if i < 0 else class_name(context, i),
                help=outputs.AGAINST_HELP[kind],
                **state.bound("against"),
            )


# The prediction forming layer by layer: for the model's output, and for every patch alone.

NAMES_SHOWN = 5
NARROW = 412  # pixels of a picture that stands beside a table: 319 of the page at 1024 x 768 are its own
WIDTHS = (78, 94, 60, 84, 64)  # CSS pixels of the table's columns: the first four fit beside the curves at 1024 x 768
ROW = 30  # CSS pixels: thirteen rows and their head stand beside the curves


def show_forming(its: Frame, explained: ExplainedTarget) -> None:
    """The outputs, their curves through the layers, and what each layer reads as; behind it one layer's patches read alone."""
    if not needs_classifier(explained.target):
        return
    context = explained.context
    if context.answer_hidden:
        its.say(common.GUESS)
        with its.figure():
            show_picture(
                context,
                "seen",
                alt=common.SEEN_ALT.format(width=context.shown.width, height=context.shown.height),
                one_of_many=True,
            )
        with its.controls():
            answer_button("forming")
        return
    values: np.ndarray = explained.ask("lens", lambda question, _: logit_lens(question).values.cpu().numpy())
    target: np.ndarray = explained.ask("target by layer", lambda question, _: target_by_layer(question).cpu().numpy())
    with its.figure():
        left, right = st.columns(2, gap="small")
    forming = partial(forming_figure, context.subject, values, theme=context.theme, width=NARROW, height=300)
    with left:
        figure.show(
            context,
            "classes",
            partial(classes_figure, context.subject, theme=context.theme, width=NARROW),
            exported=False,
        )
        figure.show(context, "forming", forming, exported=False, target=explained.target)
    with right:
        _readings(explained, values, target)
    with its.details():
        caption(words.FORMING_TEXT)
        caption(words.RIGHT_TEXT if right_by_layer(context.model) else words.RIGHT_UNKNOWN)
        figure.exports(context, "forming", forming, target=explained.target)
    if its.details().open:
        with its.details():
            _patches(explained)


def _readings(explained: ExplainedTarget, values: np.ndarray, target: np.ndarray) -> None:
    """The likeliest output of each layer, and how often such a reading was right."""
    context = explained.context
    best, kind = values.argmax(1), explained.kind
    after = [words.BEFORE_FIRST, *map(str, range(len(best) - 1))]
    right = right_by_layer(context.model)
    columns = (
        after,
        [class_name(context, i) for i in best],
        right and list(right),
        values.max(1).tolist(),
        target.tolist(),
    )
    shown = {name: column for name, column in zip(words.FORMING_TABLE, columns, strict=True) if column is not None}
    if not kind.is_probability:  # of plain numbers none is the likeliest
        shown = {name: shown[name] for name in (words.FORMING_TABLE[0], words.FORMING_TABLE[4])}
    elif np.allclose(target, values[:, best[-1]], atol=1e-6):  # the sentence on the curves
        del shown[words.FORMING_TABLE[4]]
    wide = dict(zip(words.FORMING_TABLE, WIDTHS, strict=True))
    number = partial(st.column_config.NumberColumn, format="%.2f" if kind.is_probability else "%.3g")
    config: dict[str, Any] = {name: st.column_config.Column(width=wide[name]) for name in words.FORMING_TABLE[:2]}
    config[words.FORMING_TABLE[2]] = st.column_config.NumberColumn(
        format="percent", help=words.RIGHT_TEXT, width=wide[words.FORMING_TABLE[2]]
    )
    config |= {name: number(width=wide[name]) for name in words.FORMING_TABLE[3:]}
    st.dataframe(
        shown,
        hide_index=True,
        column_config=config,
        height=ROW * len(best) + 38,  # its head is 36 high
        row_height=ROW,
        placeholder=common.NOTHING,
    )


def _patches(explained: ExplainedTarget) -> None:
    context = explained.context
    kind = explained.kind
    st.subheader(outputs.PATCH_LENS[kind], anchor=False)
    caption(words.PATCH_LENS_ALONE)
    end = context.trace.num_layers - 1
    layer = min(int(state.value_of("after")), end)
    if end > 0:
        st.slider(words.PATCH_LENS_LAYER, 0, end, step=1, **state.bound("after", layer))
    read: np.ndarray = explained.ask(
        "patch lens", lambda question, _: kind.read(patch_lens(question, layer + 1)).cpu().numpy(), layer=layer
    )  # (rows, cols, outputs)
    target = explained.target
    index = target.index if isinstance(target, ClassLogit | LogitDifference) else 0
    name = class_name(context, index)
    signed = bool(read[..., index].min() < 0)
    heatmap = Heatmap(read[..., index], outputs.PATCH_LENS_LABEL[kind].format(target=name), signed)
    robust = context.robust
    show_picture(
        context,
        "patch lens",
        alt=outputs.PATCH_LENS_ALT[kind].format(target=name, layer=layer),
        on_pick=take_query,
        heatmap=heatmap,
        scale=Scale.of(heatmap.values, robust=robust, signed=True)
        if signed
        else Scale.of(heatmap.values, robust=robust, low=0.0),
        params=(("layer", layer), ("class", index)),
        chosen=context.query,
    )
    if not kind.is_probability:
        return
    counted = Counter(class_name(context, int(i)) for i in read.argmax(-1).ravel()).most_common(NAMES_SHOWN)
    names = ", ".join(words.PATCH_NAME.format(name=escaped(each), count=count) for each, count in counted)
    sentence(words.PATCH_LENS_WORDS, names=names)
    most, same = counted[0]
    patches = context.layout.num_patches
    caption(words.PATCH_LENS_SAME, same=same, patches=patches, name=escaped(most))


PARTS = {
    "forming": show_forming,
    "methods": methods.show_methods,
    "trust": faithfulness.show_faithfulness,
    "mark": marking.show_marking,
}
