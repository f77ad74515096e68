"""Where is the object? Boxes from patch features alone, step by step; and from a trained detector for contrast."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image

from vitviz.analysis.interventions.text import runs
from vitviz.analysis.localization import FoundObject
from vitviz.analysis.masks import Annotation, box_in_photograph, coco, in_photograph, pixel_mask, refine_mask
from vitviz.draw import Scale
from vitviz.draw.objects import paint_boxes, paint_mask
from vitviz.figures.features import objects_figure
from vitviz.heatmap import Heatmap
from vitviz.tokens import Cell, cell_name, cell_of_name
from vitviz.ui import state
from vitviz.ui.components.heatmap import PictureSize, show_picture
from vitviz.ui.compute import consent
from vitviz.ui.context import PageContext
from vitviz.ui.controls import edits, figure, navigation, objects, tables
from vitviz.ui.controls.captions import caption
from vitviz.ui.controls.errors import guarded
from vitviz.ui.controls.frame import SIDE_BY_SIDE, Frame, page
from vitviz.ui.controls.pickers import mark, marked_patch, named
from vitviz.ui.pages.find import detector
from vitviz.ui.pages.find import text as words
from vitviz.ui.text import common

WAYS = "ways on with what was found"
AROUND = 340  # CSS pixels of a window's height for what stands around both pictures
DRAWN = 2  # pixels of what is drawn for one of the model's input, 224 pixels wide
LEAST_APART = 0.05  # score under which no object is said to be separate
LINK = "found and its steps"

Found = tuple[FoundObject, ...]


def render(context: PageContext) -> None:
    finder = str(state.value_of("finder"))
    with page(words.PAGES[finder], context) as its:
        if not context.trace.layers:
            st.info(words.NO_LAYERS)
            return
        with its.controls():
            st.selectbox(words.FINDER, list(words.FINDERS), format_func=named(words.FINDERS), **state.bound("finder"))
            if finder != "detector":
                _choose_step(finder)
        if finder == "detector":
            detector.show(context, its)
            return
        with its.settings():
            _settings(context)
        with its.figure(), guarded("find"):
            found = _found(context, finder)
            shown = found[min(int(state.value_of("which")), len(found)) - 1]
            _figure(its, context, finder, found, shown)
            with its.controls():
                _more_controls(found)
            details = its.details()
            if details.open:
                with details:
                    _details(context, finder, found)


# Controls


def _steps(finder: str) -> dict[str, str]:
    return words.STEPS["lost" if finder == "lost" else "tokencut"]


def _choose_step(finder: str) -> None:
    st.segmented_control(
        words.STEP,
        list(_steps(finder)),
        format_func=named(_steps(finder)),
        required=True,
        **state.bound("found_step"),
    )


def _settings(context: PageContext) -> None:
    objects.choose_facet(context)
    caption(words.CUSTOMARY)
    st.toggle(
        words.CENTRED,
        help=words.CENTRED_HELP,
        **state.bound("centred", _centred(), lambda on: "yes" if on else "no"),
    )
    st.toggle(
        words.REFINED,
        help=words.REFINED_HELP,
        **state.bound("edges", _refined(), lambda on: "pixels" if on else "patches"),
    )
    st.number_input(words.OBJECTS, 1, 6, step=1, **state.bound("objects"))
    st.caption(words.SIZES)


def _more_controls(found: Found) -> None:
    """What depends on the answer: whose steps are shown, and links that hide or mark the object on other pages."""
    chosen = min(int(state.value_of("which")), len(found))
    masks = {"one": found[chosen - 1].mask}
    if len(found) > 1:
        st.segmented_control(words.OBJECT, range(1, len(found) + 1), required=True, **state.bound("which", chosen))
        masks["all"] = np.any([each.mask for each in found], axis=0)
    there = [name for name in words.WAYS if name in navigation.pages()]
    ways = {(name, which): objects.patches_in(mask) for which, mask in masks.items() for name in there}
    named_object = words.IT if len(found) == 1 else words.NUMBERED.format(number=chosen)
    if ways:
        st.menu_button(
            words.USE,
            list(ways),
            key=WAYS,
            icon=":material/arrow_forward:",
            format_func=lambda way: words.WAYS[way[0]].format(object=words.ALL if way[1] == "all" else named_object),
            on_click=_go_on,
            args=(ways,),
        )


def _go_on(ways: dict[tuple[str, str], tuple[int, ...]]) -> None:
    """Hides or marks what was found, and opens the page that was chosen for it."""
    way = st.session_state[WAYS]
    if way is None:
        return
    given = edits.latest()
    if way[0] == "prediction":
        state.change(object=runs(ways[way]), part="mark")
    else:
        edits.switch(edits.hide(given, ways[way], edits.hide_by(given)), switch="hide")
    navigation.go_next(way[0], "find")


def _centred() -> bool:
    return bool(state.value_of("centred") == "yes")


def _refined() -> bool:
    return bool(state.value_of("edges") == "pixels")


def _asked(context: PageContext, finder: str) -> dict[str, Any]:
    """What the answer depends on."""
    return {
        "method": finder,
        "facet": str(state.value_of("facet")),
        "layer": objects.layer_of(context),
        "count": int(state.value_of("objects")) if finder == "maskcut" else 1,
        "centred": _centred(),
    }


def _found(context: PageContext, finder: str) -> Found:
    return objects.found_objects(context, **_asked(context, finder))


# The figure: found objects on the left, the chosen step on the right


def _figure(its: Frame, context: PageContext, finder: str, found: Found, shown: FoundObject) -> None:
    left, right = st.container(key=SIDE_BY_SIDE, gap="small").columns(2)
    with left:
        _result(context, finder, found)
    step = str(state.value_of("found_step"))
    name, values, signed = _map_of(finder, shown, step)
    chosen = _framed(context, shown, step)
    neighbours = np.argwhere(_joined(context, shown, chosen)).tolist() if step == "graph" else []
    with right:
        show_picture(
            context,
            "step",
            alt=words.STEP_ALT.format(label=words.LABELS[name]),
            heatmap=Heatmap(values.astype(np.float32), words.LABELS[name], signed),
            scale=None if values.dtype != bool else Scale(0.0, 1.0),
            params=(*_asked(context, finder).items(), ("step", step), ("object", found.index(shown))),
            chosen=cell_name(*chosen),
            marks=[(row, col) for row, col in neighbours],
            on_pick=lambda token: _pick(context, token),
            size=PictureSize(around=AROUND),
            link=LINK,
            one_of_many=True,
        )
    _describe(its, context, shown, name, chosen)
    wanted = int(state.value_of("objects"))
    if finder == "maskcut" and len(found) < wanted:
        with its.settings():
            caption(words.FEWER, count=len(found), wanted=wanted)


def _result(context: PageContext, finder: str, found: Found) -> None:
    params = (*_asked(context, finder).items(), ("refined", _refined()))
    boxes = [(each.box.left, each.box.top, each.box.right, each.box.bottom) for each in found]
    rows = [
        words.ONE_BOX.format(number=number, left=box[0], top=box[1], right=box[2], bottom=box[3], score=each.score)
        for number, (box, each) in enumerate(zip(boxes, found, strict=True), 1)
    ]
    masks = _masks(context, finder, found)
    letters = 34 if context.phone else 20  # a phone shows the picture at a third of its size: 12 pixels there
    painted = context.ask(
        "found on the photograph", lambda _: _painted(context, found, masks, letters), letters=letters, **dict(params)
    )
    show_picture(
        context,
        "found",
        alt=words.RESULT_ALT.format(boxes="; ".join(rows)),
        shown=painted,
        params=params,
        on_pick=lambda token: _pick(context, token),
        size=PictureSize(around=AROUND),
        link=LINK,
        one_of_many=True,
    )


def _painted(context: PageContext, found: Found, masks: Sequence[np.ndarray], letters: int) -> Image.Image:
    shown = context.shown.convert("RGB")
    mask = np.any(masks, axis=0)
    scale = DRAWN * 224 / shown.width
    names = [f"{number}: {each.score:.2f}" for number, each in enumerate(found, 1)]
    boxes = [(each.box.left, each.box.top, each.box.right, each.box.bottom) for each in found]
    return paint_boxes(paint_mask(shown, mask), boxes, names, scale, size_of_names=letters)


def _masks(context: PageContext, finder: str, found: Found) -> Sequence[np.ndarray]:
    """(height, width) boolean of each object: in pixels of the model's input."""
    shown = np.asarray(context.shown.convert("RGB"))
    if not _refined():
        return [pixel_mask(each.mask, (shown.shape[0], shown.shape[1])) for each in found]
    masks: Sequence[np.ndarray] = context.ask(
        "masks along edges",
        lambda _: tuple(refine_mask(each.mask, shown) for each in found),
        common.COMPUTING,
        consent.operations_of_walk(context.shown.width * context.shown.height, 2 * len(found)),
        **_asked(context, finder),
    )
    return masks


def _map_of(finder: str, one: FoundObject, step: str) -> tuple[str, np.ndarray, bool]:
    """The map of a step: its name, (rows, cols) values, and whether they are signed."""
    if step == "graph":
        return "graph", one.degree, False
    if step == "object":
        return "object", one.mask, False
    if finder == "lost":
        return ("seeds", one.chosen, False) if step == "sorted" else ("similar", one.similarity, True)
    assert one.eigenvector is not None
    return ("eigenvector", one.eigenvector, True) if step == "sorted" else ("side", one.chosen, False)


def _framed(context: PageContext, one: FoundObject, step: str) -> tuple[int, int]:
    """The seed; among the steps of the graph the marked patch, where there is one."""
    return (marked_patch(context) if step == "graph" else None) or one.seed


def _joined(context: PageContext, one: FoundObject, cell: Cell) -> np.ndarray:
    """(rows, cols) boolean: the patches that a patch is joined with."""
    patch = context.layout.token_at(*cell) - context.layout.num_prefix
    return context.layout.patches(one.graph[patch])


def _pick(context: PageContext, token: str) -> None:
    cell = cell_of_name(token, context.layout.grid)
    if cell is not None:
        mark(context, cell)


def _describe(its: Frame, context: PageContext, one: FoundObject, name: str, framed: tuple[int, int]) -> None:
    total, chosen = one.mask.size, int(one.chosen.sum())
    if name == "graph":
        its.say(words.SAID_GRAPH, joined=int(_joined(context, one, framed).sum()), others=total - 1)
    elif one.score < LEAST_APART:
        its.say(words.NOT_APART, score=one.score)
    elif name == "eigenvector":
        its.say(words.SAID_EIGENVECTOR)
    elif name == "seeds":
        its.say(words.SAID_SEEDS, joined=int(one.degree[one.seed]), chosen=chosen - 1)  # itself
    elif name == "side":
        its.say(words.SAID_SIDE_OF_MASKCUT if one.method == "MaskCut" else words.SAID_SIDE, chosen=chosen, total=total)
    elif name == "similar":
        its.say(words.SAID_SIMILAR, chosen=int((one.similarity > 0).sum()), total=total)
    else:
        its.say(words.SAID_OBJECT, count=int(one.mask.sum()), total=total, score=one.score)


# Numbers and exports


def _details(context: PageContext, finder: str, found: Found) -> None:
    asked, size = _asked(context, finder), (context.shown.height, context.shown.width)
    masks = _masks(context, finder, found)
    edges = masks if _refined() else ()
    boxes = [box_in_photograph(each.box, context.traced.prepared.box, size) for each in found]
    numbers = [[f"{side:.0f}" for side in column] for column in zip(*boxes, strict=True)]
    columns = (
        [str(number) for number in range(1, len(found) + 1)],
        *numbers,
        [f"{each.score:.2f}" for each in found],
        [str(int(each.mask.sum())) for each in found],
    )
    tables.show(tables.STYLE)
    tables.show(tables.numbers([*map(tables.Column, words.COLUMNS, columns)]))
    st.caption(words.IN_PHOTOGRAPH)
    st.download_button(
        common.DOWNLOAD_COCO,
        json.dumps(_coco(context, found, boxes, masks)),
        f"{common.NAME}-objects.json",
        "application/json",
        key="download objects",
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
    )
    figure.exports(
        context,
        "found objects",
        lambda: objects_figure(
            context.subject, found, asked["facet"], asked["layer"], centred=asked["centred"], along_edges=edges
        ),
        refined=_refined(),
        **asked,
    )


def _coco(
    context: PageContext, found: Found, boxes: list[tuple[float, float, float, float]], masks: Sequence[np.ndarray]
) -> dict[str, Any]:
    photograph, region = context.image.image, context.traced.prepared.box
    size, name = (photograph.height, photograph.width), context.traced.image_name.rpartition("/")[2]
    made = [
        Annotation(name, box, in_photograph(mask, region, size), score=each.score)
        for box, mask, each in zip(boxes, masks, found, strict=True)
    ]
    return coco({name: size}, made)
