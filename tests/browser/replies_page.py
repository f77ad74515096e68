"""The microscope, a picture, a board and a picture to paint on, of one of two subjects: other photographs, grids and heads."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import streamlit as st
from microscope_cases import CASES, NUM_LAYERS, STORE
from PIL import Image, ImageOps

from vitviz.draw import Scale
from vitviz.heatmap import Heatmap
from vitviz.ui import state
from vitviz.ui.components.heatmap import MapScales, Paint, PictureSize, show_board, show_picture
from vitviz.ui.components.microscope import MicroscopeView, microscope
from vitviz.ui.pages.microscope.text import MICROSCOPE
from vitviz.ui.server.payloads import pack_picture
from vitviz.ui.server.route import address

HIDDEN = "#77706a"  # what stands where the model sees nothing

st.set_page_config(layout="wide", page_title="replies")
time.sleep(float(st.query_params.get("seconds", 0)))  # of a run that is still going on when more is chosen
kept: dict[str, Any] = st.session_state.setdefault(
    "kept", {"view": MicroscopeView(layer=1), "chosen": "", "head": None, "cells": (3,), "picks": 0}
)
session = st.session_state.setdefault("session", str(id(st.session_state)))
subject = st.radio("subject", ["first", "second"], horizontal=True)
case = CASES[{"first": "bias", "second": "small"}[subject]]  # 14 x 14 patches, then 16 x 16
photograph = case.picture() if subject == "first" else ImageOps.invert(case.picture())


def offer(what: str, build: Any, /, **params: object) -> str:
    return address(STORE.offer(session, (subject, what, *sorted(params.items())), build))


def keep(**changed: Any) -> None:
    kept.update(changed, picks=kept["picks"] + 1)


def cut() -> None:
    state.take_reports()  # as `state.change` does
    keep(cells=(5, 6))


context: Any = SimpleNamespace(layout=case.layout, shown=photograph, offer=offer)
rows, cols = case.layout.grid
values = np.arange(rows * cols, dtype=np.float32).reshape(rows, cols) + (0 if subject == "first" else 1000)
only = st.query_params.get("only", "all")

gone = only != "all" and st.checkbox("put away")  # the component leaves the page and comes back under its key
if gone:
    only = ""

if only in ("all", "microscope"):
    microscope(
        kept["view"],
        lambda view: keep(view=view),
        picture=offer("photograph", lambda: pack_picture(photograph)),
        ratio=1.0,
        num_layers=NUM_LAYERS,
        layer_address=lambda layer: offer("layer", lambda: case.payload(layer), layer=layer),
        key="microscope",
        words=MICROSCOPE,
    )
if only in ("all", "picture"):
    show_picture(
        context,
        "picture",
        alt=f"picture of the {subject}",
        heatmap=Heatmap(values, "places"),
        chosen=kept["chosen"],
        prefix=("cls", "reg0"),
        on_pick=lambda name: keep(chosen=name),
        size=PictureSize(widest=320),
    )
if only in ("all", "board"):
    maps = np.random.default_rng(rows).random((2, 24, rows, cols), np.float32)
    show_board(
        context,
        "board",
        maps,
        MapScales([Scale.of(each) for each in maps.reshape(48, rows, cols)], "random", ends=("least", "most")),
        alt=f"board of the {subject}",
        params=(),
        chosen=kept["head"],
        on_pick=lambda layer, head: keep(head=(layer, head)),
    )
if only in ("all", "paint"):
    st.button("cut the sinks", on_click=cut)
    show_picture(
        context,
        "paint",
        alt=f"painted on the {subject}",
        paint=Paint(
            kept["cells"],
            "paint here",
            lambda cells: keep(cells=cells),
            hidden=lambda: Image.new("RGB", photograph.size, HIDDEN),
        ),
        size=PictureSize(widest=320),
    )
st.code(json.dumps({"subject": subject, "token": kept["view"].token, **{n: kept[n] for n in kept if n != "view"}}))
