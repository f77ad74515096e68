"""Every page with the real engine and the embedded model: samples, uploads, links, every widget, and what goes wrong."""

from __future__ import annotations

import base64
import io
import json
import re
import secrets
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import streamlit as st
import timm
from PIL import Image

import vitviz
from vitviz.analysis.interventions import HidePatches, Interventions, intervene
from vitviz.errors import UnsupportedError
from vitviz.models import embedded
from vitviz.samples import load_sample
from vitviz.tracing import trace_input
from vitviz.ui.components.journey import Action, JourneyView, SentPhotograph
from vitviz.ui.compute import services
from vitviz.ui.pages.patches import text as patches
from vitviz.ui.pages.registry import pages
from vitviz.ui.pages.rollout import text as rollout
from vitviz.ui.pages.start import figure as start_figure
from vitviz.ui.pages.start import page as start
from vitviz.ui.pages.start import text as start_text
from vitviz.ui.server import route, session
from vitviz.ui.shell import text as sidebar
from vitviz.ui.text import common

PAGES = tuple(view.name for view in pages())
HEADINGS = {view.name: view.question for view in pages()}
DRAWN = 'class="vv-drawn"'
PLAIN = ("start", "patches", "positions", "rollout")  # the others move their many widgets in tests of their own


def jpeg(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((300, 200)).save(file, "JPEG")
    return file.getvalue()


def prediction_of(shown) -> str:
    return "".join(str(block.proto.body) for block in shown.at.get("html"))


def journey_of(shown) -> dict:
    """The data that the figure of the start page is sent."""
    return next(
        data for data in (json.loads(x.proto.json) for x in shown.at.get("bidi_component")) if "gallery" in data
    )


def upload(app, content: bytes, name: str = "holiday.jpg", mime: str = "image/jpeg"):
    app.at.segmented_control(key="picture source").set_value("upload").run()
    app.at.file_uploader(key="upload").upload(name, content, mime).run()
    return app


@pytest.mark.parametrize("page", PAGES)
def test_opens_on_the_first_sample_with_a_prediction(app, page):
    shown = app(page)
    assert not shown.wrong
    assert [header.value for header in shown.at.header] == [HEADINGS[page]]
    assert shown.parameters == {} and DRAWN in prediction_of(shown)
    if page == "start":  # the answer comes with the layers of its figure
        figure = journey_of(shown)
        assert figure["answer"]["bars"][-1][0]["name"] == "motorbike"
        for step, bars in enumerate(figure["answer"]["bars"]):
            for bar in bars:
                assert figure["answer"]["curves"][bar["name"]][step] == pytest.approx(bar["length"], abs=1e-4)
        assert len(figure["story"]) == len(figure["layers"]) + 3 and all(step["text"] for step in figure["story"])
        assert figure["story"][0]["text"].startswith("Transformers were first used for translation")
        assert {step["page"] for step in figure["story"]} == {
            "by_hand",
            "patches",
            "compare",
            "layers",
            "microscope",
            "find",
        }
    else:
        assert 'class="vv-chip"' not in prediction_of(shown)
        shown.at.button(key="answer shown").click().run()
        chips = prediction_of(shown)
        assert "motorbike" in chips and chips.count('class="vv-chip"') == 5 and shown.parameters == {"answer": "shown"}
    if page not in (PAGES[0], "model"):
        assert all(part in shown.text for part in (common.TRY_THIS, common.NOTICE, common.CATCH))


# What an upload does is the frame's doing, the same on every page; all pages are long.
FEW = ("start", "rollout", "compare")
UPLOADED = [pytest.param(page, marks=() if page in FEW else pytest.mark.long) for page in PAGES]


@pytest.mark.parametrize("page", UPLOADED)
def test_own_picture_is_shown_and_stays_out_of_the_link(app, page):
    shown = upload(app(page), jpeg())
    assert not shown.wrong
    assert sidebar.OWN_PICTURE in shown.text
    assert shown.parameters == {"image": "upload"}


@pytest.mark.usefixtures("own_sessions")
def test_own_picture_is_the_first_of_the_gallery_until_it_is_deleted(app):
    """And of nobody else's gallery: its thumbnail is in the data, not under an address."""

    def own(shown) -> list[dict]:
        return [each for each in journey_of(shown)["gallery"] if each["id"] == "upload"]

    file = io.BytesIO()
    Image.fromarray(np.full((80, 120, 3), (20, 90, 200), np.uint8)).save(file, "PNG")
    shown, other = upload(app("start"), file.getvalue()), app("start")
    assert journey_of(shown)["gallery"][0]["id"] == journey_of(shown)["image"] == "upload"
    (mine,) = own(shown)
    small = np.asarray(Image.open(io.BytesIO(base64.b64decode(mine["url"].removeprefix("data:image/jpeg;base64,")))))
    np.testing.assert_allclose(small, np.full(small.shape, (20, 90, 200)), atol=6)
    assert small.shape[0] == small.shape[1] and mine["title"] == str(start_text.OWN_TITLE)
    assert own(other) == [] and len(journey_of(other)["gallery"]) == len(journey_of(shown)["gallery"]) - 1
    shown.at.segmented_control(key="picture source").set_value("gallery").run()
    assert journey_of(shown)["image"] != "upload" and own(shown) == [mine], "it is still there to come back to"
    shown.at.segmented_control(key="picture source").set_value("upload").run()
    next(button for button in shown.at.button if button.label == sidebar.FORGET).click().run()
    assert not shown.wrong and own(shown) == []


@pytest.mark.parametrize("page", UPLOADED)
def test_a_broken_file_is_one_sentence_and_changes_nothing(app, page):
    shown = app(page, image="cat", size="336")
    before = shown.parameters
    upload(shown, b"\xff\xd8\xff not a photograph", "evil<b>.jpg")
    assert len(shown.wrong) == 1 and "Traceback" not in shown.wrong[0]
    assert not shown.at.exception and shown.parameters == before
    shown.at.run()
    assert not shown.wrong and shown.at.header[0].value == HEADINGS[page]


def test_a_model_too_large_for_the_browser_sends_one_layer_at_a_time(app, monkeypatch):
    layers = journey_of(app("start"))["layers"]
    assert all(layer["any"] and "rows" not in layer for layer in layers)
    # More than one layer of the embedded model, and less than all.
    monkeypatch.setattr(start_figure, "MOST_BYTES", 2**20)
    large = journey_of(app("start"))["layers"]
    assert not any(layer["any"] for layer in large)
    assert [layer["rows"] for layer in large] != [layer["url"] for layer in large]
    assert len({layer["rows"] for layer in large}) == len(layers)
    monkeypatch.setattr(start_figure, "MOST_BYTES", 2**10)  # less than one
    assert all("rows" not in layer for layer in journey_of(app("start"))["layers"])


@pytest.mark.parametrize(
    "model",
    ["vit_nonexistent_patch99", "resnet18.a1_in1k", "vit_small_patch16_224.dino", "file:missing", "file:..%2fx"],
)
def test_a_model_that_cannot_be_loaded_is_one_sentence(app, model, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    shown = app("rollout", model=model)
    if "%" in model:  # the link is not followed at all
        assert not shown.wrong and "model" in shown.at.warning[0].value
        return
    assert len(shown.wrong) == 1 and not shown.at.exception
    if model == "vit_small_patch16_224.dino":  # its weights need the network: what does not is offered
        assert {"random view", "embedded view"} <= {button.key for button in shown.at.button}
    assert not any(
        path in shown.wrong[0] for path in (str(Path.cwd()), str(Path.home()), str(Path(timm.__file__).parent))
    )
    shown.at.button(key="back view").click().run()
    assert not shown.wrong


def other_value(widget):
    """Another value that the widget can take."""
    kind = widget.type
    if kind == "slider":
        if isinstance(widget.value, (tuple, list)):
            low, high = widget.value
            return (low + 1, high - 1)
        return round(widget.value + (widget.step if widget.value < widget.max else -widget.step), 6)
    if kind == "number_input":
        return widget.value + (1 if widget.value < widget.max else -1)
    if kind == "toggle":
        return not widget.value
    options = list(range(len(widget.options)))
    return next(i for i in options if widget.options[i] != widget.value and i != widget.index)


def widgets(at):
    kinds = ("slider", "number_input", "toggle", "selectbox")
    return [
        (kind, widget.key) for kind in kinds for widget in getattr(at, kind) if str(widget.key).startswith("choice of")
    ]


@pytest.mark.parametrize("page", PLAIN)
def test_every_widget_moved(app, page):
    shown = app(page)
    for kind, key in widgets(shown.at):
        widget = getattr(shown.at, kind)(key=key)
        if kind == "selectbox":
            widget.select_index(other_value(widget)).run()
        else:
            widget.set_value(other_value(widget)).run()
        assert not shown.wrong, (key, shown.wrong)
        assert shown.parameters, f"{key} is in the link"
    for control in list(shown.at.segmented_control):
        if str(control.key).startswith("choice of") and control.key != "choice of size":
            again = shown.at.segmented_control(key=control.key)
            for value in again.options:
                shown.at.segmented_control(key=control.key).set_value(_read(again, value)).run()
                assert not shown.wrong, (control.key, value, shown.wrong)


def _read(control, label):
    """Options are listed by the words people see; values are what stands in links."""
    known = {}
    for table in (rollout.BOARDS, common.TILE_SCALE_OF, rollout.FUSIONS, rollout.OF_WHAT):
        known |= {shown: value for value, shown in table.items()}
    return known.get(getattr(label, "content", label), getattr(label, "content", label))


def test_input_size(app):
    shown = app("patches")
    shown.at.segmented_control(key="choice of size").set_value(336).run()
    assert not shown.wrong and shown.parameters == {"size": "336"}
    assert patches.SEQUENCE_TEXT.format(prefix=1, patches=576, tokens=577) in shown.text


def test_link_reopens_the_view(app):
    parameters = {"image": "cat", "layer": "3", "head": "2", "query": "r4c5", "alpha": "0.2", "of": "head"}
    shown = app("rollout", **parameters)
    assert not shown.wrong
    assert shown.parameters == parameters
    assert shown.at.number_input(key="choice of layer").value == 3
    assert shown.at.selectbox(key="choice of head").value == 2
    whole = app("rollout", **parameters | {"of": "model"})
    assert whole.at.slider(key="choice of alpha").value == pytest.approx(0.2)
    assert common.token("r4c5") in shown.text


def test_link_with_nonsense_opens_what_it_can(app):
    shown = app("rollout", layer="99", head="-1", query="<script>", image="cat", zebra="1")
    assert not shown.wrong
    assert shown.parameters == {"image": "cat"}
    warning = shown.at.warning[0].value
    assert "head" in warning and "<" not in warning


def test_link_to_somebody_elses_picture_shows_a_sample(app):
    shown = app("patches", image="upload")
    assert not shown.wrong and common.NO_UPLOAD in shown.text
    assert shown.parameters == {}


def test_unknown_sample_says_so(app):
    shown = app("patches", image="nothing")
    assert shown.wrong == [common.NO_SAMPLE]


def test_untrained_control_makes_no_prediction(app):
    shown = app("rollout", weights="random")
    assert not shown.wrong
    assert common.UNTRAINED in shown.text


@pytest.mark.long
def test_a_picture_of_none_of_the_classes_is_said_to_be(app):
    for image, uncertain in (("bricks", True), ("motorcycle", False)):
        assert (common.UNCERTAIN in prediction_of(app("patches", image=image, answer="shown"))) == uncertain
        assert journey_of(app("start", image=image))["answer"]["uncertain"] == uncertain


def test_the_model_page_shows_the_card_of_the_embedded_model_and_of_no_other(app):
    shown = app("model")
    assert not shown.wrong
    first = embedded.measured()[embedded.VIT]["accuracy"]["everyday"][0]
    assert f"{first['top1']:.1%}" in shown.text and "<!--" not in shown.text
    other = app("model", weights="random")
    assert not other.wrong
    assert f"{first['top1']:.1%}" not in other.text and "never trained" in other.text


def test_numbers_do_not_travel_inline(app):
    shown = app("rollout", image="coffee")
    components = shown.at.get("bidi_component")
    assert len(components) == 3
    assert all(0 < len(component.proto.json) < 2000 for component in components)


def test_what_an_unexpected_failure_says_is_neither_shown_nor_logged(app, monkeypatch, caplog):
    from vitviz.ui.pages.rollout import heads

    said = "secret path /srv/somebody"

    def broken(*_: object) -> None:
        raise RuntimeError(said) from ValueError(said)

    monkeypatch.setattr(heads, "head_maps", broken)
    shown = app("rollout", query="r9c9", image="koala")
    assert common.UNEXPECTED in shown.wrong and not any("secret" in sentence for sentence in shown.wrong)
    assert "secret" not in caplog.text
    assert "builtins.RuntimeError" in caplog.text and "in broken" in caplog.text and "ValueError" in caplog.text
    assert re.search(r"in .+, session [0-9a-f]{12}\b", caplog.text), "which session it was, without its whole name"
    assert any(sub.value.startswith("Sinks in") for sub in shown.at.subheader), "the rest of the page goes on"


@pytest.fixture
def own_sessions(monkeypatch):
    """Streamlit's test runner gives every app the same session id: here each has one of its own, as in a real server."""

    def current() -> session.Session:
        kept = st.session_state
        if "test session" not in kept:
            kept["test session"] = session.Session(secrets.token_hex(16), "")
        return kept["test session"]

    monkeypatch.setattr(session, "current", current)


@pytest.mark.usefixtures("own_sessions")
def test_two_sessions_with_different_uploads_never_meet(app):
    before = set(services.queue().results)
    one, two = upload(app("rollout"), jpeg(1)), upload(app("rollout"), jpeg(2))
    one.at.run()
    made = set(services.queue().results) - before
    private = [key for key in made if key.scope is not None]
    scopes = {key.scope for key in private}
    assert len(scopes) == 2
    images = {scope: {key.image for key in private if key.scope == scope} for scope in scopes}
    first, second = images.values()
    assert not first & second

    payloads = route.payloads()
    addresses = [
        {component.proto.json.split("/payload/")[1][:64] for component in each.at.get("bidi_component")}
        for each in (one, two)
    ]
    assert not addresses[0] & addresses[1]
    for scope in scopes:
        services.queue().forget(scope)
        payloads.forget(scope)
    assert not [key for key in services.queue().results if key.scope in scopes]
    assert all(payloads.fetch(name) is None for names in addresses for name in names)


@pytest.mark.usefixtures("own_sessions")
def test_the_same_upload_in_two_sessions_is_not_shared_either(app):
    before = set(services.queue().results)
    one, two = upload(app("patches"), jpeg(3)), upload(app("patches"), jpeg(3))
    assert not one.wrong and not two.wrong
    made = set(services.queue().results) - before
    traces = [key for key in made if key.what == "trace" and key.scope is not None]
    by_image: dict[str, set] = {}
    for key in traces:
        by_image.setdefault(key.image, set()).add(key.scope)
    assert max(len(scopes) for scopes in by_image.values()) == 2


@pytest.mark.long
def test_another_photograph_is_shown_whole(app):
    """What was hidden were parts of the former one; what else is switched in the model stays."""
    link = "hide_blur_3.4~heads_zero_0x1"
    shown = app("start", what=link)
    assert journey_of(shown)["mask"] == [3, 4]
    shown.at.selectbox(key="choice of image").set_value("coffee").run()
    assert not shown.wrong and journey_of(shown)["mask"] == [] and journey_of(shown)["image"] == "coffee"
    assert shown.parameters == {"image": "coffee", "what": "heads_zero_0x1"}
    shown = upload(app("start", what=link), jpeg(6))
    assert not shown.wrong and journey_of(shown)["mask"] == [] and journey_of(shown)["own"]
    for action in (Action("image", "coffee"), Action("upload", upload=SentPhotograph("holiday.jpg", jpeg(6), None))):
        changed = Mock()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(start.state, "value_of", lambda name: link)
            patch.setattr(start.state, "take_reports", lambda: None)
            patch.setattr(start.state, "change", changed)
            patch.setattr(start.images, "keep_upload", lambda *_, **__: True)
            start.act(action)
        changed.assert_called_once_with(what="heads_zero_0x1", image=action.name or "upload")


def test_hiding_is_answered_where_layers_cannot_be_read(app, monkeypatch):
    """Only the answer is known then: it is the changed model's, and the whole photograph's stands beside it."""

    def refused(_):
        raise UnsupportedError("no blocks in a row")

    monkeypatch.setattr(start_figure, "logit_lens", refused)
    hidden = Interventions((HidePatches(tuple(range(255)), "mean"),))
    answer = journey_of(app("start", image="koala", what=hidden.encode()))["answer"]
    model = vitviz.load_model("embedded")
    pixels = vitviz.prepare(model, load_sample("koala")).input
    with intervene(model, hidden) as changed:
        shares = trace_input(changed, pixels).logits.softmax(-1)
    best = int(shares.argmax())
    assert answer["bars"][-1][0]["name"] == model.labels[best]
    assert answer["bars"][-1][0]["length"] == pytest.approx(float(shares[best]), abs=1e-4)
    assert answer["whole"]["name"] == "koala" and not any(answer["bars"][:-1])


def test_nothing_is_shown_as_hidden_where_the_model_was_not_asked(app):
    shown = app("start", model="swin_tiny_patch4_window7_224", weights="random", what="hide_mean_3.4")
    assert not shown.wrong
    figure = journey_of(shown)
    assert not figure["hiding"] and figure["mask"] == []


@pytest.mark.parametrize("fill", ["mean", "blur", "removed"])
def test_holding_a_patch_on_the_start_page_leaves_how_patches_are_hidden(app, fill):
    """What the figure reports rewrites the link's changes: which way was chosen on "What if", and its other changes, stay."""
    link = f"hide_{fill}_3.4~heads_zero_0x1"
    changes = Interventions.decode(link)
    shown = app("start", what=link)
    figure = journey_of(shown)
    assert not shown.wrong and figure["mask"] == [3, 4]
    # What the model gets there is drawn: the picture's mean colour, a blurred picture, nothing.
    assert bool(figure["covered"]) == (fill == "blur") and bool(figure["fill"]) == (fill != "blur")
    if fill == "mean":
        seen = np.asarray(vitviz.prepare(vitviz.load_model("embedded"), load_sample("motorcycle")).shown, float)
        drawn = [int(figure["fill"][at : at + 2], 16) for at in (1, 3, 5)]
        np.testing.assert_allclose(drawn, seen.mean((0, 1)), atol=1.5)
    kept = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(start.state, "value_of", lambda name: link)
        patch.setattr(start.state, "change", lambda **values: kept.append(values))
        start.keep(JourneyView("r2c2", (3, 4)))
    assert [Interventions.decode(each["what"]) for each in kept] == [changes] and kept[0]["query"] == "r2c2"
