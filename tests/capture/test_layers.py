"""Which tokens a call relates, told from its shape."""

from __future__ import annotations

import pytest
import torch

from vitviz.capture.events import Call
from vitviz.capture.layers import layouts_of, token_layout
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout

LAYOUT = TokenLayout(("cls", "reg0"), (2, 3), (16, 16))


@pytest.mark.parametrize(("length", "prefix"), [(5, None), (6, ()), (7, ("cls",)), (8, ("cls", "reg0")), (9, None)])
def test_a_length_is_the_grid_with_the_first_prefix_tokens_or_another_grid(length, prefix):
    expected = None if prefix is None else TokenLayout(prefix, (2, 3), (16, 16))
    assert token_layout(length, LAYOUT) == expected


@pytest.mark.parametrize(
    ("queries", "keys", "prefixes", "grids"),
    [
        (8, 8, (("cls", "reg0"), ("cls", "reg0")), ((2, 3), (2, 3))),
        (6, 8, ((), ("cls", "reg0")), ((2, 3), (2, 3))),
        (2, 6, (("pool0", "pool1"), ()), ((0, 0), (2, 3))),
    ],
)
def test_a_call_over_the_grid(queries, keys, prefixes, grids):
    found = layouts_of(call(queries, keys), LAYOUT)
    assert (tuple(layout.prefix for layout in found), tuple(layout.grid for layout in found)) == (prefixes, grids)


@pytest.mark.parametrize(("queries", "keys"), [(8, 5), (9, 9), (9, 8)])
def test_a_call_over_another_grid_is_refused_with_its_shape(queries, keys):
    with pytest.raises(UnsupportedError, match=rf"\(1, 3, {queries}, {keys}\).*2x3 patches with 2 prefix tokens"):
        layouts_of(call(queries, keys), LAYOUT)


def call(queries: int, keys: int) -> Call:
    return Call("blocks.0.attn", torch.zeros(1, 3, queries, 4), torch.zeros(1, 3, keys, 4))
