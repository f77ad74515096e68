"""The app, with one address more: what its queues are busy with, and what they know. For `served` in `serving.py`."""

from __future__ import annotations

import streamlit as st
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from vitviz.ui.compute import loading, services
from vitviz.ui.server import route
from vitviz.ui.server.route import frontend_route, payload_route
from vitviz.ui.shell import main as frame
from vitviz.ui.shell import startup

loading.embedded()
startup.settle()


async def names(_: Request) -> JSONResponse:
    """Names of what was asked for and is not finished, and of what was, in every queue."""
    queues = services.queue(), services.models()
    under_way = [key.what for queue in queues for key in queue.under_way()]
    return JSONResponse({"under way": under_way, "known": [key.what for q in queues for key in q.results]})


app = st.App(frame.__file__, routes=[payload_route(route.payloads()), frontend_route(), Route("/computing", names)])
