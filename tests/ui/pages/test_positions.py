"""Positions in each model's own terms: added, turned, biased, or none."""

from __future__ import annotations

import json

import pytest

from vitviz.ui.pages.positions import text as words

SWIN, MIXED = "swin_tiny_patch4_window7_224", "vit_small_patch16_rope_mixed_224"


def components(shown) -> list[dict]:
    return [json.loads(component.proto.json) for component in shown.at.get("bidi_component")]


@pytest.mark.parametrize(
    ("model", "present", "absent"),
    [
        ("vit_tiny_patch16_224", [words.ATLAS], [words.ROTARY_KERNEL, words.RELATIVE_HEADS]),
        ("eva02_tiny_patch14_224", [words.ATLAS, words.ROTARY_KERNEL], [words.RELATIVE_HEADS]),
        pytest.param(MIXED, [words.ROTARY_KERNEL], [words.ATLAS, words.RELATIVE_HEADS], marks=pytest.mark.long),
        pytest.param(SWIN, [words.RELATIVE_HEADS], [words.ATLAS, words.ROTARY_KERNEL], marks=pytest.mark.long),
        pytest.param(
            "vit_relpos_small_patch16_224",
            [words.RELATIVE_HEADS],
            [words.ATLAS, words.ROTARY_KERNEL],
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_model_is_shown_in_its_own_terms(app, model, present, absent):
    shown = app("positions", model=model, weights="random")
    assert not shown.wrong
    assert all(each in shown.text for each in present) and not any(each in shown.text for each in absent)
    formulas = {words.ATLAS: "**Added.**", words.ROTARY_KERNEL: "**Rotated", words.RELATIVE_HEADS: "**Biased"}
    assert {each for each, formula in formulas.items() if formula in shown.text} == set(present)


def test_a_model_without_positions_says_so(app):
    shown = app("positions", model="pvt_v2_b0", weights="random")
    assert not shown.wrong and [info.value for info in shown.at.info] == [words.NONE]


@pytest.mark.long
def test_a_bias_on_content_too_is_no_map_over_displacements(app):
    shown = app("positions", model="mvitv2_tiny", weights="random")
    assert not shown.wrong and words.NONE in [info.value for info in shown.at.info]


@pytest.mark.long
def test_position_parameters_that_are_no_vector_a_patch_are_named(app):
    """TNT's first attention is between the pixels of each patch; its positions of patches join later."""
    shown = app("positions", model="tnt_s_legacy_patch16_224", weights="random")
    (said,) = [info.value for info in shown.at.info]
    assert not shown.wrong and "patch" in said and said != words.NONE and "pixel" in said


def test_biases_of_another_layer_and_head(app):
    shown = app("positions", model=SWIN, weights="random", bias_head="2")
    shown.at.selectbox(key="choice of bias_layer").select_index(4).run()
    assert not shown.wrong
    assert shown.parameters == {"model": SWIN, "weights": "random", "bias_layer": "4", "bias_head": "2"}
    board, one = components(shown)
    assert one["marks"] == [[6, 6]] and one["places"][1] == [
        *(f"−{at}" for at in range(6, 0, -1)),
        "0",
        *(f"+{at}" for at in range(1, 7)),
    ]
    assert board["alt"].startswith("One small map for each of 12 heads of layers.2.blocks.0.attn")
    assert one["above"] == "head 2", "in the height of the board's numbers"
    assert board["chosen"] == [0, 2] and board["places"][0] == list(range(-6, 7))
    assert words.RELATIVE_HEAD.format(head=2) in shown.text


def test_a_learned_rotary_table_has_layers_and_heads(app):
    shown = app("positions", model=MIXED, weights="random", query="r2c3")
    first = components(shown)[0]
    shown.at.number_input(key="choice of turned_head").set_value(4).run()
    shown.at.number_input(key="choice of turned_layer").set_value(7).run()
    assert not shown.wrong
    second = components(shown)[0]
    assert first["chosen"] == second["chosen"] == "r2c3" and first["heat"]["url"] != second["heat"]["url"]
    assert shown.parameters["turned_layer"] == "7" and shown.parameters["turned_head"] == "4"
    shown.at.number_input(key="choice of query row rotary").set_value(5).run()
    assert not shown.wrong and shown.parameters["query"] == "r5c3"
