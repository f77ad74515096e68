"""The page on which two things are compared: every choice, what the browser is sent, and what goes wrong."""

from __future__ import annotations

import gzip
import io
import json
import secrets

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from scipy.stats import spearmanr

import vitviz
from vitviz.analysis.queries import corresponding_cell
from vitviz.models import prepare
from vitviz.ui.compute import loading, services
from vitviz.ui.pages.compare import sides
from vitviz.ui.pages.compare import text as words
from vitviz.ui.selection import UPLOAD
from vitviz.ui.server import route, session
from vitviz.ui.server.payloads import unpack
from vitviz.ui.text import common

UNTRAINED_NAME = words.UNTRAINED.format(model=words.EMBEDDED)


@pytest.fixture(scope="module")
def model():
    return vitviz.load_model("embedded")


def components(app) -> dict[str, dict]:
    """What each picture is sent, by the beginning of its text alternative."""
    sent = [json.loads(element.proto.json) for element in app.at.get("bidi_component")]
    return {given["alt"]: given for given in sent}


def fetched(app, beginning: str) -> np.ndarray:
    """(rows, cols): the numbers behind the picture whose text alternative begins so, as the browser gets them."""
    (given,) = [given for alt, given in components(app).items() if alt.startswith(beginning)]
    name = given["heat"]["url"].rsplit("/", 1)[1]
    body = route.payloads().fetch(name)
    assert body is not None
    return unpack(gzip.decompress(body))[0]["values"]


def test_opens_on_the_untrained_control(app, model):
    shown = app("compare")
    assert not shown.wrong and shown.parameters == {}
    titles = shown.text
    assert words.SIDE.format(side="A", model=words.EMBEDDED, picture="Motorcycle") in titles
    assert words.SIDE.format(side="B", model=UNTRAINED_NAME, picture="Motorcycle") in titles
    image = vitviz.load_sample("motorcycle")
    for side, weights in (("A", None), ("B", "random")):
        trace = vitviz.trace(vitviz.load_model("embedded", weights=weights), image)
        np.testing.assert_allclose(
            fetched(shown, f"{side}:"), vitviz.attention_map(trace.layers[-1], "cls").values, rtol=1e-4
        )


@pytest.mark.parametrize("kind", [*words.KINDS])
def test_every_kind_opens(app, kind):
    shown = app("compare", compared=kind, query="r3c4")
    assert not shown.wrong
    assert shown.at.selectbox(key="choice of compared").value == kind
    assert all(0 < len(json.dumps(given)) < 2000 for given in components(shown).values()), (
        "numbers do not travel inline"
    )


def test_rollout_and_positions_are_the_library_s(app, model):
    image = vitviz.load_sample("cat")
    trace = vitviz.trace(model, image)
    shown = app("compare", compared="rollout", differs="picture", other_image="cat", query="r3c4")
    np.testing.assert_allclose(fetched(shown, "B:"), vitviz.rollout(trace, "r3c4").values, rtol=1e-4, atol=1e-9)
    shown = app("compare", compared="positions", query="r3c4")
    similarity = vitviz.position_similarity(model, trace.layout)
    np.testing.assert_allclose(fetched(shown, "A:"), similarity[3 * 16 + 4].reshape(16, 16), atol=1e-6)


def test_a_link_reopens_both_sides(app, model):
    link = {
        "differs": "picture",
        "other_image": "cat",
        "layer": "5",
        "head": "2",
        "other_layer": "7",
        "other_head": "-1",
        "pin": "r4c5",
        "difference": "shown",
        "colours": "shared",
    }
    shown = app("compare", **link)
    assert not shown.wrong and shown.parameters == link
    values = {
        key: shown.at.selectbox(key=f"choice of {key}").value
        for key in ("layer", "head", "other_layer", "other_head", "other_image")
    }
    assert values == {"layer": 5, "head": 2, "other_layer": 7, "other_head": -1, "other_image": "cat"}
    one = vitviz.trace(model, vitviz.load_sample("motorcycle"))
    two = vitviz.trace(model, vitviz.load_sample("cat"))
    a = vitviz.attention_map(one.layers[5], "cls", 2).values
    b = vitviz.attention_map(two.layers[7], "cls").values
    np.testing.assert_allclose(fetched(shown, "A minus B"), a - b, atol=1e-6)
    heats = [given["heat"] for alt, given in components(shown).items() if alt[:2] in ("A:", "B:")]
    assert heats[0]["high"] == heats[1]["high"] > 0, "one scale"
    assert {given["chosen"] for given in components(shown).values()} == {"r4c5"}
    assert len({given["link"] for given in components(shown).values()}) == 1


def test_the_second_side_follows_the_first_until_it_is_chosen(app):
    shown = app("compare")
    shown.at.selectbox(key="choice of layer").set_value(4).run()
    assert shown.at.selectbox(key="choice of other_layer").value == 4
    shown.at.selectbox(key="choice of other_layer").set_value(9).run()
    shown.at.selectbox(key="choice of layer").set_value(2).run()
    assert shown.at.selectbox(key="choice of other_layer").value == 9
    assert shown.parameters == {"layer": "2", "other_layer": "9"}
    shown.at.selectbox(key="choice of other_layer").set_value(2).run()
    assert shown.parameters == {"layer": "2"}


def test_where_the_layer_differs_it_does_from_the_beginning(app):
    shown = app("compare", differs="layer")
    assert not shown.wrong
    assert shown.at.selectbox(key="choice of layer").value != shown.at.selectbox(key="choice of other_layer").value


def test_who_asks_can_be_the_marked_patch_and_it_stays_marked(app):
    shown = app("compare", pin="r2c3")
    who = "choice of query to compare"
    shown.at.selectbox(key=who).set_value("patch").run()
    assert not shown.wrong and shown.parameters == {"query": "r2c3"}
    shown.at.selectbox(key=who).set_value("mean").run()
    assert shown.parameters == {"query": "mean", "pin": "r2c3"}


@pytest.mark.parametrize("kind", [*words.KINDS])
@pytest.mark.long
def test_every_widget_moved(app, kind):
    shown, tried = app("compare", compared=kind), set[str]()
    for key in [box.key for box in shown.at.selectbox if "choice of" in str(box.key)]:
        here = [box for box in shown.at.selectbox if box.key == key]
        if not here:
            continue  # of a layer, where another thing differs now
        (box,) = here
        if key in ("choice of other_model", "choice of compared"):
            continue  # the others' weights are not on this machine, see below; every kind is opened above
        box.select_index(next(i for i in range(len(box.options)) if i != box.index)).run()
        assert not shown.wrong, (key, shown.wrong)
        tried.add(key.removeprefix("choice of "))
    if kind in sides.DIFFERS and len(sides.DIFFERS[kind]) > 1:
        for value in sides.DIFFERS[kind]:
            shown.at.selectbox(key="choice of differs").set_value(value).run()
            assert not shown.wrong, (value, shown.wrong)
    tables = {
        "colours": common.TILE_SCALE_OF,
        "scale": {"robust": common.SCALE_ROBUST, "raw": common.SCALE_RAW},
    }
    for name, table in tables.items():
        key = f"choice of {name}"
        for value, label in table.items():
            here = [control for control in shown.at.segmented_control if control.key == key]
            if here and label in [getattr(option, "content", option) for option in here[0].options]:
                here[0].set_value(value).run()
                assert not shown.wrong, (name, value, shown.wrong)
                tried.add(name)
    for toggle in [t for t in shown.at.toggle if t.key == "choice of difference"]:
        toggle.set_value(True).run()
        assert not shown.wrong
        assert any(alt.startswith("A minus B") for alt in components(shown))
        tried.add("difference")
    both = {"framing", "image"}
    of_heads = {"layer", "head", "other_layer", "other_head"} if kind == "attention" else set()
    of_maps = {"colours", "difference", "differs", "query to compare", "scale"}
    expected = {"positions": {"difference"}, "scenes": {"block", "other_image"}}.get(kind, of_maps | of_heads)
    assert both | expected <= tried, kind


def test_weights_that_cannot_be_had_leave_the_first_side_standing(app):
    shown = app("compare", other_model="vit_small_patch16_224.dino")
    assert len(shown.wrong) == 1 and not shown.at.exception
    assert [alt[:2] for alt in components(shown)] == ["A:"]
    shown.at.button(key="back to the control").click().run()
    assert not shown.wrong and shown.parameters == {}


def test_a_control_that_cannot_be_had_gives_way_to_the_embedded_model(app):
    shown = app("compare", model="vit_small_patch16_224.dino", weights="random", size="64")
    assert len(shown.wrong) == 1 and [alt[:2] for alt in components(shown)] == ["A:"]
    next(button for button in shown.at.button if button.label == words.EMBEDDED_INSTEAD).click().run()
    assert not shown.wrong and [alt[:2] for alt in components(shown)] == ["A:", "B:"]


def test_the_line_under_both_maps_says_how_alike_they_are(app):
    image = vitviz.load_sample("motorcycle")
    traces = [vitviz.trace(vitviz.load_model("embedded", weights=weights), image) for weights in (None, "random")]
    one, two = (vitviz.attention_map(trace.layers[-1], "cls").values.ravel() for trace in traces)
    said = f"{spearmanr(one, two).statistic:.2f}".replace("-", "\N{MINUS SIGN}")
    lines = [each.value for each in app("compare").at.markdown if f"**{said}**" in each.value]
    assert len(lines) == 1 and "rank correlation" in lines[0]


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("../../etc/passwd", "before"),
        ("<script>", "before"),
        (" vit_small_patch16_224.dino ", "vit_small_patch16_224.dino"),
        ("", ""),
    ],
)
def test_a_typed_name_that_cannot_be_one_changes_nothing(monkeypatch, typed, kept):
    monkeypatch.setattr(sides.state, "value_of", lambda name: {"other_model": "before"}[name])
    assert sides.typed_model(typed) == kept


def test_a_link_cannot_name_what_is_no_model(app):
    shown = app("compare", other_model="../../etc/passwd", other_image="<script>")
    assert not shown.wrong and shown.parameters == {}
    assert "other_model" in shown.at.warning[0].value and "<" not in shown.at.warning[0].value


@pytest.mark.long
def test_another_grid_and_no_class_token(app, monkeypatch):
    name = "vit_wee_patch16_reg1_gap_256.sbb_in1k"
    trained = loading.load_model
    monkeypatch.setattr(
        loading, "load_model", lambda n, **how: trained(n, **({"weights": "random"} if n == name else how))
    )
    shown = app("compare", other_model=name, size="336", difference="shown", pin="r23c0")
    assert not shown.wrong
    assert words.NO_DIFFERENCE.format(a_rows=24, a_cols=24, b_rows=16, b_cols=16) in shown.text
    instead = words.QUERY_INSTEAD.format(wanted=common.TOKEN_CLS, given=common.TOKEN_MEAN)
    assert instead in shown.text
    assert {alt[0]: given["chosen"] for alt, given in components(shown).items()} == {"A": "r23c0", "B": "r15c0"}


def test_the_same_place_in_another_grid():
    assert corresponding_cell((0, 0), (24, 24), (16, 16)) == (0, 0)
    assert corresponding_cell((23, 12), (24, 24), (16, 16)) == (15, 8)
    assert corresponding_cell((1, 2), (2, 4), (4, 4)) == (3, 2)
    assert all(corresponding_cell((row, col), (7, 5), (7, 5)) == (row, col) for row in range(7) for col in range(5))


@pytest.mark.long
def test_the_curve_of_two_scenes_is_the_library_s(app, model):
    shown = app("compare", compared="scenes", other_image="cat", pin="r3c4", into="r9c9", block="3")
    assert not shown.wrong
    one, two = (prepare(model, vitviz.load_sample(name)) for name in ("motorcycle", "cat"))
    found = vitviz.two_scenes(model, one.input, two.input, vitviz.Paste((3, 4), (9, 9), block=3))
    verdict = words.VERDICT.format(first=found.itself[1], last=found.itself[-1], other=found.other[-1])
    assert verdict in shown.text
    into = next(given for alt, given in components(shown).items() if given["chosen"] == "r9c9")
    body = route.payloads().fetch(into["url"].rsplit("/", 1)[1])
    pixels = np.asarray(Image.open(io.BytesIO(unpack(gzip.decompress(body))[0]["picture"].tobytes())))
    np.testing.assert_array_equal(
        pixels[8 * 14 : 11 * 14, 8 * 14 : 11 * 14], np.asarray(one.shown)[2 * 14 : 5 * 14, 3 * 14 : 6 * 14]
    )
    np.testing.assert_array_equal(pixels[: 8 * 14], np.asarray(two.shown)[: 8 * 14])


def test_places_that_are_not_there_are_passed_over(app):
    shown = app("compare", compared="scenes", pin="r99c99", into="r99c99")
    assert not shown.wrong
    assert {given["chosen"] for given in components(shown).values()} == {"r8c8"}


def test_a_picture_of_one_s_own_stays_private_on_either_side(app, monkeypatch):
    def current() -> session.Session:
        return st.session_state.setdefault("test session", session.Session(secrets.token_hex(16), ""))

    monkeypatch.setattr(session, "current", current)
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(5).integers(0, 255, (240, 240, 3), np.uint8)).save(file, "PNG")
    before = set(services.queue().results)
    shown = app("compare", compared="scenes")
    shown.at.segmented_control(key="picture source").set_value("upload").run()
    shown.at.file_uploader(key="upload").upload("mine.png", file.getvalue(), "image/png").run()
    shown.at.segmented_control(key="picture source").set_value("gallery").run()
    shown.at.selectbox(key="choice of other_image").set_value(UPLOAD).run()
    shown.at.selectbox(key="choice of compared").set_value("attention").run()
    shown.at.selectbox(key="choice of differs").set_value("picture").run()
    shown.at.toggle(key="choice of difference").set_value(True).run()
    assert not shown.wrong and words.OWN_PICTURE in shown.text
    made = set(services.queue().results) - before
    (mine,) = {key.image for key in made if key.what == "trace" and key.scope is not None}
    about_mine = [key for key in made if mine in repr(key)]
    assert {"two scenes", "attention map"} <= {key.what for key in about_mine}
    assert all(key.scope is not None for key in about_mine)
