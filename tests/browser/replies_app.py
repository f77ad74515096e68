"""Serves `replies_page.py` with the payload route, as the app does."""

from __future__ import annotations

import gc

import streamlit as st
from microscope_cases import STORE

from vitviz.ui.server.route import frontend_route, payload_route

gc.collect()
gc.freeze()  # as in app.py: otherwise each run of the page ends with a walk through all of torch

app = st.App("replies_page.py", routes=[payload_route(STORE), frontend_route()])
