"""The microscope's page without a browser: what is sent, what is believed, and who is asked to follow whom."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

import pytest

from vitviz.ui import state
from vitviz.ui.components import mounting
from vitviz.ui.components.microscope import MicroscopeView
from vitviz.ui.pages.microscope import page
from vitviz.ui.pages.microscope import text as words
from vitviz.ui.pages.registry import pages
from vitviz.ui.params import PARAMS
from vitviz.ui.selection import Selection
from vitviz.ui.urls import from_parameters, to_parameters

VIEW = MicroscopeView("r5c6", 3, 2, "by", "value", "raw", True, False)

pages()  # declares their parameters


def changed(**parts: object) -> dict[str, object]:
    return {**asdict(VIEW), **parts}


def sent(shown: Any) -> str:
    return shown.at.get("bidi_component")[0].proto.json


def test_a_link_reaches_the_microscope(app: Any) -> None:
    link = {"query": "r5c6", "layer": "3", "head": "2", "heads": "chosen", "direction": "by", "measure": "value"}
    shown = app("microscope", **link, scale="raw", colours="shared", links="hidden")
    assert not shown.wrong
    assert words.PAGE.question in shown.text
    data = json.loads(sent(shown))
    assert data["view"] == asdict(VIEW)
    assert sorted(data["layers"]) == ["2", "3", "4"]
    assert data["num_layers"] == 12


def test_numbers_stay_behind_addresses_and_nothing_is_sent_twice(app: Any) -> None:
    shown = app("microscope")
    first = sent(shown)
    assert len(first) < 1500
    data = json.loads(first)
    assert sorted(data["layers"]) == ["10", "11"], "the last layer has one neighbour"
    assert data["view"]["token"] is None
    shown.at.run()
    assert sent(shown) == first


def test_a_query_that_is_no_token_pins_nothing(app: Any) -> None:
    shown = app("microscope", query="mean")
    assert not shown.wrong
    assert json.loads(sent(shown))["view"]["token"] is None


def test_what_is_chosen_survives_the_way_through_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, Any] = {}
    monkeypatch.setattr(page.state, "change", lambda **values: kept.update(values))
    page.keep(VIEW)
    own = {field.name for field in fields(Selection)}
    assert set(kept) <= own | set(PARAMS)
    params = tuple(sorted((name, value) for name, value in kept.items() if name not in own))
    selection = Selection(**{name: value for name, value in kept.items() if name in own}, params=params)
    assert from_parameters(to_parameters(selection)) == (selection, ())
    page.keep(MicroscopeView())
    assert {name: kept[name] for name in PARAMS if name in kept} == {n: PARAMS[n].default for n in PARAMS if n in kept}
    assert (kept["query"], kept["head"]) == ("", None)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "x",
        [],
        {},
        {"token": "r1c1"},
        changed(layer=12),
        changed(layer=-1),
        changed(layer=True),
        changed(head="some"),
        changed(head=1.5),
        changed(head=[]),
        changed(token=7),
        changed(token="r" * 99),
        changed(direction="up"),
        changed(measure={}),
        changed(shared="yes"),
    ],
)
def test_a_browser_is_not_believed(wrong: object) -> None:
    assert MicroscopeView.reported(wrong, 12) is None
    assert MicroscopeView.reported({**asdict(VIEW), "extra": "<script>"}, 12) == VIEW


class Sent:
    """Components as Streamlit has them: `state` is what the browser reported, `calls` what it was sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state: dict[str, Any] = {}
        self.calls: list[dict[str, Any]] = []
        self.taken: list[object] = []
        for module in (mounting, state):
            monkeypatch.setattr(module.st, "session_state", self.state)

    def run(self, key: str) -> Any:
        """One run of the page; -> what Streamlit calls when the browser reports."""
        mounting.mount(lambda **call: self.calls.append(call), key, {"chosen": "x"}, self.taken.append)
        return self.calls[-1]["on_report_change"]

    def report(self, key: str, number: int, value: object) -> None:
        self.state[key] = {"report": {"number": number, "value": value}}

    @property
    def received(self) -> int:
        return self.calls[-1]["data"]["received"]


@pytest.fixture
def components(monkeypatch: pytest.MonkeyPatch) -> Sent:
    return Sent(monkeypatch)


def test_what_is_sent_says_which_report_was_received(components: Sent) -> None:
    callback = components.run("one")
    assert components.calls[-1]["data"] == {"key": "one", "received": 0, "chosen": "x"}
    components.report("one", 5, "r1c1")
    callback()
    components.run("another")
    assert (components.taken, components.received) == (["r1c1"], 5), "whichever component it came from"
    components.report("one", 9, "r2c2")
    components.run("one")
    assert components.received == 9, "after a reconnection there is a state, and no call before the run"
    components.report("another", 7, "late")
    components.run("another")
    assert components.received == 9
    assert components.taken == ["r1c1"]


def test_a_report_is_taken_before_what_was_pressed_after_it_and_once(components: Sent) -> None:
    callback, other = components.run("one"), components.run("another")
    components.report("one", 5, "stroke")
    state.take_reports()  # a button's callback, which Streamlit calls first
    components.taken.append("button")
    callback()
    other()
    assert components.taken == ["stroke", "button"]
    components.report("one", 6, "stroke")
    callback()
    assert components.taken == ["stroke", "button", "stroke"], "the same choice again is another report"
