"""The prediction forming layer by layer: for the model's output, and for every patch alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import streamlit as st

from vitviz.analysis.prediction import logit_lens, patch_lens, target_by_layer
from vitviz.analysis.targets import ClassLogit, LogitDifference, needs_classifier
from vitviz.draw import Scale
from vitviz.figures.prediction import forming_figure
from vitviz.heatmap import Heatmap
from vitviz.ui import exhibits, figure, state
from vitviz.ui.asking import Asked, class_name
from vitviz.ui.escape import escaped
from vitviz.ui.text import outputs
from vitviz.ui.text import prediction as words

NAMES_SHOWN = 5


def show(about: Asked) -> None:
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
    exhibits.picture(
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
