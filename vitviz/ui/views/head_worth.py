"""What every head is worth on this picture, beside what its attention seems to say."""

from __future__ import annotations

import math

import numpy as np
import streamlit as st

from vitviz.analysis.head_importance import HeadImportance, head_confidence, head_importance, rank_correlation
from vitviz.analysis.interventions import Interventions
from vitviz.analysis.targets import needs_classifier
from vitviz.draw import Scale
from vitviz.ui import exhibits, state
from vitviz.ui.asking import Asked, fraction
from vitviz.ui.escape import escaped
from vitviz.ui.text import outputs
from vitviz.ui.text import what_if as words
from vitviz.ui.views.switch_heads import fill_of, painted

TALLEST = 400  # CSS pixels


def show(about: Asked, given: Interventions) -> None:
    """The measured board on the left once it was asked for, attention's word on the right, their correlation below."""
    st.caption(words.WORTH_TEXT)
    stage = about.stage
    said: np.ndarray = stage.ask("head confidence", lambda _: head_confidence(stage.trace))
    measured: HeadImportance | None = None
    left, right = st.columns(2)
    with right:
        st.markdown(f"**{words.WORTH_SAID}**")
        _board(about, given, "said", said, Scale.of(said), words.WORTH_SAID, words.WORTH_SAID_CAPTION)
    with left:
        st.markdown(f"**{words.WORTH_MEASURED}**")
        if state.value_of("weighed") == "later":
            st.button(words.WORTH_RUN, type="primary", on_click=state.change, kwargs={"weighed": "now"})
        else:
            measured = about.ask(
                "head importance",
                lambda question, progress: head_importance(question, progress=fraction(progress)),
                words.WORTH_RUNNING,
                passes=said.size * (len(said) + 1) / (2 * len(said)),
            )
            fall = measured.likelihood_fall
            caption = outputs.SHARE_FALL if about.shares else outputs.NUMBER_FALL
            caption = (caption if needs_classifier(about.target) else outputs.COSINE_FALL).format(target=about.name)
            _board(about, given, "measured", fall, Scale.of(fall, signed=True), words.WORTH_MEASURED, caption)
    if measured is not None:
        _together(about, measured, said)


def _together(about: Asked, measured: HeadImportance, said: np.ndarray) -> None:
    fall = measured.likelihood_fall
    together = rank_correlation(fall, said)
    if math.isnan(together):
        st.info(words.NO_CORRELATION)
        return
    one, two = st.columns([1, 3], vertical_alignment="center")
    one.metric(
        words.CORRELATION, f"{together:.2f}".replace("-", "\N{MINUS SIGN}"), help=words.CORRELATION_HELP, border=True
    )
    layer, head = (int(at) for at in np.unravel_index(int(fall.argmax()), fall.shape))
    with two:
        st.markdown(next(sentence for least, sentence in words.CORRELATION_WORDS if together >= least))
        if needs_classifier(about.target):
            before = about.question.likelihood()
            st.markdown(
                words.MOST.format(
                    layer=layer,
                    head=head,
                    target=escaped(about.name),
                    before=about.amount(before),
                    after=about.amount(before - float(fall.max())),
                )
            )
        else:
            st.markdown(words.MOST_COSINE.format(layer=layer, head=head, fall=float(fall.max())))


def _board(
    about: Asked, given: Interventions, key: str, values: np.ndarray, scale: Scale, name: str, caption: str
) -> None:
    layers, heads = values.shape
    exhibits.board(
        about.stage,
        f"worth {key}",
        values[:, :, None, None],  # (layers, heads, 1, 1)
        [scale] * values.size,
        alt=words.WORTH_ALT.format(name=name, heads=heads, layers=layers),
        caption=caption,
        shared=scale,
        own_ends=("", ""),
        facts={},
        knobs=(("target", about.target),) if key == "measured" else (),
        chosen=(-1, None),
        tallest=TALLEST,
        paint=painted(given, heads, fill_of(given), words.BOARD_HINT),
    )
