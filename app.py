"""The app's entry: `streamlit run app.py`. Everything heavy happens here, once, before the first visitor."""

from __future__ import annotations

import streamlit as st
from starlette.middleware import Middleware

from vitviz.ui import loading, services, startup
from vitviz.ui import main as frame
from vitviz.ui.route import VisitorCookie, payload_route

loading.embedded()

startup.settle()
startup.import_later()

app = st.App(
    frame.__file__,
    routes=[payload_route(services.payloads(), services.base_path())],
    middleware=[Middleware(VisitorCookie)],
)

if __name__ == "__main__":
    app.run(config={"server.headless": True})
