"""The app's entry: `streamlit run app.py`. Everything heavy happens here, once, before the first visitor."""

from __future__ import annotations

import gc

import streamlit as st
from starlette.middleware import Middleware

from vitviz.ui import loading, services
from vitviz.ui import main as frame
from vitviz.ui.route import VisitorCookie, payload_route

loading.embedded()

# After every run of a page Streamlit collects garbage over the whole heap. With torch imported that takes 300 ms; what
# is frozen here is not walked through again.
gc.collect()
gc.freeze()

app = st.App(
    frame.__file__,
    routes=[payload_route(services.payloads(), services.base_path())],
    middleware=[Middleware(VisitorCookie)],
)

if __name__ == "__main__":
    app.run(config={"server.headless": True})
