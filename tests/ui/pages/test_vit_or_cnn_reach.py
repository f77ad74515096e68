"""How far two networks see: fields and attention distances, of one photograph and over the gallery."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import vitviz
from tests.ui.pages.test_vit_or_cnn import PAGE, fetched, sent
from vitviz.analysis.perturbation import model_input
from vitviz.analysis.receptive_field import ReceptiveField
from vitviz.draw.objects import field_levels
from vitviz.figures.networks import distances_figure
from vitviz.models import load_cnn
from vitviz.samples import samples
from vitviz.ui.components.networks import MOST_PIXELS, fields_payload, pictures_payload
from vitviz.ui.compute import services
from vitviz.ui.pages.vit_or_cnn import reach
from vitviz.ui.pages.vit_or_cnn import text as words
from vitviz.ui.server.payloads import unpack


@pytest.mark.long
def test_the_distance_of_every_head_has_a_view_of_its_own(app, monkeypatch):
    drawn: list[np.ndarray] = []

    def noted(subject, distances, **how):
        drawn.append(distances)
        return distances_figure(subject, distances, **how)

    monkeypatch.setattr(reach, "distances_figure", noted)
    services.queue().results.clear()
    shown = app(PAGE, side_by_side="heads")
    assert not shown.wrong and not shown.at.get("bidi_component")
    layers = vitviz.trace(vitviz.load_model("embedded"), vitviz.load_sample("motorcycle")).layers
    own = np.stack([vitviz.attention_distance(layer).numpy() for layer in layers])
    np.testing.assert_allclose(drawn, own[None], rtol=1e-4)
    assert f"are {own[0].min():.0f} to {own[0].max():.0f} pixels" in shown.text


@pytest.mark.long
def test_the_mean_over_the_gallery_is_of_both_and_says_so(app, monkeypatch):
    """The fields are the pixels themselves here, so that it is known what each network was given."""
    photographs, vit = samples()[1:3], vitviz.load_model("embedded")

    def fields(model, pixels, **_):
        seen = pixels.abs().sum(0).numpy()
        return tuple(
            ReceptiveField(f"blocks.{i}", (7, 7), (3, 3), (112.0, 112.0), seen / seen.sum(), 100.0) for i in range(2)
        )

    monkeypatch.setattr(reach, "receptive_fields", fields)
    monkeypatch.setattr(reach, "samples", lambda: photographs)
    services.queue().results.clear()
    shown = app(PAGE, details=True, reach_of="gallery")
    assert not shown.wrong
    data = sent(shown)
    for model, side in zip((vit, load_cnn()), data["sides"], strict=True):
        expected = np.zeros((224, 224))
        for each in photographs:
            cut = np.asarray(vitviz.prepare(vit, vitviz.load_sample(each.id)).shown)
            seen = model_input(model, cut).abs().sum(0).numpy()
            expected += seen / seen.sum() / 2
        arrays, _ = fetched(side["url"])
        assert "picture" not in arrays and len(arrays["frames"]) == 2
        assert np.abs(arrays["frames"][0].astype(int) - field_levels(expected)).max() <= 1
    shown.at.session_state["code of receptive fields"] = True
    shown.at.run()
    (code,) = [each.value for each in shown.at.code]
    assert "for sample in samples()" in code and "load_image" not in code
    services.queue().results.clear()
    far = app(PAGE, side_by_side="heads", reach_of="gallery")
    traces = [vitviz.trace(vit, vitviz.load_sample(each.id)) for each in photographs]
    first = np.mean([vitviz.attention_distance(trace.layers[0]).numpy() for trace in traces], axis=0)
    assert not far.wrong and f"are {first.min():.0f} to {first.max():.0f} pixels" in far.text
    services.queue().results.clear()


def test_numbers_here_may_disagree_with_what_others_found():
    def row(*sides: float, size: int = 200) -> tuple[ReceptiveField, ...]:
        empty = np.zeros((size, size), np.float32)
        return tuple(
            ReceptiveField(f"stages.{i}", (7, 7), (3, 3), (100, 100), empty, side) for i, side in enumerate(sides)
        )

    def said(vit: tuple[ReceptiveField, ...], cnn: tuple[ReceptiveField, ...], weights: str = "embedded") -> str:
        two = [SimpleNamespace(model=SimpleNamespace(weights=weights), is_vit=each) for each in (True, False)]
        return reach.fields_words([vit, cnn], *two)

    near, shrinks = words.NEAR_FROM_THE_FIRST, words.GROWS_NOT.format(stage=words.STAGE.format(number=2))
    agrees = said(row(14, 120, 180), row(20, 60, 60.2, 90))
    assert agrees.endswith("90 after its last.")
    assert said(row(14, 60, 180), row(80, 90)).endswith(f"its last. {near}")
    assert said(row(14, 60, 180), row(80, 90, size=400)).endswith("its last."), "as a share of each picture"
    assert said(row(14, 120), row(20, 60, 50)).endswith(f"its last. {shrinks}")
    assert said(row(14, 60), row(80, 50), "random").endswith("its last."), "the claims are about trained networks"

    def heads(*distances: float, trained: bool = True) -> str:
        return reach.heads_words(np.array([*distances, np.nan]), 100.0, trained)

    assert heads(20, 90) == words.DISTANCES_HERE.format(low=20, high=90, even=100)
    assert heads(60, 90).endswith(words.HEADS_AGAINST["near"])
    assert heads(20, 40).endswith(words.HEADS_AGAINST["far"])
    assert heads(60, 90, trained=False) == words.DISTANCES_HERE.format(low=60, high=90, even=100)


def test_large_inputs_are_sent_smaller():
    side = 3 * MOST_PIXELS
    pictures = np.zeros((2, side, side, 3), np.uint8)
    pictures[1] = 200
    (picture,) = unpack(pictures_payload(pictures))[0].values()
    assert Image.open(io.BytesIO(picture.tobytes())).size == (MOST_PIXELS, 2 * MOST_PIXELS)
    gradient = np.zeros((side, side), np.float32)
    gradient[: side // 2] = 1
    field = ReceptiveField("blocks.0", (4, 4), (2, 2), (9.0, 9.0), gradient, 8.0)
    arrays, meta = unpack(fields_payload([field], None))
    assert arrays["frames"].shape == (1, MOST_PIXELS, MOST_PIXELS) and meta["pixels"] == [side, side]
    assert arrays["frames"][0, 0, 0] == 255 and arrays["frames"][0, -1, 0] == 0 and "picture" not in arrays


def test_levels_are_the_square_root_up_to_the_99th_percentile():
    gradient = np.zeros((10, 20))
    gradient[:, 1:] = np.linspace(1, 190, 190).reshape(10, 19)
    end = np.sort(gradient[gradient > 0])[[187, 188]]
    end = end[0] + 0.11 * (end[1] - end[0])  # 0.99 of 189 steps
    wanted = np.round(255 * np.sqrt(np.minimum(gradient / end, 1)))
    np.testing.assert_array_equal(field_levels(gradient), wanted)
    assert field_levels(np.zeros((3, 3))).max() == 0
