"""Changed positions against a position embedding whose rows were changed by hand."""

from __future__ import annotations

import copy

import pytest
import torch

from tests.analysis.interventions.edits import POSITIONED, answer, far, made, plainly
from tests.capture.families import FAMILIES
from vitviz.analysis.interventions import ChangePositions, intervene
from vitviz.analysis.interventions.shuffle_patches import permutation
from vitviz.errors import UnsupportedError


@pytest.mark.parametrize("family", POSITIONED, ids=str)
@pytest.mark.parametrize("how", ["zero", "shuffle"])
def test_changed_positions_are_changed_weights(family, how):
    model, x = made(family)
    edited = copy.deepcopy(model.module)
    order = permutation(model.layout, 3)
    skip = edited.pos_embed.shape[1] - model.layout.num_patches  # prefix rows, where the embedding has them
    rows = edited.pos_embed.data[:, skip:]
    edited.pos_embed.data[:, skip:] = 0 if how == "zero" else rows[:, order].clone()
    changed = answer(model, x, ChangePositions(how, 3))
    torch.testing.assert_close(changed, plainly(edited, x))
    assert far(changed, plainly(model.module, x))


@pytest.mark.parametrize("family", POSITIONED, ids=str)
@pytest.mark.parametrize("nested", [False, True], ids=["together", "nested"])
@pytest.mark.parametrize(
    "changes", [("zero", "shuffle"), ("shuffle", "zero"), ("shuffle", "shuffle"), ("zero", "zero")], ids="-".join
)
def test_positions_changed_twice_are_changed_one_after_the_other(family, changes, nested):
    """Zero and then shuffled is zero, which is no reason to say that the model adds no positions."""
    model, x = made(family)
    edited = copy.deepcopy(model.module)
    skip = edited.pos_embed.shape[1] - model.layout.num_patches
    items = [ChangePositions(how, seed) for seed, how in enumerate(changes, start=3)]
    for item in items:
        rows = edited.pos_embed.data[:, skip:]
        order = permutation(model.layout, item.seed)
        edited.pos_embed.data[:, skip:] = 0 if item.how == "zero" else rows[:, order].clone()
    if nested:
        with intervene(model, items[0]):
            changed = answer(model, x, items[1])
    else:
        changed = answer(model, x, *items)
    torch.testing.assert_close(changed, plainly(edited, x))


def test_positions_inside_attention_cannot_be_changed():
    model, x = made(next(f for f in FAMILIES if f.rotary))
    with pytest.raises(UnsupportedError, match="adds no position embedding"):
        answer(model, x, ChangePositions("zero"))


def test_positions_left_out_have_no_seed():
    assert ChangePositions("zero", 7) == ChangePositions("zero")
