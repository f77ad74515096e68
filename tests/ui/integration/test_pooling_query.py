"""Models whose output is read by a pooling query, or from several tokens: every page asks in layers that have the query."""

from __future__ import annotations

import numpy as np
import pytest

import vitviz
from vitviz.samples import load_sample, samples
from vitviz.ui.pages.rollout import text as words
from vitviz.ui.text import common

# A class token that nobody reads, three heads in each of 12 layers, eight in the pooling after them.
POOLS = {"model": "vit_pe_core_tiny_patch16_384", "weights": "random", "size": "64"}


@pytest.fixture(scope="module")
def trace():
    model = vitviz.load_model(POOLS["model"], weights="random", input_size=64)
    return vitviz.trace(model, load_sample(samples()[0].id))


@pytest.fixture
def boards(monkeypatch):
    """What the pages give to their boards: (maps, arguments)."""
    from vitviz.ui.components.heatmap import show_board
    from vitviz.ui.pages.rollout import heads
    from vitviz.ui.pages.what_if import interventions

    seen = []

    def kept(context, key, maps, scales, **given):
        seen.append((maps, given))
        show_board(context, key, maps, scales, **given)

    for module in (heads, interventions):
        monkeypatch.setattr(module, "show_board", kept)
    return seen


@pytest.mark.parametrize("head", ["", pytest.param("1", marks=pytest.mark.long), "7"])
@pytest.mark.parametrize("layer", ["", pytest.param("0", marks=pytest.mark.long), "12"])
def test_heads_that_are_switched_are_those_of_the_layers(app, boards, trace, layer, head):
    page = app("what_if", switch="heads", **POOLS, **{k: v for k, v in (("layer", layer), ("head", head)) if v})
    assert page.wrong == []
    maps, given = boards[-1]
    assert maps.shape[:2] == (12, 3)
    np.testing.assert_allclose(maps, vitviz.head_maps(trace, "mean"), atol=1e-6)
    assert given["paint"] is not None and "mean of patches" in given["alt"]


def test_the_board_of_a_pooling_query_is_the_layer_after_all_others(app, boards, trace):
    page = app("rollout", **POOLS, layer="12", head="7")
    assert page.wrong == []
    assert words.PAGE.lead.format(query="pooling query") in page.text
    maps, given = boards[-1]
    np.testing.assert_allclose(maps, vitviz.head_maps(trace, "pool"), atol=1e-6)
    assert given["names"].first == 12 and given["chosen"] == (0, 7)


@pytest.mark.parametrize("where", ["microscope", "rollout", "prediction", "compare", "layers", "by_hand", "positions"])
@pytest.mark.long
def test_every_page_opens_on_a_head_that_only_the_pooling_has(app, where):
    differs = {"differs": "layer"} if where == "compare" else {}
    page = app(where, **POOLS, **differs, layer="12", head="7")
    assert page.wrong == []


def test_both_tokens_of_a_distilled_model_are_named(app):
    page = app("rollout", model="deit_tiny_distilled_patch16_224", weights="random", size="64")
    assert page.wrong == []
    assert words.PAGE.lead.format(query="class token (50%) and distillation token (50%)") in page.text


def test_a_query_in_words():
    assert common.token("cls+dist") == "class token (50%) and distillation token (50%)"
    assert common.token("0.4*cls+0.6*mean") == "class token (40%) and mean of patches (60%)"
    assert common.token("r3c5") == "patch in row 3, column 5"
