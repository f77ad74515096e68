"""The app's entry: `streamlit run app.py`. Everything heavy happens here, once, before the first visitor."""

from __future__ import annotations

import streamlit as st
from starlette.middleware import Middleware

from vitviz.ui.compute import loading
from vitviz.ui.pages.registry import pages
from vitviz.ui.server import route
from vitviz.ui.server.route import KnownPages, VisitorCookie, frontend_route, payload_route
from vitviz.ui.shell import main as frame
from vitviz.ui.shell import startup

startup.log_times()
startup.keep_uploads_in_memory()
startup.read_embedded(loading.embedded)
for page in pages():
    page.load()
startup.settle()

app = st.App(
    frame.__file__,
    routes=[payload_route(route.payloads(), route.base_path()), frontend_route(route.base_path())],
    middleware=[
        Middleware(VisitorCookie),
        Middleware(KnownPages, pages=[page.name for page in pages()], base_path=route.base_path()),
    ],
)

if __name__ == "__main__":
    app.run(config={"server.headless": True})
