"""`vitviz.explain`, `vitviz.methods` and a batch of photographs through `vitviz.trace`."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import vitviz
from vitviz.analysis.methods import METHODS
from vitviz.analysis.methods import explain as explain_question
from vitviz.errors import UnsupportedError


@pytest.fixture(scope="module")
def model():
    return vitviz.load_model("vit_tiny_patch16_224", weights="random:0", input_size=(64, 96))


@pytest.fixture(scope="module")
def image():
    return vitviz.load_sample("cat")


@pytest.mark.parametrize("method", ["rollout", "relevance", "occlusion"])
def test_an_image_and_its_trace_give_the_map_of_the_question(model, image, method: str) -> None:
    question = vitviz.Question(model, vitviz.prepare(model, image).input, vitviz.ClassLogit(7))
    expected = explain_question(question, method).values
    trace = vitviz.trace(model, image)
    for given in (image, trace):
        for target in (7, np.int64(7), vitviz.ClassLogit(7)):
            found = vitviz.explain(model, given, method=method, target=target).values
            np.testing.assert_allclose(found, expected, atol=1e-6)


def test_without_a_target_the_likeliest_class_is_explained(model, image) -> None:
    best = int(model.module.eval()(vitviz.prepare(model, image).input[None])[0].argmax())
    expected = vitviz.explain(model, image, method="relevance", target=best).values
    for given in (image, vitviz.trace(model, image)):
        np.testing.assert_allclose(vitviz.explain(model, given, method="relevance").values, expected, atol=1e-7)


def test_a_model_without_a_classifier_explains_its_features(image) -> None:
    model = vitviz.load_model("vit_small_patch16_dinov3", weights="random", input_size=64)
    assert model.output_kind is vitviz.OutputKind.FEATURES
    expected = vitviz.explain(model, image, method="relevance", target=vitviz.SelfDot()).values
    np.testing.assert_allclose(vitviz.explain(model, image, method="relevance").values, expected, atol=1e-7)


def test_a_traces_pass_is_used_again(model, image, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = vitviz.trace(model, image)
    monkeypatch.setattr(model.module, "forward", lambda *_args, **_kwargs: pytest.fail("the model ran again"))
    np.testing.assert_array_equal(vitviz.explain(model, trace).values, vitviz.rollout(trace).values)


def test_a_trace_of_the_whole_image_is_explained_at_its_own_size(model, image) -> None:
    model = vitviz.resized(model, (128, 48))
    trace = vitviz.trace(model, image, framing="fit")
    assert trace.model.input_size != model.input_size
    expected = vitviz.explain(model, image, method="relevance", target=3, framing="fit").values
    np.testing.assert_allclose(vitviz.explain(model, trace, method="relevance", target=3).values, expected, atol=1e-7)


def test_options_and_refusals(model, image) -> None:
    fine = vitviz.explain(model, image, method="occlusion", target=7, stride=1)
    assert not np.allclose(fine.values, vitviz.explain(model, image, method="occlusion", target=7).values)
    other = vitviz.load_model("vit_tiny_patch16_224", weights="random:1", input_size=(64, 96))
    with pytest.raises(ValueError, match="not of vit_tiny"):
        vitviz.explain(other, vitviz.trace(model, image))
    with pytest.raises(UnsupportedError, match="no option called 'steps'"):
        vitviz.explain(model, image, method="occlusion", steps=3)
    with pytest.raises(UnsupportedError, match="No explanation method"):
        vitviz.explain(model, image, method="nothing")
    with pytest.raises(ValueError, match="stride of 9"):
        vitviz.explain(model, image, method="occlusion", stride=9)


@pytest.mark.parametrize(
    ("asked", "error", "reason"),
    [
        ({"methods": ["rollout", "nothing"]}, UnsupportedError, "No explanation method is called 'nothing'"),
        ({"methods": "rollout"}, TypeError, "write ['rollout']"),
        (
            {"methods": ["occlusion"], "options": {"occlusion": {"steps": 3}}},
            UnsupportedError,
            "no option called 'steps'",
        ),
        ({"methods": ["rollout"], "options": {"oclusion": {"stride": 3}}}, UnsupportedError, "called 'oclusion'"),
        ({"methods": ["occlusion"], "options": {"occlusion": {"stride": 9}}}, ValueError, "stride of 9"),
    ],
)
def test_several_methods_are_refused_as_one_is(model, image, asked, error, reason) -> None:
    """What is wrong in the request is not one of the methods that the model does not support."""
    with pytest.raises(error, match=re.escape(reason)):
        vitviz.explain_all(model, image, **asked)


def test_a_question_and_a_model_with_an_image_are_explained_alike(model, image) -> None:
    question = vitviz.Question(model, vitviz.prepare(model, image).input, vitviz.ClassLogit(7))
    keys = ["relevance", "rollout", "occlusion"]
    asked = {"methods": keys, "options": {"occlusion": {"stride": 3}}}
    expected = {key: explain_question(question, key, **asked["options"].get(key, {})).values for key in keys}
    for given, target in (
        ((question,), {}),
        ((model, image), {"target": 7}),
        ((model, vitviz.trace(model, image)), {"target": 7}),
    ):
        maps = vitviz.explain_all(*given, **target, **asked)
        assert list(maps) == keys
        for key, heatmap in maps.items():
            np.testing.assert_allclose(heatmap.values, expected[key], atol=1e-6)
        np.testing.assert_allclose(
            vitviz.explain(*given, **target, method="relevance").values, expected["relevance"], atol=1e-6
        )


def test_a_question_is_asked_alone(model, image) -> None:
    question = vitviz.Question(model, vitviz.prepare(model, image).input, vitviz.ClassLogit(7))
    for given in ({"image": image}, {"target": 3}):
        with pytest.raises(TypeError, match="give it alone"):
            vitviz.explain(question, **given)
    with pytest.raises(TypeError, match="a model and an image"):
        vitviz.explain_all(model)


def test_methods_are_listed_with_their_cards() -> None:
    assert vitviz.methods() == METHODS
    for key, card in vitviz.methods().items():
        assert card.key == key and card.reference and card.limitations.endswith(".")
        assert len(repr(card)) < 300 and card.name in repr(card)


def test_a_batch_is_traced_one_by_one(model) -> None:
    opened: list[str] = []

    def images() -> Iterator[object]:
        for name in ("cat", "motorcycle"):
            opened.append(name)
            yield vitviz.load_sample(name)

    traces = vitviz.trace(model, images())
    assert opened == []  # nothing runs before it is asked for
    first = next(traces)
    assert opened == ["cat"]
    expected = vitviz.trace(model, vitviz.load_sample("cat"))
    assert torch.equal(first.logits, expected.logits) and first.image_hash == expected.image_hash
    assert [each.image_hash for each in traces] == [vitviz.image_hash(vitviz.load_sample("motorcycle"))]
    in_a_list = list(vitviz.trace(model, [vitviz.load_sample("cat")]))
    assert len(in_a_list) == 1 and torch.equal(in_a_list[0].logits, first.logits)


def test_a_path_is_no_picture(model) -> None:
    with pytest.raises(TypeError, match="load_image"):
        vitviz.trace(model, "photo.jpg")
    with pytest.raises(TypeError, match="load_image"):
        list(vitviz.trace(model, ["photo.jpg"]))
