"""Explanation methods side by side, each with its card."""

from __future__ import annotations

import streamlit as st

from vitviz.analysis.methods import METHODS, Method
from vitviz.analysis.methods.integrated_gradients import PathAttribution
from vitviz.draw import Scale
from vitviz.figures.prediction import completeness_words, explanation_figure
from vitviz.heatmap import Heatmap
from vitviz.ui import exhibits, figure, maps, state
from vitviz.ui.asking import Asked
from vitviz.ui.text import prediction as words
from vitviz.ui.trouble import guarded

COLUMNS = 3


def show(about: Asked) -> None:
    """Every method's map in a grid; the slow ones when asked for."""
    keys = maps.wanted()
    st.caption(words.LINKED)
    missing: list[str] = []
    for start in range(0, len(keys), COLUMNS):
        for column, key in zip(st.columns(COLUMNS), keys[start : start + COLUMNS], strict=False):
            with column, guarded(f"method {key}"):
                heatmap = maps.map_of(about, key)
                if heatmap is None:
                    missing.append(METHODS[key].name)
                else:
                    _map(about, METHODS[key], heatmap)
    if missing:
        st.caption(words.MISSING.format(names=", ".join(missing)))
    if state.value_of("slow") == "later":
        st.button(words.SLOW, help=words.SLOW_TEXT, on_click=state.change, kwargs={"slow": "now"})


def _map(about: Asked, method: Method, heatmap: Heatmap) -> None:
    stage = about.stage
    st.markdown(f"**{method.name}**")
    exhibits.picture(
        stage,
        f"map {method.key}",
        alt=words.MAP_ALT.format(method=method.name, target=about.name),
        on_pick=lambda token: state.change(query=token),
        chosen=stage.selection.query,
        heatmap=heatmap,
        scale=Scale.of(heatmap.values, robust=state.value_of("scale") == "robust", signed=heatmap.signed),
        knobs=(("method", method.key), ("target", about.target)),
        widest=400,
        link="methods",
        one_of_many=method.key != next(iter(METHODS)),
    )
    if not method.per_class:
        st.caption(words.NOT_PER_CLASS)
    elif heatmap.signed:
        st.caption(words.SIGNED_NOTE)
    if isinstance(heatmap, PathAttribution):
        (st.caption if heatmap.complete else st.warning)(completeness_words(heatmap))
    card = st.popover(words.CARD, type="tertiary", icon=":material/info:", key=f"card {method.key}")
    with card:
        lines = (f"`{method.formula}`", method.reference, method.cost, method.misleads)
        for name, line in zip(words.CARD_LINES, lines, strict=True):
            st.markdown(f"**{name}:** {line}")
    robust = state.value_of("scale") == "robust"
    figure.ways_out(
        stage,
        f"explanation {method.key}",
        lambda: explanation_figure(
            stage.subject, heatmap, method.key, method.name, about.target, about.name, robust=robust, theme=stage.theme
        ),
        target=about.target,
        robust=robust,
    )
