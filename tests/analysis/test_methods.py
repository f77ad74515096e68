"""The registry: every card is filled in and true, every method runs, and slow ones tell how far they are."""

from __future__ import annotations

import numpy as np
import pytest

from tests.analysis.by_hand import picture, subject
from tests.capture.families import FAMILIES, build
from vitviz.analysis.methods import METHODS, Effort, explain, explain_all
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.targets import ClassLogit, LogitDifference
from vitviz.errors import Cancelled, UnsupportedError

REGISTERS = FAMILIES[3]


def question(target=None, family=REGISTERS) -> Question:
    module, x, layout = build(family)
    return Question(BareModel(module, layout), x[0], target or ClassLogit(1))


def test_cards_are_filled_in():
    for key, method in METHODS.items():
        assert method.key == key
        assert all((method.name, method.formula, method.reference, method.cost, method.misleads))
        assert "arXiv" in method.reference


@pytest.mark.parametrize("key", METHODS)
def test_a_card_tells_the_truth_about_its_method(key):
    method = METHODS[key]
    one, other = (explain(question(target), key).values for target in (LogitDifference(1, 4), LogitDifference(4, 1)))
    third = explain(question(ClassLogit(5)), key).values
    assert method.per_class == (not np.array_equal(one, third))
    assert method.signed == explain(question(), key).signed
    assert method.antisymmetric == bool(abs(one + other).max() < 1e-4 * abs(one).max())
    if not method.signed:
        assert one.min() >= 0


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_all_methods_answer_for_every_kind_of_model(family):
    told = []
    maps = explain_all(question(family=family), progress=lambda d, t: told.append((d, t)), effort=Effort(4, 4, 3))
    assert list(maps) == list(METHODS)
    assert all(heatmap.grid == family.grid for heatmap in maps.values())
    assert told[-1] == (1000, 1000)
    assert [d for d, _ in told] == sorted(d for d, _ in told)


def test_what_is_shared_is_computed_once(monkeypatch):
    asked = question()
    assert asked.query == "cls"  # what the output is computed from is found once for a model, and kept
    calls = []
    forward = asked.module.forward
    monkeypatch.setattr(asked.module, "forward", lambda *args: calls.append(args) or forward(*args))
    explain_all(asked, ("gradient_rollout", "relevance"))
    assert sum(not pixels.is_meta for (pixels,) in calls) == 1  # a pass without numbers costs nothing


def test_raw_attention_is_the_last_layers_mean_over_heads():
    asked = question()
    expected = asked.trace.layers[-1].weights()[:, 0, asked.layout.num_prefix :].mean(0).reshape(REGISTERS.grid)
    np.testing.assert_allclose(explain(asked, "attention").values, expected, atol=1e-6)


@pytest.mark.parametrize("key", ["occlusion", "integrated_gradients"])
def test_slow_methods_can_be_stopped(key):
    def stop(_done: int, _total: int) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        explain(question(), key, stop)


def test_an_unknown_method_is_refused_by_name():
    with pytest.raises(UnsupportedError, match=r"called 'magic'; there are attention, rollout"):
        explain(Question(subject(), picture(), ClassLogit(0)), "magic")
