"""What is remembered of tensors: by the tensor itself, and no longer than there is one."""

from __future__ import annotations

import weakref

import pytest
import torch

from vitviz.capture.roles import TensorMap, is_score_matrix


def test_a_value_is_of_one_tensor_and_not_of_its_equals():
    known = TensorMap[int]()
    one, equal = torch.ones(2), torch.ones(2)
    assert not known
    known.set(one, 3)
    known.set("no tensor", 4)
    assert known and known.get(one) == 3 and known.get(equal) is None and known.get("no tensor") is None
    known.set(one, 5)
    assert known.get(one) == 5
    known.discard(one)
    known.discard(equal)
    assert known.get(one) is None and not known


def test_no_tensor_is_held_and_none_inherits_a_value():
    known = TensorMap[int]()
    gone = []
    for number in range(10_000):  # Python gives the identity of one that is gone to a new one
        tensor = torch.empty(0)
        assert known.get(tensor) is None
        known.set(tensor, number)
        assert known.get(tensor) == number
        if number % 1000 == 0:
            gone.append(weakref.ref(tensor))
    del tensor
    assert all(each() is None for each in gone)


@pytest.mark.parametrize(
    ("shape", "axis", "may_be"),
    [
        ((2, 3, 5, 5), -1, True),
        ((2, 3, 5, 5), 3, True),
        ((2, 3, 5, 7), -2, True),  # keys by queries
        ((3, 5, 5), 2, True),
        ((2, 3, 5, 5), 1, False),  # over the heads
        ((5, 5), -1, False),  # no batch
        ((2, 3, 1, 5), -1, False),  # one query
        ((2, 3, 5, 1), -1, False),
        ((10,), -1, False),
    ],
)
def test_what_may_be_scores(shape, axis, may_be):
    assert is_score_matrix(shape, axis) is may_be
