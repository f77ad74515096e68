"""What the sidebar shows is what is computed, after any switch of model, size, framing and page, and by any link."""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import timm
from safetensors.torch import save_file

from tests.images import zoo
from tests.ui.integration.test_pages import jpeg, upload
from vitviz.models import load_model
from vitviz.models.registry import build
from vitviz.ui import context
from vitviz.ui.compute import consent, loading, services
from vitviz.ui.pages.compare import text as compare
from vitviz.ui.shell import text as sidebar
from vitviz.ui.shell import text as words
from vitviz.ui.text import common

PATCH_16, ONE_SIZE = "test_vit", "levit_128s"


@pytest.fixture
def contexts(monkeypatch):
    """Every context that a page was given."""
    opened = []
    real = context.open_context

    def kept(*given):
        page_context, lost = real(*given)
        opened.append(page_context)
        return page_context, lost

    monkeypatch.setattr(context, "open_context", kept)
    return opened


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A server's folder of checkpoints, three of them with names that are no plain words."""
    for seed, name in enumerate(("pets", "my model", "modèle (2)", "<img src=x>", "a [link](x)")):
        save_file(build("test_vit", seed=seed + 1).state_dict(), tmp_path / f"{name}.safetensors")
        (tmp_path / f"{name}.json").write_text(json.dumps({"architecture": "test_vit"}), encoding="utf-8")
    monkeypatch.setenv(loading.CHECKPOINTS, str(tmp_path))
    return tmp_path


def shown_model(app) -> str:
    kind = app.at.selectbox(key="model kind").value
    return "embedded" if kind == "embedded" else app.at.selectbox(key="choice of model").value


def shown_size(app) -> int:
    """Side in pixels as the control names it, 0 where there is none."""
    control = next((each for each in app.at.segmented_control if each.key == "choice of size"), None)
    return 0 if control is None else control.value


def assert_true(app, contexts) -> None:
    """The sidebar against the model that was run."""
    page_context = contexts[-1]
    assert not app.wrong
    assert shown_model(app).removeprefix(loading.FILE) == page_context.model.name
    assert app.at.toggle(key="choice of weights").value == (not page_context.model.trained)
    own = load_model("embedded" if page_context.model.name == "embedded" else "test_vit", weights="random").input_size[
        0
    ]
    assert (shown_size(app) or own) == page_context.key.size[0]
    assert app.at.selectbox(key="choice of framing").value == page_context.traced.prepared.framing
    given = {"model": "embedded", "size": "0", "framing": "crop", "weights": "trained"} | app.parameters
    assert given["model"].removeprefix(loading.FILE) == page_context.model.name
    assert (int(given["size"]) or own, given["framing"]) == (page_context.key.size[0], page_context.key.framing)


@pytest.mark.long
def test_any_order_of_models_sizes_and_framings(app, contexts):
    page = app("patches", model=PATCH_16, weights="random")
    assert_true(page, contexts)
    page.at.text_input(key="model search").set_value("test_vit").run()
    steps = [
        ("size", 256),
        ("model", "test_vit4"),
        ("size", 0),
        ("framing", "fit"),
        ("size", 384),
        ("kind", "embedded"),
    ]
    steps += [("size", 336), ("framing", "squash"), ("kind", "any"), ("weights", True), ("size", 384)]
    for what, value in steps:
        match what:
            case "size":
                control = page.at.segmented_control(key="choice of size")
                assert not value or str(value) in control.options
                control.set_value(value).run()
            case "kind":
                page.at.selectbox(key="model kind").set_value(value).run()
                if value == "any":  # the first of that list has weights on the hub alone
                    page.at.text_input(key="model search").set_value("test_vit").run()
                    page.at.selectbox(key="choice of model").set_value("test_vit4").run()
            case "weights":
                page.at.toggle(key="choice of weights").set_value(value).run()
                assert_true(page, contexts)
            case _:
                page.at.selectbox(key=f"choice of {what}").set_value(value).run()
        if not page.wrong:
            assert_true(page, contexts)


@pytest.mark.parametrize(("size", "kept"), [("384", 224), ("336", 336), ("238", 238), ("224", 224), ("1", 224)])
@pytest.mark.long
def test_a_size_of_another_model_is_kept_where_this_one_takes_it_and_put_back_with_a_reason(app, contexts, size, kept):
    page = app("patches", size=size)
    assert contexts[-1].model.input_size == (kept, kept)
    assert (shown_size(page) or 224) == kept
    said = [info.value for info in page.at.info if "does not take" in info.value]
    assert bool(said) == (str(kept) != size)
    assert page.parameters.get("size", "224") == str(kept)
    page.at.segmented_control(key="choice of size").set_value(448).run()
    assert not page.wrong and contexts[-1].model.input_size == (448, 448)


def test_a_model_of_one_size_offers_no_other(app, contexts):
    page = app("patches", model=ONE_SIZE, weights="random", size="320")
    assert not page.wrong and contexts[-1].model.input_size == (224, 224)
    assert shown_size(page) == 0 and "size" not in page.parameters
    assert "224 x 224 pixels only" in page.text


@pytest.mark.parametrize("kind", ["known", "any"])
def test_back_to_the_embedded_model_is_named_so(app, contexts, kind):
    page = app("patches")
    page.at.selectbox(key="model kind").set_value(kind).run()  # the first of either list has weights on the hub alone
    assert page.wrong and shown_model(page) == page.parameters["model"]
    page.at.button(key="back view").click().run()
    assert page.at.selectbox(key="model kind").value == "embedded"
    assert_true(page, contexts)


def test_back_to_a_sample_leaves_the_upload_and_a_choice_of_source_stands(app, contexts):
    page = app("start")
    page.at.segmented_control(key="picture source").set_value("upload").run()
    assert page.at.segmented_control(key="picture source").value == "upload", "nothing uploaded yet"
    page = upload(page, b"no picture")
    assert page.wrong and "motorcycle" in contexts[-1].image.name, "the photograph that was there stays"
    page.at.segmented_control(key="picture source").set_value("gallery").run()
    assert page.at.selectbox(key="choice of image").value == "motorcycle"
    page = upload(app("start"), jpeg(5))
    chosen = page.at.session_state["selection"]
    page.at.session_state["selection"] = replace(chosen, image="cat")  # as a thumbnail of the start page's figure does
    page.at.run()
    assert page.at.segmented_control(key="picture source").value == "gallery"
    assert page.at.selectbox(key="choice of image").value == "cat"


def test_a_link_to_somebodys_own_picture_shows_the_gallery(app):
    page = app("patches", image="upload")
    assert common.NO_UPLOAD in page.text and sidebar.OWN_PICTURE not in page.text
    assert page.at.segmented_control(key="picture source").value == "gallery"


def test_what_is_not_there_is_named_as_it_was_asked_for(app, folder):
    page = app("patches", model="file:missing")
    assert page.wrong and shown_model(page) == "file:missing"
    page.at.selectbox(key="choice of model").set_value("file:pets").run()
    assert not page.wrong
    page = app("patches", image="nothing")
    assert page.wrong == [common.NO_SAMPLE] and page.at.selectbox(key="choice of image").value == "nothing"
    page.at.selectbox(key="choice of image").set_value("cat").run()
    assert not page.wrong and page.parameters == {"image": "cat"}


@pytest.mark.long
def test_every_checkpoint_that_is_offered_can_be_followed_by_its_link(app, contexts, folder):
    page = app("patches", model="file:pets")
    offered = page.at.selectbox(key="choice of model").options
    assert offered == ["modèle (2)", "my model", "pets"]
    assert sidebar.FILES_LEFT_OUT.format(count=2) in page.text
    for name, untrained in itertools.product(offered, (False, True)):
        link = {"model": f"file:{name}"} | ({"weights": "random"} if untrained else {})
        page = app("patches", **link)
        assert not page.wrong and not page.at.warning and page.parameters == link
        page_context = contexts[-1]
        assert page_context.model.trained == (not untrained)
        assert shown_model(page) == f"file:{name}"
        assert name in page_context.model.name


def test_a_checkpoint_that_was_replaced_is_read_again(app, contexts, folder):
    app("patches", model="file:pets")
    before = contexts[-1].model.weights_hash
    save_file(build("test_vit", seed=99).state_dict(), folder / "pets.safetensors")
    page = app("patches", model="file:pets")
    assert not page.wrong and contexts[-1].model.weights_hash != before


def test_a_description_that_was_replaced_is_followed(app, contexts, folder):
    """The same weights, and another number of heads: what was computed for the one is no answer for the other."""
    app("rollout", model="file:pets")
    assert {layer.num_heads for layer in contexts[-1].trace.layers} == {2}
    described = {"architecture": "test_vit", "model_args": {"num_heads": 4}}
    (folder / "pets.json").write_text(json.dumps(described), encoding="utf-8")
    page = app("rollout", model="file:pets")
    assert not page.wrong
    assert {layer.num_heads for layer in contexts[-1].trace.layers} == {4}


def test_a_checkpoint_that_grew_is_asked_about(app, folder, monkeypatch):
    monkeypatch.setattr(consent, "ASK_WEIGHT_BYTES", 2_000_000)
    assert not app("patches", model="file:pets").at.warning
    save_file(build("test_vit", num_classes=10_000).state_dict(), folder / "pets.safetensors")
    described = {"architecture": "test_vit", "num_classes": 10_000}
    (folder / "pets.json").write_text(json.dumps(described), encoding="utf-8")
    assert [asked.value for asked in app("patches", model="file:pets").at.warning if "million weights" in asked.value]


def test_a_checkpoint_is_called_by_its_own_name(app, folder):
    for ending in ("safetensors", "json"):
        shutil.copy(folder / f"pets.{ending}", folder / f"embedded.{ending}")
    titles = [text.value for text in app("compare", model="file:embedded").at.markdown if text.value.startswith("**A")]
    assert len(titles) == 1 and "embedded" in titles[0] and compare.EMBEDDED not in titles[0]


def test_what_had_to_be_assumed_is_shown_letter_by_letter(app, folder, monkeypatch):
    """A note may quote a file; what Streamlit reads after Markdown is parted by a character without width."""
    hostile = "Taken as ![a](https://evil.example/a.png) :smile: :material/home: www.evil.example *b*."

    def noted(*given, **more):
        return replace(load_model(*given, **more), notes=(hostile,))

    monkeypatch.setattr(loading, "load_model", noted)
    (note,) = [text.value for text in app("patches", model="file:pets").at.sidebar.caption if "Taken as" in text.value]
    assert note.replace("\\", "").replace("\N{WORD JOINER}", "") == hostile
    assert "![" not in note.replace("\\[", "") and "*b" not in note.replace("\\*", "")
    assert not any(each in note for each in (":smile:", ":material/home:", "https://", "www."))


@pytest.fixture(autouse=True)
def forgotten():
    """Models of these tests are gone after them."""
    yield
    results = services.models().results
    for key in [key for key in results if key.model.startswith(("file:", "test_vit", ONE_SIZE))]:
        results.remove(key)


# What had to be assumed of a picture or a model is said in the sidebar, as plain text.


def deep_png(largest: int) -> bytes:
    values = np.random.default_rng(0).integers(0, largest, (200, 300)).astype(np.uint16)
    values[0, 0] = largest
    return zoo.encoded(values, "PNG")


@pytest.mark.parametrize(("largest", "said"), [(4095, "12 bits, so 4,095 is shown white"), (65535, None)])
@pytest.mark.long
def test_a_picture_of_more_than_8_bits(app, largest, said):
    shown = upload(app(), deep_png(largest), "scan.png", "image/png")
    assert not shown.wrong
    captions = [caption.value for caption in shown.at.caption]
    assert any(said in text for text in captions) if said else not any("shown white" in text for text in captions)
    assert "fewest bits" in words.UPLOAD_HELP  # the rule itself, beside the upload


def test_a_wrapped_checkpoint(app, tmp_path, monkeypatch):
    """The prefix comes from the file, and is shown as it is: markup in it stays text."""
    monkeypatch.setenv(loading.CHECKPOINTS, str(tmp_path))
    state = timm.create_model("test_vit", num_classes=2).state_dict()
    prefix = "![x](http://127.0.0.1:9/a)"
    save_file({f"{prefix}.{name}": tensor for name, tensor in state.items()}, tmp_path / "pets.safetensors")
    (tmp_path / "pets.json").write_text(json.dumps({"architecture": "test_vit", "num_classes": 2}))
    shown = app(model="file:pets")
    (said,) = [caption.value for caption in shown.at.caption if "begins with" in caption.value]
    assert "](" not in said.replace("\\](", "") and "was removed" in said
