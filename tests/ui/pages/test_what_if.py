"""The page on interventions: every section, every switch, and numbers that are those of `vitviz.intervene`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import vitviz
from vitviz.analysis.features import FeatureMaps
from vitviz.analysis.interventions import (
    ChangePositions,
    CutTokens,
    HidePatches,
    Intervention,
    Interventions,
    ShufflePatches,
    SwitchOffHeads,
    SwitchOffLayers,
)
from vitviz.analysis.interventions.base import KINDS
from vitviz.analysis.localization import token_cut
from vitviz.samples import load_sample
from vitviz.tokens import TokenLayout
from vitviz.ui.components.heatmap import Paint
from vitviz.ui.controls import edits
from vitviz.ui.pages.registry import pages
from vitviz.ui.pages.what_if import interventions
from vitviz.ui.pages.what_if import page as what_if_page
from vitviz.ui.pages.what_if import text as words
from vitviz.ui.params import PARAMS
from vitviz.ui.text import common

LAYOUT = TokenLayout(("cls", "reg0"), (4, 4), (16, 16))
HALF = "hide_mean_0-127"


@pytest.fixture(scope="module")
def model():
    return vitviz.load_model("embedded")


@pytest.fixture(scope="module")
def image():
    return load_sample("motorcycle")


def metric(page) -> tuple[str, str]:
    return page.at.metric[0].value, page.at.metric[0].delta


def changed_share(model, image, given: Interventions, **means) -> float:
    index = int(vitviz.trace(model, image).logits.argmax())
    with vitviz.intervene(model, given, **means) as changed:
        return float(vitviz.trace(changed, image).logits.softmax(-1)[index])


@pytest.mark.parametrize("section", list(words.SECTIONS))
def test_every_section_opens(app, section):
    page = app("what_if", switch=section)
    assert page.wrong == []
    assert words.PAGE.question in page.text
    assert [each.delta for each in page.at.metric] == ([] if section in ("worth", "sinks") else [words.UNCHANGED])


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(HALF, marks=pytest.mark.long),
        pytest.param("hide_blur_40-80", marks=pytest.mark.long),
        "hide_removed_40-80",
        pytest.param("shuffle_0~positions_zero", marks=pytest.mark.long),
        pytest.param("positions_shuffle_0", marks=pytest.mark.long),
        pytest.param("heads_zero_0x3.11x2", marks=pytest.mark.long),
        pytest.param("layers_4.7", marks=pytest.mark.long),
        pytest.param("cut_0.5_all", marks=pytest.mark.long),
        pytest.param("cut_100_3.4", marks=pytest.mark.long),
        "hide_mean_3~shuffle_2~positions_zero~heads_zero_1x1~layers_5~cut_9_all",
    ],
)
def test_the_number_on_the_page_is_the_one_of_python(app, model, image, what):
    page = app("what_if", what=what, switch="order")
    assert page.wrong == []
    before = float(vitviz.trace(model, image).logits.softmax(-1).max())
    after = changed_share(model, image, Interventions.decode(what))
    value, delta = metric(page)
    assert value == words.SHARE.format(share=after)
    assert delta == words.POINTS.format(points=100 * (after - before))


@pytest.mark.long
def test_a_head_at_its_mean_over_the_gallery(app, model, image):
    from vitviz.samples import samples

    page = app("what_if", what="heads_mean_0x0.0x1.1x2", switch="heads")
    assert page.wrong == []
    gallery = (vitviz.prepare(model, vitviz.load_sample(each.id)).input for each in samples())
    means = vitviz.head_means(model, gallery)
    assert words.MEANS_OF.format(images=len(samples()), digest=means.digest) in page.text
    after = changed_share(model, image, Interventions.decode("heads_mean_0x0.0x1.1x2"), head_means=means)
    assert metric(page)[0] == words.SHARE.format(share=after)


def test_each_change_is_listed_and_undone_alone(app):
    page = app("what_if", what="hide_mean_3-5~layers_4")
    assert "motorbike" not in page.text + page.at.metric[0].label, "the answer waits to be asked for"
    labels = [button.label for button in page.at.button]
    assert words.HIDE_LINE["mean"].format(count="3 patches") in labels
    assert words.LAYERS_LINE.format(names="4") in labels
    page.at.button(key="undo 0").click().run()
    assert page.wrong == []
    assert page.parameters["what"] == "layers_4"
    page.at.button(key="undo everything").click().run()
    assert "what" not in page.parameters
    assert metric(page)[1] == words.UNCHANGED


def test_switches_reach_the_link(app):
    page = app("what_if", switch="order")
    page.at.toggle(key="switch shuffle").set_value(True).run()
    page.at.segmented_control(key="switch positions").set_value("zero").run()
    assert page.wrong == []
    assert page.parameters["what"] == "shuffle_0~positions_zero"
    page = app("what_if", switch="hide", what="hide_mean_3")
    page.at.segmented_control(key="switch hide by").set_value("removed").run()
    assert page.parameters["what"] == "hide_removed_3"


def test_all_patches_removed_is_one_sentence(app):
    page = app("what_if", what="hide_removed_0-255")
    assert common.IMPOSSIBLE in page.wrong
    assert not page.at.exception
    page.at.button(key="undo everything").click().run()
    assert page.wrong == []


def test_a_link_that_asks_for_too_much_is_passed_over(app):
    pages()  # declares the parameter
    for what in ("hide_mean_0-100000", "explode_3", "layers_" + "1." * 5000):
        with pytest.raises(ValueError, match=r"more interventions|is not an intervention"):
            PARAMS["what"].read(what)
    page = app("what_if", what="hide_mean_0-100000")
    assert "what" in page.at.warning[0].value
    page = app("what_if", what="layers_4.90")  # another model had that layer
    assert page.wrong == []
    assert words.LAYERS_LINE.format(names="4") in [button.label for button in page.at.button]


@pytest.mark.long
def test_heads_are_weighed_on_a_button(app, model, image):
    from vitviz.analysis.head_importance import correlation_with_confidence, head_confidence, head_importance

    page = app("what_if", switch="worth", size="98")  # 49 patches: a pass for each of 72 heads
    assert "rank correlation" not in page.text
    next(button for button in page.at.button if button.label == words.WORTH_RUN).click().run()
    assert page.wrong == []
    model = vitviz.resized(model, (98, 98))
    trace = vitviz.trace(model, image)
    question = vitviz.Question(model, trace.input, vitviz.ClassLogit(int(trace.logits.argmax())))
    together = correlation_with_confidence(head_importance(question).likelihood_drop, head_confidence(trace))
    assert f"(rank correlation {together:.2f})".replace("-", "\N{MINUS SIGN}") in page.text


@pytest.mark.long
def test_lower_thresholds_find_more_tokens(app):
    page = app("what_if", switch="sinks", weights="random", norm_times="20", mass_times="50")
    assert page.wrong == []
    assert words.SINK_NONE in page.text  # untrained attention is even: nothing stands out
    page = app("what_if", switch="sinks", norm_times="1.5", mass_times="2")
    assert page.wrong == []
    assert words.SINK_NONE not in page.text
    next(button for button in page.at.button if button.label == words.SINK_CUT).click().run()
    assert page.wrong == []
    assert page.parameters["switch"] == "cut"
    assert page.parameters["what"].startswith("cut_")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("vit_small_patch14_dinov2", "98"),  # its own size has 1,370 tokens
        ("vit_tiny_patch16_224.augreg_in21k", "0"),
        ("deit3_small_patch16_224", "0"),
    ],
)
@pytest.mark.long
def test_other_models_answer_in_their_own_terms(app, name, size):
    page = app("what_if", details=True, model=name, size=size, weights="random", what="hide_mean_3-5~heads_zero_0x1")
    assert page.wrong == []
    assert words.MAP_TITLES["after"] in page.text


def test_object_and_background_are_hidden_by_buttons(app, model, image):
    page = app("what_if")
    keys = FeatureMaps(vitviz.trace(model, image).layers, (), model.layout).facet("key")
    inside = tuple(int(patch) for patch in np.flatnonzero(token_cut(keys).mask))
    page.at.button(key=common.HIDE_OBJECT).click().run()
    assert page.wrong == []
    assert Interventions.decode(page.parameters["what"]).items == (HidePatches(inside),)
    page.at.button(key=common.HIDE_BACKGROUND).click().run()
    rest = tuple(sorted({*range(256)} - {*inside}))
    assert Interventions.decode(page.parameters["what"]).items == (HidePatches(rest),)
    assert page.at.button(key=common.HIDE_BACKGROUND).disabled
    page.at.button(key=common.HIDE_NOTHING).click().run()
    assert "what" not in page.parameters


@pytest.mark.long
def test_code_makes_the_same_answer(model, image, tmp_path):
    from vitviz.figures.interventions import intervention_snippet
    from vitviz.figures.traced_image import TracedImage

    trace = vitviz.trace(model, image)
    path = tmp_path / "photo.png"
    image.save(path)
    subject = TracedImage(model, vitviz.prepare(model, image), trace, "", str(path))
    given = Interventions.decode("hide_mean_3-60~heads_zero_0x3~cut_0_all")
    found: dict[str, object] = {}
    exec(intervention_snippet(subject, given, "heatmap = vitviz.rollout(trace, query='cls')"), found)
    with vitviz.intervene(model, given) as changed:
        expected = vitviz.trace(changed, image)
    torch.testing.assert_close(found["after"].logits, expected.logits)
    np.testing.assert_allclose(found["heatmap_after"].values, vitviz.rollout(expected, "cls").values, rtol=1e-4)


def test_what_the_changed_model_sees(model, image):
    from vitviz.figures.interventions import seen_picture
    from vitviz.figures.traced_image import TracedImage

    subject = TracedImage(model, vitviz.prepare(model, image), vitviz.trace(model, image))
    shown = np.asarray(subject.prepared.shown).astype(int)
    np.testing.assert_allclose(np.asarray(seen_picture(subject, Interventions())).astype(int), shown, atol=1)
    hidden = np.asarray(seen_picture(subject, Interventions.decode("hide_mean_0"))).astype(int)
    assert np.ptp(hidden[:14, :14].reshape(-1, 3), axis=0).max() <= 1  # one colour
    np.testing.assert_allclose(hidden[32:], shown[32:], atol=1)
    moved = np.asarray(seen_picture(subject, Interventions.decode("shuffle_0"))).astype(int)
    assert np.abs(moved - shown).mean() > 5
    np.testing.assert_allclose(np.sort(moved.ravel()), np.sort(shown.ravel()), atol=1)


def test_edits_keep_one_of_each_kind_in_the_order_in_which_they_act():
    given = edits.set_layers(Interventions(), (4,))
    given = edits.hide(given, (3, 1), "blur")
    given = edits.set_cut(given, (0,), None)
    given = edits.set_shuffle(given, 2)
    assert given.encode() == "hide_blur_1.3~shuffle_2~layers_4~cut_0_all"
    given = edits.hide(given, (5,), "mean")
    assert given.items[0] == HidePatches((5,), "mean")
    assert edits.hide(given, (), "mean").encode() == "shuffle_2~layers_4~cut_0_all"
    assert edits.without(given, given.items[1]).encode() == "hide_mean_5~layers_4~cut_0_all"
    assert edits.set_positions(Interventions(), "shuffle").items == (ChangePositions("shuffle"),)
    assert edits.set_shuffle(given, None).encode() == "hide_mean_5~layers_4~cut_0_all"


def test_what_a_model_does_not_have_is_left_out():
    given = Interventions(
        (
            HidePatches((3, 99)),
            ShufflePatches(1),
            SwitchOffHeads(((0, 2), (1, 2), (9, 0))),
            SwitchOffLayers((7,)),
            CutTokens((17, 18), (0, 5)),
        )
    )
    fitted = edits.fitting(given, LAYOUT, (3, 2))
    assert fitted.encode() == "hide_mean_3~shuffle_1~heads_zero_0x2~cut_17_0"


def test_a_brush_believes_only_cells_of_its_own_grid():
    received: list[tuple[int, ...]] = []
    paint = Paint((), "", received.append)
    for report in ([3, 1, 3], [16], [-1], [True], "r1c1", None, [1.5], []):
        paint.receive(report, 16)
    assert received == [(1, 3), ()]


def test_every_kind_of_intervention_has_a_sentence_and_every_section_its_controls():
    kinds = [kind for kind in KINDS.values() if kind.__module__.startswith("vitviz.")]
    assert len(kinds) >= 6
    plain = interventions.sentence.dispatch(Intervention)
    assert [kind.__name__ for kind in kinds if interventions.sentence.dispatch(kind) is plain] == []
    pages()
    assert set(PARAMS["switch"].options) == set(words.SECTIONS) == {*what_if_page.SWITCHES, *what_if_page.INSPECTIONS}


def test_only_positions_that_the_model_adds_can_be_changed(app):
    """The second turns queries and keys, and adds nothing to its patches."""
    for model, added in (("vit_tiny_patch16_224", True), ("vit_small_patch16_rope_mixed_224", False)):
        shown = app("what_if", model=model, weights="random", switch="order")
        assert not shown.wrong
        assert (words.POSITIONS in [each.label for each in shown.at.get("button_group")]) == added
        assert ("shuffle the positions" in shown.text) == added
