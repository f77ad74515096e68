"""Rollouts on the page: heads are fused once for all queries and options, and the numbers are those of the engine."""

from __future__ import annotations

import numpy as np
import pytest

import vitviz
from vitviz.samples import load_sample
from vitviz.ui.compute import services
from vitviz.ui.controls import explanations


@pytest.fixture
def fusings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The fusions of every time that heads are fused."""
    seen: list[tuple[str, ...]] = []
    fuse = explanations.head_fused_traces

    def counted(trace, fusions, progress):
        seen.append(tuple(fusions))
        return fuse(trace, fusions, progress)

    monkeypatch.setattr(explanations, "head_fused_traces", counted)
    return seen


def let_go(what: str) -> None:
    """The server forgets results of that name, all of them for ""."""
    results = services.queue().results
    for key in [key for key in results if what in ("", key.what)]:
        results.remove(key)


def kept(what: str, **params: object) -> np.ndarray:
    """The one result of that name and those parameters that the server holds for that photograph."""
    image = vitviz.image_hash(load_sample("crocodile"))
    held = services.queue().results
    found = [
        held.get(key)
        for key in held
        if key.what == what and key.image == image and params.items() <= dict(key.params).items()
    ]
    assert len(found) == 1
    return found[0]


ALL = ("mean", "max", "min")


@pytest.mark.parametrize(
    ("room", "room_for_all", "first", "then"),
    [
        (explanations.FUSED_BYTES, explanations.ALL_FUSED_BYTES, [ALL], []),
        pytest.param(explanations.FUSED_BYTES, 0, [("mean",)], [("max",)], marks=pytest.mark.long),
        (0, 0, [], []),
    ],
)
def test_another_knob_or_query_needs_no_second_fusing(app, fusings, monkeypatch, room, room_for_all, first, then):
    let_go("")
    monkeypatch.setattr(explanations, "FUSED_BYTES", room)
    monkeypatch.setattr(explanations, "ALL_FUSED_BYTES", room_for_all)
    shown = app("rollout", image="crocodile")
    for param, value in (("alpha", 0.2), ("discard", 0.3)):
        shown.at.slider(key=f"choice of {param}").set_value(value).run()
    shown.at.segmented_control(key="choice of board").set_value("last_hop").run()
    assert not shown.wrong
    assert fusings == first
    shown.at.segmented_control(key="choice of fusion").set_value("max").run()
    assert not shown.wrong
    assert fusings == first + then

    trace = vitviz.trace(vitviz.load_model("embedded"), load_sample("crocodile"))
    for options in (vitviz.RolloutOptions(0.2), vitviz.RolloutOptions(0.2, "max", 0.3)):
        expected = vitviz.rollout(trace, "cls", options).values
        np.testing.assert_allclose(kept("rollout", options=options).values, expected, rtol=1e-4, atol=1e-8)
    options = vitviz.RolloutOptions(0.2, "max", 0.3)
    one = vitviz.head_rollout(trace, 7, 3, "last_hop", "cls", options).values
    np.testing.assert_allclose(kept("head rollouts", options=options)[7, 3], one, rtol=1e-4, atol=1e-8)

    # A known answer is asked for no more, even where the fused heads have been let go of.
    let_go("fused heads")
    fusings.clear()
    shown.at.run()
    assert not shown.wrong and fusings == []
