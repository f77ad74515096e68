"""The atlas and the matrix: every number of a large array in its place."""

from __future__ import annotations

import numpy as np
import pytest

from tests.draw.pictures import above_bar, area_of, edges_of_bar, inside
from vitviz.draw import LIGHT, Scale, draw_atlas, draw_matrix
from vitviz.draw.scale import colours, table
from vitviz.errors import DrawError
from vitviz.tokens import TokenLayout

TOP = table(LIGHT.diverging)[255]


@pytest.mark.parametrize("grid", [(16, 16), (3, 5), (6, 2)])
def test_tile_i_j_is_the_similarity_row_of_patch_i_j(grid: tuple[int, int]) -> None:
    rows, cols = grid
    patches = rows * cols
    marked = np.zeros((patches, patches))
    scale = Scale(-1, 1, signed=True)
    rng = np.random.default_rng(0)

    def tile_at(i: int, j: int) -> tuple[int, int, int]:
        """(left, top) of a tile and the pixels a value takes, found by painting that tile alone."""
        only = np.zeros_like(marked)
        only[i * cols + j] = 1
        atlas = inside(draw_atlas(only, grid, scale=scale))
        left, top, right, bottom = area_of(TOP, above_bar(atlas))
        assert (right - left) * rows == (bottom - top) * cols
        return left, top, (right - left) // cols

    similarity = rng.uniform(-1, 1, (patches, patches))
    atlas = inside(draw_atlas(similarity, grid, scale=scale))
    for i, j in ((0, 0), (rows - 1, 0), (1, cols - 1)):
        left, top, value = tile_at(i, j)
        shown = atlas[top : top + rows * value : value, left : left + cols * value : value]
        np.testing.assert_array_equal(shown, colours(similarity[i * cols + j].reshape(grid), scale, LIGHT))
    assert edges_of_bar(atlas)[0] == tile_at(0, 0)[0], "bar and tiles share an edge"


def test_a_large_atlas_leaves_no_value_out() -> None:
    similarity = np.zeros((37 * 37, 37 * 37), np.float32)
    similarity[5 * 37 + 6, 20 * 37 + 30] = 1
    atlas = inside(draw_atlas(similarity, (37, 37), scale=Scale(-1, 1, signed=True)))
    left, top, right, bottom = area_of(TOP, above_bar(atlas))
    assert (right - left, bottom - top) == (1, 1)


def test_cosines_have_zero_in_the_middle_of_the_scale() -> None:
    similarity = np.array([[1.0, 0.0], [0.0, 1.0]])
    atlas = inside(draw_atlas(similarity, (1, 2), width=100)).reshape(-1, 3)
    assert (atlas == table(LIGHT.diverging)[128]).all(axis=1).sum() > 100


def test_an_array_that_does_not_fit_the_grid_is_refused() -> None:
    with pytest.raises(DrawError, match=r"needs an array \(6, 6\), not one of shape \(7, 7\)"):
        draw_atlas(np.zeros((7, 7)), (2, 3))
    with pytest.raises(DrawError, match="outside the grid of 2 rows"):
        draw_atlas(np.eye(6), (2, 3), chosen=(2, 0))


@pytest.mark.parametrize("prefix", [(), ("cls",), ("cls", "reg0", "reg1", "reg2", "reg3")])
def test_the_matrix_shows_every_entry_unblended(prefix: tuple[str, ...]) -> None:
    layout = TokenLayout(prefix, (3, 4), (14, 14))
    tokens = layout.num_tokens
    weights = np.random.default_rng(1).dirichlet(np.ones(tokens), tokens)
    weights[0, 0], weights[-1, -1] = 1.0, 1.0  # corners by which the picture is found
    scale, width = Scale(0, 1), tokens * 20
    picture = inside(draw_matrix(weights, layout, scale=scale, width=width))
    high = table(LIGHT.sequential)[255]
    left, top, _, _ = area_of(high, picture)
    shown = picture[top + 10 : top + width : 20, left + 10 : left + width : 20]
    np.testing.assert_array_equal(shown, colours(weights, scale, LIGHT))


def test_queries_and_keys_may_have_different_layouts() -> None:
    queries, keys = TokenLayout(("cls",), (1, 1), (8, 8)), TokenLayout(("cls",), (2, 3), (8, 8))
    draw_matrix(np.random.default_rng(0).random((2, 7)), queries, keys)
    pooling = TokenLayout(
        ("pool",), (0, 0), (8, 8)
    )  # no row of a grid begins here: no number, and no division by its length
    draw_matrix(np.full((1, 7), 1 / 7), pooling, keys)
    draw_matrix(np.full((7, 1), 1.0), keys, pooling)
    with pytest.raises(DrawError, match=r"need a matrix \(2, 7\).*shape \(7, 2\)"):
        draw_matrix(np.zeros((7, 2)), queries, keys)
    with pytest.raises(DrawError, match="Query 2 does not exist"):
        draw_matrix(np.zeros((2, 7)), queries, keys, query=2)
