"""The prediction page: every part of it, every widget moved, models with and without a classifier."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

import vitviz
from vitviz.analysis.features import FeatureMaps
from vitviz.analysis.hiding import ObjectTest, object_test
from vitviz.analysis.interventions.text import runs
from vitviz.analysis.localization import token_cut
from vitviz.analysis.methods.integrated_gradients import PathAttribution
from vitviz.analysis.question import Question
from vitviz.analysis.targets import ClassLogit
from vitviz.assets import asset_path
from vitviz.errors import UnsupportedError
from vitviz.models.embedded import VIT
from vitviz.samples import load_sample
from vitviz.ui.compute import services
from vitviz.ui.pages.prediction import marking
from vitviz.ui.pages.prediction import text as words
from vitviz.ui.pages.prediction.marking import sentences_of
from vitviz.ui.text import outputs

PARTS = list(words.PARTS)


def tables(app) -> list[list[str]]:
    return [list(each.value.columns) for each in app.at.dataframe]


def press(app, label: str) -> None:
    next(button for button in app.at.button if button.label == label).click().run()


@pytest.mark.parametrize("part", PARTS)
def test_every_part_opens(app, part):
    page = app("prediction", part=part)
    assert page.wrong == []
    assert words.PAGE.question in page.text


def test_the_answer_forms_and_another_class_can_be_asked_for(app):
    page = app("prediction")
    assert page.wrong == [] and len(page.at.dataframe) == 0 and "motorbike" not in page.text
    page.at.button(key="show the answer forming").click().run()
    first = page.at.dataframe[0].value
    assert len(first) == 13  # the input and twelve layers
    assert first[words.FORMING_TABLE[1]].iloc[-1] == "motorbike"
    assert words.FORMING_TABLE[4] not in first  # it would repeat the reading
    card = json.loads(asset_path("models").joinpath("measured.json").read_text(encoding="utf-8"))
    assert first[words.FORMING_TABLE[2]].tolist() == card[VIT]["inside"]["lens_right"]  # what a reading is worth
    target = next(box for box in page.at.selectbox if box.label == outputs.TARGET[outputs.CLASSES])
    target.select(96).run()  # wheelchair
    assert page.wrong == []
    other = page.at.dataframe[0].value[words.FORMING_TABLE[4]].iloc[-1]
    assert other < 0.2
    assert page.parameters["target"] == "96"
    next(box for box in page.at.selectbox if box.label == words.AGAINST).select(3).run()
    assert page.wrong == []
    assert page.parameters["against"] == "3"


def test_patches_alone_are_read_after_another_layer(app):
    page = app("prediction", details=True, answer="shown")
    before = page.text
    next(slider for slider in page.at.slider if slider.label == words.PATCH_LENS_LAYER).set_value(2).run()
    assert page.wrong == []
    assert page.text != before
    assert page.parameters["after"] == "2"


def test_maps_stand_side_by_side_with_their_cards(app):
    page = app("prediction", part="methods")
    assert page.wrong == []
    for name in ("Raw attention", "Attention rollout", "Attention relevance", "LeGrad", "Grad-CAM"):
        assert f"**{name}**" in page.text
    assert "Occlusion" not in page.text
    assert any(button.label == words.SLOW for button in page.at.button)


@pytest.mark.long
def test_maps_are_tested_on_a_button(app, monkeypatch):
    monkeypatch.setattr("vitviz.ui.pages.prediction.faithfulness.LEVELS", (4,))
    page = app("prediction", part="trust", size="98")  # 49 patches: some eighty passes
    assert list(words.AREAS) not in tables(page)
    press(page, words.TEST)
    assert page.wrong == []
    assert list(words.AREAS) in tables(page)
    areas = next(each.value for each in page.at.dataframe if list(each.value.columns) == list(words.AREAS))
    assert len(areas) == 6 + 2  # six methods, the centre and random order
    assert areas[words.AREAS[1]].between(0, 1).all()


@pytest.mark.long
def test_an_object_is_marked_and_the_numbers_are_those_of_python(app):
    page = app("prediction", details=True, part="mark", object="97-110.113-126")
    assert page.wrong == []
    assert list(words.MARK_SHARES) in tables(page)
    model, image = vitviz.load_model("embedded"), load_sample("motorcycle")
    trace = vitviz.trace(model, image)
    mask = np.zeros(256, bool)
    mask[[*range(97, 111), *range(113, 127)]] = True
    index = int(trace.logits.argmax())
    result = object_test(Question(model, trace.input, ClassLogit(index)), mask.reshape(16, 16), {})
    assert f"from {result.likelihood:.0%} to {result.likelihood - result.drop:.0%}" in page.text


@pytest.mark.parametrize(("marked", "said"), [("5", "on average"), ("0-199", "the rest, 22% of the picture")])
@pytest.mark.long
def test_small_and_large_marks_are_answered(app, marked, said):
    page = app("prediction", part="mark", object=marked, size="224")
    assert page.wrong == []
    assert said in page.text
    page = app("prediction", part="mark", object="0-255")
    assert words.MARK_ALL in page.text
    press(page, words.MARK_CLEAR)
    assert words.PAGES["mark"].lead in page.text
    assert "object" not in page.parameters


def test_the_object_is_found_by_a_button(app):
    page = app("prediction", part="mark")
    press(page, words.MARK_FOUND)
    assert page.wrong == []
    model = vitviz.load_model("embedded")
    keys = FeatureMaps(vitviz.trace(model, load_sample("motorcycle")).layers, (), model.layout).facet("key")
    assert page.parameters["object"] == runs(np.flatnonzero(token_cut(keys).mask).tolist())


@pytest.mark.parametrize(
    ("fall", "elsewhere", "area", "meaning"),
    [
        (-0.1, (0.0, 0.1), 0.1, words.MARK_RISES),
        (0.03, (0.0, 0.1), 0.1, words.MARK_STAYS),
        (0.5, (0.1, 0.2), 0.1, words.MARK_NEEDED),
        (0.5, (0.1, 0.6), 0.1, words.MARK_CHEAPER),
        (0.5, (0.6,), 0.7, words.MARK_REST_NEEDED),
        (0.5, (0.2,), 0.7, words.MARK_NEEDED),
    ],
)
def test_the_sentence_says_what_the_numbers_mean(fall, elsewhere, area, meaning):
    explained = SimpleNamespace(name="motorbike", shares=True, amount=lambda value, digits: f"{value:.0%}")
    numbers, said = sentences_of(explained, ObjectTest(area, 0.9, fall, np.array(elsewhere), {}))
    shares = {"before": "90%", "after": f"{90 - 100 * fall:.0f}%", "elsewhere": f"{90 - 100 * np.mean(elsewhere):.0f}%"}
    cheaper = sum(each < fall for each in elsewhere)
    assert said == meaning.format(target="motorbike", cheaper=cheaper, draws=len(elsewhere), **shares)
    assert f"from {shares['before']} to {shares['after']}" in numbers


def test_a_stroke_around_marks_what_it_encloses_and_a_click_what_is_alike(monkeypatch):
    received: list[str] = []
    monkeypatch.setattr(marking.state, "change", lambda **values: received.append(values["object"]))
    monkeypatch.setattr(marking.state, "value_of", lambda name: "alike")
    region = np.zeros((4, 4), bool)
    region[:2, :2] = True
    monkeypatch.setattr(marking, "region_at", lambda _, cell: region if cell == (0, 0) else None)
    empty = np.zeros((4, 4), bool)
    ring = tuple(int(at) for at in (0, 1, 2, 4, 6, 8, 9, 10))
    marking.take_drawn(None, empty, ring)  # 5 lies inside
    marking.take_drawn(None, empty, (0,))
    marking.take_drawn(None, empty, (15,))  # features say nothing of it
    marking.take_drawn(None, region, (0, 1, 4))  # one patch cleared
    assert received == ["0-2.4-6.8-10", "0.1.4.5", "15", "0.1.4"]


def test_a_second_click_before_the_answer_to_the_first_adds_to_it_and_a_double_click_is_one(monkeypatch):
    received: list[str] = []
    monkeypatch.setattr(marking.state, "change", lambda **values: received.append(values["object"]))
    monkeypatch.setattr(marking.state, "value_of", lambda name: "alike")
    monkeypatch.setattr(marking.st, "session_state", {})
    corners = {cell: np.zeros((4, 4), bool) for cell in ((0, 0), (3, 3))}
    corners[0, 0][:2, :2] = corners[3, 3][2:, 2:] = True
    monkeypatch.setattr(marking, "region_at", lambda _, cell: corners[cell])
    marking.take_drawn(None, np.zeros((4, 4), bool), (0,))
    marking.take_drawn(None, corners[0, 0], ())  # the same patch: the browser has cleared what it alone had painted
    assert received == ["0.1.4.5"]
    marking.take_drawn(None, corners[0, 0], (15,))  # from what the browser had, which was nothing
    assert received == ["0.1.4.5", "0.1.4.5" + ".10.11" + ".14.15"]


@pytest.mark.long
def test_without_a_classifier_the_summary_is_explained(app):
    for part in ("forming", "methods"):
        page = app("prediction", model="vit_tiny_patch16_224.augreg_in21k", weights="random", part=part, query="r2c3")
        assert page.wrong == []
    page = app(
        "prediction", model="vit_small_patch14_dinov2", size="98", weights="random", part="methods", query="r2c3"
    )
    assert page.wrong == []
    assert words.SELF_DOT in page.text


@pytest.mark.parametrize(("total", "warned"), [(8.9, False), (1.0, True)])
def test_the_gap_of_integrated_gradients_stands_beside_its_map(app, monkeypatch, total, warned):
    def explain(question, key, _progress):
        if key != "integrated_gradients":
            raise UnsupportedError("not asked for here")
        grid = np.ones(question.layout.grid)
        return PathAttribution(grid, "integrated gradients", signed=True, steps=64, total=total, difference=9.0)

    monkeypatch.setattr("vitviz.ui.pages.prediction.methods.explain", explain)
    services.queue().results.clear()  # other tests may have asked the same
    page = app("prediction", part="methods", slow="now", target=str(70 + warned))  # a question that no other test asks
    said = [each.value for each in (page.at.warning if warned else page.at.caption)]
    assert any("the score difference to a picture of the mean colour is 9" in each for each in said)
    assert any("64 points of the path" in each for each in said)
