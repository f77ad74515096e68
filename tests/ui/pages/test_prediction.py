"""The prediction page: every part of it, every widget moved, models with and without a classifier."""

from __future__ import annotations

import numpy as np
import pytest

from vitviz.analysis.methods.integrated_gradients import PathAttribution
from vitviz.errors import UnsupportedError
from vitviz.ui.compute import services
from vitviz.ui.pages.prediction import text as words
from vitviz.ui.pages.prediction.faithfulness import corners_of, rectangle
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
    first = page.at.dataframe[0].value
    assert len(first) == 13  # the input and twelve layers
    assert first[words.FORMING_TABLE[1]].iloc[-1] == "motorbike"
    assert first[words.FORMING_TABLE[2]].iloc[-1] == pytest.approx(first[words.FORMING_TABLE[3]].iloc[-1])
    target = next(box for box in page.at.selectbox if box.label == outputs.TARGET[outputs.CLASSES])
    target.select(96).run()  # wheelchair
    assert page.wrong == []
    other = page.at.dataframe[0].value[words.FORMING_TABLE[3]].iloc[-1]
    assert other < 0.2
    assert page.parameters["target"] == "96"
    next(box for box in page.at.selectbox if box.label == words.AGAINST).select(3).run()
    assert page.wrong == []
    assert page.parameters["against"] == "3"


def test_patches_alone_are_read_after_another_layer(app):
    page = app("prediction")
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


def test_an_object_is_marked_by_two_corners(app):
    page = app("prediction", part="mark", object="r6c1-r12c14")
    assert page.wrong == []
    assert list(words.MARK_SHARES) in tables(page)
    assert len(page.at.metric) == 2
    page = app("prediction", part="mark", object="r0c0-r15c15")
    assert words.MARK_TOO_LARGE in page.text


def test_without_a_classifier_the_summary_is_explained(app):
    for part in ("forming", "methods"):
        page = app("prediction", model="vit_tiny_patch16_224.augreg_in21k", weights="random", part=part, query="r2c3")
        assert page.wrong == []
    page = app(
        "prediction", model="vit_small_patch14_dinov2", size="98", weights="random", part="methods", query="r2c3"
    )
    assert page.wrong == []
    assert words.SELF_DOT in page.text


def test_rectangles_are_read_from_links_and_stay_inside():
    assert corners_of("r2c3-r99c0", (5, 8)) == [(2, 3), (4, 0)]
    assert corners_of("", (5, 8)) == []
    mask = rectangle([(2, 3), (4, 0)], (5, 8))
    assert mask.sum() == 3 * 4
    assert mask[2:5, 0:4].all()
    np.testing.assert_array_equal(rectangle([], (2, 2)), np.zeros((2, 2), bool))


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
