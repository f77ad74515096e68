"""What is remembered of tensors: by the tensor itself, and no longer than there is one."""

from __future__ import annotations

import weakref

import pytest
import torch

from vitviz.capture.roles import ByTensor, is_score_matrix


def test_a_value_is_of_one_tensor_and_not_of_its_equals():
    known = ByTensor[int]()
    one, equal = torch.ones(2), torch.ones(2)
    assert not known
    known.give(one, 3)
    known.give("no tensor", 4)
    assert known and known.of(one) == 3 and known.of(equal) is None and known.of("no tensor") is None
    known.give(one, 5)
    assert known.of(one) == 5
    known.forget(one)
    known.forget(equal)
    assert known.of(one) is None and not known


def test_no_tensor_is_held_and_none_inherits_a_value():
    known = ByTensor[int]()
    gone = []
    for number in range(10_000):  # Python gives the identity of one that is gone to a new one
        tensor = torch.empty(0)
        assert known.of(tensor) is None
        known.give(tensor, number)
        assert known.of(tensor) == number
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
