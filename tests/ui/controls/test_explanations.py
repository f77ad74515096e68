"""What is computed once: heavy answers about the gallery, before anybody asks; what is true of a model; drawn figures."""

from __future__ import annotations

import time

from streamlit.elements.lib import image_utils

from tests.ui.pages.test_pages import jpeg, upload
from vitviz.figure import Figure
from vitviz.samples import samples
from vitviz.ui.compute import ComputeQueue, Results, loading, services
from vitviz.ui.controls import explanations, facts
from vitviz.ui.selection import Selection


def test_what_was_prepared_for_the_gallery_is_what_pages_ask_for(app, monkeypatch):
    """With nothing prepared the pages compute it; afterwards they find all of it, as anybody else would."""
    model = loading.model_of(Selection(model="test_vit", weights="random"))
    monkeypatch.setattr(explanations, "samples", lambda: samples()[:1])
    queue = ComputeQueue(Results(10**9, 1000), linger=0.0, idle=0.1)
    monkeypatch.setattr(services, "queue", lambda: queue)
    explanations.prepare_gallery(model)
    assert queue.under_way()
    until = time.monotonic() + 60
    while queue.under_way() and time.monotonic() < until:
        time.sleep(0.01)
    assert not queue.under_way()
    asked: list[str] = []
    real = queue.submit
    monkeypatch.setattr(queue, "submit", lambda key, *given: asked.append(key.what) or real(key, *given))
    for page, parameters in (
        ("prediction", {"part": "trust", "tested": "now"}),
        ("what_if", {"switch": "worth", "weighed": "now"}),
    ):
        shown = app(page, model="test_vit", weights="random", **parameters)
        assert not shown.wrong
    assert "trace" in asked
    assert not {"explanation", "faithfulness", "head importance"} & set(asked)


def test_a_figure_is_drawn_once_and_nothing_is_encoded_again_in_later_runs(app, monkeypatch):
    made, draw, encode = [], Figure.image, image_utils._pil_to_bytes

    def counted(picture, *given, **more):
        made.extend([picture] if picture.size != (64, 64) else ())  # the page's icon is small
        return encode(picture, *given, **more)

    monkeypatch.setattr(Figure, "image", lambda figure: made.append(figure) or draw(figure))
    monkeypatch.setattr(image_utils, "_pil_to_bytes", counted)
    shown = upload(app("patches"), jpeg(1))
    made.clear()
    assert not upload(shown, jpeg(2)).wrong
    assert {type(each) for each in made} == {Figure} and len({id(each) for each in made}) == len(made)
    made.clear()
    assert not shown.at.run().exception and not made


def test_what_is_true_of_a_model_is_found_out_once_for_all_pictures(app, monkeypatch):
    services.queue().results.clear()
    asked = []
    real = facts.position_kinds
    monkeypatch.setattr(facts, "position_kinds", lambda *given: asked.append(1) or real(*given))
    shown = app("positions")
    for number in (3, 4):
        assert not upload(shown, jpeg(number)).wrong
    assert asked == [1]
