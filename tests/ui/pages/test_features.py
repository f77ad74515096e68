"""The page of patch features: what the browser is sent is what the library computes, and every choice answers."""

from __future__ import annotations

import gzip
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import vitviz
from vitviz.analysis.features import PatchFeatures
from vitviz.analysis.masks import refine_labels
from vitviz.draw.objects import colour_of
from vitviz.ui.components.features import SourcePatch
from vitviz.ui.compute import images
from vitviz.ui.pages.features import PAGE
from vitviz.ui.pages.features import page as shown_page
from vitviz.ui.pages.features import text as words
from vitviz.ui.server import route
from vitviz.ui.server.payloads import unpack
from vitviz.ui.server.uploads import Upload
from vitviz.ui.text import common

LAST = 11


def figure(app) -> dict:
    """What the figure is sent."""
    sent = [json.loads(element.proto.json) for element in app.at.get("bidi_component")]
    return next(data for data in sent if "pictures" in data)


def fetched(address: str) -> dict[str, np.ndarray]:
    body = route.payloads().fetch(address.rsplit("/", 1)[1])
    assert body is not None
    return unpack(gzip.decompress(body))[0]


def picture_at(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(fetched(address)["picture"].tobytes())))


@pytest.fixture(scope="module")
def maps():
    """The features of the photographs that the page opens with."""
    model = vitviz.load_model("embedded")
    prepared = [vitviz.prepare(model, vitviz.load_sample(name)) for name in ("motorcycle", "fire-engine")]
    return [vitviz.feature_maps(model, each.input) for each in prepared]


def vectors(maps, facet: str = "key", layer: int = LAST):
    return [each.facet(facet, layer) for each in maps]


@pytest.mark.parametrize(
    ("facet", "layer"),
    [
        ("key", LAST),
        *(pytest.param(*each, marks=pytest.mark.long) for each in (("query", 4), ("value", 7), ("token", LAST))),
    ],
)
def test_both_photographs_send_their_vectors(app, maps, facet, layer):
    shown = app("features", facet=facet, layer=str(layer))
    sent = figure(shown)
    assert not shown.wrong and sent["mode"] == "alike" and not sent["source"]["chosen"]
    assert [each["title"] for each in sent["pictures"]] == ["Motorcycle", "Fire engine"]
    for each, own in zip(sent["pictures"], vectors(maps, facet, layer), strict=True):
        assert (each["rows"], each["cols"]) == own.layout.grid
        np.testing.assert_allclose(fetched(each["features"])["features"], own.unit, atol=2e-3)


def test_pairs_are_each_others_nearest(app, maps):
    sent = figure(app("features", pairs="shown"))
    pairs = fetched(sent["pairs"])
    similar = vitviz.patch_similarity(*vectors(maps))
    for source, target in zip(pairs["source"], pairs["target"], strict=True):
        assert similar[source].argmax() == target and similar[:, target].argmax() == source


def test_a_patch_is_kept_for_all_pages_and_one_of_the_second_for_this(app):
    shown = app("features", pin="r3c4")
    assert figure(shown)["source"] == {"picture": 0, "cell": "r3c4", "chosen": True}
    there = app("features", pin="r3c4", there="r1c2")
    assert figure(there)["source"] == {"picture": 1, "cell": "r1c2", "chosen": True}
    grids = [(16, 16), (3, 4)]
    assert SourcePatch.reported({"picture": 1, "cell": "r2c3"}, grids) == SourcePatch(1, "r2c3", True)
    for nonsense in ({"picture": 2, "cell": "r0c0"}, {"picture": 1, "cell": "r3c0"}, {"cell": "r0c0"}, "r0c0", 3):
        assert SourcePatch.reported(nonsense, grids) is None


@pytest.mark.parametrize("foreground", ["all", "object"])
def test_colours_are_the_joint_components(app, maps, foreground):
    shown = app("features", shows="components", foreground=foreground)
    assert not shown.wrong
    found = vitviz.principal_components(vectors(maps), 3, foreground == "object")
    for at, each in enumerate(figure(shown)["pictures"]):
        painted = picture_at(each["painted"])
        np.testing.assert_allclose(painted / 255, found.colours()[at], atol=0.51 / 255)  # one pixel a patch
        np.testing.assert_allclose(fetched(each["numbers"])["values"], found.values[at].reshape(-1, 3), rtol=1e-4)


def test_groups_are_those_of_both_photographs_and_one_can_stand_alone(app, maps):
    expected = vitviz.cluster_patches(vectors(maps), 4)
    shown = app("features", shows="groups", groups="4")
    sent = figure(shown)
    assert sum(sent["sizes"]) == 512 and len(sent["sizes"]) == 4
    for each, labels in zip(sent["pictures"], expected, strict=True):
        np.testing.assert_array_equal(fetched(each["numbers"])["values"].ravel(), labels.ravel())
    alone = picture_at(figure(app("features", shows="groups", groups="4", pin="r11c2"))["pictures"][0]["painted"])
    side = alone.shape[0] // 16
    middles = alone[side // 2 :: side, side // 2 :: side].astype(int)  # (rows, cols, 3)
    coloured = np.ptp(middles, axis=2) > 8
    np.testing.assert_array_equal(coloured, expected[0] == expected[0][11, 2])


def test_groups_of_every_photograph_leave_as_coco_in_its_pixels_and_as_a_picture(app, maps, monkeypatch):
    kept, exported = {}, []
    keep = lambda label, data, *_, **__: kept.update({label: data})  # noqa: E731
    monkeypatch.setattr(shown_page.figure, "exports", lambda context, name, make, **_: exported.append(make()))
    monkeypatch.setattr(shown_page.st, "download_button", keep)
    opened = app("features", shows="groups", groups="3", edges="pixels")
    opened.at.session_state["details"] = True
    opened.at.run()
    assert not opened.wrong
    made = json.loads(kept[common.DOWNLOAD_COCO]())
    model = vitviz.load_model("embedded")
    assert [image["file_name"] for image in made["images"]] == ["motorcycle.jpg", "fire-engine.jpg"]
    groups, names = vitviz.cluster_patches(vectors(maps), 3), {each["id"]: each["name"] for each in made["categories"]}
    for number, image in enumerate(made["images"]):
        photograph = vitviz.load_sample(image["file_name"].removesuffix(".jpg"))
        assert (image["width"], image["height"]) == photograph.size
        prepared = vitviz.prepare(model, photograph)
        labels = refine_labels(groups[number], np.asarray(prepared.shown))
        np.testing.assert_array_equal(exported[0].arrays["clusters_along_edges" + "_2" * number], labels)
        side = (prepared.box[2] - prepared.box[0]) / labels.shape[1]  # pixels of the photograph for one of the input
        own = [each for each in made["annotations"] if each["image_id"] == image["id"]]
        for group, each in zip(np.unique(labels), own, strict=True):
            assert names[each["category_id"]] == f"group {group + 1}"  # of one number in both photographs
            assert each["area"] == pytest.approx((labels == group).sum() * side**2, rel=0.02)


def test_a_photograph_alone_and_a_second_of_ones_own(app, maps):
    alone = figure(app("features", others="alone", shows="components"))
    assert len(alone["pictures"]) == 1
    own = io.BytesIO()
    Image.new("RGB", (50, 40), "red").save(own, "PNG")
    shown = app("features")
    shown.at.session_state[images.UPLOADS[images.SECOND]] = Upload(own.getvalue())
    shown.at.query_params["others"] = images.SECOND
    shown.at.session_state["selection"] = shown.at.session_state["selection"].__class__(
        params=(("others", images.SECOND),)
    )
    shown.at.run()
    assert not shown.wrong and figure(shown)["pictures"][1]["title"] == words.OWN_SECOND


def test_what_a_model_does_not_have_is_one_sentence(app):
    """No queries or keys that stand for patches of one grid."""
    shown = app("features", model="swin_tiny_patch4_window7_224", weights="random")
    assert not shown.at.exception and not [x for x in shown.at.get("bidi_component") if "pictures" in x.proto.json]
    assert common.LAYERS_LINK in [link.proto.label for link in shown.at.get("page_link")]


def test_no_two_groups_have_one_colour():
    most = PAGE.params["groups"].high
    assert len({colour_of(group) for group in range(int(most))}) == most


@pytest.mark.parametrize(("count", "step"), [(40, 1), (41, 2), (100, 3)])
def test_the_spread_of_many_patches_is_that_of_every_nth(count, step, monkeypatch):
    monkeypatch.setattr(shown_page, "MOST_COMPARED", 40)
    values = np.random.default_rng(3).standard_normal((count, 5)).astype(np.float32)
    own = PatchFeatures(values, None, 0, "key")
    monkeypatch.setattr(shown_page.objects, "features_of", lambda *_: own)
    context = SimpleNamespace(ask=lambda what, work, **_: work(None))
    some = own.unit[::step]
    pairs = [some[i] @ some[j] for i in range(len(some)) for j in range(len(some)) if i != j]
    assert len(some) <= 40
    assert shown_page.quartiles(context, "key", 0) == pytest.approx(np.percentile(pairs, (25, 75)), abs=1e-6)
