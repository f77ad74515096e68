"""A visitor without a browser: speaks Streamlit's protocol over its websocket, uploads, clicks, and fetches what a page names.

A browser takes 100 MB and half a core, of which two would not hold thirty. What it would draw is not drawn here; all that the
server does for it is asked for in the same way: messages of widgets, uploads with the token against forged requests, and arrays
from their addresses with the visitor's cookie. Each visitor's photograph is a pattern that nobody else has.
"""

from __future__ import annotations

import io
import json
import re
import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import requests
from PIL import Image
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileURLs, UploadedFileInfo
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.util import calc_hash
from websockets.sync.client import connect

from vitviz.ui.server.payloads import unpack

XSRF = "_streamlit_xsrf"
# Of visitors' photographs: pixels of a side, and patches of colour along it.
SIDE, CELLS = 336, 4
# Largest mean difference, of 255, between a picture and its copy that was scaled and sent.
ALIKE = 12.0
PAYLOAD = re.compile(r'"((?:/[^"/]+)*/payload/[^"]+)"')


def pattern(number: int) -> np.ndarray:
    """(CELLS, CELLS, 3) uint8: the colours of the visitor's photograph."""
    return np.random.default_rng(number).integers(0, 256, (CELLS, CELLS, 3), dtype=np.uint8)


def photograph(number: int) -> bytes:
    """A PNG of that pattern."""
    file = io.BytesIO()
    Image.fromarray(pattern(number)).resize((SIDE, SIDE), Image.Resampling.NEAREST).save(file, "PNG")
    return file.getvalue()


def is_of(picture: Image.Image, number: int) -> bool:
    """Whether a picture shows the photograph of that visitor. The middle of each cell counts, since edges are blurred."""
    centres = [int((at + 0.5) / CELLS * picture.width) for at in range(CELLS)]
    seen = np.array([[picture.getpixel((x, y)) for x in centres] for y in centres], float)
    return bool(np.abs(seen - pattern(number)).mean() < ALIKE)


def await_ready(server: str, patience: float = 180.0) -> None:
    """Waits until the server has loaded all that it needs. Raises Lost where it has not within `patience` seconds."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        try:
            if requests.get(f"{server.rstrip('/')}/readyz", timeout=5).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.5)
    raise Lost(f"the server is not ready after {patience:.0f} s")


class Lost(Exception):
    """The server said nothing within the patience of a visitor, or closed the connection."""


@dataclass
class View:
    """What one run of the script left on the page.

    Attributes:
        seconds: From asking to the end of the run.
        elements: Streamlit's messages by their place on the page, which later ones replace.
    """

    seconds: float = 0.0
    elements: dict[tuple[int, ...], Element] = field(default_factory=dict)

    @property
    def wrong(self) -> list[str]:
        """Errors on the page: sentences in red, and exceptions."""
        found = [e.alert.body for e in self.elements.values() if e.HasField("alert") and e.alert.format == 1]
        return found + [e.exception.message for e in self.elements.values() if e.HasField("exception")]

    @property
    def text(self) -> str:
        kinds = {"heading": "body", "markdown": "body", "alert": "body", "progress": "text"}
        shown = [(kind, e) for e in self.elements.values() if (kind := e.WhichOneof("type")) in kinds]
        return "\n".join(getattr(getattr(e, kind), kinds[kind]) for kind, e in shown)

    @property
    def widgets(self) -> list[str]:
        """Streamlit's ids of all widgets on the page."""
        kinds = [(element, kind) for element in self.elements.values() if (kind := element.WhichOneof("type"))]
        return [name for element, kind in kinds if (name := str(getattr(getattr(element, kind), "id", "")))]

    def widget(self, key: str) -> str:
        """Streamlit's id of the widget with this key of the app; "" where it is not on the page."""
        return next((name for name in self.widgets if name.endswith(f"-{key}")), "")

    @property
    def addresses(self) -> list[str]:
        """Of the arrays that the page's components would fetch."""
        said = [e.bidi_component for e in self.elements.values() if e.HasField("bidi_component")]
        return [found for each in said for found in PAYLOAD.findall(each.json)]

    def components(self, view: str) -> list[dict[str, Any]]:
        """What the components of this name were told."""
        said = [e.bidi_component for e in self.elements.values() if e.HasField("bidi_component")]
        return [json.loads(each.json) for each in said if each.component_name == f"vitviz.{view}"]


class Visitor:
    """One browser tab. Use it from one thread; close it.

    Args:
        server: The address of the app, with its base path.
        patience: Seconds without the end of a run after which the visitor gives up.
    """

    def __init__(self, server: str, patience: float = 120.0) -> None:
        self.server, self.patience = server.rstrip("/"), patience
        self.http = requests.Session()
        for path in ("", "_stcore/health", "_stcore/host-config"):  # as the browser does; each may bring a cookie
            self.http.get(f"{self.server}/{path}", timeout=patience).raise_for_status()
        self.session = ""
        self.page, self.query = "", ""
        self.view = View()
        self._states: dict[str, WidgetState] = {}
        self._known: dict[str, ForwardMsg] = {}
        self._pictures: dict[str, Image.Image | None] = {}
        self._connect()

    def _connect(self) -> None:
        token = self.http.cookies.get(XSRF) or "none"
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.http.cookies)
        connection = connect(
            self.server.replace("http", "ws", 1) + "/_stcore/stream",
            subprotocols=["streamlit", token, *([self.session] if self.session else [])],  # type: ignore[list-item]
            additional_headers={"Cookie": cookies},
            origin=re.match(r"https?://[^/]+", self.server)[0],  # type: ignore[index, arg-type]
            max_size=None,
            open_timeout=self.patience,
        )
        self._open = ExitStack()
        self._socket = self._open.enter_context(connection)

    def lose_connection(self) -> None:
        """As when the network fails."""
        self._open.close()

    def reconnect(self) -> View:
        """Comes back to the same session, and asks for the page again, as the browser does."""
        self._connect()
        return self.run()

    def close(self) -> None:
        self._open.close()
        self.http.close()

    def open(self, page: str = "", query: str = "") -> View:
        """Opens a page of the app by its name in addresses."""
        self.page, self.query = page, query
        return self.run()

    def choose(self, key: str, **value: Any) -> View:
        """Uses a widget: its key in the app, and a field of `WidgetState` with what it then holds."""
        name = self.view.widget(key)
        if not name:
            raise KeyError(f"no widget {key!r} on the page")
        state = WidgetState(id=name)
        for kind, given in value.items():
            if kind.endswith("array_value"):
                getattr(state, kind).data.extend(given)
            else:
                setattr(state, kind, given)
        return self.run(state)

    def press(self, key: str) -> View:
        return self.choose(key, trigger_value=True)

    def report(self, key: str, number: int, value: Any) -> View:
        """What a component of the front end says was chosen in it."""
        return self.choose(key, json_value=json.dumps({"report": {"number": number, "value": value}}))

    def upload(self, content: bytes, name: str = "photo.png", show: bool = True) -> View:
        """Gives a photograph to the sidebar's field, as a browser does. show: whether to ask for the page with it."""
        if not self.view.widget("upload"):
            self.choose("picture source", string_array_value=["Upload"])
        place = self.ask_for_place(name)
        self._send_file(place, content, name)
        state = WidgetState(id=self.view.widget("upload"))
        info = UploadedFileInfo(name=name, size=len(content), file_id=place.file_id, file_urls=place)
        state.file_uploader_state_value.uploaded_file_info.append(info)
        if show:
            return self.run(state)
        self._states[state.id] = state
        return self.view

    def ask_for_place(self, name: str) -> FileURLs:
        """Where a file of that name is to be sent."""
        asked = BackMsg()
        asked.file_urls_request.request_id = uuid.uuid4().hex
        asked.file_urls_request.file_names.append(name)
        asked.file_urls_request.session_id = self.session
        self._socket.send(asked.SerializeToString())
        until = time.monotonic() + self.patience
        while True:
            message = self._receive(until)
            if message.HasField("file_urls_response"):
                return message.file_urls_response.file_urls[0]

    def _send_file(self, place: FileURLs, content: bytes, name: str) -> None:
        headers = {"X-Xsrftoken": self.http.cookies.get(XSRF) or ""}
        url = place.upload_url if place.upload_url.startswith("http") else self.server + place.upload_url
        sent = self.http.put(url, files={"file": (name, content)}, headers=headers, timeout=self.patience)
        sent.raise_for_status()

    def run(self, change: WidgetState | None = None) -> View:
        """Asks for a run of the page's script with what the widgets hold, and waits for its end.

        Raises:
            Lost: Where it does not end.
        """
        once = change is not None and change.WhichOneof("value") == "trigger_value"
        if change is not None and not once:
            self._states[change.id] = change
        asked = BackMsg()
        asked.rerun_script.query_string = self.query
        if self.page:
            asked.rerun_script.page_script_hash = calc_hash(self.page)
        asked.rerun_script.widget_states.widgets.extend(self._states.values())
        if once:
            asked.rerun_script.widget_states.widgets.append(change)  # type: ignore[arg-type]
        began = time.monotonic()
        self._socket.send(asked.SerializeToString())
        return self._follow(began)

    def begin(self, change: WidgetState) -> None:
        """Asks for a run without waiting for its end."""
        asked = BackMsg()
        asked.rerun_script.query_string = self.query
        asked.rerun_script.page_script_hash = calc_hash(self.page) if self.page else ""
        asked.rerun_script.widget_states.widgets.extend([*self._states.values(), change])
        self._socket.send(asked.SerializeToString())

    def _follow(self, began: float) -> View:
        view, runs = View(), False
        until = began + self.patience
        while True:
            message = self._receive(until)
            match message.WhichOneof("type"):
                case "new_session":
                    view, runs = View(), True
                    self.session = message.new_session.initialize.session_id
                case "delta" if message.delta.HasField("new_element"):
                    view.elements[tuple(message.metadata.delta_path)] = message.delta.new_element
                case "delta" if message.delta.HasField("add_block"):
                    at = tuple(message.metadata.delta_path)
                    view.elements = {path: e for path, e in view.elements.items() if path[: len(at)] != at}
                case "script_finished" if runs and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                    view.seconds = time.monotonic() - began
                    self.view = view
                    # As the browser does: what widgets of another page hold would overwrite what was chosen since.
                    self._states = {name: self._states[name] for name in view.widgets if name in self._states}
                    return view

    def _receive(self, until: float) -> ForwardMsg:
        try:
            content = self._socket.recv(timeout=max(until - time.monotonic(), 0.0))
        except Exception as error:
            raise Lost(f"{type(error).__name__} on page {self.page or 'start'}") from error
        message = ForwardMsg()
        message.ParseFromString(content)  # type: ignore[arg-type]
        if message.WhichOneof("type") == "ref_hash":
            known = ForwardMsg()
            known.CopyFrom(self._known[message.ref_hash])
            known.metadata.CopyFrom(message.metadata)
            return known
        if message.hash:
            self._known[message.hash] = message
        return message

    def fetch(self, address: str) -> bytes:
        """The bytes of a payload, as this visitor's browser would get them."""
        got = self.http.get(re.match(r"https?://[^/]+", self.server)[0] + address, timeout=self.patience)  # type: ignore[index]
        got.raise_for_status()
        return got.content

    def pictures(self) -> list[Image.Image]:
        """The photographs that the page shows. All that its components name is fetched, each address once."""
        for address in self.view.addresses:
            if address not in self._pictures:
                arrays, _ = unpack(self.fetch(address))
                file = io.BytesIO(np.asarray(arrays["picture"]).tobytes()) if "picture" in arrays else None
                self._pictures[address] = file and Image.open(file).convert("RGB")
        return [found for address in self.view.addresses if (found := self._pictures[address]) is not None]

    def picture(self) -> Image.Image | None:
        """The photograph that the page's first picture shows, or None where there is none."""
        for told in self.view.components("picture"):
            if told.get("url"):
                arrays, _ = unpack(self.fetch(told["url"]))
                return Image.open(io.BytesIO(np.asarray(arrays["picture"]).tobytes())).convert("RGB")
        return None
