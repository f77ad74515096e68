"""The atlas and the matrix: every number of a large array in its place."""

from __future__ import annotations

import numpy as np
import pytest

from tests.draw.pictures import above_bar, area_of, edges_of_bar, inside
from vitviz.draw import LIGHT, Scale, draw_atlas, draw_board, draw_matrix
from vitviz.draw.scale import colours, table
from vitviz.draw.small_multiples import paint_atlas
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


@pytest.mark.parametrize("grid", [(16, 16), (3, 5), (6, 2)])
def test_every_tile_lies_in_the_middle_of_its_patchs_cell(grid: tuple[int, int]) -> None:
    rows, cols = grid
    similarity = np.random.default_rng(0).uniform(-1, 1, (rows * cols, rows * cols))
    scale = Scale(-1, 1, signed=True)
    atlas = np.asarray(paint_atlas(similarity, grid, scale, width=600))
    cell = atlas.shape[1] // cols
    assert atlas.shape == (rows * cell, cols * cell, 3)
    for i, j in np.ndindex(grid):
        own = atlas[i * cell : (i + 1) * cell, j * cell : (j + 1) * cell]
        drawn = np.argwhere((own != 255).any(2))  # the ground is white
        (top, left), (bottom, right) = drawn.min(0), drawn.max(0) + 1
        assert abs(top - (cell - bottom)) <= 1 and abs(left - (cell - right)) <= 1
        value = (right - left) // cols
        shown = own[top:bottom:value, left:right:value]
        np.testing.assert_array_equal(shown, colours(similarity[i * cols + j].reshape(grid), scale, LIGHT))


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


# The head board: every head in its place, and colours that compare where they claim to.


HIGH = table(LIGHT.sequential)[255]


def one_hot_board(
    layers: int, heads: int, rows: int, cols: int, layer: int, head: int, row: int, col: int
) -> np.ndarray:
    maps = np.zeros((layers, heads, rows, cols))
    maps[layer, head, row, col] = 1
    return maps


def found(maps: np.ndarray, **options: object) -> tuple[int, int, int, int]:
    """Where on the board the strongest colour is, the colour bar left out."""
    return area_of(HIGH, above_bar(inside(draw_board(maps, **options))))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("layers", "heads", "rows", "cols"), [(12, 12, 16, 16), (4, 3, 5, 9), (2, 6, 7, 3), (1, 1, 4, 4)]
)
def test_layers_run_down_heads_run_across_and_patches_keep_their_place_in_a_tile(
    layers: int, heads: int, rows: int, cols: int
) -> None:
    def at(*where: int) -> tuple[int, int, int, int]:
        return found(one_hot_board(layers, heads, rows, cols, *where))

    left, top, right, bottom = at(0, 0, 0, 0)
    patch = right - left
    assert patch == bottom - top >= 1
    assert at(0, 0, rows - 1, cols - 1)[:2] == (left + (cols - 1) * patch, top + (rows - 1) * patch)
    if heads > 1:
        across = at(0, 1, 0, 0)[0] - left
        assert across > cols * patch
        assert at(0, heads - 1, 0, 0)[:2] == (left + (heads - 1) * across, top)
    if layers > 1:
        down = at(1, 0, 0, 0)[1] - top
        assert down > rows * patch
        assert at(layers - 1, 0, 0, 0)[:2] == (left, top + (layers - 1) * down)


def test_with_one_scale_a_colour_means_the_same_in_every_head_and_alone_it_does_not() -> None:
    maps = np.zeros((1, 2, 2, 2))
    maps[0, 0], maps[0, 1] = [[0, 1], [2, 4]], [[0, 0.3], [1, 1]]
    shared, own = (inside(draw_board(maps, shared=each, width=300)).reshape(-1, 3) for each in (True, False))
    scale = Scale(0, 4)
    for value in (0.3, 1.0, 2.0, 4.0):
        assert (shared == colours(np.array(value), scale, LIGHT)).all(axis=1).sum() > 100
    # alone, the second head's 0.3 lies at 0.3 of a scale that ends at 1, a colour no value of the first head has
    alone = colours(np.array(0.3), Scale(0, 1), LIGHT)
    assert (own == alone).all(axis=1).sum() > 100 > (shared == alone).all(axis=1).sum()
    assert (own == HIGH).all(axis=1).sum() > (shared == HIGH).all(axis=1).sum()


def test_the_chosen_head_is_framed_without_touching_its_map() -> None:
    maps = np.random.default_rng(0).random((3, 4, 5, 5))
    plain, framed = inside(draw_board(maps)), inside(draw_board(maps, chosen=(1, 2)))
    rows, cols = np.nonzero((plain != framed).any(axis=-1))
    top, bottom, left, right = rows.min(), rows.max() + 1, cols.min(), cols.max() + 1
    hole = np.s_[top + 5 : bottom - 5, left + 5 : right - 5]
    np.testing.assert_array_equal(plain[hole], framed[hole])
    one = one_hot_board(3, 4, 5, 5, 1, 2, 0, 0)
    assert found(one)[:2] == (left + 5, top + 5)


@pytest.mark.parametrize("shared", [True, False])
def test_a_head_that_is_uniform_has_one_colour(shared: bool) -> None:
    maps = np.random.default_rng(0).random((2, 2, 4, 4))
    maps[0, 0] = 1 / 17
    scale = Scale.of(maps if shared else maps[0, 0], robust=True)
    left, top, right, _ = found(one_hot_board(2, 2, 4, 4, 0, 0, 0, 0))
    side = 4 * (right - left)
    board = inside(draw_board(maps, shared=shared, robust=True))
    tile = board[top : top + side, left : left + side]
    assert (tile == colours(np.float32(1 / 17), scale, LIGHT)).all()
    across = found(one_hot_board(2, 2, 4, 4, 0, 1, 0, 0))[0]
    beside = board[top : top + side, across : across + side].reshape(-1, 3)
    assert len(np.unique(beside, axis=0)) == len(
        np.unique(
            colours(maps[0, 1], Scale.of(maps if shared else maps[0, 1], robust=True), LIGHT).reshape(-1, 3), axis=0
        )
    )


def test_where_scales_differ_only_the_number_under_a_map_tells_how_large_it_is() -> None:
    maps = np.random.default_rng(0).random((2, 3, 4, 4))
    doubled = maps.copy()
    doubled[1, 2] *= 2
    one, two = (above_bar(inside(draw_board(each, shared=False))) for each in (maps, doubled))
    rows, cols = np.nonzero((one != two).any(axis=-1))
    left, top, right, _ = found(one_hot_board(2, 3, 4, 4, 1, 2, 0, 0), shared=False)
    side = 4 * (right - left)
    assert top + side <= rows.min() and left <= cols.min() and cols.max() < left + side


def test_a_robust_board_ends_below_its_largest_value() -> None:
    maps = np.zeros((1, 1, 20, 20))
    maps.flat[:] = np.linspace(0, 1, 400)
    maps[0, 0, 0, 0] = 50  # one sink
    raw, robust = (above_bar(inside(draw_board(maps, robust=each))) for each in (False, True))
    assert (raw == HIGH).all(axis=-1).sum() < (robust == HIGH).all(axis=-1).sum()
    scale = Scale.of(maps, robust=True)
    middle = colours(np.float32(maps[0, 0, 10, 0]), scale, LIGHT)
    assert (robust == middle).all(axis=-1).any() and not (raw == middle).all(axis=-1).any()


def test_what_is_not_a_board_is_refused() -> None:
    with pytest.raises(DrawError, match=r"shape \(3, 4, 4\)"):
        draw_board(np.zeros((3, 4, 4)))
    with pytest.raises(DrawError, match="Layer 2, head 0 is not on a board of 2 layers and 3 heads"):
        draw_board(np.zeros((2, 3, 4, 4)), chosen=(2, 0))
    maps = np.zeros((2, 3, 4, 4))
    maps[1, 1, 1, 1] = np.inf
    with pytest.raises(DrawError, match="1 of 96 values"):
        draw_board(maps)
