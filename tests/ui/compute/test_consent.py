"""A run that takes long is not started before somebody has agreed to its cost, and stops between layers when called off."""

from __future__ import annotations

import threading

import pytest
import torch

from tests.ui.integration.test_pages import jpeg, upload
from vitviz.capture import cost
from vitviz.errors import Cancelled
from vitviz.models import load_model
from vitviz.tracing import trace_input
from vitviz.ui import context
from vitviz.ui.compute import ComputeQueue, Key, Results, consent, loading, services
from vitviz.ui.selection import Selection
from vitviz.ui.text import common as words


@pytest.fixture
def runs(monkeypatch):
    """Input sizes of the passes that were made. Whatever has over 500 tokens counts as long: 336 pixels, and not 224."""
    made: list[tuple[int, int]] = []
    real = context.traced_with_hidden_states

    def counted(prepared, *given):
        made.append(prepared.model.input_size)
        return real(prepared, *given)

    monkeypatch.setattr(context, "traced_with_hidden_states", counted)
    monkeypatch.setattr(consent, "WORTH_COUNTING", 500)
    monkeypatch.setattr(consent, "ASK_SECONDS", 0.0)
    return made


def asked(shown) -> list[str]:
    return [warning.value for warning in shown.at.warning if words.COST.partition("{")[0] in warning.value]


def test_a_long_run_waits_for_an_answer_and_asks_once(app, runs):
    shown = upload(app("rollout", size="336"), jpeg(1))
    runs.clear()  # the photograph of the gallery may have been asked about too, and was not run either
    assert not shown.wrong
    (question,) = asked(shown)
    assert "336 x 336 pixels" in question and "577 tokens" in question and "estimate" in question
    shown.at.button(key="go on view").click().run()
    assert runs == [(336, 336)]
    assert not asked(shown) and not shown.wrong
    upload(shown, jpeg(2))
    assert runs == [(336, 336)] * 2
    assert not asked(shown)


def test_the_models_own_size_is_a_way_out(app, runs):
    shown = upload(app("patches", size="336"), jpeg(3))
    runs.clear()
    assert asked(shown)
    shown.at.button(key="own size view").click().run()
    assert not asked(shown) and not shown.wrong
    assert runs == [(224, 224)]
    assert "size" not in shown.parameters


def test_nobody_is_asked_about_what_is_quick(app, runs, monkeypatch):
    monkeypatch.setattr(consent, "ASK_SECONDS", 1e9)
    shown = upload(app("patches", size="336"), jpeg(4))
    assert not asked(shown) and (336, 336) in runs


@pytest.mark.parametrize("limit", ["memory", "room"])
def test_what_cannot_be_had_is_refused_with_a_reason(app, runs, monkeypatch, limit):
    if limit == "memory":
        monkeypatch.setattr(cost, "free_memory", lambda _: 1_000_000)
    else:
        monkeypatch.setattr(services, "RESULT_BYTES", 1_000_000)
    shown = upload(app("patches", size="336"), jpeg(5))
    assert not asked(shown) and runs == []
    assert "smaller input size" in shown.wrong[0]


WORK = [
    ("prediction", {"part": "methods", "slow": "now"}, "go on method occlusion"),
    ("prediction", {"part": "trust", "tested": "now"}, "go on test"),
    ("prediction", {"part": "trust", "forget": "now"}, "go on sanity"),
    ("what_if", {"switch": "worth", "weighed": "now"}, None),
]


@pytest.mark.parametrize(("page", "link", "button"), WORK)
@pytest.mark.long
def test_a_pages_own_long_work_is_asked_about_even_where_a_link_asks_for_it(app, monkeypatch, page, link, button):
    monkeypatch.setattr(
        consent, "WORTH_COUNTING_OPERATIONS", 1e8
    )  # a pass of the tiny model is less, 50 of them are more
    monkeypatch.setattr(consent, "ASK_WORK_SECONDS", 0.0)
    shown = app(page, model="test_vit", weights="random", **link)
    questions = [
        warning.value for warning in shown.at.warning if "forward passes of test_vit at 160 x 160" in warning.value
    ]
    assert questions and not shown.wrong
    button = button or next(each.key for each in shown.at.button if each.key.startswith("go on"))
    shown.at.button(key=button).click().run()
    left = [warning.value for warning in shown.at.warning if "forward passes" in warning.value]
    assert len(left) == len(questions) - 1 and not shown.wrong


def test_a_pages_own_work_is_asked_about_where_it_takes_more_than_a_minute(monkeypatch):
    monkeypatch.setattr(consent.state, "selection", Selection)
    model = load_model("test_vit", weights="random")
    seconds = cost.estimate(model.module, model.input_size).seconds
    consent.require_passes(model, 59 / seconds, "work")
    with pytest.raises(consent.ConsentRequired):
        consent.require_passes(model, 61 / seconds, "work")


def test_quick_work_is_not_asked_about(app):
    shown = app("prediction", model="test_vit", weights="random", part="methods", slow="now")
    assert not shown.at.warning and not shown.wrong


def test_the_largest_sizes_offered_are_asked_about(app, monkeypatch):
    """With nothing changed: 148 x 148 patches are a question on any machine, because of what they keep."""
    monkeypatch.setattr(context, "traced_with_hidden_states", lambda *_: pytest.fail("the pass ran"))
    monkeypatch.setattr(cost, "free_memory", lambda _: None)
    shown = app("start", size="2072")
    assert not shown.wrong
    assert "21,905 tokens" in asked(shown)[0]


def test_called_off_between_layers_and_the_model_is_as_it_was():
    model = loading.embedded()
    pixels = torch.randn(3, *model.input_size)
    before = trace_input(model, pixels).logits
    queue = ComputeQueue(Results(10_000_000, 8), linger=0.0, idle=0.1)
    begun, left = threading.Event(), threading.Event()
    received: list[int] = []

    def work(progress):
        def each(done: int, layers: int) -> None:
            received.append(done)
            if done == 3:
                begun.set()
                assert left.wait(10)
            progress.report(done / layers)

        return trace_input(model, pixels, progress=each)

    ticket = queue.submit(Key("trace", "embedded", "w"), "run", work)
    assert begun.wait(30)
    assert ticket.fraction == 2 / 12
    ticket.cancel()
    left.set()
    with pytest.raises(Cancelled):
        ticket.result(30)
    assert received == [1, 2, 3]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.module.modules())
    assert torch.equal(trace_input(model, pixels).logits, before)
