"""What is computed once: heavy answers about the gallery, facts of a model, drawn figures, and heads fused for rollouts."""

from __future__ import annotations

import time

import numpy as np
import pytest
from streamlit.elements.lib import image_utils

import vitviz
from tests.ui.integration.test_pages import jpeg, upload
from vitviz.figure import Figure
from vitviz.samples import load_sample, samples
from vitviz.ui.compute import ComputeQueue, Results, loading, services
from vitviz.ui.controls import captions, rollouts, targets
from vitviz.ui.selection import Selection


def test_what_was_prepared_for_the_gallery_is_what_pages_ask_for(app, monkeypatch):
    """With nothing prepared the pages compute it; afterwards they find all of it, as anybody else would."""
    model = loading.model_of(Selection(model="test_vit", weights="random"))
    monkeypatch.setattr(targets, "samples", lambda: samples()[:1])
    queue = ComputeQueue(Results(10**9, 1000), linger=0.0, idle=0.1)
    monkeypatch.setattr(services, "queue", lambda: queue)
    targets.prepare_gallery(model)
    assert queue.under_way()
    until = time.monotonic() + 60
    while queue.under_way() and time.monotonic() < until:
        time.sleep(0.01)
    assert not queue.under_way()
    asked: list[str] = []
    real = queue.submit
    monkeypatch.setattr(queue, "submit", lambda key, *given: asked.append(key.what) or real(key, *given))
    for page, parameters in (
        ("prediction", {"part": "trust", "tested": "now"}),
        ("what_if", {"switch": "worth", "weighed": "now"}),
    ):
        shown = app(page, model="test_vit", weights="random", **parameters)
        assert not shown.wrong
    assert "trace" in asked
    assert not {"explanation", "faithfulness", "head importance"} & set(asked)


def test_a_figure_is_drawn_once_and_nothing_is_encoded_again_in_later_runs(app, monkeypatch):
    made, draw, encode = [], Figure.image, image_utils._pil_to_bytes

    def counted(picture, *given, **more):
        made.extend([picture] if picture.size != (64, 64) else ())  # the page's icon is small
        return encode(picture, *given, **more)

    monkeypatch.setattr(Figure, "image", lambda figure: made.append(figure) or draw(figure))
    monkeypatch.setattr(image_utils, "_pil_to_bytes", counted)
    shown = upload(app("patches"), jpeg(1))
    made.clear()
    assert not upload(shown, jpeg(2)).wrong
    assert {type(each) for each in made} == {Figure} and len({id(each) for each in made}) == len(made)
    made.clear()
    assert not shown.at.run().exception and not made


@pytest.mark.long
def test_what_is_true_of_a_model_is_found_out_once_for_all_pictures(app, monkeypatch):
    services.queue().results.clear()
    asked = []
    real = captions.position_kinds
    monkeypatch.setattr(captions, "position_kinds", lambda *given: asked.append(1) or real(*given))
    shown = app("positions")
    for number in (3, 4):
        assert not upload(shown, jpeg(number)).wrong
    assert asked == [1]


# Rollouts: heads are fused once for all queries and options.


@pytest.fixture
def fusings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The fusions of every time that heads are fused."""
    seen: list[tuple[str, ...]] = []
    fuse = rollouts.head_fused_traces

    def counted(trace, fusions, progress):
        seen.append(tuple(fusions))
        return fuse(trace, fusions, progress)

    monkeypatch.setattr(rollouts, "head_fused_traces", counted)
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
        (rollouts.FUSED_BYTES, rollouts.ALL_FUSED_BYTES, [ALL], []),
        pytest.param(rollouts.FUSED_BYTES, 0, [("mean",)], [("max",)], marks=pytest.mark.long),
        (0, 0, [], []),
    ],
)
def test_another_knob_or_query_needs_no_second_fusing(app, fusings, monkeypatch, room, room_for_all, first, then):
    let_go("")
    monkeypatch.setattr(rollouts, "FUSED_BYTES", room)
    monkeypatch.setattr(rollouts, "ALL_FUSED_BYTES", room_for_all)
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
