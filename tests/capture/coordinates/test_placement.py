"""Where calls are, read off places: hand-made cases in which one would go wrong."""

from __future__ import annotations

import pytest
import torch

from vitviz.capture.coordinates.placement import place
from vitviz.capture.coordinates.tensor import CONSTANT, as_places
from vitviz.capture.events import Call


def tokens_of(rows, cols, heads, width=4):
    """(1, heads, rows * cols, width) places of 8 x 8 patches, each head with memory of its own, as models leave them."""
    grid = torch.complex(*torch.meshgrid(torch.arange(rows) * 8.0 + 4, torch.arange(cols) * 8.0 + 4, indexing="ij"))
    return as_places(grid.flatten()[None, None, :, None].repeat(1, heads, 1, 1).expand(1, heads, rows * cols, width))


@pytest.mark.parametrize("heads", [2, 3, 6, 12])
@pytest.mark.parametrize("cols", range(2, 34, 3))
def test_heads_at_the_same_places_are_one_window_however_many_tokens(heads, cols):
    """Equal rows have to be found equal to the last digit, whatever order a processor adds numbers in."""
    tokens = tokens_of(7, cols, heads)
    placement = place(Call("attn", tokens, tokens, tokens), (), (56, 8 * cols))
    assert (placement.kind, placement.num_windows) == ("global", 1)
    learned = as_places(torch.tensor(CONSTANT, dtype=torch.complex64).repeat(1, heads, 1, 4))
    assert place(Call("pool", learned, tokens, tokens), (), (56, 8 * cols)).kind == "pooling"


def test_heads_that_differ_in_a_single_place_are_not_one_window():
    numbers = tokens_of(7, 16, 2).as_subclass(torch.Tensor)[..., :1].clone()
    numbers[0, 1, -1] += 8j  # the second head's last token, one column further
    tokens = as_places(numbers)
    placement = place(Call("attn", tokens, tokens, tokens), (), (56, 128))
    assert placement.kind != "global"
