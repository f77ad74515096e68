"""The page that finds objects: scenes whose boxes are known, steps, ways out, and a small random detector."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

import numpy as np
import pytest

import vitviz
from benchmarks.generated_scenes import Scene, scenes
from tests.models.hugging_face.test_detectors import written
from tests.ui.integration.test_pages import HEADINGS, journey_of, upload
from vitviz.analysis.interventions import HidePatches, Interventions
from vitviz.analysis.interventions.text import NumberReader
from vitviz.analysis.localization import Box
from vitviz.analysis.masks import refine_mask
from vitviz.models.hugging_face.detectors import DETECTOR_TYPES, detect, load_detector
from vitviz.ui.compute import loading
from vitviz.ui.pages.find import detector as detector_page
from vitviz.ui.pages.find import page as find_page
from vitviz.ui.pages.find import text as words
from vitviz.ui.pages.prediction import marking
from vitviz.ui.server import route
from vitviz.ui.server.payloads import unpack
from vitviz.ui.text import common


@pytest.fixture(scope="module")
def scene() -> Scene:
    """A goldfish and a helmet pasted on a photograph; their boxes are known."""
    return list(scenes(14))[13]


@pytest.fixture(scope="module")
def features():
    model = vitviz.load_model("embedded")
    prepared = vitviz.prepare(model, vitviz.load_sample("motorcycle"))
    return vitviz.feature_maps(model, prepared.input).facet("key")


def pictures(app) -> dict[str, dict[str, Any]]:
    """What each picture is sent, by its key."""
    sent = [json.loads(element.proto.json) for element in app.at.get("bidi_component")]
    return {data["key"]: data for data in sent}


def values_at(address: str) -> np.ndarray:
    body = route.payloads().fetch(address.rsplit("/", 1)[1])
    assert body is not None
    return unpack(gzip.decompress(body))[0]["values"]


def downloads(app, monkeypatch, where) -> dict[str, Any]:
    """What the page offers for download, once its details are open."""
    kept: dict[str, Any] = {}
    monkeypatch.setattr(where.st, "download_button", lambda label, data, *_, **__: kept.update({label: data}))
    app.at.session_state["details"] = True
    app.at.run()
    assert not app.wrong
    return json.loads(kept[common.DOWNLOAD_COCO])


def box_of(mask: np.ndarray) -> Box:
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return Box(int(cols[0]), int(rows[0]), int(cols[-1]) + 1, int(rows[-1]) + 1)


def best_overlaps(made: dict[str, Any], scene: Scene) -> list[float]:
    """For each object of the scene the IoU of the best box."""
    given = [each["bbox"] for each in made["annotations"]]
    boxes = [Box(*map(round, (x, y, x + width, y + height))) for x, y, width, height in given]
    return [max(box.iou(box_of(mask)) for box in boxes) for mask in scene.masks]


def test_objects_of_a_known_scene_are_found(app, scene, monkeypatch):
    file = io.BytesIO()
    scene.picture.save(file, "PNG")
    shown = upload(app("find", finder="maskcut"), file.getvalue(), "scene.png", "image/png")
    made = downloads(shown, monkeypatch, find_page)
    assert min(best_overlaps(made, scene)) > 0.5
    assert (made["images"][0]["width"], made["images"][0]["height"]) == scene.picture.size
    for each in made["annotations"]:
        assert each["segmentation"]["size"] == [448, 448] and sum(each["segmentation"]["counts"]) == 448**2
        assert each["score"] > 0.1 and each["area"] <= each["bbox"][2] * each["bbox"][3]


@pytest.mark.parametrize(
    ("finder", "call"), [pytest.param("tokencut", vitviz.token_cut, marks=pytest.mark.long), ("lost", vitviz.lost)]
)
def test_every_step_shows_what_the_method_computes(app, features, finder, call):
    found = call(features)
    total = found.mask.size
    expected = {
        "graph": found.degree,
        "sorted": found.eigenvector if finder == "tokencut" else found.chosen,
        "grouped": found.chosen if finder == "tokencut" else found.similarity,
        "object": found.mask,
    }
    for step, values in expected.items():
        shown = app("find", finder=finder, found_step=step)
        assert not shown.wrong
        sent = pictures(shown)["step"]
        np.testing.assert_allclose(values_at(sent["heat"]["url"]), values, rtol=1e-3, atol=1e-4)
        assert sent["chosen"] == "r{}c{}".format(*found.seed)
        if step == "graph":
            row = found.graph[found.seed[0] * found.mask.shape[1] + found.seed[1]]
            assert [r * found.mask.shape[1] + c for r, c in sent["marks"]] == np.flatnonzero(row).tolist()
        if step == "object":
            assert words.SAID_OBJECT.format(count=int(found.mask.sum()), total=total, score=found.score) in shown.text
        box = found.box
        assert f"from {box.left}, {box.top} to {box.right}, {box.bottom} pixels" in pictures(shown)["found"]["alt"]


def go_on(shown, page: str, which: str = "one"):
    """What was found is used on another page, which opens."""
    shown.at.menu_button(key=find_page.WAYS).click((page, which)).run()
    assert not shown.wrong
    assert [header.value for header in shown.at.header] == [HEADINGS[page]]
    return shown


@pytest.mark.parametrize("page", ["what_if", "start"])
def test_what_was_found_is_hidden_on_other_pages(app, features, page):
    shown = go_on(app("find", hide_by="blur"), page)
    (hidden,) = Interventions.decode(shown.parameters["what"])
    expected = np.flatnonzero(vitviz.token_cut(features).mask.ravel()).tolist()
    assert isinstance(hidden, HidePatches) and list(hidden.patches) == expected and hidden.fill == "blur"
    if page == "start":
        assert journey_of(shown)["mask"] == expected


def test_what_was_found_is_marked_on_prediction(app, features, monkeypatch):
    monkeypatch.setattr(marking, "show_test", lambda *_: None)  # many passes
    shown = go_on(app("find", finder="lost"), "prediction")
    marked = NumberReader().indices(shown.parameters["object"])
    assert list(marked) == np.flatnonzero(vitviz.lost(features).mask.ravel()).tolist()
    assert shown.parameters["part"] == "mark" and "what" not in shown.parameters


def test_of_several_objects_the_chosen_one_is_used_or_all(app):
    model = vitviz.load_model("embedded")
    own = vitviz.feature_maps(model, vitviz.prepare(model, vitviz.load_sample("coins")).input).facet("key")
    found = vitviz.mask_cut(own, 3)
    assert len(found) > 1
    for which, mask in (("one", found[1].mask), ("all", np.any([each.mask for each in found], axis=0))):
        shown = go_on(app("find", image="coins", finder="maskcut", which="2"), "what_if", which)
        (hidden,) = Interventions.decode(shown.parameters["what"])
        assert list(hidden.patches) == np.flatnonzero(mask.ravel()).tolist()


def test_the_exported_picture_has_the_masks_of_the_page(app, features, monkeypatch):
    made = []
    monkeypatch.setattr(find_page.figure, "exports", lambda context, name, make, **asked: made.append((make(), asked)))
    photograph = vitviz.prepare(vitviz.load_model("embedded"), vitviz.load_sample("motorcycle")).shown
    for edges in ("pixels", "patches"):
        assert not app("find", details=True, edges=edges).wrong
    (along, asked), (plain, others) = made
    expected = refine_mask(vitviz.token_cut(features).mask, np.asarray(photograph))
    np.testing.assert_array_equal(along.arrays["masks_along_edges"], [expected])
    assert "masks_along_edges" not in plain.arrays and asked != others, "two pictures under one name"


def test_nothing_stands_apart_in_a_plain_picture(app):
    from PIL import Image

    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).resize((300, 300), Image.Resampling.NEAREST).save(file, "PNG")
    shown = upload(app("find", weights="random"), file.getvalue(), "noise.png", "image/png")
    found = pictures(shown)["found"]["alt"]
    score = float(found.rsplit(" ", 1)[1].rstrip("."))
    assert not shown.wrong and (words.NOT_APART.format(score=score) in shown.text) == (score < find_page.LEAST_APART)


@pytest.mark.parametrize("kind", DETECTOR_TYPES)
def test_a_detector_shows_boxes_and_what_they_attend_to(app, kind, tmp_path, monkeypatch):
    written(kind, tmp_path)
    small = load_detector(f"hf:{tmp_path}")
    monkeypatch.setattr(loading, "load_detector", lambda name, progress: small)
    monkeypatch.setattr(loading.consent, "is_missing", lambda name: False)
    name = f"hf:tests/{kind}"
    shown = app("find", finder="detector", detector=name, likely="0.05")
    assert not shown.wrong
    photograph = vitviz.load_sample("motorcycle").convert("RGB")
    region = vitviz.prepare(vitviz.load_model("embedded"), photograph).box
    left, top, *_ = corners = tuple(round(side) for side in region)
    part = photograph.crop(corners)
    found = detect(small, part)
    boxes = found.above(0.05)
    assert boxes
    query, label, probability = boxes[0]
    sent = pictures(shown)
    attended = values_at(sent["detector attention"]["heat"]["url"])
    np.testing.assert_allclose(attended, found.attention[-1, :, query].mean(0), atol=1e-4)
    assert words.NAMED_BOX.format(label=found.labels[label], probability=probability) in sent["detected"]["alt"]
    made = downloads(shown, monkeypatch, detector_page)
    assert len(made["annotations"]) == len(boxes) and "segmentation" not in made["annotations"][0]
    x, y, *_ = made["annotations"][0]["bbox"]
    assert (x - left, y - top) == pytest.approx(tuple(found.boxes[query][:2]), abs=1.0)


def test_a_detector_follows_the_operators_rules(app, monkeypatch):
    monkeypatch.setattr(loading, "may_load", lambda name: name == "embedded")
    refused = app("find", finder="detector", detector="hf:facebook/detr-resnet-50")
    assert refused.wrong == [common.MODEL_OFF.format(model="hf:facebook/detr-resnet-50")]
    assert words.NO_DETECTOR in app("find", finder="detector").text


def test_deformable_attention_is_refused_by_name(app, tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "deformable_detr"}))
    monkeypatch.setattr(loading, "load_detector", lambda name, progress: load_detector(f"hf:{tmp_path}"))
    monkeypatch.setattr(loading.consent, "is_missing", lambda name: False)
    shown = app("find", finder="detector", detector="hf:tests/deformable")
    assert len(shown.wrong) == 1 and "deformable attention" in shown.wrong[0]


def test_a_large_detector_is_asked_about_and_one_beyond_the_memory_refused(app, tmp_path, monkeypatch):
    written("yolos", tmp_path)
    small, loaded = load_detector(f"hf:{tmp_path}"), []
    monkeypatch.setattr(loading, "load_detector", lambda name, progress: loaded.append(name) or small)
    monkeypatch.setattr(loading.consent, "is_missing", lambda name: True)
    monkeypatch.setattr(loading.consent, "download_bytes", lambda name: 1_500_000_000)
    name = "hf:tests/large"
    shown = app("find", finder="detector", detector=name)
    question = common.DOWNLOAD_COST.format(model=name, size="1.5 GB")
    assert not loaded and question in [each.value for each in shown.at.warning]
    shown.at.button(key="go on detector").click().run()
    assert loaded == [name] and not shown.wrong
    monkeypatch.setattr(loading.consent, "download_bytes", lambda name: 10**18)
    refused = app("find", finder="detector", detector="hf:tests/larger")
    assert loaded == [name] and len(refused.wrong) == 1 and "free" in refused.wrong[0]
