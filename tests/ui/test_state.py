"""When a URL is a wish: at the beginning, and at the Back button, and not in the runs between."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from vitviz.ui import state


class Parameters:
    def __init__(self, **given: str) -> None:
        self.given = dict(given)
        self.written = 0

    def to_dict(self) -> dict[str, str]:
        return dict(self.given)

    def from_dict(self, given: dict[str, str]) -> None:
        self.given = dict(given)
        self.written += 1


class Browser:
    """What the state sees of Streamlit, and how a run was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **given: str) -> None:
        self.session_state: dict[str, object] = {}
        self.query_params = Parameters(**given)
        self.context = SimpleNamespace(is_history_navigation=False)
        monkeypatch.setattr(state, "st", self)
        monkeypatch.setattr(state, "get_script_run_ctx", lambda: self.context)

    def run(self, url: dict[str, str] | None = None, walked: bool = False, **chosen: object) -> int:
        """One run that the browser asked for with that URL; the layer that it shows."""
        if url is not None:
            self.query_params.given = dict(url)
        self.context.is_history_navigation = walked
        if chosen:
            state.change(**chosen)  # as a widget's callback does it, before the script
        state.begin()
        state.finish()
        return state.selection().layer


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Browser:
    return Browser(monkeypatch, layer="3")


def test_an_echo_is_passed_over(browser: Browser) -> None:
    assert browser.run() == 3
    assert browser.run(layer=4) == 4
    assert browser.run(layer=5) == 5
    for late in ({"layer": "3"}, {"layer": "4"}, {}):
        assert browser.run(late) == 5, "sent off before the answer with layer 5 had arrived"
        assert browser.query_params.given == {"layer": "5"}


def test_back_is_followed_at_once_and_to_the_empty_address_too(browser: Browser) -> None:
    assert browser.run() == 3
    assert browser.run(layer=4) == 4
    assert browser.run({"layer": "3"}, walked=True) == 3
    assert browser.run({}, walked=True) == -1
    assert browser.query_params.given == {}
    assert browser.run({"layer": "4", "head": "1"}, walked=True) == 4
    assert browser.run() == 4 and state.selection().head == 1


def test_back_says_its_address_again_because_an_overtaken_run_may_have_spoken_last(browser: Browser) -> None:
    browser.run()
    written = browser.query_params.written
    browser.run()
    assert browser.query_params.written == written
    browser.run({"layer": "3"}, walked=True)
    assert browser.query_params.written == written + 1


def test_what_back_cannot_follow_is_named_and_leaves_the_address(browser: Browser) -> None:
    browser.run()
    browser.query_params.given = {"layer": "2", "zebra": "1"}
    browser.context.is_history_navigation = True
    assert state.begin() == ("zebra",)
    state.finish()
    assert browser.query_params.given == {"layer": "2"}


def test_back_asks_again_for_what_was_called_off(browser: Browser) -> None:
    browser.run()
    state.call_off("slow")
    browser.run()
    assert state.called_off("slow")
    browser.run({"layer": "1"}, walked=True)
    assert not state.called_off("slow")


def test_stopping_one_thing_does_not_start_another_again(browser: Browser) -> None:
    browser.run()
    state.call_off("first")
    state.call_off("second")
    assert state.called_off("first") and state.called_off("second")
    state.ask_again("second")
    browser.run()
    assert state.called_off("first") and not state.called_off("second")
    browser.run(layer=1)
    assert not state.called_off("first"), "something else was chosen"
