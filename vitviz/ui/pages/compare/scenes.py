"""The same patch in two scenes: a patch's surroundings change its token."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from vitviz.analysis.patches import Paste, TwoScenes, two_scenes
from vitviz.figure import Figure
from vitviz.figures.comparison import Scene, pasted_picture, scenes_figure
from vitviz.models import prepare
from vitviz.tokens import cell_name
from vitviz.ui import state
from vitviz.ui.components.heatmap import PictureSize, show_picture
from vitviz.ui.compute import images
from vitviz.ui.compute.images import InputImage
from vitviz.ui.context import PageContext
from vitviz.ui.controls import figure
from vitviz.ui.controls.frame import SIDE_BY_SIDE, Frame
from vitviz.ui.controls.pickers import mark, marked_or_middle, named
from vitviz.ui.escape import escaped
from vitviz.ui.pages.compare import sides
from vitviz.ui.pages.compare import text as words

# CSS pixels of a window's height for what stands around a scene, and the pixels that the curve beside both is drawn in: it is
# not shrunk on a projector.
AROUND, CURVE = 290, (320, 250)


def show(context: PageContext, its: Frame) -> None:
    """The patch in its own scene, the scene it is copied into, and how its token differs through the layers."""
    with its.controls():
        sides.choose_picture(context, words.INTO)
        st.selectbox(
            words.BLOCK,
            list(words.BLOCKS),
            format_func=named(words.BLOCKS),
            help=words.BLOCK_HELP,
            **state.bound("block"),
        )
    name = sides.picture_of(context)
    with its.figure():
        taken = images.image_of(replace(context.selection, image=name))
        both = sides.shared_context(context, taken.scope)
        scene = _scene(both, taken)
        paste = Paste(
            marked_or_middle(context),
            context.layout.cell_named(str(state.value_of("into"))),
            int(state.value_of("block")),
        )
        found: TwoScenes = both.ask(
            "two scenes",
            lambda _: two_scenes(context.model, context.trace.input, scene.prepared.input, paste),
            words.WAIT,
            other=taken.hash,
            paste=paste,
        )

        def curve() -> Figure:
            width, height = CURVE
            return scenes_figure(context.subject, scene, paste, found, theme=context.theme, width=width, height=height)

        with st.container(key=SIDE_BY_SIDE, gap="small"):
            left, middle, right = st.columns([3, 3, 4])
            with left:
                _source(context, paste)
            with middle:
                _target(both, scene, paste, name)
            with right:
                st.markdown(words.CURVE_TITLE)
                figure.show(both, "two scenes", curve, exported=False, other=taken.hash, paste=paste)
    its.say(words.VERDICT, last=found.itself[-1], other=found.other[-1])
    with its.details():
        figure.exports(both, "two scenes", curve, other=taken.hash, paste=paste)


def _scene(both: PageContext, taken: InputImage) -> Scene:
    # "fit" would give the other picture a size of its own, and a patch can only go where the grid is the same.
    framing = "crop" if both.selection.framing == "fit" else both.selection.framing
    scene: Scene = both.ask(
        "other scene",
        lambda _: Scene(prepare(both.model, taken.image, framing=framing), taken.hash, taken.name),
        other=taken.hash,
        framed=framing,
    )
    return scene


def _source(context: PageContext, paste: Paste) -> None:
    row, col = paste.source
    st.markdown(words.FROM_TITLE.format(name=escaped(sides.picture_words(context.selection.image))))
    show_picture(
        context,
        "from",
        alt=words.FROM_ALT.format(row=row, col=col),
        on_pick=lambda name: _take(context, name),
        chosen=cell_name(*paste.source),
        marks=[start for start, _ in paste.cells(context.layout.grid)] if paste.block > 1 else (),
        size=PictureSize(around=AROUND),
    )


def _target(both: PageContext, scene: Scene, paste: Paste, name: str) -> None:
    row, col = paste.place
    st.markdown(words.INTO_TITLE.format(name=escaped(sides.picture_words(name))))
    show_picture(
        both,
        "into",
        alt=words.INTO_ALT.format(row=row, col=col),
        on_pick=lambda cell: _put(both, cell, paste),
        chosen=cell_name(*paste.place),
        marks=[end for _, end in paste.cells(both.layout.grid)] if paste.block > 1 else (),
        shown=pasted_picture(both.subject, scene, paste),
        params=(("other", scene.image_hash), ("paste", paste)),
        size=PictureSize(around=AROUND),
    )
    if paste.target is not None and paste.target != paste.source:
        st.button(words.SAME_PLACE, key="same place", type="tertiary", on_click=lambda: state.change(into=""))


def _take(context: PageContext, name: str) -> None:
    cell = context.layout.cell_named(name)
    if cell is not None:
        mark(context, cell)


def _put(context: PageContext, name: str, paste: Paste) -> None:
    cell = context.layout.cell_named(name)
    if cell is not None:
        state.change(into="" if cell == paste.source else cell_name(*cell))
