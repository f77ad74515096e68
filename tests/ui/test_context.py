"""A result is kept under everything that it depends on: change any input and the key changes, and so does what is shown."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import vitviz
from vitviz.analysis.interventions import Interventions
from vitviz.models import Model, load_model, prepare, resized
from vitviz.models.registry import build
from vitviz.samples import samples
from vitviz.ui import context
from vitviz.ui.compute import loading, services
from vitviz.ui.controls import edits
from vitviz.ui.pages.what_if import text as words

HEADS = "heads_mean_0x0.0x1.1x2.5x3"
SIZE = 98  # 49 patches, or about as many: means over the gallery are ten passes


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model("test_vit", weights="random")


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "another"},
        {"architecture": "another"},
        {"weights": "file"},
        {"weights_hash": "random:1"},
        {"labels": ("cat",) * 1000},
        {"preprocessing": "std"},
        {"module": "dtype"},
        {"module": "structure"},
        {"module": "heads"},
    ],
    ids=str,
)
def test_a_model_is_named_by_all_that_its_answers_depend_on(model, changed):
    match changed:
        case {"preprocessing": _}:
            changed = {"preprocessing": replace(model.preprocessing, std=(0.1, 0.2, 0.3))}
        case {"module": "dtype"}:
            changed = {"module": load_model("test_vit", weights="random", dtype="bfloat16").module}
        case {"module": "heads"}:  # the same weights cut into heads in another way: no shape tells
            changed = {"module": build("test_vit", num_heads=4)}
            changed["module"].load_state_dict(model.module.state_dict())
        case {"module": _}:
            changed = {"module": load_model("test_vit2", weights="random").module}
    assert replace(model, **changed).fingerprint != model.fingerprint
    assert replace(model).fingerprint == model.fingerprint == load_model("test_vit", weights="random").fingerprint


def likelihood(framing: str, image: str = "motorcycle") -> float:
    """After the heads were replaced by their means over the gallery's centre crops, in plain Python."""
    model, picture = resized(loading.embedded(), (SIZE, SIZE)), vitviz.load_sample(image)
    prepared = prepare(model, picture, framing)
    means = vitviz.head_means(
        prepared.model, (prepare(prepared.model, vitviz.load_sample(each.id)).input for each in samples())
    )
    with torch.no_grad():
        index = int(model.module(prepared.input[None])[0].argmax())
        with vitviz.intervene(prepared.model, Interventions.decode(HEADS), head_means=means) as changed:
            return float(changed.module(prepared.input[None])[0].softmax(-1)[index])


@pytest.mark.long
def test_one_visitors_framing_is_not_anothers(app):
    """Side by side: a visitor with the whole picture fitted, then one with the centre cut out, then one who changes."""
    fitted = app("what_if", what=HEADS, switch="heads", framing="fit", size=str(SIZE))
    cropped = app("what_if", what=HEADS, switch="heads", size=str(SIZE))
    shown = {kind: page.at.metric[0].value for kind, page in (("fit", fitted), ("crop", cropped))}
    assert shown == {kind: words.SHARE.format(share=likelihood(kind)) for kind in ("fit", "crop")}
    cropped.at.selectbox(key="choice of framing").set_value("fit").run()
    assert cropped.at.metric[0].value == shown["fit"]
    fitted.at.selectbox(key="choice of framing").set_value("crop").run()
    assert fitted.at.metric[0].value == shown["crop"]


def test_other_means_of_the_heads_are_another_answer(app, monkeypatch):
    """The maps and the figure of changed heads are kept under the means that were put in place of the heads."""
    link = {"what": HEADS, "switch": "heads", "image": "cat", "size": str(SIZE)}
    app("what_if", details=True, **link)
    queue, real = services.queue(), edits.gallery_means
    before = set(queue.results)
    monkeypatch.setattr(edits, "gallery_means", lambda stage: replace(real(stage), digest="another"))
    assert not app("what_if", details=True, **link).wrong
    added = {key.what for key in set(queue.results) - before}
    assert {"what if", "map changed"} <= added


@pytest.fixture
def keys(monkeypatch):
    """The key of every context that a page was given."""
    opened = []
    real = context.open_context

    def kept(*given):
        found = real(*given)
        opened.append(found[0].key)
        return found

    monkeypatch.setattr(context, "open_context", kept)
    return opened


@pytest.mark.long
def test_every_choice_of_the_sidebar_is_in_the_key(app, keys):
    links = [{}, {"image": "cat"}, {"size": "336"}, {"framing": "squash"}, {"framing": "fit"}, {"weights": "random"}]
    for link in links:
        page = app("start", **link)
        assert not page.wrong
    assert len(set(keys)) == len(links)
