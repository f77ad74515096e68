"""Prediction: what the model sees, how the answer forms, what it rests on, and which map to trust."""

from __future__ import annotations

from collections import Counter

import numpy as np
import streamlit as st

from vitviz.analysis.prediction import logit_lens, patch_lens, target_by_layer, top_predictions
from vitviz.analysis.targets import ClassLogit, LogitDifference, needs_classifier
from vitviz.draw import Scale
from vitviz.figures.prediction import classes_figure, forming_figure
from vitviz.heatmap import Heatmap
from vitviz.ui import state
from vitviz.ui.components.heatmap import show_picture
from vitviz.ui.context import Stage
from vitviz.ui.controls import figure
from vitviz.ui.controls.frame import page
from vitviz.ui.controls.pickers import named
from vitviz.ui.controls.questions import Asked, asked, class_name
from vitviz.ui.escape import escaped
from vitviz.ui.pages.prediction import faithfulness, methods
from vitviz.ui.pages.prediction import text as words
from vitviz.ui.shell.errors import guarded
from vitviz.ui.text import outputs


def render(stage: Stage) -> None:
    with page(words.PAGE, answers=outputs.ANSWERS[stage.model.output_kind]):
        with guarded("target"):
            about = asked(stage)
            _target(stage, about)
        part = st.segmented_control(
            words.PART, list(words.PARTS), format_func=named(words.PARTS), required=True, label_visibility="collapsed",
            **state.bound("part"),
        )  # fmt: skip
        with guarded(f"part {part}"):
            PARTS[part](about)


def _target(stage: Stage, about: Asked) -> None:
    if not needs_classifier(about.target):
        st.info(words.SELF_DOT)
        return
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        figure.show(stage, "classes", lambda: classes_figure(stage.subject, theme=stage.theme), width=520)
    with right:
        best, kind = top_predictions(stage.trace.logits, stage.model, 1)[0], about.kind
        value = f"{best.probability:.0%}" if best.probability is not None and best.probability >= 0.1 else best.text
        predicted = outputs.PREDICTED[kind].format(label=best.label, value=value)
        classes = [-1, *range(len(stage.trace.logits))]
        st.selectbox(
            outputs.TARGET[kind], classes, format_func=lambda i: predicted if i < 0 else class_name(stage, i),
            help=outputs.TARGET_HELP[kind], **state.bound("target"),
        )  # fmt: skip
        if len(classes) > 2:
            st.selectbox(
                words.AGAINST, classes, format_func=lambda i: words.NOTHING_ELSE if i < 0 else class_name(stage, i),
                help=outputs.AGAINST_HELP[kind], **state.bound("against"),
            )  # fmt: skip


# The prediction forming layer by layer: for the model's output, and for every patch alone.

NAMES_SHOWN = 5


def show_forming(about: Asked) -> None:
    """The curve and table of the whole output, and one layer's patches read alone."""
    if not needs_classifier(about.target):
        st.info(words.SELF_DOT)
        return
    stage = about.stage
    values: np.ndarray = about.ask("lens", lambda question, _: logit_lens(question).values.cpu().numpy())
    target: np.ndarray = about.ask("target by layer", lambda question, _: target_by_layer(question).cpu().numpy())
    left, right = st.columns(2)
    with left:
        figure.show(
            stage,
            "forming",
            lambda: forming_figure(stage.subject, values, theme=stage.theme),
            target=about.target,
        )
        st.caption(words.FORMING_TEXT)
    with right:
        best = values.argmax(1)
        after = [words.BEFORE_FIRST, *map(str, range(len(best) - 1))]
        columns = (after, [class_name(stage, i) for i in best], values.max(1).tolist(), target.tolist())
        shown = dict(zip(words.FORMING_TABLE, columns, strict=True))
        numbers: tuple[str, ...] = words.FORMING_TABLE[2:]
        if about.kind.is_probability:
            column = st.column_config.ProgressColumn(min_value=0, max_value=1, format="%.2f")
        else:  # of plain numbers none is the likeliest
            shown = {name: shown[name] for name in (words.FORMING_TABLE[0], words.FORMING_TABLE[3])}
            column, numbers = st.column_config.NumberColumn(format="%.3g"), words.FORMING_TABLE[3:]
        st.dataframe(shown, hide_index=True, column_config=dict.fromkeys(numbers, column))
    _patches(about)


def _patches(about: Asked) -> None:
    stage = about.stage
    kind = about.kind
    st.subheader(outputs.PATCH_LENS[kind], anchor=False)
    end = stage.trace.num_layers - 1
    layer = min(int(state.value_of("after")), end)
    if end > 0:
        st.slider(words.PATCH_LENS_LAYER, 0, end, step=1, **state.bound("after", layer))
    read: np.ndarray = about.ask(
        "patch lens", lambda question, _: kind.read(patch_lens(question, layer + 1)).cpu().numpy(), layer=layer
    )  # (rows, cols, outputs)
    target = about.target
    index = target.index if isinstance(target, ClassLogit | LogitDifference) else 0
    name = class_name(stage, index)
    signed = bool(read[..., index].min() < 0)
    heatmap = Heatmap(read[..., index], outputs.PATCH_LENS_LABEL[kind].format(target=name), signed)
    robust = state.value_of("scale") == "robust"
    show_picture(
        stage,
        "patch lens",
        alt=outputs.PATCH_LENS_ALT[kind].format(target=name, layer=layer),
        on_pick=lambda token: state.change(query=token),
        heatmap=heatmap,
        scale=Scale.of(heatmap.values, robust=robust, signed=True)
        if signed
        else Scale.of(heatmap.values, robust=robust, low=0.0),
        knobs=(("layer", layer), ("class", index)),
        chosen=stage.query,
    )
    if not kind.is_probability:
        return
    counted = Counter(class_name(stage, int(i)) for i in read.argmax(-1).ravel()).most_common(NAMES_SHOWN)
    names = ", ".join(words.PATCH_NAME.format(name=escaped(each), count=count) for each, count in counted)
    st.markdown(words.PATCH_LENS_WORDS.format(names=names))


PARTS = {
    "forming": show_forming,
    "methods": methods.show_methods,
    "trust": faithfulness.show_trust,
    "mark": faithfulness.show_marking,
}
