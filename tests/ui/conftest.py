"""The app as a script under Streamlit's own test runner, with the real engine and the embedded model."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
from streamlit.components.v2.component_manager import BidiComponentManager
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from vitviz.capture import cost
from vitviz.capture.cost import Throughput
from vitviz.ui.shell import main as frame

# Seconds a page may take on a machine that does other things too; nothing is measured here.
PATIENCE = 120


class App:
    """One browser tab. What it shows is read by the words that people see."""

    def __init__(self, page: str = "start", details: bool = False, **parameters: str) -> None:
        self.at = AppTest.from_file(str(Path(frame.__file__)), default_timeout=PATIENCE)
        for name, value in parameters.items():
            self.at.query_params[name] = value
        if details:
            self.at.session_state["details"] = True  # the expander of that name is open
        if page != "start":
            self.go(page)
        self.at.run()

    def go(self, page: str) -> None:
        # `switch_page` knows pages that are files; these are functions, known to Streamlit by the hash of their address.
        self.at._page_hash = calc_hash(page)

    @property
    def wrong(self) -> list[str]:
        """Every error on the page: sentences that were meant, and exceptions that were not."""
        return [e.value for e in self.at.error] + [str(e.value) for e in self.at.exception]

    @property
    def text(self) -> str:
        kinds = (self.at.header, self.at.subheader, self.at.markdown, self.at.caption, self.at.info, self.at.warning)
        shown = "\n".join(str(element.value) for kind in kinds for element in kind)
        return re.sub(r"</?abbr[^>]*>", "", shown)  # the definitions that terms carry

    @property
    def parameters(self) -> dict[str, str]:
        given = self.at.query_params.items()
        return {name: value if isinstance(value, str) else value[-1] for name, value in given}


@pytest.fixture(scope="session", autouse=True)
def without_components_of_other_packages() -> Iterator[None]:
    """Streamlit reads the metadata of every installed package for each `AppTest`, half a second; the app registers its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BidiComponentManager, "discover_and_register_components", lambda self, **settings: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def the_same_pace_on_every_machine() -> Iterator[None]:
    """What a page asks about before it starts depends on how fast the machine was when it was measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cost, "throughput_of", lambda device, dtype: Throughput(attention=6e10, rest=6e10, rollout=2e10))
        yield


@pytest.fixture
def app():
    return App
