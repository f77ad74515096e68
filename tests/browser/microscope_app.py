"""Serves `microscope_page.py` with the payload route, as the app does: `streamlit run tests/browser/microscope_app.py`."""

from __future__ import annotations

import gc

import streamlit as st
from microscope_cases import STORE

from vitviz.ui.server.route import frontend_route, payload_route

gc.collect()
gc.freeze()  # as in app.py: otherwise each run of the page ends with a walk through all of torch

app = st.App("microscope_page.py", routes=[payload_route(STORE), frontend_route()])
