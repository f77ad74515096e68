"""Changed passes: several changes at once, a model that is as it was afterwards, what is refused, and the effect."""

from __future__ import annotations

import copy

import pytest
import torch

import vitviz
from tests.analysis.interventions.edits import (
    AVERAGING,
    PLAIN,
    answer,
    columns_removed,
    far,
    made,
    plainly,
    without_columns,
)
from vitviz.analysis.interventions import (
    ChangePositions,
    CutTokens,
    HidePatches,
    Interventions,
    ShufflePatches,
    SwitchOffHeads,
    SwitchOffLayers,
    effect,
    intervene,
)
from vitviz.analysis.question import Question
from vitviz.analysis.targets import ClassLogit

EVERYTHING = Interventions(
    (
        ShufflePatches(1),
        HidePatches((2,), "mean"),
        HidePatches((3,), "removed"),
        ChangePositions("shuffle", 5),
        SwitchOffHeads(((0, 1),)),
        SwitchOffLayers((1,)),
        CutTokens((4,), (0,)),
    )
)


def traces_of(module) -> list[tuple[int, int, bool]]:
    return [(len(m._forward_hooks), len(m._forward_pre_hooks), m.training) for m in module.modules()]


@pytest.mark.parametrize("family", [PLAIN, AVERAGING], ids=str)
def test_the_model_is_as_it_was(family):
    model, x = made(family)
    before, state, marks = plainly(model.module, x), copy.deepcopy(model.module.state_dict()), traces_of(model.module)
    assert far(answer(model, x, EVERYTHING), before)
    with pytest.raises(ZeroDivisionError), intervene(model, EVERYTHING) as changed:
        plainly(changed.module, x).sum() * (1 / 0)
    with pytest.raises(RuntimeError), intervene(model, EVERYTHING) as changed:
        plainly(changed.module, x[:, :1])  # the model itself raises, inside its own forward pass
    broken = model.module.blocks[0].mlp.register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError), intervene(model, EVERYTHING) as changed:
        plainly(changed.module, x)  # inside a block whose attention is changed
    broken.remove()
    with pytest.raises(ValueError, match="layer 5 does not exist"):
        answer(model, x, HidePatches((1,)), SwitchOffLayers((0, 5)))
    assert torch.equal(plainly(model.module, x), before)
    assert traces_of(model.module) == marks
    assert all(torch.equal(value, state[name]) for name, value in model.module.state_dict().items())
    assert torch._C._len_torch_function_stack() == 0


def test_interventions_compose_like_nested_blocks():
    model, x = made(PLAIN)
    one, two = SwitchOffHeads(((0, 1),)), CutTokens((5,))
    with intervene(model, one), intervene(model, two):
        nested = plainly(model.module, x)
    torch.testing.assert_close(answer(model, x, one, two), nested)
    expected = columns_removed(without_columns(model.module, ((0, 1),)), x, [5], (0, 1))
    torch.testing.assert_close(nested, expected)


@pytest.mark.parametrize(
    ("intervention", "words"),
    [
        (HidePatches((24,)), "patch 24 does not exist: there are 24"),
        (CutTokens((25,)), "token 25 does not exist: there are 25"),
        (CutTokens((1,), (2,)), "layer 2 does not exist: there are 2"),
        (SwitchOffHeads(((1, 3),)), "head 3 does not exist: there are 3"),
        (SwitchOffHeads(((2, 0),)), "layer 2 does not exist"),
        (SwitchOffHeads(((0, 0),), "mean"), "no means were given"),
        (CutTokens(tuple(range(25))), "at least one token"),
        (HidePatches(tuple(range(24)), "removed"), "at least one token"),
    ],
)
def test_what_does_not_exist_is_refused(intervention, words):
    model, x = made(PLAIN)
    with pytest.raises(ValueError, match=words):
        answer(model, x, intervention)


def test_the_effect_sets_before_and_after_side_by_side():
    model, x = made(PLAIN)
    question = Question(model, x[0], ClassLogit(2))
    found = effect(question, CutTokens((4,)), SwitchOffHeads(((1, 1),)))
    before, after = plainly(model.module, x), answer(model, x, CutTokens((4,)), SwitchOffHeads(((1, 1),)))
    torch.testing.assert_close(found.before.logits, before)
    torch.testing.assert_close(found.after.logits, after)
    assert found.change == pytest.approx(float(after.softmax(-1)[0, 2] - before.softmax(-1)[0, 2]), abs=1e-6)
    assert effect(question).similarity.values.min() == pytest.approx(1)
    one, other = found.before.tokens[0, 9], found.after.tokens[0, 9]
    cosine = float(one @ other / one.norm() / other.norm())
    assert found.similarity.values[model.layout.cell_of(9)] == pytest.approx(cosine, abs=1e-6)
    averaging, y = made(AVERAGING)
    assert effect(Question(averaging, y[0], ClassLogit(2)), HidePatches((3,), "removed")).similarity is None


def test_the_public_name():
    assert vitviz.intervene is intervene
