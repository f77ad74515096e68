"""The app's entry: `streamlit run app.py`. The page is there first; torch, the model and all pages come beside it, once."""

from __future__ import annotations

import streamlit as st

from vitviz.ui.pages.registry import pages_shown
from vitviz.ui.server.settings import settings
from vitviz.ui.server.watching import set_up_logs
from vitviz.ui.shell import assembly, opening, startup

assembly.take_secrets()
set_up_logs(settings().logs)
startup.let_idle_threads_sleep()
startup.keep_uploads_in_memory()
assembly.need_sign_in(settings())

app = st.App(
    opening.__file__,
    lifespan=assembly.lifespan,
    routes=assembly.routes(),
    middleware=assembly.middleware(settings(), [page.name for page in pages_shown()]),
)

if __name__ == "__main__":
    app.run(config={"server.headless": True})
