"""A trained head for contrast: a detector's boxes, and what each of its queries attends to."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import streamlit as st
from PIL import Image

from vitviz.analysis.masks import Annotation, coco
from vitviz.draw.objects import paint_boxes
from vitviz.heatmap import Heatmap
from vitviz.models.hugging_face.detectors import Detections, detect
from vitviz.ui import state
from vitviz.ui.components.heatmap import PictureSize, show_picture
from vitviz.ui.compute import loading
from vitviz.ui.context import PageContext
from vitviz.ui.controls import tables
from vitviz.ui.controls.errors import guarded
from vitviz.ui.controls.frame import Frame
from vitviz.ui.controls.pickers import named
from vitviz.ui.escape import escaped
from vitviz.ui.pages.find import text as words
from vitviz.ui.selection import MODEL_NAME
from vitviz.ui.server.settings import settings
from vitviz.ui.text import common

KNOWN = ("hf:facebook/detr-resnet-50", "hf:microsoft/conditional-detr-resnet-50", "hf:hustvl/yolos-tiny")
AROUND = 340  # CSS pixels of a window's height for what stands around both pictures
DRAWN = 448  # pixels of what is drawn, at least: letters of a box stay readable
Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class ShownBoxes:
    """The boxes that are shown: (query, class, probability) of each, and whether any reaches the threshold."""

    boxes: tuple[tuple[int, int, float], ...]
    likely: bool


def choose() -> str:
    """The detector's name, "" while none is chosen."""
    chosen = str(state.value_of("detector"))
    known = [name for name in KNOWN if loading.may_load(name)]
    known = known if chosen in known else [*known, *([chosen] if chosen else [])]
    st.selectbox(
        words.DETECTOR,
        ["", *known],
        format_func=named({"": words.DETECTOR_EMPTY}),
        help=words.DETECTOR_HELP_SOME if settings().models or settings().public else words.DETECTOR_HELP,
        accept_new_options=True,
        **state.bound("detector", chosen, lambda name: name.strip() if MODEL_NAME.fullmatch(name.strip()) else ""),
    )
    return chosen


def show(context: PageContext, its: Frame) -> None:
    """Boxes on the left, the attention of one of them on the right."""
    with its.controls():
        name = choose()
    with its.figure(), guarded("detector"):
        if not name:
            show_picture(
                context, "undetected", alt=words.NO_DETECTOR, size=PictureSize(around=AROUND), one_of_many=True
            )
            its.say(words.NO_DETECTOR)
            return
        detector = loading.detector_of(name)
        photograph = seen_photograph(context)
        asked = {"detector": name, "hash": detector.weights_hash}
        found = context.ask("detections", lambda _: detect(detector, photograph), **asked)
        seen = _shown_boxes(found, float(state.value_of("likely")))
        at = min(int(state.value_of("which")), len(seen.boxes)) - 1
        _figure(its, context, found, seen, at, photograph, asked)
        with its.settings():
            st.slider(words.LIKELY, 0.05, 0.95, step=0.05, **state.bound("likely"))
            last = len(found.attention) - 1
            if last > 0:
                st.number_input(words.DECODER_LAYER, 0, last, step=1, **state.bound("decoder_layer", _layer(found)))
        with its.controls():
            if len(seen.boxes) > 1:
                names = {number: _box_name(found, each) for number, each in enumerate(seen.boxes, 1)}
                st.selectbox(words.BOX, list(names), format_func=named(names), **state.bound("which", at + 1))
        details = its.details()
        if details.open:
            with details:
                _details(context, found, seen, name)


def seen_photograph(context: PageContext) -> Image.Image:
    """The part of the photograph that is the model's input, at the photograph's resolution, in the input's shape."""
    left, top, right, bottom = (round(side) for side in context.traced.prepared.box)
    part = context.image.image.convert("RGB").crop((left, top, right, bottom))
    height = max(1, round(part.width * context.shown.height / context.shown.width))
    return part if abs(height - part.height) <= 1 else part.resize((part.width, height))


def _shown_boxes(found: Detections, least: float) -> ShownBoxes:
    boxes = found.above(least)
    return ShownBoxes(tuple(boxes), True) if boxes else ShownBoxes(tuple(found.above(0.0)[:1]), False)


def _layer(found: Detections) -> int:
    chosen, last = int(state.value_of("decoder_layer")), len(found.attention) - 1
    return last if chosen < 0 else min(chosen, last)


def _box_name(found: Detections, box: tuple[int, int, float]) -> str:
    return words.NAMED_BOX.format(label=found.labels[box[1]], probability=box[2])


def _corners(found: Detections, query: int) -> Corners:
    left, top, right, bottom = (float(side) for side in found.boxes[query])
    return left, top, right, bottom


def _figure(
    its: Frame,
    context: PageContext,
    found: Detections,
    seen: ShownBoxes,
    at: int,
    photograph: Image.Image,
    asked: dict[str, str],
) -> None:
    names = [_box_name(found, box) for box in seen.boxes]
    corners = [_corners(found, box[0]) for box in seen.boxes]
    likely = float(state.value_of("likely"))
    left, right = st.container(key="side-by-side", gap="small").columns(2)
    with left:
        show_picture(
            context,
            "detected",
            alt=words.DETECTED_ALT.format(model=asked["detector"], boxes="; ".join(names)),
            shown=paint_boxes(photograph, corners, names, DRAWN / photograph.width, size_of_names=18),
            params=(*asked.items(), ("likely", likely)),
            size=PictureSize(around=AROUND),
            one_of_many=True,
        )
    query, layer = seen.boxes[at][0], _layer(found)
    with right:
        values = found.attention[layer, :, query].mean(0)  # (heads, rows, cols) -> (rows, cols)
        show_picture(
            context,
            "detector attention",
            alt=words.STEP_ALT.format(label=words.ATTENTION_LABEL[found.attends]),
            heatmap=Heatmap(values, words.ATTENTION_LABEL[found.attends]),
            params=(*asked.items(), ("query", query), ("layer", layer)),
            size=PictureSize(around=AROUND),
            one_of_many=True,
        )
    model = escaped(asked["detector"])
    if not seen.likely:
        _, label, probability = seen.boxes[0]
        its.say(
            words.NOTHING_LIKELY,
            model=model,
            likely=likely,
            label=escaped(found.labels[label]),
            probability=probability,
        )
    else:
        box = escaped(names[at])
        its.say(words.SAID_ATTENTION, count=len(seen.boxes), model=model, box=box, layer=layer)


def _details(context: PageContext, found: Detections, seen: ShownBoxes, name: str) -> None:
    """Boxes in pixels of the photograph, COCO, and the Python that finds them in the whole photograph."""
    region, photograph = context.traced.prepared.box, context.image.image
    part = seen_photograph(context)
    across, down = (region[2] - region[0]) / part.width, (region[3] - region[1]) / part.height
    boxes = [
        (region[0] + left * across, region[1] + top * down, region[0] + right * across, region[1] + bottom * down)
        for left, top, right, bottom in (_corners(found, box[0]) for box in seen.boxes)
    ]
    columns = (
        [found.labels[box[1]] for box in seen.boxes],
        *([f"{side:.0f}" for side in column] for column in zip(*boxes, strict=True)),
        [f"{box[2]:.2f}" for box in seen.boxes],
    )
    tables.show(tables.STYLE)
    tables.show(tables.numbers([*map(tables.Column, words.DETECTED_COLUMNS, columns)]))
    st.caption(words.IN_PHOTOGRAPH)
    file = context.traced.image_name.rpartition("/")[2]
    made = [
        Annotation(file, box, category=found.labels[label], score=probability)
        for box, (_, label, probability) in zip(boxes, seen.boxes, strict=True)
    ]
    st.download_button(
        common.DOWNLOAD_COCO,
        json.dumps(coco({file: (photograph.height, photograph.width)}, made)),
        f"{common.NAME}-detected.json",
        "application/json",
        key="download detected",
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
    )
    st.code(
        words.DETECTED_CODE.format(
            name=name, image=context.traced.image_name, likely=float(np.round(state.value_of("likely"), 2))
        )
    )
