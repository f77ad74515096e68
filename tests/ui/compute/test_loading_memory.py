"""Models in memory: asked about before they are loaded, loaded once, and let go of."""

from __future__ import annotations

import gc
import threading
import weakref
from collections import Counter

import pytest
import torch

from vitviz.analysis.methods import explain_all
from vitviz.analysis.question import Question
from vitviz.analysis.targets import ClassLogit
from vitviz.capture import cost
from vitviz.models import load_model
from vitviz.ui.compute import ComputeQueue, Key, Results, consent, loading, services
from vitviz.ui.compute.results import size_of
from vitviz.ui.controls.targets import SharedPasses
from vitviz.ui.pages.registry import pages
from vitviz.ui.selection import Selection
from vitviz.ui.server import session

TINY = {"model": "test_vit", "weights": "random"}


class Loads:
    """Which models `load_model` was asked for, and weak references to their modules."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.modules: list[weakref.ref[torch.nn.Module]] = []

    def __call__(self, name, **given):
        model = load_model(name, **given)
        self.names.append(name)
        self.modules.append(weakref.ref(model.module))
        return model


@pytest.fixture
def loads(monkeypatch) -> Loads:
    """Stores of one's own, and every model that is loaded."""
    queue = ComputeQueue(Results(services.RESULT_BYTES, services.RESULT_ENTRIES), idle=0.05)
    models = ComputeQueue(Results(services.MODEL_BYTES, services.MODEL_ENTRIES, weakly=True), idle=0.05)
    copies = ComputeQueue(Results(services.COPY_BYTES, services.COPY_ENTRIES, weakly=True), idle=0.05)
    for name, made in (("queue", queue), ("models", models), ("copies", copies)):
        monkeypatch.setattr(services, name, lambda made=made: made)
    # `gc.collect` does nothing while another thread collects. The sessions' thread does every few seconds, and lets others run
    # in between where Python code is called back, as Hypothesis has it.
    monkeypatch.setattr(session.Sessions, "collect", lambda sessions: None)
    counted = Loads()
    monkeypatch.setattr(loading, "load_model", counted)
    return counted


def test_no_result_keeps_a_model_alive(app, loads):
    """Every page, one photograph fitted in its shape as well; then the model leaves its store, and the results stay."""
    shown = app(**TINY)
    for view in pages():
        shown = app(
            view.name, **TINY, what="heads_mean_0x0~hide_mean_3-5", part="methods", slow="now", compared="rollout"
        )
        assert not shown.at.exception
    app("what_if", **TINY, switch="sinks")
    app("rollout", **TINY, framing="fit")
    del shown
    assert loads.modules
    assert len(services.queue().results) > 40
    for each in range(services.MODEL_ENTRIES):  # others come, and drive it out
        services.models().results.put(Key("model", f"other {each}", ""), Named())
    gc.collect()
    alive = [module() for module in loads.modules if module() is not None]
    assert not alive, holders(alive)
    assert len(services.queue().results) > 40


def holders(held: list[object]) -> list[Counter[str]]:
    """The types of what refers to it, of what refers to that, and so on."""
    found = []
    for _ in range(4):
        held = [each for each in gc.get_referrers(*held) if not isinstance(each, list)]
        found.append(Counter(type(each).__name__ for each in held))
    return found


class Named:
    """A small value that can be referred to weakly."""


@pytest.mark.parametrize("side", [224, 448])
@pytest.mark.long
def test_what_passes_of_a_question_take_is_counted_as_they_are_made(side):
    model = load_model("vit_tiny_patch16_224", weights="random", input_size=side)
    question = Question(model, torch.randn(3, side, side), ClassLogit(3))
    shared = SharedPasses()
    results = Results(10**9, 10)
    results.put(key := Key("passes", "m", "w"), shared)
    assert results.nbytes < 1000
    explain_all(question, ["attention", "relevance", "gradcam"])
    shared.made.update(question.passes)
    results.measure(key)
    # q, k, v and the gradient of every layer, q and k of its trace, the states between blocks: (tokens, width) each
    tokens, width, layers = (side // 16) ** 2 + 1, 192, 12
    one = 4 * tokens * width
    assert 6 * layers * one < results.nbytes < 16 * layers * one
    assert results.nbytes == size_of(shared) == held(shared.made)
    parameters = {parameter.untyped_storage()._cdata for parameter in model.module.parameters()}
    assert not parameters & {tensor.untyped_storage()._cdata for tensor in tensors(shared.made)}, "no weight is kept"


def tensors(value) -> list[torch.Tensor]:
    """Every tensor that can be reached, found by the garbage collector and not by what we know of the classes."""
    found, seen, waiting = [], set(), [value]
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, type | str | bytes) or callable(each):
            continue
        seen.add(id(each))
        if isinstance(each, torch.Tensor):
            found.append(each)
        else:
            waiting += gc.get_referents(each)
    return found


def held(value) -> int:
    storages = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors(value)}
    rest = size_of(value) - sum(storages.values())
    assert 0 <= rest < 50_000, "names and numbers beside the tensors"
    return sum(storages.values()) + rest


@pytest.mark.long
def test_sizes_of_a_shared_module_are_no_models_of_their_own(app, loads):
    services.models().results.put(other := Key("model", "other", ""), kept := Named())
    for side in (80, 96, 112, 128, 144, 176, 192):
        shown = app("patches", **TINY, size=str(side))
        assert not shown.wrong and not shown.at.exception
    assert loads.names == ["test_vit"], "one module for all of them"
    assert services.models().results.get(other) is kept
    assert len(services.models().results) == 2
    assert services.models().results.nbytes < 2_000_000


@pytest.mark.long
def test_copies_at_other_sizes_drive_out_one_another_and_no_model(app, loads):
    services.copies().results.max_entries = 2
    services.models().results.put(other := Key("model", "other", ""), kept := Named())
    swin = {"model": "swin_tiny_patch4_window7_224", "weights": "random"}
    for side in (112, 168, 280):
        app("patches", **swin, size=str(side))
    assert services.models().results.get(other) is kept
    assert len(services.models().results) == 2 and len(services.copies().results) <= 2


@pytest.mark.long
def test_a_model_larger_than_the_store_is_loaded_once_and_freed_when_nobody_shows_it(app, loads):
    services.models().results.max_bytes = 1_000_000
    shown = app("patches", **TINY, size="96")
    assert not shown.wrong and not shown.at.exception
    shown.at.run()
    shown.at.run()
    assert loads.names == ["test_vit"]
    other = app("patches", **TINY)  # the same model in another tab
    assert not other.wrong and loads.names == ["test_vit"]
    assert services.models().results.nbytes < 1_000_000
    for tab in (shown, other):
        tab.at.query_params.clear()
        tab.at.session_state["selection"] = Selection()
        tab.at.run()
    gc.collect()
    assert loads.modules[0]() is None


def asked(shown) -> list[str]:
    return [warning.value for warning in shown.at.warning if "million weights" in warning.value]


def test_a_large_model_waits_for_an_answer_and_asks_once(app, loads, monkeypatch):
    monkeypatch.setattr(consent, "ASK_WEIGHT_BYTES", 1_000_000)
    shown = app("patches", **TINY)
    (question,) = asked(shown)
    assert "test_vit" in question and loads.names == [] and not shown.wrong
    shown.at.button(key="go on view").click().run()
    assert not asked(shown) and not shown.wrong
    assert loads.names == ["test_vit"]
    shown.at.run()
    assert not asked(shown) and loads.names == ["test_vit"]
    way_out = app("patches", **TINY | {"weights": "trained"})
    way_out.at.button(key="own size view").click().run()
    assert not asked(way_out) and not way_out.wrong
    assert way_out.parameters == {}


def test_a_model_for_which_there_is_no_memory_is_refused_before_it_is_built(app, loads, monkeypatch):
    monkeypatch.setattr(cost, "free_memory", lambda _: 20_000_000_000)
    shown = app("start", model="vit_7b_patch16_dinov3", weights="random")
    assert "26.9 GB" in shown.wrong[0] and "20.0 GB are free" in shown.wrong[0]
    assert loads.names == [] and not shown.at.exception


def test_leaving_stops_a_build(loads, monkeypatch):
    """The work of the queue, left while it draws weights."""
    begun, go_on = threading.Event(), threading.Event()
    reached: list[str] = []

    def watched(name, *, check, **given):
        def checked() -> None:
            if not begun.is_set():
                begun.set()
                assert go_on.wait(30)
            check()

        model = load_model(name, check=checked, **given)
        reached.append(name)
        return model

    monkeypatch.setattr(loading, "load_model", watched)
    queue = ComputeQueue(Results(10**9, 6, weakly=True), linger=0.0, idle=0.05)
    selection = Selection(model="vit_base_patch16_224", weights="random")
    ticket = queue.submit(Key("model", "m", "random"), "load", lambda progress: loading.load(selection, progress))
    assert begun.wait(30)
    ticket.leave()
    go_on.set()
    assert ticket.wait(30)
    assert reached == []
