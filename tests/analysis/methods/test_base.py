"""The registry: every card is filled in and true, every method runs, and slow ones tell how far they are."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tests.analysis.reference import picture, subject
from tests.capture.families import FAMILIES, build
from vitviz.__main__ import main
from vitviz.analysis import methods
from vitviz.analysis.methods import METHODS, explain, explain_all
from vitviz.analysis.methods.occlusion import windows
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.targets import ClassLogit, LogitDifference
from vitviz.errors import Cancelled, UnsupportedError
from vitviz.references import PUBLICATIONS
from vitviz.tokens import TokenLayout

REGISTERS = FAMILIES[3]
FEW = {"integrated_gradients": {"steps": 4, "most_steps": 4}, "occlusion": {"stride": 3}}
ONE_FILE = """
from vitviz.analysis.methods.base import Method
from vitviz.heatmap import Heatmap


def brightness(question, power=1):
    grey = question.x[0].mean(0)  # (height, width)
    rows, cols = question.layout.grid
    cells = grey.reshape(rows, grey.shape[0] // rows, cols, -1).mean((1, 3))
    return Heatmap(cells.numpy() ** power, "brightness", signed=True)


METHOD = Method(
    "brightness", "Brightness", brightness, per_class=False, signed=True, formula="mean of pixels",
    reference="none", cost="0", limitations="It knows nothing of the model.", order=35, options={"power": 1}, weight=7,
)
"""


def question(target=None, family=REGISTERS) -> Question:
    module, x, layout = build(family)
    return Question(BareModel(module, layout), x[0], target or ClassLogit(1))


def test_cards_are_filled_in():
    for key, method in METHODS.items():
        assert method.key == key
        assert all((method.name, method.formula, method.reference, method.cost, method.limitations))
        assert any(each.short in method.reference for each in PUBLICATIONS.values())


def test_occlusion_asks_once_for_each_window():
    asked = len(windows(TokenLayout((), (16, 16), (14, 14)), stride=METHODS["occlusion"].options["stride"]))
    assert METHODS["occlusion"].cost.startswith(f"{asked} on a grid of 16x16")


# "a, not b" and "b, not a" give maps of opposite sign.
ANTISYMMETRIC = {"integrated_gradients", "occlusion"}


@pytest.mark.parametrize("key", METHODS)
def test_a_card_tells_the_truth_about_its_method(key):
    method = METHODS[key]
    one, other = (explain(question(target), key).values for target in (LogitDifference(1, 4), LogitDifference(4, 1)))
    third = explain(question(ClassLogit(5)), key).values
    assert method.per_class == (not np.array_equal(one, third))
    assert method.signed == explain(question(), key).signed
    assert (key in ANTISYMMETRIC) == bool(abs(one + other).max() < 1e-4 * abs(one).max())
    if not method.signed:
        assert one.min() >= 0


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_all_methods_answer_for_every_kind_of_model(family):
    told = []
    maps = explain_all(question(family=family), progress=lambda d, t: told.append((d, t)), options=FEW)
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


def test_a_method_is_added_by_one_file(monkeypatch, tmp_path, capsys):
    (tmp_path / "brightness.py").write_text(ONE_FILE)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "vitviz.analysis.methods.brightness", raising=False)
    found = methods.find_methods()
    assert list(found) == [*list(METHODS)[:3], "brightness", *list(METHODS)[3:]]  # in its place among the others
    monkeypatch.setitem(METHODS, "brightness", found["brightness"])
    asked = question()
    (rows, cols), (high, wide), pixels = asked.layout.grid, asked.layout.patch_size, asked.pixels.numpy()
    expected = np.array(
        [
            [pixels[:, high * r : high * (r + 1), wide * c : wide * (c + 1)].mean() for c in range(cols)]
            for r in range(rows)
        ]
    )
    np.testing.assert_allclose(explain(asked, "brightness").values, expected, atol=1e-6)
    squared = explain_all(asked, ["brightness"], options={"brightness": {"power": 2}})["brightness"].values
    np.testing.assert_allclose(squared, expected**2, atol=1e-6)
    assert methods.default_options()["brightness"] == {"power": 1} and found["brightness"].slow
    with pytest.raises(UnsupportedError, match="no option called 'depth'; it has power"):
        explain(asked, "brightness", depth=2)
    assert main(["faithfulness", str(tmp_path), "--option", "brightness.depth=2"]) == 1
    assert "brightness.power" in capsys.readouterr().err


def test_two_methods_of_one_key_are_refused(monkeypatch, tmp_path):
    (tmp_path / "again.py").write_text(ONE_FILE.replace('"brightness", "Brightness"', '"rollout", "Brightness"'))
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "vitviz.analysis.methods.again", raising=False)
    with pytest.raises(ValueError, match="one key"):
        methods.find_methods()
