"""The page of two networks: what the browser is sent is what the library computes, and what goes wrong is said."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vitviz
from vitviz.analysis.methods.gradcam import cnn_gradcam
from vitviz.analysis.perturbation import KINDS, PerturbationCurve, model_input, perturbation_curve
from vitviz.analysis.receptive_field import ReceptiveField
from vitviz.capture.cost import pass_cost
from vitviz.draw.objects import field_levels
from vitviz.models import load_cnn
from vitviz.models.convolutional import SUGGESTED, training_of
from vitviz.ui import context
from vitviz.ui.compute import Key, consent, loading, services
from vitviz.ui.compute.queue import HEAVY_OPERATIONS
from vitviz.ui.pages.vit_or_cnn import networks, perturbation, reach
from vitviz.ui.pages.vit_or_cnn import text as words
from vitviz.ui.server import route
from vitviz.ui.server.payloads import unpack
from vitviz.ui.text import common

PAGE = "vit_or_cnn"
VIT_TITLE, CNN_TITLE = words.VIT.format(name=words.EMBEDDED_VIT), words.CNN.format(name=words.EMBEDDED_CNN)


@pytest.fixture(scope="module")
def given():
    """Model and pixels of both networks for the first photograph: the same cut for both."""
    vit, cnn = vitviz.load_model("embedded"), load_cnn()
    seen = vitviz.prepare(vit, vitviz.load_sample("motorcycle"))
    shown = np.asarray(seen.shown)
    return {vit: (seen.input, shown), cnn: (model_input(cnn, shown), shown)}


def sent(app, name: str = "sides") -> dict:
    """What the component is sent that has a field of that name."""
    found = [json.loads(element.proto.json) for element in app.at.get("bidi_component")]
    (one,) = [each for each in found if name in each]
    return one


def fetched(url: str) -> tuple[dict, dict]:
    body = route.payloads().fetch(url.rsplit("/", 1)[1])
    assert body is not None
    return unpack(gzip.decompress(body))


def test_it_opens_on_the_reach_of_both(app, given):
    shown = app(PAGE)
    assert not shown.wrong and shown.parameters == {}
    data = sent(shown)
    assert len(json.dumps(data)) < 8000, "pictures do not travel inline"
    for side, (model, (pixels, _)) in zip(data["sides"], given.items(), strict=True):
        fields = vitviz.receptive_fields(model, pixels)
        assert side["values"] == [field.side for field in fields]
        arrays, meta = fetched(side["url"])
        assert meta["sides"] == side["values"] and meta["pixels"] == [224, 224]
        for frame, field in zip(arrays["frames"], fields, strict=True):
            # Gradients of one model differ in their last digits from pass to pass, and so may a rounded level.
            assert np.abs(frame.astype(int) - field_levels(field.gradient)).max() <= 1
    assert [side["title"] for side in data["sides"]] == [VIT_TITLE, CNN_TITLE]
    first, last = data["steps"][0], data["steps"][-1]
    assert (first["frames"], last["frames"], len(data["steps"])) == ([0, 0], [12, 6], 13)
    assert words.EMBEDDING in first["said"] and "(layer 11)" in last["said"] and "(stage 6)" in last["said"]


@pytest.mark.long
def test_the_curve_is_the_library_s(app, given):
    kind = "edges"
    shown = app(PAGE, side_by_side="perturbation", perturbation=kind)
    assert not shown.wrong
    data = sent(shown)
    target = given_answer(given)
    for side, (model, (_, picture)) in zip(data["sides"], given.items(), strict=True):
        curve = perturbation_curve(model, picture, kind, target)
        np.testing.assert_allclose(side["values"], curve.values, atol=2e-6)
        packed = np.asarray(Image.open(io.BytesIO(fetched(side["url"])[0]["picture"].tobytes())))
        np.testing.assert_array_equal(packed.reshape(curve.pictures.shape), curve.pictures)
    assert data["steps"][0]["said"].startswith(words.UNPERTURBED) and len(data["steps"]) == len(curve.levels)


def given_answer(given) -> int:
    model = next(iter(given))
    return int(vitviz.trace(model, vitviz.load_sample("motorcycle")).logits.argmax())


def test_a_class_chosen_on_the_page_is_followed_in_both(app, given):
    shown = app(PAGE, side_by_side="answers", perturbation="edges")
    cnn, (pixels, picture) = [*given.items()][1]
    shown.at.selectbox(key="choice of target").select(7).run()
    assert not shown.wrong and shown.parameters["target"] == "7"
    maps = [json.loads(element.proto.json) for element in shown.at.get("bidi_component")]
    (cam,) = [each for each in maps if each["alt"].startswith(CNN_TITLE)]
    own = cnn_gradcam(cnn, pixels, 7).values
    np.testing.assert_allclose(fetched(cam["heat"]["url"])[0]["values"], own, rtol=1e-4, atol=1e-6)
    shown.at.selectbox(key="choice of side_by_side").select("perturbation").run()
    assert shown.at.selectbox(key="choice of target").value == 7
    sides = sent(shown)["sides"]
    for side in sides:
        assert all(caption.startswith(cnn.labels[7]) for caption in side["captions"])
    np.testing.assert_allclose(sides[1]["values"], perturbation_curve(cnn, picture, "edges", 7).values, atol=2e-6)
    shown.at.selectbox(key="choice of target").select(-1).run()
    assert "target" not in shown.parameters and cnn.labels[7] not in json.dumps(sent(shown))


def test_grad_cam_stands_beside_the_map_and_one_sentence_says_whether_they_agree(app, given):
    shown = app(PAGE, side_by_side="answers", answer="shown")
    assert not shown.wrong
    maps = [json.loads(element.proto.json) for element in shown.at.get("bidi_component")]
    (cam,) = [each for each in maps if each["alt"].startswith(CNN_TITLE)]
    cnn, (pixels, _) = [*given.items()][1]
    own = cnn_gradcam(cnn, pixels, given_answer(given)).values
    np.testing.assert_allclose(fetched(cam["heat"]["url"])[0]["values"], own, rtol=1e-4, atol=1e-6)
    assert {each["link"] for each in maps} == {maps[0]["link"]} != {""}
    assert "Both say **motorbike**" in shown.text
    for kind in ("attention", "gradcam"):
        shown.at.selectbox(key="choice of vit_map").set_value(kind).run()
        assert not shown.wrong and len(shown.at.get("bidi_component")) == 2


@pytest.fixture
def unperturbed(monkeypatch) -> Iterator[dict[str, Any]]:
    """Curves of one level, without a pass; holds the module that each network's was asked of."""
    asked: dict[str, Any] = {}

    def curve(model, picture, kind, target, **_):
        asked[model.name] = model.module
        one = np.ones(1)
        return PerturbationCurve(kind, 0 * one, one, one, one, picture[None], target)

    monkeypatch.setattr(perturbation, "perturbation_curve", curve)
    services.queue().results.clear()
    yield asked
    services.queue().results.clear()


@pytest.mark.usefixtures("unperturbed")
def test_the_answers_hide_until_they_are_asked_for(app):
    shown = app(PAGE, side_by_side="answers", vit_map="gradcam")
    held = " ".join([shown.text, *(each.proto.json for each in shown.at.get("bidi_component"))])
    assert not shown.wrong and "motorbike" not in held and words.HIDDEN_ANSWERS in held
    for answer in (words.ITS_ANSWER, words.VITS_ANSWER):
        assert words.CAM_OF.format(label=answer) in held
    perturbed = sent(app(PAGE, side_by_side="perturbation", perturbation="edges"))
    assert "motorbike" not in json.dumps(perturbed) and [
        side["captions"][0].split(":")[0] for side in perturbed["sides"]
    ] == [
        words.ITS_ANSWER,
        words.VITS_ANSWER,
    ]
    next(button for button in shown.at.button if button.label == common.SHOW_ANSWER).click().run()
    assert not shown.wrong and shown.parameters["answer"] == "shown" and "Both say **motorbike**" in shown.text


def test_a_networks_long_work_waits_for_its_turn_and_leaves_it_to_others(app, monkeypatch, given, unperturbed):
    """Counted by the network's own operations, whichever of the two it is."""
    vit, cnn = given
    counted = {}

    def asked(queue, key, lane, work, what, operations=0.0):
        counted[key.what, key.model] = operations
        return answer(queue, key, lane, work, what, operations)

    answer = context.answer
    monkeypatch.setattr(context, "answer", asked)
    assert not app(PAGE, side_by_side="perturbation", perturbation="hide").wrong
    assert counted["perturbation", vit.name] > HEAVY_OPERATIONS > counted["perturbation", cnn.name]
    assert counted["perturbation", cnn.name] == pytest.approx(30 * pass_cost(cnn.module, cnn.input_size).rest)
    assert (
        unperturbed[vit.name] is not loading.embedded().module
        and unperturbed[cnn.name] is loading.cnn_of(cnn.name).module
    )
    assert cnn.background_copy.module is not cnn.module and cnn.background_copy.lock is not cnn.lock
    assert next(cnn.background_copy.module.parameters()) is next(cnn.module.parameters())


def test_other_names_make_no_agreement(app, monkeypatch, given):
    other = load_cnn("resnet18", weights="random:1")
    named = replace(other, weights="pretrained", labels=tuple(f"thing {i}" for i in range(1000)))
    monkeypatch.setattr(loading, "load_cnn", lambda name, **_: named)
    monkeypatch.setattr(loading, "require_published", lambda name: None)
    monkeypatch.setattr(loading.consent, "require_weights", lambda *_: None)
    services.models().results.clear()
    shown = app(PAGE, side_by_side="answers", cnn="resnet18", answer="shown")
    assert not shown.wrong
    assert "the answers cannot be compared" in shown.text and "Both say" not in shown.text
    services.models().results.clear()


def test_without_training_nothing_is_claimed(app):
    shown = app(PAGE, side_by_side="answers", weights="random")
    title = words.VIT.format(name=words.UNTRAINED.format(name=words.EMBEDDED_VIT))
    assert not shown.wrong and words.NO_TRAINING.format(network=title) in shown.text


def test_the_operator_decides_which_networks_are_loaded(app, monkeypatch):
    monkeypatch.setattr(loading, "may_load_cnn", lambda name: name == "embedded-cnn")
    shown = app(PAGE, cnn=SUGGESTED[0], side_by_side="answers")
    assert len(shown.wrong) == 1 and SUGGESTED[0].split(".")[0] in shown.wrong[0]
    shown.at.button(key="back to the embedded network").click().run()
    assert not shown.wrong and "cnn" not in shown.parameters


@pytest.mark.parametrize("name", ["../../etc/passwd", "hf:owner/name", "vit_tiny_patch16_224", "no_such_network"])
def test_what_is_no_convolutional_network_is_said(app, name):
    shown = app(PAGE, cnn=name, side_by_side="answers")
    assert not shown.at.exception
    assert len(shown.wrong) == (0 if name.startswith("..") else 1)  # what cannot be a name is passed over


def test_both_get_the_same_cut_whatever_their_sizes():
    photograph = vitviz.load_sample("motorcycle")
    vit, cnn = vitviz.load_model("embedded"), load_cnn()
    seen = vitviz.prepare(vit, photograph)
    assert networks.crop_for(cnn, photograph, seen.shown, seen.box) is seen.shown
    large = vitviz.prepare(vitviz.models.resized(vit, (448, 448)), photograph)
    cut = networks.crop_for(cnn, photograph, large.shown, large.box)
    assert cut.size == (224, 224)
    own = vitviz.prepare(cnn, photograph).shown  # its own centre crop is a smaller one
    apart = [np.abs(np.asarray(each, float) - np.asarray(seen.shown, float)).mean() for each in (cut, own)]
    assert apart[0] < 5 < 20 < apart[1], apart


def test_each_vits_cut_has_answers_of_its_own():
    cnn, vit = load_cnn(), Key("trace", "embedded", "w0", "i0", (224, 224), "crop", scope="s")
    others = [
        replace(vit, **changed)
        for changed in (
            {"model": "another"},
            {"weights": "w1"},
            {"image": "i1"},
            {"size": (448, 448)},
            {"framing": "pad"},
            {"scope": None},
        )
    ]
    keys = [networks.cnn_key(cnn, each) for each in (vit, *others)]
    assert len({*keys}) == len(keys) and {key.model for key in keys} == {cnn.name}


def curve(levels: list[float], values: list[float]) -> PerturbationCurve:
    pictures = np.zeros((len(levels), 1, 1, 3), np.uint8)
    seen = np.array(values)
    return PerturbationCurve("blur", np.array(levels), seen, seen, seen, pictures, 0)


class Told:
    """What the sentence asks of a network."""

    def __init__(self, is_probability: bool) -> None:
        self.kind = SimpleNamespace(is_probability=is_probability)


def test_the_sentence_compares_the_levels_of_both_and_probabilities_alone(monkeypatch):
    monkeypatch.setattr(perturbation, "chosen_perturbation", lambda: "shuffle")
    vit, cnn, plain = map(Told, (True, True, False))
    one, two = curve([1, 2, 3], [1.0, 0.5, 0.0]), curve([1, 2, 4], [0.8, 0.2, 0.0])
    assert perturbation.comparison({vit: one, cnn: two}) == words.HERE_VIT.format(vit="75%", cnn="62%")
    assert perturbation.comparison({vit: one, plain: two}) == ""
    assert perturbation.comparison({vit: one, cnn: curve([1, 5], [1.0, 0.0])}) == ""
    assert perturbation.comparison({cnn: one}) == words.ONE_CURVE
    assert perturbation.comparison({vit: two, cnn: one}) == words.HERE_AGAINST.format(vit="62%", cnn="75%"), (
        "the claim, reversed"
    )
    monkeypatch.setattr(perturbation, "chosen_perturbation", lambda: "blur")  # of which nothing is claimed
    assert perturbation.comparison({vit: two, cnn: one}) == words.HERE_CNN.format(vit="62%", cnn="75%")


def test_the_table_of_what_is_not_equal_comes_from_the_models(given):
    vit, cnn = given
    assert training_of(vit)[0].startswith("DINOv2") and training_of(cnn)[0].startswith("ImageNet")
    other = load_cnn("resnet18", weights="random")
    assert training_of(other)[0].startswith("nothing")
    assert training_of(replace(other, name="vit_base_patch16_224.augreg_in21k_ft_in1k", weights="pretrained")) == (
        "augreg_in21k",
        "in1k",
    )
    assert training_of(replace(other, name="resnet50.a1_in1k", weights="pretrained")) == ("a1_in1k", "nothing")


def test_every_perturbation_has_its_words():
    assert set(words.PERTURBATIONS) == set(words.LEVELS) == set(words.LEVEL_WORDS) == set(KINDS)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("reach", words.REACH_CLAIMED),
        ("heads", words.HEADS_CLAIMED),
        pytest.param("perturbation", words.NOT_CLAIMED, marks=pytest.mark.long),
    ],
)
@pytest.mark.long
def test_details_say_what_others_found_and_what_is_not_equal(app, given, kind, said):
    shown = app(PAGE, side_by_side=kind, perturbation="blur")
    shown.at.session_state["details"] = True
    shown.at.run()
    assert not shown.wrong
    assert said in shown.text and words.KNOWN in shown.text and words.CONTESTED in shown.text
    table = shown.text.replace("\\", "")  # escaped as Markdown has it
    for model in given:
        assert f" {sum(each.numel() for each in model.module.parameters()) / 1e6:.1f} |" in table
        assert training_of(model)[0] in table


def test_a_large_network_of_either_kind_is_asked_about_before_it_runs(app, monkeypatch):
    """A convolutional network of a name of timm's may be as large as any Vision Transformer."""
    ran: list[str] = []

    def fields(model, pixels, **_):
        ran.append(model.name)
        gradient = np.full((224, 224), 1 / 224**2, np.float32)
        return tuple(
            ReceptiveField(f"blocks.{i}", (7, 7), (3, 3), (112.0, 112.0), gradient, 100.0 + i) for i in range(2)
        )

    monkeypatch.setattr(reach, "receptive_fields", fields)
    monkeypatch.setattr(consent, "WORTH_COUNTING_OPERATIONS", 1.0)
    monkeypatch.setattr(consent, "ASK_WORK_SECONDS", 0.0)
    monkeypatch.setattr(consent, "ASK_SECONDS", 1e9)
    services.queue().results.clear()
    shown = app(PAGE, side_by_side="reach")
    for name, other in (("embedded", []), ("embedded-cnn", ["embedded"])):
        (question,) = [warning.value for warning in shown.at.warning]
        assert words.FIELDS in question and f"forward passes of {name} at" in question and ran == other
        shown.at.button(key="go on networks").click().run()
    assert not shown.wrong and not shown.at.warning and ran == ["embedded", "embedded-cnn"]
    services.queue().results.clear()
