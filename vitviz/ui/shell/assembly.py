"""Puts the server together: its own routes, and the middleware around them. Imports nothing heavy before `START`."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from starlette.routing import Route
from streamlit import runtime
from streamlit.errors import StreamlitSecretNotFoundError
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

from vitviz.ui.controls import navigation
from vitviz.ui.selection import MAX_SIZE
from vitviz.ui.server import session, uploads
from vitviz.ui.server.class_code import ClassCode
from vitviz.ui.server.guards import (
    AllowedHosts,
    ClosedAddresses,
    Connections,
    MessageSize,
    OwnPage,
    SecurityHeaders,
)
from vitviz.ui.server.route import (
    KnownPages,
    VisitorCookie,
    base_path,
    frontend_address,
    frontend_route,
    payload_route,
    payloads,
    picture_route,
)
from vitviz.ui.server.settings import PREFIX, ServerSettings, SettingsError, settings
from vitviz.ui.server.starting import START
from vitviz.ui.server.watching import ServerMetrics, health_paths, health_routes, serve_metrics, set_up_logs
from vitviz.ui.shell import presenter, startup, styles
from vitviz.ui.shell import text as words

_LOG = logging.getLogger(__name__)


def routes() -> list[Route]:
    """Payloads, the front end, and whether the server is alive and ready."""
    base = base_path()
    ready = {"embedded model": lambda: startup.embedded_read, "decoders": _decoders_able}
    return [
        payload_route(payloads(), base),
        frontend_route(base),
        picture_route(base),
        *health_routes(ready, base, START),
    ]


def _decoders_able() -> bool:
    if START.state != "ready":
        return False
    from vitviz.ui.compute import services

    return services.decoders().able


def middleware(chosen: ServerSettings, pages: Iterable[str]) -> list[Middleware]:
    """The middleware that every request passes, the first outermost.

    Args:
        pages: The addresses of the app's pages.
    """
    base = base_path()
    scripts = (navigation.PUT_AWAY, presenter.SCRIPT, styles.WIDTH_SCRIPT, scale_down())
    code = [
        Middleware(ClassCode, code=chosen.class_code, base_path=base, open_paths=health_paths(base)),
    ]
    return [
        Middleware(SecurityHeaders, frame_ancestors=chosen.frame_ancestors, scripts=scripts),
        Middleware(AllowedHosts, hosts=chosen.allowed_hosts),
        Middleware(ClosedAddresses, base_path=base),
        *(code if chosen.class_code else []),
        Middleware(Connections, most=chosen.max_connections, share=chosen.address_share),
        Middleware(MessageSize),
        Middleware(
            uploads.UploadQuota,
            quota=uploads.quota(chosen.upload_quota),
            kept=_files,
            drop=_drop,
            base_path=base,
            known=_is_session,
            share=chosen.address_share,
        ),
        Middleware(VisitorCookie, base_path=base),
        Middleware(KnownPages, pages=pages, base_path=base),
        Middleware(OwnPage, css=styles.CSS, scripts=scripts, modules=element_scripts()),
    ]


# Streamlit's elements that nearly every page has.
ELEMENTS = (
    *(
        "BidiComponent",
        "Button",
        "ButtonGroup",
        "Checkbox",
        "DownloadButton",
        "Html",
        "ImageList",
        "PageLink",
        "Progress",
    ),
    *("Selectbox", "Slider"),
)


def element_scripts() -> list[str]:
    """Addresses, from a page's own, of the scripts of `ELEMENTS` and of what those import.

    Streamlit imports each when its first element is to be drawn, which has a place of another size until then.
    """
    static = Path(st.__file__).parent / "static"
    page = (static / "index.html").read_text(encoding="utf-8")
    folder, found, done = static / "static" / "js", list[str](), set(_SCRIPTS.findall(page))
    queue = sorted(path.name for path in folder.glob("*.js") if path.name.partition(".")[0] in ELEMENTS)
    while queue:
        name = queue.pop(0)
        if name not in done:
            done.add(name)
            found.append(f"./static/js/{name}")
            queue += _IMPORTED.findall((folder / name).read_text(encoding="utf-8"))
    return found


_SCRIPTS, _IMPORTED = re.compile(r"static/js/([^\"]+\.js)"), re.compile(r'(?:from|import)\s*"\./([^"]+\.js)"')


@asynccontextmanager
async def lifespan(_: object) -> AsyncIterator[None]:
    """The life of the server. Logging is set up here, because the web server sets up its own when it starts."""
    set_up_logs(settings().logs)
    session.serve_in(asyncio.get_running_loop())
    START.begin(startup.steps())
    yield
    if START.state == "ready":
        from vitviz.ui.compute import services

        services.decoders().close()


def take_secrets() -> None:
    """Puts Streamlit's secrets.toml into the environment, where settings are read: some hosts offer no other way to set
    variables. Call before they are read; Streamlit itself does so when the server starts, which is later.

    Raises SettingsError where the file cannot be read, or a setting in it would be ignored.
    """
    try:
        given = st.secrets.to_dict()
    except StreamlitSecretNotFoundError as error:
        if error.error_id == "no-secrets-found":
            return
        raise SettingsError(f"Streamlit's secrets cannot be read: {error}") from error
    for name, value in given.items():
        if isinstance(value, dict) and (astray := [each for each in value if each.startswith(PREFIX)]):
            raise SettingsError(
                f"{astray[0]} stands in the section [{name}] of the secrets; put it above all sections."
            )
        if name.startswith(PREFIX) and (isinstance(value, bool) or not isinstance(value, str | int | float)):
            raise SettingsError(f'{name} in the secrets has to be a text in quotes, such as "1".')


def need_sign_in(chosen: ServerSettings) -> None:
    """Raises SettingsError where signing in is required and not configured."""
    if not chosen.sign_in:
        return
    try:
        import_module("authlib.integrations.starlette_client")  # Streamlit does so when somebody signs in
    except ImportError as missing:
        raise SettingsError(f'VITVIZ_SIGN_IN needs authlib: pip install "vitviz[sign-in]" ({missing})') from missing
    try:
        there = "auth" in st.secrets
    except StreamlitSecretNotFoundError:
        there = False
    if not there:
        raise SettingsError("VITVIZ_SIGN_IN needs a section [auth] in Streamlit's secrets.toml; see docs/deploy.md.")


def watch(chosen: ServerSettings) -> None:
    """Serves the metrics where the operator asks for them."""
    if chosen.metrics is None:
        return
    from vitviz.ui.compute import services

    queues = {"analyses": services.queue(), "models": services.models(), "copies": services.copies()}
    sizes = {
        "vitviz_sessions": ("Sessions that are not over", lambda: float(len(session.open_sessions()))),
        "vitviz_payload_bytes": ("Memory of arrays for browsers", lambda: float(payloads().nbytes)),
        "vitviz_uploads_bytes": ("Memory of uploaded files", lambda: float(_uploaded_bytes())),
    }
    observe = serve_metrics(chosen.metrics, ServerMetrics(queues, sizes))
    for queue in queues.values():
        queue.observe = observe
    _LOG.info("metrics at %s:%d", *chosen.metrics)


def _manager() -> MemoryUploadedFileManager | None:
    if not runtime.exists():
        return None
    manager = runtime.get_instance().uploaded_file_mgr
    return manager if isinstance(manager, MemoryUploadedFileManager) else None


def _is_session(streamlit_id: str) -> bool:
    return not runtime.exists() or runtime.get_instance().is_active_session(streamlit_id)


def _files(streamlit_id: str) -> list[str]:
    manager = _manager()
    return [*manager.file_storage.get(streamlit_id, ())] if manager else []


def _drop(streamlit_id: str, file: str) -> None:
    manager = _manager()
    if manager:
        manager.remove_file(streamlit_id, file)


def _uploaded_bytes() -> int:
    manager = _manager()
    files = [file for own in [*manager.file_storage.values()] for file in [*own.values()]] if manager else []
    return sum(len(file.data) for file in files) + uploads.kept().nbytes


# A file that is too large for Streamlit's control is scaled down before the control sees it, which would refuse it. It is
# chosen through the control's input or dropped on it, and not through the window's file picker, which reports nothing.
_SCALE_DOWN = """
{
  const given = GIVEN;
  delete window.showOpenFilePicker;
  const note = document.createElement("div");
  note.className = "vv-note";
  note.setAttribute("role", "alert");
  document.body.append(note);
  const take = async (event, input, files) => {
    note.textContent = "";
    if (!input || !files.some((file) => file.size > given.bytes)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    try {
      const { scaledFile } = await import(given.module);
      const sent = new DataTransfer();
      for (const file of files) sent.items.add(file.size > given.bytes ? await scaledFile(file, given) : file);
      input.files = sent.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    } catch {
      note.textContent = given.words;
    }
  };
  const within = (node) => node.closest?.('[data-testid="stFileUploader"]')?.querySelector("input[type=file]");
  addEventListener("change", (event) => take(event, within(event.target), [...(event.target.files ?? [])]), true);
  addEventListener("drop", (event) => take(event, within(event.target), [...event.dataTransfer.files]), true);
}
"""


def scale_down() -> str:
    """The script that does so, for the page."""
    given = {
        "module": f"{frontend_address(base_path())}/data/upload.js",
        "bytes": st.get_option("server.maxUploadSize") * 2**20,
        "side": MAX_SIZE,
        "words": words.TOO_LARGE,
    }
    return _SCALE_DOWN.replace("GIVEN", json.dumps(given))
