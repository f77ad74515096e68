"""Hands quicker than the server: a URL that comes back late is no wish."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from vitviz.ui import state


class Parameters:
    def __init__(self, **given: str) -> None:
        self.given = dict(given)

    def to_dict(self) -> dict[str, str]:
        return dict(self.given)

    def from_dict(self, given: dict[str, str]) -> None:
        self.given = dict(given)


def test_an_echo_is_passed_over_and_a_followed_link_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(state.time, "monotonic", lambda: clock[0])
    browser = SimpleNamespace(session_state={}, query_params=Parameters(layer="3"))
    monkeypatch.setattr(state, "st", browser)

    def run(**chosen: object) -> int:
        state.begin()
        state.change(**chosen)
        state.finish()
        return state.selection().layer

    assert run() == 3
    assert run(layer=4) == 4
    assert run(layer=5) == 5
    for late in ("3", "4"):
        browser.query_params.from_dict({"layer": late})  # sent off before the answer with layer 5 had arrived
        assert run() == 5
    assert browser.query_params.to_dict() == {"layer": "5"}
    browser.query_params.from_dict({"layer": "7"})
    assert run() == 7, "a link to somewhere else is followed at once"
    clock[0] += 60
    browser.query_params.from_dict({"layer": "4"})
    assert run() == 4, "and one to where we were a minute ago too"
