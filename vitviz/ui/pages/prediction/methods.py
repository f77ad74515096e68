"""The maps of all explanation methods for one question, computed one by one so that each shows as soon as it is there."""

from __future__ import annotations

import streamlit as st

from vitviz.analysis.methods import METHODS, Method, explain
from vitviz.analysis.methods.integrated_gradients import PathAttribution
from vitviz.draw import Scale
from vitviz.errors import UnsupportedError
from vitviz.figures.prediction import completeness_words, explanation_figure
from vitviz.heatmap import Heatmap
from vitviz.ui import state
from vitviz.ui.components.heatmap import PictureSize, show_picture
from vitviz.ui.compute.heavy import Task
from vitviz.ui.controls import figure
from vitviz.ui.controls.captions import Facts, caption
from vitviz.ui.controls.errors import guarded
from vitviz.ui.controls.frame import SIDE_BY_SIDE, Frame
from vitviz.ui.controls.pickers import take_query
from vitviz.ui.controls.targets import ExplainedTarget
from vitviz.ui.pages.prediction import text as words
from vitviz.ui.text.sentences import true_of

SLOW = tuple(key for key, method in METHODS.items() if method.slow)


def wanted() -> list[str]:
    """Keys of the methods that are shown now: the slow ones only on request."""
    return [key for key in METHODS if key not in SLOW or state.value_of("slow") == "now"]


def map_of(explained: ExplainedTarget, key: str) -> Heatmap | None:
    """One method's map, or None where it is not defined for this model."""

    def work(question, progress):  # type: ignore[no-untyped-def]
        try:
            return explain(question, key, progress)
        except UnsupportedError:
            return ()  # kept like a map, so that it is not computed again

    passes = METHODS[key].forward_passes(explained.context.layout)
    task = Task("explanation", {"key": key})
    found = explained.ask("explanation", work, METHODS[key].name, passes=passes, task=task, method=key)
    return found if isinstance(found, Heatmap) else None


def all_maps(explained: ExplainedTarget) -> dict[str, Heatmap]:
    """Method's name -> map, of the methods shown now that this model supports."""
    found = {METHODS[key].name: map_of(explained, key) for key in wanted()}
    return {name: heatmap for name, heatmap in found.items() if heatmap is not None}


# Explanation methods side by side, each with its card.

COLUMNS = 4
# CSS pixels of a window's height for what stands around two rows of maps: each with its name, colour bar and reading.
AROUND, ROWS = 412, 2


def show_methods(its: Frame, explained: ExplainedTarget) -> None:
    """Every method's map in a grid; the slow ones on request."""
    keys = wanted()
    missing: list[str] = []
    with its.settings():
        slow_button()
    with its.figure(), st.container(key=SIDE_BY_SIDE, gap="small"):
        places = [column for _ in range(0, len(keys), COLUMNS) for column in st.columns(COLUMNS, gap="small")]
    maps: dict[str, Heatmap] = {}
    for place, key in zip(places, keys, strict=False):
        with place, guarded(f"method {key}"):
            heatmap = map_of(explained, key)
            if heatmap is None:
                missing.append(METHODS[key].name)
            else:
                maps[key] = heatmap
                _show_map(explained, METHODS[key], heatmap)
    with its.details():
        caption(true_of(words.LINKED[str(state.value_of("scale"))], Facts(explained.context)))
        if missing:
            st.caption(words.MISSING.format(names=", ".join(missing)))
        for key, heatmap in maps.items():
            _card(explained, METHODS[key], heatmap)


def slow_button() -> None:
    if state.value_of("slow") == "later":
        st.button(words.SLOW, help=words.SLOW_TEXT, on_click=state.change, kwargs={"slow": "now"})


def _show_map(explained: ExplainedTarget, method: Method, heatmap: Heatmap) -> None:
    context = explained.context
    st.markdown(f"**{method.name}**")
    show_picture(
        context,
        f"map {method.key}",
        alt=words.MAP_ALT.format(method=method.name, target=explained.name),
        on_pick=take_query,
        chosen=context.selection.query,
        heatmap=heatmap,
        scale=Scale.of(heatmap.values, robust=context.robust, signed=heatmap.signed),
        params=(("method", method.key), ("target", explained.target)),
        size=PictureSize(AROUND, stacked=ROWS),
        link="methods",
        one_of_many=True,
        captioned=False,
    )


def _card(explained: ExplainedTarget, method: Method, heatmap: Heatmap) -> None:
    """A method's card, what its map does not show, and its exports."""
    context = explained.context
    st.markdown(f"**{method.name}**")
    if not method.per_class:
        st.caption(words.NOT_PER_CLASS)
    elif heatmap.signed:
        st.caption(words.SIGNED_NOTE)
    if isinstance(heatmap, PathAttribution):
        (st.caption if heatmap.complete else st.warning)(completeness_words(heatmap))
    lines = (f"`{method.formula}`", method.reference, method.cost, method.limitations)
    for name, line in zip(words.CARD_LINES, lines, strict=True):
        caption(f"{name}: {line}")
    robust = context.robust
    figure.exports(
        context,
        f"explanation {method.key}",
        lambda: explanation_figure(
            context.subject,
            heatmap,
            method.key,
            method.name,
            explained.target,
            explained.name,
            robust=robust,
            theme=context.theme,
        ),
        target=explained.target,
        said=explained.name,
        robust=robust,
    )
