"""What pages ask of one photograph comes out of one pass."""

from __future__ import annotations

from tests.test_tracing import counted
from vitviz.ui.compute import loading, services
from vitviz.ui.controls import captions


def test_pages_ask_the_model_once_about_a_photograph(app):
    """Start, microscope, one head by hand, prediction and rollout: of one pass; other photographs' are not looked at."""
    services.queue().results.clear()  # other tests may have asked for the photograph
    app("start")  # what is found out of the model, once
    passes = {}
    for page in ("start", "patches", "microscope", "by_hand", "layers", "rollout", "prediction", "positions"):
        with counted(loading.embedded().module, "blocks.5") as runs:
            assert not app(page, image="coffee").wrong
        passes[page] = len(runs)
    assert passes.pop("start") == 1 and not any(passes.values())
    with counted(loading.embedded().module, "blocks.5") as runs:
        assert not app("what_if", image="coffee", what="hide_mean_3").wrong
    assert len(runs) == 1, "the changed pass alone: what it is compared with is known"


def test_the_first_visitor_waits_for_no_pass(app):
    services.queue().results.clear()
    captions.prepare_first_view(loading.embedded())
    with counted(loading.embedded().module, "blocks.5") as runs:
        assert not app("start").wrong
    assert not runs
