"""Which token is which patch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitviz.tokens import Query, TokenLayout, cell_name, cell_of_name, prefix_names

LAYOUT = TokenLayout(("cls", "reg0"), (2, 3), (16, 8))
layouts = st.builds(
    TokenLayout,
    st.sampled_from([(), ("cls",), ("cls", "dist"), ("cls", "reg0", "reg1")]),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 32), st.integers(1, 32)),
)


def test_prefix_comes_first_and_patches_follow_row_by_row():
    assert [LAYOUT.name_of(i) for i in range(8)] == ["cls", "reg0", "r0c0", "r0c1", "r0c2", "r1c0", "r1c1", "r1c2"]
    assert LAYOUT.token_at(1, 0) == 5
    assert LAYOUT.cell_of(1) is None
    assert LAYOUT.cell_of(7) == (1, 2)
    assert (LAYOUT.num_tokens, LAYOUT.num_patches, LAYOUT.num_prefix) == (8, 6, 2)
    assert LAYOUT.input_size == (32, 24)


@given(layouts)
def test_names_and_cells_lead_back_to_their_token(layout):
    for token in range(layout.num_tokens):
        assert layout.token_named(layout.name_of(token)) == token
        if (cell := layout.cell_of(token)) is not None:
            assert layout.token_at(*cell) == token


@given(layouts)
def test_folding_keeps_every_patch_in_its_place(layout):
    folded = layout.patches(np.arange(layout.num_tokens))
    assert folded.shape == layout.grid
    assert all(folded[layout.cell_of(token)] == token for token in range(layout.num_prefix, layout.num_tokens))
    np.testing.assert_array_equal(layout.patches(np.arange(layout.num_prefix, layout.num_tokens)), folded)


def test_folding_keeps_leading_axes():
    assert LAYOUT.patches(np.zeros((4, 5, 8))).shape == (4, 5, 2, 3)
    with pytest.raises(ValueError, match="7 values"):
        LAYOUT.patches(np.zeros(7))


def test_distances_are_in_pixels_and_know_that_patches_need_not_be_square():
    distances = LAYOUT.distances()
    assert distances.shape == (6, 6)
    assert distances[0, 1] == 8
    assert distances[0, 3] == 16
    assert distances[0, 5] == pytest.approx(np.hypot(16, 16))
    np.testing.assert_array_equal(LAYOUT.distances(slice(2, 4)), distances[2:4])
    assert LAYOUT.centres[0].tolist() == [8.0, 4.0]
    by_pairs = [[np.hypot(*(a - b)) for b in LAYOUT.centres] for a in LAYOUT.centres]
    np.testing.assert_allclose(distances, by_pairs, rtol=1e-6)


@pytest.mark.parametrize("name", ["nose", "r2c0", "r0c3", "r-1c0", "r1", "rc", "r1c", "reg1", "", "r١c0"])
def test_unknown_names_are_refused_with_those_that_exist(name):
    with pytest.raises(ValueError, match="r1c2|outside the grid"):
        LAYOUT.token_named(name)


def test_what_is_outside_is_an_index_error():
    for ask in (
        lambda: LAYOUT.token_at(2, 0),
        lambda: LAYOUT.token_at(0, -1),
        lambda: LAYOUT.cell_of(8),
        lambda: LAYOUT.cell_of(-1),
    ):
        with pytest.raises(IndexError):
            ask()


def test_a_layout_may_have_no_patches_but_not_half_a_grid():
    assert TokenLayout(("pool0",), (0, 0), (16, 16)).num_tokens == 1
    for grid in ((0, 3), (3, 0), (-1, -1)):
        with pytest.raises(ValueError, match="grid"):
            TokenLayout((), grid, (16, 16))


def test_prefix_names_follow_timms_order():
    assert prefix_names(0, has_cls=False) == ()
    assert prefix_names(2, has_cls=True, distilled=True) == ("cls", "dist")
    assert prefix_names(5, has_cls=True) == ("cls", "reg0", "reg1", "reg2", "reg3")
    assert prefix_names(2, has_cls=False) == ("reg0", "reg1")


names = st.sampled_from(["cls", "dist", "reg0", "reg12", "mean", "r0c0", "r15c7", "r999c1000"])


@given(st.dictionaries(names, st.floats(1e-9, 1e9), min_size=1, max_size=8))
def test_a_query_and_its_text_form_are_one_to_one(parts):
    query = Query(tuple(parts.items()))
    again = Query.parse(str(query))
    assert again == query and hash(again) == hash(query) and again.parts == query.parts
    assert query == str(query) and query.names == tuple(parts)
    assert sum(share for _, share in query.shares) == pytest.approx(1)
    total = sum(parts.values())
    assert all(share == pytest.approx(parts[name] / total, rel=1e-4) for name, share in query.shares)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "cls+",
        "cls+cls",
        "pool+cls",
        "0*cls+mean",
        "-1*cls+mean",
        "nan*cls",
        "inf*cls",
        "x*cls",
        "<b>",
        "r1c",
        "CLS",
        "cls mean",
    ],
)
def test_what_is_no_query(text):
    with pytest.raises(ValueError, match="query"):
        Query.parse(text)


def test_weights_of_rows_by_hand():
    layout = TokenLayout(("cls", "dist"), (1, 2), (4, 4))
    for text, rows in {
        "cls": [1, 0, 0, 0],
        "r0c1": [0, 0, 0, 1],
        "mean": [0, 0, 0.5, 0.5],
        "cls+dist": [0.5, 0.5, 0, 0],
        "1*cls+3*mean": [0.25, 0, 0.375, 0.375],
        "mean+r0c0": [0, 0, 0.75, 0.25],
    }.items():
        np.testing.assert_allclose(Query.parse(text).weights(layout), rows)
    for text in ("pool", "reg0", "r1c0", "cls+r0c2"):
        with pytest.raises(ValueError, match="no token|outside the grid"):
            Query.parse(text).weights(layout)
    assert Query.of(np.int64(3), layout) == "r0c1" and Query.of(0, layout) == "cls"
    assert str(Query.of(np.uint8(3), layout)) == "r0c1"
    with pytest.raises(IndexError):
        Query.of(-1, layout)


@given(st.integers(0, 9999), st.integers(0, 9999))
def test_names_of_cells(row, col):
    assert cell_of_name(cell_name(row, col)) == (row, col)
    assert cell_name(np.int64(row), col) == f"r{row}c{col}"
    inside = row < 50 and col < 60
    assert (cell_of_name(cell_name(row, col), (50, 60)) is not None) == inside
