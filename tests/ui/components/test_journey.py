"""What the journey's figure may report: anything may come from a browser, and only what makes sense is taken."""

from __future__ import annotations

import base64
import json

import pytest
import torch

import vitviz
from vitviz.samples import load_sample
from vitviz.ui.components.journey import LARGEST_UPLOAD, Action, JourneyView, SentPhotograph
from vitviz.ui.compute import loading


@pytest.mark.parametrize(
    ("report", "view"),
    [
        ({"pinned": None, "mask": []}, JourneyView()),
        ({"pinned": "r3c5", "mask": [7, 2, 2], "layer": 4}, JourneyView("r3c5", (2, 7))),
        ({"pinned": "cls", "mask": [255]}, JourneyView("cls", (255,))),
        ({"pinned": "x" * 10_000, "mask": []}, None),
        ({"pinned": 3, "mask": []}, None),
        ({"pinned": "cls", "mask": [256]}, None),
        ({"pinned": "cls", "mask": [-1]}, None),
        ({"pinned": "cls", "mask": [True]}, None),
        ({"pinned": "cls", "mask": [1.5]}, None),
        ({"pinned": "cls", "mask": "1,2"}, None),
        ({"pinned": "cls"}, None),
        ("cls", None),
        (None, None),
    ],
)
def test_a_view_is_taken_where_it_makes_sense(report: object, view: JourneyView | None) -> None:
    assert JourneyView.reported(report, 256) == view


@pytest.mark.parametrize(
    ("report", "action"),
    [
        ({"kind": "image", "id": "coffee"}, Action("image", "coffee")),
        ({"kind": "image", "id": 3}, None),
        (
            {"kind": "page", "page": "microscope", "layer": 3, "pinned": "r1c2"},
            Action("page", "microscope", 3, None, "r1c2"),
        ),
        (
            {"kind": "page", "page": "microscope", "layer": 3, "head": 5, "pinned": None},
            Action("page", "microscope", 3, 5),
        ),
        ({"kind": "page", "page": "microscope", "layer": -1}, None),
        ({"kind": "page", "page": "microscope", "layer": 0, "head": "all"}, None),
        ({"kind": "page", "page": ["x"], "layer": 0}, None),
        ({"kind": "rm"}, None),
        ([], None),
    ],
)
def test_an_action_is_taken_where_it_makes_sense(report: object, action: Action | None) -> None:
    assert Action.reported(report) == action


def test_an_upload_is_its_bytes_and_what_was_done_to_it() -> None:
    data = base64.b64encode(b"photograph").decode()
    report = {"kind": "upload", "name": "cat.jpg", "data": data, "scaled": [8000, 6000]}
    assert Action.reported(report) == Action("upload", upload=SentPhotograph("cat.jpg", b"photograph", (8000, 6000)))
    assert Action.reported({**report, "scaled": None}) == Action(
        "upload", upload=SentPhotograph("cat.jpg", b"photograph", None)
    )
    for wrong in ({"data": "*"}, {"data": 3}, {"name": None}, {"data": "A" * (2 * LARGEST_UPLOAD)}):
        assert Action.reported({**report, **wrong}) is None


def test_what_is_hidden_takes_one_pass_for_trace_and_readings(app) -> None:
    app("start", what="hide_mean_3")  # the photograph's own passes are kept from now on
    model = loading.embedded()
    passes: list[int] = []
    handle = model.module.register_forward_hook(lambda *_: passes.append(1))
    try:
        shown = app("start", what="hide_mean_100-150")
    finally:
        handle.remove()
    assert len(passes) == 1
    (figure,) = shown.at.get("bidi_component")
    first = json.loads(figure.proto.json)["answer"]["bars"][-1][0]
    pixels = vitviz.prepare(model, load_sample("motorcycle")).input
    with vitviz.intervene(model, vitviz.Interventions.decode("hide_mean_100-150")) as changed, torch.no_grad():
        chances = changed.module(pixels[None])[0].softmax(-1)
    assert first["name"] == model.labels[int(chances.argmax())]
    assert first["length"] == pytest.approx(float(chances.max()), abs=1e-4)
