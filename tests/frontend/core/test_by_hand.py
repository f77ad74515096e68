"""The scenes of one head by hand under Node.js: what stands on the area at each step, inside it, and with which numbers."""

from __future__ import annotations

import pytest

from tests.frontend.conftest import Run
from vitviz import head_by_hand, load_model, load_sample, open_layer, trace
from vitviz.analysis.by_hand import embedded_token
from vitviz.ui.pages.by_hand import stepper
from vitviz.ui.pages.by_hand import text as words
from vitviz.ui.pages.by_hand.steps import Worksheet
from vitviz.ui.server.payloads import pack

SCENES = """
import { sceneOf } from "./core/by_hand.js";
import { decode } from "./data/source.js";
import { Words } from "./core/words.js";
"""
BODY = """
const { arrays, meta } = decode(buffers[0]);
meta.matrix = { rows: 257, cols: 257, row: 154, col: 3, name: "scores", low: "0", high: "1" };
const scenes = {};
for (const step of given.steps) {
  const items = sceneOf(step, { arrays, meta }, given.area, new Words(given.words));
  scenes[step] = items.map(({ values, all, ...item }) => ({ ...item, values: values && [...values] }));
}
return scenes;"""


class Context:
    """As much of a page's context as the pixels of a patch need."""

    def __init__(self, shown):
        self.shown = shown


@pytest.fixture(scope="module")
def head():
    model = load_model("embedded")
    traced = trace(model, load_sample("motorcycle"))
    opened = open_layer(model, traced, 0)
    hand = head_by_hand(opened, 2, "r9c9")
    start = embedded_token(model, traced, opened, "r9c9")
    sheet = Worksheet(Context(load_sample("motorcycle").resize((224, 224))), opened, hand, 5, tuple(hand.strongest(5)))
    return hand, start, sheet


AREAS = [
    [0, 198, 358, 284],
    *(pytest.param(area, marks=pytest.mark.long) for area in ([270, 0, 412, 300], [350, 0, 900, 520])),
]


@pytest.mark.parametrize("area", AREAS)
def test_every_step_fills_the_same_stage(run: Run, head, area):
    _, start, sheet = head
    payload = pack(*stepper.arrays_of(sheet, start))
    scenes = run(SCENES, BODY, payload, steps=[*stepper.STEPS], area=area, words=words.FIGURE)
    left, top, width, height = area
    for step, items in scenes.items():
        ids = [item["id"] for item in items]
        assert len(set(ids)) == len(ids), step
        for item in items:
            x, y, across, down = item["box"]
            assert x >= left - 1 and y >= top - 1 and across > 0 and down > 0, (step, item["id"])
            assert x + across <= left + width + 1 and y + down <= top + height + 1, (step, item["id"], item["box"])
            assert "{" not in item.get("text", "") and "undefined" not in item.get("text", "")


def test_the_numbers_are_pythons_and_move_from_step_to_step(run: Run, head):
    hand, start, sheet = head
    payload = pack(*stepper.arrays_of(sheet, start))
    scenes = run(SCENES, BODY, payload, steps=[*stepper.STEPS], area=[350, 0, 600, 340], words=words.FIGURE)
    at = {step: {item["id"]: item for item in items} for step, items in scenes.items()}
    assert at["position"]["sum"]["values"] == pytest.approx(start.embedding + start.position, abs=1e-5)
    assert at["norm"]["given"]["values"] == pytest.approx(hand.given, abs=1e-5)
    assert at["qkv"]["q"]["values"] == pytest.approx(hand.q.result, abs=1e-4)
    assert sum(at["scores"]["dot"]["values"]) == pytest.approx(float(hand.dots[hand.key]), rel=1e-4)
    for token in sheet.shown:
        assert at["softmax"][f"weight {token}"]["value"] == pytest.approx(hand.weights[token], rel=1e-5)
        share = hand.weights[token] * hand.values[token]
        assert at["output"][f"share {token}"]["values"] == pytest.approx(share, abs=1e-6)
    assert at["output"]["o"]["values"] == pytest.approx(hand.output, abs=1e-5)
    # One unit is as many pixels in the lines as in their sum.
    line, whole = at["output"]["share rest"], at["output"]["o"]
    assert line["box"][3] / line["most"] == pytest.approx(whole["box"][3] / whole["most"])
    # What is on two steps in a row has one name, so that it moves; what is new comes out of something that was there.
    for before, after, kept in (
        ("pixels", "embedding", {"pixels 0"}),
        ("embedding", "position", {"embedding"}),
        ("position", "norm", {"sum"}),
        ("norm", "qkv", {"given"}),
        ("qkv", "scores", {"q", "k"}),
        ("scores", "softmax", {f"score {hand.key}"}),
    ):
        assert kept <= set(at[before]) & set(at[after]), (before, after)
    assert at["pixels"]["patch"]["from"] == [9, 9] and at["output"]["o"]["from"] in at["output"]


def test_where_every_key_is_shown_the_lines_fill_the_place_alone(run: Run, head):
    """A model of few patches has no other keys to be added up."""
    _, start, sheet = head
    payload = pack(*stepper.arrays_of(sheet, start))
    body = BODY.replace("const scenes", "if (!given.others) meta.rest = null;\nconst scenes")
    ends = []
    for others in (True, False):
        given = {"steps": ["softmax", "output"], "area": [350, 0, 600, 340], "words": words.FIGURE, "others": others}
        scenes = run(SCENES, body, payload, **given)
        assert all(any("rest" in item["id"] for item in items) == others for items in scenes.values())
        boxes = [item["box"] for item in scenes["output"] if item["id"].startswith("share")]
        ends.append(max(box[1] + box[3] for box in boxes))
    assert ends[0] == pytest.approx(ends[1])
