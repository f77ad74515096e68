"""Descriptions of interventions: checked, equal where they mean the same, and each added by one file."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from tests.analysis.interventions.edits import PLAIN, answer, made, plainly
from vitviz.analysis import interventions as package
from vitviz.analysis.interventions import (
    ChangePositions,
    HidePatches,
    Interventions,
    ShufflePatches,
    SwitchOffHeads,
    base,
    text,
)
from vitviz.analysis.interventions.shuffle_patches import permutation
from vitviz.ui.pages.what_if.interventions import sentence


@pytest.mark.parametrize(
    "make",
    [
        lambda: HidePatches((-1,)),
        lambda: HidePatches((1,), "red"),
        lambda: ChangePositions("up"),
        lambda: SwitchOffHeads(((0, 1.5),)),
        lambda: ShufflePatches(-2),
    ],
)
def test_descriptions_are_checked(make):
    with pytest.raises(ValueError, match=r"counted from 0|one of"):
        make()


def test_the_python_of_a_description_needs_no_numpy():
    for description, words in (
        (ShufflePatches(np.int64(3)), "ShufflePatches(seed=3)"),
        (ChangePositions("shuffle", np.int64(2)), "ChangePositions(how='shuffle', seed=2)"),
        (HidePatches(np.arange(2)), "HidePatches(patches=(0, 1), fill='mean')"),
        (SwitchOffHeads(np.array([[1, 2]])), "SwitchOffHeads(heads=((1, 2),), fill='zero')"),
    ):
        assert repr(description) == words


def test_equal_descriptions_are_equal():
    assert HidePatches((3, 1, 3)) == HidePatches((1, 3))
    assert SwitchOffHeads(((1, 2), (0, 5))) == SwitchOffHeads(((0, 5), (1, 2), (1, 2)))
    assert np.array_equal(permutation(made(PLAIN)[0].layout, 4), permutation(made(PLAIN)[0].layout, 4))


ONE_FILE = """
from dataclasses import dataclass
from typing import ClassVar

from vitviz.analysis.interventions.base import Intervention


@dataclass(frozen=True)
class Mirror(Intervention):
    code: ClassVar[str] = "mirror"
    order: ClassVar[int] = 25

    times: int = 1

    def encode(self):
        return str(self.times)

    @classmethod
    def decode(cls, fields, numbers):
        return cls(numbers.seed(fields[0])) if len(fields) == 1 else None

    def change_pixels(self, x, layout):
        return x.flip(-1) if self.times % 2 else x

    def apply(self, application):
        application.pixels(lambda x: self.change_pixels(x, application.layout))
"""


def test_an_intervention_is_added_by_one_file_and_its_sentence(monkeypatch, tmp_path):
    (tmp_path / "mirror.py").write_text(ONE_FILE)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    monkeypatch.setattr(base, "KINDS", known := dict(base.KINDS))
    monkeypatch.setattr(text, "KINDS", known)
    package.find_kinds()
    monkeypatch.delitem(sys.modules, "vitviz.analysis.interventions.mirror")
    changes = Interventions.decode("hide_mean_0~mirror_1")
    assert changes.encode() == "hide_mean_0~mirror_1" and changes.items[1].times == 1
    model, x = made(PLAIN)
    hidden = HidePatches((0,)).change_pixels(x, model.layout)
    assert torch.equal(answer(model, x, changes), plainly(model.module, hidden.flip(-1)))
    sentence.register(type(changes.items[1]), lambda item, layout: f"mirrored {item.times} times")
    assert sentence(changes.items[1], model.layout) == "mirrored 1 times"
    with pytest.raises(ValueError, match="begins with none of hide, shuffle, mirror, positions, heads, layers, cut"):
        Interventions.decode("turn_1")


def test_two_interventions_of_one_code_are_refused():
    with pytest.raises(ValueError, match="HidePatches and Again have one code, 'hide'"):

        class Again(package.Intervention):
            code = "hide"
