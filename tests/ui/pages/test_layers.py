"""The page of layers, and every other page, with models of windows, stages, pooled keys and class attention."""

from __future__ import annotations

import json

import pytest

from vitviz.ui.pages.layers import text as words
from vitviz.ui.pages.registry import pages
from vitviz.ui.text import common

SWIN, PVT, XCIT, CAIT = "swin_tiny_patch4_window7_224", "pvt_v2_b0", "xcit_nano_12_p16_224", "cait_xxs24_224"
NEEDS_ONE_GRID = [view.name for view in pages() if not view.any_model]


def figures_sent(shown) -> dict[str, dict]:
    """The data of each component on the page, by its alternative text's first words."""
    return {data["alt"]: data for data in (json.loads(x.proto.json) for x in shown.at.get("bidi_component"))}


def component(shown, begins: str) -> dict:
    return next(data for alt, data in figures_sent(shown).items() if alt.startswith(begins))


def layer_names(shown) -> list[str]:
    return list(shown.at.selectbox(key="choice of layer").options)


def test_swins_windows_are_drawn_where_they_are(app):
    shown = app("layers", model=SWIN, weights="random", layer="1", query="r30c40")
    assert not shown.wrong
    names = layer_names(shown)
    assert len(names) == 12 and names[1].startswith("Stage 0, layer 1: shifted windows, 56×56")
    assert names[-1].startswith("Stage 3, layer 11: all patches of the grid, 7×7")
    asks = component(shown, "The photograph with the layer's grid")
    assert (asks["rows"], asks["cols"], asks["chosen"]) == (56, 56, "r30c40")
    borders = asks["grid"]["borders"]
    assert sorted(line[0] for line in borders if line[0] == line[2]) == [3, 10, 17, 24, 31, 38, 45, 52]
    looks = component(shown, "attention weight")
    assert sorted(looks["grid"]["contour"]) == [[24, 38, 24, 45], [24, 38, 31, 38], [24, 45, 31, 45], [31, 38, 31, 45]]
    assert words.ASKS_TEXT["shifted windows"].format(query=common.token("r30c40").capitalize(), count=49) in shown.text


def test_a_layer_a_head_and_a_query_are_chosen_and_stay_in_the_link(app):
    shown = app("layers", model=SWIN, weights="random")
    shown.at.selectbox(key="choice of layer").select_index(6).run()
    shown.at.selectbox(key="choice of head").select_index(12).run()
    shown.at.segmented_control(key="choice of query of a layer").set_value("mean").run()
    assert not shown.wrong
    assert shown.parameters == {"model": SWIN, "weights": "random", "layer": "6", "head": "11", "query": "mean"}
    assert words.ASKS_MEAN in shown.text
    shown.at.selectbox(key="choice of layer").select_index(0).run()  # three heads only: the twelfth is put back
    assert not shown.wrong and shown.parameters.get("head") is None
    assert component(shown, "One small map for each of 3 heads")["chosen"] is None


def test_pooled_keys_have_their_own_grid(app):
    shown = app("layers", model=PVT, weights="random", layer="0", query="r10c20")
    assert not shown.wrong
    assert layer_names(shown)[0].startswith("Stage 0, layer 0: a grid of pooled keys, 56×56 on 7×7")
    assert component(shown, "The photograph with")["chosen"] == "r10c20"
    looks = component(shown, "attention weight")
    assert (looks["rows"], looks["cols"], looks["chosen"]) == (7, 7, "")


@pytest.mark.parametrize(("model", "layers"), [(XCIT, 2), (CAIT, 26)])
def test_class_attention_is_a_layer_of_its_own(app, model, layers):
    shown = app("layers", model=model, weights="random")
    assert not shown.wrong
    names = layer_names(shown)
    assert len(names) == layers and names[-1].startswith(f"Layer {layers - 1}: attention pooling over 14×14")
    assert words.COLLECTS.format(query=common.token("cls")) in shown.text


def test_attention_pooling_is_a_layer_of_its_own(app):
    shown = app("layers", model="test_vit3", weights="random")
    assert not shown.wrong
    assert layer_names(shown)[-1].split(":")[1].startswith(" attention pooling")


def test_a_model_of_one_grid_has_the_page_too(app):
    shown = app("layers", layer="7", head="2", query="r4c5")
    assert not shown.wrong and len(layer_names(shown)) == 12
    assert shown.parameters == {"layer": "7", "head": "2", "query": "r4c5"}
    # Every layer at once; the heads of one layer are the microscope's, and are not here again.
    board = component(shown, "One small map for each of 12 layers")
    assert board["shape"] == [3, 4] and board["chosen"] == [1, 3] and board["unit"] == "layer"
    assert not any("heads of layer" in alt for alt in figures_sent(shown))
    assert any(link.proto.page.endswith("microscope") for link in shown.at.main.get("page_link"))


@pytest.mark.parametrize("page", [view.name for view in pages() if view.any_model])
@pytest.mark.parametrize("model", [SWIN, XCIT])
@pytest.mark.long
def test_pages_for_every_model_open_with_it(app, page, model):
    shown = app(page, model=model, weights="random", query="r3c3")
    assert not shown.wrong
    if page == "start":
        figure = next(data for data in figures_sent(shown).values() if "gallery" in data)
        assert figure["answer"] is None and figure["silent"] == "untrained"
    else:
        assert common.UNTRAINED in shown.text


@pytest.mark.parametrize("page", NEEDS_ONE_GRID)
def test_pages_that_need_one_grid_say_why_and_lead_to_the_layers(app, page):
    shown = app(page, model=SWIN, weights="random")
    assert not shown.wrong
    said = shown.at.info[0].value
    assert "inside windows" in said and "{" not in said
    assert any(link.proto.page.endswith("layers") for link in shown.at.get("page_link"))


@pytest.mark.long
def test_a_model_whose_attention_is_a_difference_shows_what_it_has(app):
    """Two calls from one module look like two layers of one grid; the verdict knows that they are not."""
    shown = app("rollout", model="vit_dwee_patch16_reg1_gap_256", weights="random")
    assert not shown.wrong and "subtracts one attention map from another" in shown.at.info[0].value
    shown = app("layers", model="vit_dwee_patch16_reg1_gap_256", weights="random")
    assert not shown.wrong and "subtracts one attention map from another" in shown.at.info[0].value


@pytest.mark.long
def test_heads_folded_into_the_batch_are_heads_on_every_page(app):
    shown = app("rollout", model="samvit_base_patch16_224", weights="random")
    assert not shown.wrong and not shown.at.info


def test_heads_that_are_mixed_after_the_softmax_do_not_sum_to_one(app):
    shown = app("layers", model=CAIT, weights="random", layer="3")
    assert not shown.wrong and "do not sum to 1" in shown.text


def test_comparing_with_a_model_of_windows_is_refused_in_its_place(app):
    shown = app("compare", other_model=SWIN)
    assert len(shown.wrong) == 1
