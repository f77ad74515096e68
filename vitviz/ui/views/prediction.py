"""Prediction: what the model sees, how the answer forms, what it rests on, and which map to trust."""

from __future__ import annotations

import streamlit as st

from vitviz.analysis.prediction import top_predictions
from vitviz.analysis.targets import needs_classifier
from vitviz.figures.prediction import classes_figure
from vitviz.ui import figure, state
from vitviz.ui.asking import Asked, asked, class_name
from vitviz.ui.choices import named
from vitviz.ui.page import page
from vitviz.ui.stage import Stage
from vitviz.ui.text import outputs
from vitviz.ui.text import prediction as words
from vitviz.ui.trouble import guarded
from vitviz.ui.views import forming, marking, side_by_side, trust

PARTS = {"forming": forming.show, "methods": side_by_side.show, "trust": trust.show, "mark": marking.show}


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
