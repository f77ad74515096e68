"""What is different from a convolution? Two networks on one photograph: their receptive fields, their robustness,
their predictions.
"""

from __future__ import annotations

import streamlit as st

from vitviz.analysis.attention import attention_map
from vitviz.analysis.methods.gradcam import cnn_gradcam, gradcam
from vitviz.draw import Scale
from vitviz.errors import Cancelled, VitvizError
from vitviz.heatmap import Heatmap
from vitviz.outputs import has_classifier
from vitviz.ui import state
from vitviz.ui.components.heatmap import PictureSize, show_picture
from vitviz.ui.context import PageContext
from vitviz.ui.controls import tables
from vitviz.ui.controls.captions import caption, sentence
from vitviz.ui.controls.errors import guarded
from vitviz.ui.controls.frame import SIDE_BY_SIDE, Frame, page
from vitviz.ui.controls.pickers import named, robust_or_raw
from vitviz.ui.controls.rollouts import rollout_of
from vitviz.ui.controls.targets import choose_target, explained_target
from vitviz.ui.escape import escaped
from vitviz.ui.pages.vit_or_cnn import perturbation, reach
from vitviz.ui.pages.vit_or_cnn import text as words
from vitviz.ui.pages.vit_or_cnn.networks import (
    ComparedNetwork,
    agreement,
    choose_cnn,
    cnn_of,
    facts_of,
    followed,
    output_words,
    vit_of,
)
from vitviz.ui.text import common, outputs

# CSS of the space that `frontend/views/networks.js` fills, reserved so that nothing moves when results arrive: on a phone a
# chart stands below the two pictures. Figures of the other kinds reserve their own.
STYLE = """<style>
.st-key-two-networks { min-height: min(27rem, (100vw - 24rem) / 2.9 + 102px); }
@media (max-width: 768px) { .st-key-two-networks { min-height: calc((100vw - 3.5rem) / 2 + 23rem); } }
</style>"""
GROUP = "two networks"
AROUND = 340  # CSS pixels of a window's height for what stands around a map
ANSWERS = 3
COLUMNS = (10, 10, 11)


def render(context: PageContext) -> None:
    kind = str(state.value_of("side_by_side"))
    with page(words.PAGES[kind], context) as its:
        with its.controls():
            _choices(context, kind)
        with its.settings():
            choose_cnn()
            if kind == "answers":
                robust_or_raw()
        if kind not in ("heads", "answers"):
            with its.figure():
                st.html(STYLE)
        with its.figure(), st.container(key="two-networks"), guarded("networks"):
            vit, cnn = vit_of(context), _cnn(context)
            if cnn is None:
                return
            FIGURES[kind](its, vit, cnn)
            with its.details() as details, guarded("details"):
                if details.open:
                    _details(vit, cnn, kind)


def _choices(context: PageContext, kind: str) -> None:
    st.selectbox(
        words.SHOWN, list(words.KINDS), format_func=named(words.KINDS), width=180, **state.bound("side_by_side")
    )
    if kind in ("reach", "heads"):
        reach.choose()
        return
    if kind == "perturbation":
        perturbation.choose()
    else:
        st.selectbox(
            words.VIT_MAP, list(words.VIT_MAPS), format_func=named(words.VIT_MAPS), width=160, **state.bound("vit_map")
        )
    if has_classifier(context.model):
        # What is followed in both where the Vision Transformer was not trained is the other's first answer (`followed`).
        first = "" if context.model.trained else common.FIRST_ANSWER
        choose_target(context, outputs.COLUMN[context.model.output_kind], words.TARGET_HELP, first, width=160)


def _cnn(context: PageContext) -> ComparedNetwork | None:
    """The chosen network; where it cannot be loaded, shows why and a way back, and returns None."""
    try:
        return cnn_of(context)
    except Cancelled:
        raise
    except VitvizError as reason:
        st.error(escaped(reason))
        st.button(words.BACK, key="back to the embedded network", on_click=lambda: state.change(cnn=""))
        return None


# The predictions of both, and an explanation of each.


def show_answers(its: Frame, vit: ComparedNetwork, cnn: ComparedNetwork) -> None:
    """A map of each under one cursor, the likeliest outputs below, and whether they agree."""
    output = followed(vit, cnn)[1]
    cam = cnn.ask(
        "Grad-CAM of the network",
        lambda model, _: cnn_gradcam(model, cnn.input, output),
        common.COMPUTING,
        3.0,
        output=output,
    )
    label = words.CAM_OF.format(label=output_words(cnn, output, vit))
    hidden = vit.context.answer_hidden
    with st.container(key=SIDE_BY_SIDE, gap="small"):
        left, right, *third = st.columns(2 if hidden else COLUMNS)
        with left:
            _map(vit, _vit_map(vit), str(state.value_of("vit_map")))
        with right:
            _map(cnn, Heatmap(cam.values, label), str(output))
    if hidden:
        its.say(words.HIDDEN_ANSWERS)
        return
    its.say(agreement(vit, cnn))
    with third[0]:
        tables.show(tables.STYLE + "".join(_answers(network) for network in (vit, cnn) if network.best(ANSWERS)))


def _answers(network: ComparedNetwork) -> str:
    """HTML of a network's likeliest outputs with their probabilities."""
    best = network.best(ANSWERS)
    share = 100 if network.kind.is_probability else 1
    heading = words.PERCENT if network.kind.is_probability else words.NUMBER
    return tables.numbers(
        (
            tables.Column(words.SHORT_VIT if network.is_vit else words.SHORT_CNN, [each.label for each in best]),
            tables.Column(heading, [share * each.value for each in best], bars=ANSWERS, longest=share, decimals=1),
        ),
        strong=(0,),
    )


def _vit_map(vit: ComparedNetwork) -> Heatmap:
    context, kind = vit.context, str(state.value_of("vit_map"))
    if kind == "rollout":
        return rollout_of(context, context.query)
    found: Heatmap
    if kind == "attention":
        found = context.ask(
            "attention map",
            lambda _: attention_map(context.layers[-1], context.query),
            query=context.query,
            layer=-1,
            head=None,
        )
        return found
    explained = explained_target(context)
    found = explained.ask("Grad-CAM", lambda question, _: gradcam(question))
    first = vit.context.answer_hidden and int(state.value_of("target")) < 0
    return Heatmap(found.values, words.CAM_OF.format(label=words.ITS_ANSWER if first else explained.name))


def _map(network: ComparedNetwork, heatmap: Heatmap, of: str) -> None:
    st.markdown(f"**{escaped(network.title)}**")
    name = "vit" if network.is_vit else "cnn"
    show_picture(
        network.context,
        f"map of {name}",
        alt=words.MAP_ALT.format(title=network.title, label=heatmap.label),
        heatmap=heatmap,
        scale=Scale.of(heatmap.values, robust=network.context.robust, low=0.0),
        params=(("of", of), ("target", state.value_of("target"))),
        shown=network.shown,
        link=GROUP,
        size=PictureSize(around=AROUND),
        one_of_many=True,  # nothing is chosen here
    )


def _details(vit: ComparedNetwork, cnn: ComparedNetwork, kind: str) -> None:
    if kind == "reach":
        reach.details(vit, cnn)
    elif kind == "heads":
        reach.details_of_heads(vit)
    elif kind == "perturbation":
        perturbation.details(vit, cnn)
    st.subheader(words.UNEQUAL, anchor=False)
    rows = zip(words.FACTS, facts_of(vit), facts_of(cnn), strict=True)
    table = [
        ("", vit.title, cnn.title),
        ("---",) * 3,
        *((name, *(fact or words.NOT_KNOWN for fact in each)) for name, *each in rows),
    ]
    st.markdown("\n".join(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in table))
    caption(words.SAME_CUT)
    if vit.shown.size != cnn.shown.size:
        caption(words.OTHER_SIZES)
    st.subheader(words.GENERAL, anchor=False)
    sentence(words.KNOWN)
    sentence(words.CONTESTED)


def _cell(text: str) -> str:
    """A cell of a Markdown table."""
    return text if text == "---" else escaped(text).replace("|", "\\|")


FIGURES = {"reach": reach.show, "heads": reach.show_heads, "perturbation": perturbation.show, "answers": show_answers}
