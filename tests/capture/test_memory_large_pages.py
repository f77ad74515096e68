"""Copies in large pages: the same numbers, apart from each other, and gone when nobody holds them."""

from __future__ import annotations

import pytest
import torch

from vitviz.capture import memory
from vitviz.capture.memory import ALIGNMENT, PAGE, LargePages


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
@pytest.mark.parametrize("offered", [True, False])
def test_copies_are_equal_contiguous_and_apart(dtype, offered, monkeypatch):
    monkeypatch.setattr(memory, "OFFERED", offered and memory.OFFERED)
    pages, packed = LargePages(), torch.randn(3, 5, 7, 11).mul(100).to(dtype)
    given = [packed[0].mT, packed[1][:, ::2], packed[2, 0, :3], torch.zeros(0, 4, dtype=dtype)]
    kept = [pages.keep(tensor) for tensor in given]
    for tensor, copy in zip(given, kept, strict=True):
        assert copy.dtype == dtype and copy.is_contiguous() and torch.equal(copy, tensor)
    packed.zero_()
    assert all(copy.abs().max() > 0 for copy in kept[:3])
    before = [copy.clone() for copy in kept]
    kept[1].zero_()
    assert torch.equal(kept[0], before[0]) and torch.equal(kept[2], before[2])


def test_a_full_room_is_followed_by_another_and_a_large_tensor_gets_one_of_its_size(monkeypatch):
    monkeypatch.setattr(memory, "BLOCK", PAGE)
    pages = LargePages()
    tensors = [torch.full((PAGE // 4 // 3 - ALIGNMENT,), float(i)) for i in range(7)] + [
        torch.arange(PAGE, dtype=torch.float32)
    ]
    kept = [pages.keep(tensor) for tensor in tensors]
    assert all(torch.equal(a, b) for a, b in zip(tensors, kept, strict=True))
    rooms = {copy.untyped_storage().data_ptr(): copy.untyped_storage().nbytes() for copy in kept}
    assert sorted(rooms.values()) == [PAGE, PAGE, PAGE, 4 * PAGE]
    assert all(copy.data_ptr() % ALIGNMENT == 0 for copy in kept)


def test_a_room_lives_as_long_as_its_last_tensor():
    held = LargePages().keep(torch.arange(1000))  # its room has no other owner
    LargePages().keep(torch.full((1000,), 7))
    assert torch.equal(held, torch.arange(1000))


def test_a_system_without_them_gets_plain_memory(monkeypatch):
    monkeypatch.setattr(memory, "OFFERED", False)
    copy = LargePages().keep(torch.arange(10))
    assert copy.untyped_storage().nbytes() == 80


def test_short_sequences_get_plain_memory():
    copy = LargePages(memory.LONG - 1).keep(torch.arange(10))
    assert copy.untyped_storage().nbytes() == 80
