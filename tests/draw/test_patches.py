"""The patch grid, the sequence and one patch under the lens."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.draw.pictures import gradient_photo, inside, pixels
from vitviz.draw import DARK, LIGHT, draw_grid, draw_patch, draw_sequence
from vitviz.draw.cells import box
from vitviz.draw.patches import paint_grid, shown_rows, token_tile
from vitviz.draw.patches import pixels as magnified
from vitviz.draw.scale import rgb
from vitviz.errors import DrawError
from vitviz.tokens import TokenLayout, prefix_names

SQUARE = TokenLayout(("cls",), (4, 4), (10, 10))
WIDE = TokenLayout(prefix_names(5, has_cls=True), (2, 6), (10, 20))
BARE = TokenLayout((), (3, 2), (8, 8))
LAYOUTS = pytest.mark.parametrize(
    "layout", [SQUARE, WIDE, BARE], ids=["one prefix", "five prefixes, wide", "no prefix"]
)


def photo_for(layout: TokenLayout) -> Image.Image:
    height, width = layout.input_size
    return gradient_photo(width, height)


@LAYOUTS
def test_cuts_lie_between_patches_and_leave_their_middles_alone(layout: TokenLayout) -> None:
    photo = photo_for(layout)
    width = photo.width * 4
    plain = pixels(paint_grid(photo, layout, line_width=0, width=width))
    cut = pixels(paint_grid(photo, layout, line_width=2, width=width))
    rows, cols = layout.grid
    for row in range(rows):
        for col in range(cols):
            left, top, right, bottom = box((row, col), layout.grid, (width, cut.shape[0]))
            inner = np.s_[top + 3 : bottom - 3, left + 3 : right - 3]
            np.testing.assert_array_equal(cut[inner], plain[inner])
            if col:
                assert (cut[top + 5 : bottom - 5, left] == rgb(LIGHT.background)).all()
            if row:
                assert (cut[top, left + 5 : right - 5] == rgb(LIGHT.background)).all()


def test_nothing_is_cut_at_the_edge_of_the_picture() -> None:
    photo = photo_for(SQUARE)
    plain, cut = (pixels(paint_grid(photo, SQUARE, line_width=width, width=160)) for width in (0, 4))
    for edge in (np.s_[:10, 10:30], np.s_[-10:, 10:30], np.s_[10:30, :10], np.s_[10:30, -10:]):
        np.testing.assert_array_equal(plain[edge], cut[edge])


def test_numbers_count_the_prefix_tokens() -> None:
    """With a class token in front the first patch is called 1, as the second one is without."""
    grey = Image.new("RGB", (160, 160), "#808080")
    with_cls, without = (
        pixels(paint_grid(grey, TokenLayout(prefix, (4, 4), (10, 10)), line_width=0, numbers=True, width=160))
        for prefix in (("cls",), ())
    )
    np.testing.assert_array_equal(with_cls[:40, :40], without[:40, 40:80])
    assert (with_cls[:40, :40] != without[:40, :40]).any()


def test_wider_lines_and_dimming_are_adjustable_and_the_highlighted_patch_stays_bright() -> None:
    photo = photo_for(SQUARE)
    bare, thin, thick = (paint_grid(photo, SQUARE, line_width=w, width=400) for w in (0, 1, 6))
    changed = [np.count_nonzero((pixels(each) != pixels(bare)).any(axis=-1)) for each in (thin, thick)]
    assert 0 < changed[0] < changed[1]
    dim = pixels(paint_grid(photo, SQUARE, line_width=0, dim=0.5, highlight=[6], width=400, theme=DARK))
    page, full = np.array(rgb(DARK.background)), pixels(bare)
    token_6 = np.s_[100:200, 100:200]  # row 1, column 1: the class token comes first
    np.testing.assert_array_equal(dim[token_6], full[token_6])
    assert np.abs(dim[300:, 300:] - (full[300:, 300:] + page) / 2).max() <= 1


def test_a_prefix_token_has_no_patch_to_highlight() -> None:
    photo = photo_for(WIDE)
    plain, highlighted = (pixels(paint_grid(photo, WIDE, highlight=chosen)) for chosen in ([], [0, 4]))
    np.testing.assert_array_equal(plain, highlighted)


def test_numbers_change_every_patch_of_a_coarse_grid_and_every_fifth_of_a_fine_one() -> None:
    fine = TokenLayout(("cls",), (37, 37), (14, 14))
    for layout, stride in ((SQUARE, 1), (fine, 5)):
        photo = photo_for(layout)
        bare, numbered = (
            pixels(paint_grid(photo, layout, line_width=0, numbers=numbers, width=592)) for numbers in (False, True)
        )
        changed = (bare != numbered).any(axis=-1)
        cell = 592 // layout.grid[0]
        # (rows, pixels of a cell, cols, pixels of a cell) -> (rows, cols)
        touched = changed.reshape(layout.grid[0], cell, layout.grid[1], cell).any(axis=(1, 3))
        assert touched[::stride, ::stride].all()
        if stride > 1:
            assert not touched[stride - 1 :: stride].any()


def test_a_picture_of_other_proportions_is_refused_and_another_resolution_is_not() -> None:
    for draw in (draw_grid, draw_sequence):
        with pytest.raises(DrawError, match="300 x 200 pixels, the patch grid covers 40 x 40"):
            draw(gradient_photo(300, 200), SQUARE)
        draw(gradient_photo(300, 300), SQUARE)


@LAYOUTS
def test_the_tiles_of_the_sequence_put_together_again_are_the_photograph(layout: TokenLayout) -> None:
    photo, (high, wide) = photo_for(layout), layout.patch_size
    whole = np.zeros_like(pixels(photo))
    for token in range(layout.num_prefix, layout.num_tokens):
        left, top, right, bottom = box(layout.cell_of(token), layout.grid, photo.size)
        whole[top:bottom, left:right] = pixels(token_tile(photo, layout, token, (wide, high), LIGHT))
    edge = np.zeros(whole.shape[:2], bool)
    edge[::high], edge[high - 1 :: high], edge[:, ::wide], edge[:, wide - 1 :: wide] = True, True, True, True
    np.testing.assert_array_equal(whole[~edge], pixels(photo)[~edge])
    np.testing.assert_array_equal(whole[edge], np.broadcast_to(rgb(LIGHT.bar), whole[edge].shape))


def test_prefix_tokens_come_first_and_have_no_pixels_of_the_photograph() -> None:
    red = Image.new("RGB", (40, 40), "#ff0000")
    for prefix in ((), ("cls",), prefix_names(5, has_cls=True)):
        layout = TokenLayout(prefix, (4, 4), (10, 10))
        count = layout.num_tokens
        row = inside(draw_sequence(red, layout, columns=count, max_rows=None, width=38 * count + 8))
        middle = row[8 + 15]  # half way down the first row of tiles
        filled = [(middle[8 + 38 * i + 15] == (255, 0, 0)).all() for i in range(count)]
        assert filled == [False] * len(prefix) + [True] * 16


def test_a_long_sequence_shows_its_ends_and_the_highlighted_row_and_says_what_is_left_out() -> None:
    assert shown_rows(5, 6, None) == [0, 1, 2, 3, 4]
    assert shown_rows(30, None, 7) == list(range(30))
    assert shown_rows(30, 4, None) == [0, 1, 2, None, 29]
    assert shown_rows(30, 4, 12) == [0, 1, None, 12, None, 29]
    assert shown_rows(30, 4, 29) == [0, 1, 2, None, 29]
    assert shown_rows(30, 4, 0) == [0, 1, 2, None, 29]
    assert shown_rows(30, 1, 12) == [0, None, 12, None, 29]


def test_a_long_sequence_is_shorter_than_the_whole_one() -> None:
    layout = TokenLayout(("cls",), (16, 16), (14, 14))
    photo = photo_for(layout)
    short, whole = draw_sequence(photo, layout), draw_sequence(photo, layout, max_rows=None)
    assert short.width == whole.width and short.height < whole.height / 3
    with pytest.raises(IndexError, match="token 257"):
        draw_sequence(photo, layout, highlight=257)


def test_the_lens_shows_each_pixel_of_the_patch_in_its_place() -> None:
    patch = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    lens = pixels(magnified(patch, 120, LIGHT))
    assert lens.shape == (80, 120, 3)
    np.testing.assert_array_equal(lens[10::20, 10::20], patch)


def test_the_lens_and_its_place_belong_to_the_token_asked_for() -> None:
    photo = photo_for(SQUARE)
    token = SQUARE.token_at(2, 1)
    picture = inside(draw_patch(photo, SQUARE, token, width=820))
    lens = picture[:400, 420:820]
    expected = pixels(photo)[20:30, 10:20]
    np.testing.assert_array_equal(lens[20:400:40, 20:400:40], expected)
    place = picture[:400, :400]
    highlighted = pixels(photo.resize((400, 400), Image.Resampling.LANCZOS))[205:295, 105:195]
    np.testing.assert_array_equal(place[205:295, 105:195], highlighted)


def test_only_a_patch_at_the_models_own_size_has_pixels_to_show() -> None:
    with pytest.raises(DrawError, match="'cls' is learned and has no pixels"):
        draw_patch(photo_for(SQUARE), SQUARE, 0)
    with pytest.raises(DrawError, match="80 x 80 pixels, the model's input 40 x 40"):
        draw_patch(gradient_photo(80, 80), SQUARE, 1)
    with pytest.raises(IndexError, match="token 17"):
        draw_patch(photo_for(SQUARE), SQUARE, 17)
