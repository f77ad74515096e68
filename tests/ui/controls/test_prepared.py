"""Heavy answers about the gallery's photographs, computed before anybody asks."""

from __future__ import annotations

from vitviz.samples import samples
from vitviz.ui.compute import ComputeQueue, Results, loading, services
from vitviz.ui.controls import questions
from vitviz.ui.selection import Selection


def test_what_was_prepared_for_the_gallery_is_what_pages_ask_for(app, monkeypatch):
    """With nothing prepared the pages compute it; afterwards they find all of it, as anybody else would."""
    model = loading.model_of(Selection(model="test_vit", weights="random"))
    monkeypatch.setattr(questions, "samples", lambda: samples()[:1])
    queue = ComputeQueue(Results(10**9, 1000), linger=0.0, idle=0.1)
    monkeypatch.setattr(services, "queue", lambda: queue)
    questions.prepare_gallery(model)
    (job,) = queue._jobs.values()
    assert job.finished.wait(60) and job.error is None
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
