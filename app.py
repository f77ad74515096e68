"""The app's entry: `streamlit run app.py`. Everything heavy happens here, once, before the first visitor."""

from __future__ import annotations

import streamlit as st

from vitviz.ui.compute import loading, services
from vitviz.ui.controls.questions import prepare_gallery
from vitviz.ui.pages.registry import pages_shown
from vitviz.ui.server.settings import settings
from vitviz.ui.server.watching import set_up_logs
from vitviz.ui.shell import assembly, startup
from vitviz.ui.shell import main as frame

set_up_logs(settings().logs)
startup.keep_uploads_in_memory()
services.decoders().start()
embedded = startup.read_embedded(loading.embedded)
for page in pages_shown():
    page.load()
assembly.need_sign_in(settings())
assembly.watch(settings())
services.pool()
startup.settle()
if embedded and settings().prepare:
    prepare_gallery(loading.embedded())

app = st.App(
    frame.__file__,
    lifespan=assembly.lifespan,
    routes=assembly.routes(embedded),
    middleware=assembly.middleware(settings(), [page.name for page in pages_shown()]),
)

if __name__ == "__main__":
    app.run(config={"server.headless": True})
