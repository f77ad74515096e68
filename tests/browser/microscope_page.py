"""The microscope alone on a page, over one of the cases; `?case=` chooses, `?token=` and `?layer=` pin."""

from __future__ import annotations

import json
from dataclasses import asdict

import streamlit as st
from microscope_cases import CASES, NUM_LAYERS, STORE

from vitviz.ui.components.microscope import MicroscopeView, microscope
from vitviz.ui.pages.microscope.text import MICROSCOPE
from vitviz.ui.server.payloads import pack_picture
from vitviz.ui.server.route import address

st.set_page_config(layout="wide", page_title="microscope")
name = st.query_params.get("case", "small")
case = CASES[name]
session = st.session_state.setdefault("session", str(id(st.session_state)))
runs = st.session_state["runs"] = st.session_state.get("runs", 0) + 1

if "view" not in st.session_state:
    st.session_state.view = MicroscopeView(
        token=st.query_params.get("token"), layer=int(st.query_params.get("layer", 1))
    )


def keep(view: MicroscopeView) -> None:
    st.session_state.view = view
    st.query_params.token = view.token or ""
    st.query_params.layer = view.layer


if st.button("pin r1c2 from Python"):
    st.session_state.view = MicroscopeView(token="r1c2", layer=2, head=1)

microscope(
    st.session_state.view,
    keep,
    picture=address(STORE.offer(session, (name, "picture"), lambda: pack_picture(case.picture()))),
    ratio=1.0,
    num_layers=NUM_LAYERS,
    layer_address=lambda layer: address(STORE.offer(session, (name, layer), lambda: case.payload(layer))),
    key=f"microscope-{name}",
    words=MICROSCOPE,
)
st.code(json.dumps({"runs": runs, **asdict(st.session_state.view)}))
