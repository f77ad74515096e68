"""Heat maps, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.draw.pictures import area_of, gradient_photo, inside, pixels
from vitviz.draw import DARK, LIGHT, Scale, draw_heatmap
from vitviz.draw.cells import edges, enlarged
from vitviz.draw.heatmap import paint_heatmap
from vitviz.draw.scale import colours, rgb, table
from vitviz.errors import DrawError
from vitviz.heatmap import Heatmap

LOW, HIGH = table(LIGHT.sequential)[0], table(LIGHT.sequential)[255]


def one_hot(rows: int, cols: int, row: int, col: int) -> Heatmap:
    values = np.zeros((rows, cols))
    values[row, col] = 1
    return Heatmap(values, "weight")


@pytest.mark.parametrize(("rows", "cols", "row", "col"), [(16, 16, 3, 4), (3, 7, 2, 6), (9, 2, 0, 0), (1, 1, 0, 0)])
def test_one_hot_paints_exactly_its_patchs_rectangle(rows: int, cols: int, row: int, col: int) -> None:
    picture = pixels(paint_heatmap(one_hot(rows, cols, row, col), scale=Scale(0, 1), width=cols * 20))
    assert picture.shape == (rows * 20, cols * 20, 3)
    expected = np.broadcast_to(LOW, picture.shape).copy()
    expected[row * 20 : (row + 1) * 20, col * 20 : (col + 1) * 20] = HIGH
    np.testing.assert_array_equal(picture, expected)


def test_cells_of_uneven_width_leave_no_pixel_out_and_differ_by_one_at_most() -> None:
    for count, size in ((16, 640), (37, 640), (7, 100), (7, 7)):
        starts = edges(count, size)
        assert starts[0] == 0 and starts[-1] == size
        assert set(np.diff(starts)) <= {size // count, -(-size // count)}
    values = np.arange(6).reshape(2, 3)
    assert enlarged(values, 5, 7).tolist()[0] == [0, 0, 1, 1, 1, 2, 2]


def test_over_a_photograph_full_opacity_is_the_map_alone_and_none_the_grey_photograph() -> None:
    photo, heatmap = gradient_photo(160, 80), one_hot(4, 8, 1, 2)
    alone = pixels(paint_heatmap(heatmap, image=photo, opacity=1.0, width=160))
    assert area_of(HIGH, alone) == (40, 20, 60, 40)
    bare = pixels(paint_heatmap(heatmap, image=photo, opacity=0.0, width=160))
    np.testing.assert_array_equal(bare, pixels(photo.convert("L").convert("RGB")))
    half = pixels(paint_heatmap(heatmap, image=photo, opacity=0.5, width=160))
    assert np.abs(half - (alone + bare) / 2).max() <= 1


def test_the_picture_has_the_photographs_proportions() -> None:
    assert paint_heatmap(one_hot(4, 8, 0, 0), image=gradient_photo(300, 150), width=600).size == (600, 300)
    assert paint_heatmap(one_hot(4, 8, 0, 0), width=600).size == (600, 300)


def test_a_shared_scale_gives_the_same_value_the_same_colour_in_both_maps() -> None:
    one, other = Heatmap([[0.0, 0.4]], "weight"), Heatmap([[0.4, 1.0]], "weight")
    scale = Scale.of(one.values, other.values)
    first, second = (pixels(paint_heatmap(each, scale=scale, width=20)) for each in (one, other))
    np.testing.assert_array_equal(first[5, 15], second[5, 5])
    own = [pixels(paint_heatmap(each, width=20)) for each in (one, other)]
    assert not np.array_equal(own[0][5, 15], own[1][5, 5])


def test_signed_maps_have_their_neutral_colour_at_zero() -> None:
    picture = pixels(paint_heatmap(Heatmap([[-1.0, 0.0, 4.0]], "change", signed=True), width=30, theme=DARK))
    scale = Scale(-4, 4, signed=True)
    for place, value in ((5, -1.0), (15, 0.0), (25, 4.0)):
        np.testing.assert_array_equal(picture[5, place], colours(np.array(value), scale, DARK))
    np.testing.assert_array_equal(picture[5, 15], table(DARK.diverging)[128])


def test_the_query_is_framed_and_its_own_pixels_stay_as_they_are() -> None:
    heatmap = one_hot(4, 4, 1, 1)
    plain, framed = (pixels(paint_heatmap(heatmap, width=200, query=query)) for query in (None, (1, 1)))
    changed = np.nonzero((plain != framed).any(axis=-1))
    np.testing.assert_array_equal(plain[50:100, 50:100], framed[50:100, 50:100])
    assert changed[0].min() == 45 and changed[0].max() == 104
    assert changed[1].min() == 45 and changed[1].max() == 104


def test_a_patch_outside_the_grid_is_refused() -> None:
    with pytest.raises(DrawError, match=r"\(4, 0\).*4 rows and 4 columns"):
        paint_heatmap(one_hot(4, 4, 1, 1), query=(4, 0))


def test_a_map_that_is_not_finite_is_refused_and_a_constant_one_is_drawn_flat() -> None:
    with pytest.raises(DrawError, match="1 of 4 values"):
        draw_heatmap(Heatmap([[0.0, np.nan], [1.0, 2.0]], "weight"))
    flat = draw_heatmap(Heatmap(np.full((3, 3), 0.2), "weight"), width=90)
    assert len(np.unique(inside(flat)[:90].reshape(-1, 3), axis=0)) == 1


def test_the_sheet_holds_the_picture_at_its_margin_and_a_bar_under_it() -> None:
    heatmap = one_hot(4, 4, 2, 3)
    whole = inside(draw_heatmap(heatmap, width=200))
    np.testing.assert_array_equal(whole[:200], pixels(paint_heatmap(heatmap, width=200)))
    assert whole.shape[0] > 200 + 40
    titled = draw_heatmap(heatmap, width=200, title="Layer 3")
    assert titled.height > draw_heatmap(heatmap, width=200).height


def test_the_bar_says_what_is_clipped_in_this_map_and_not_in_the_others_of_its_scale() -> None:
    with_sink, without = np.random.default_rng(0).random((20, 20)), np.full((20, 20), 0.5)
    with_sink[3, 3] = 40
    without[0, 0] = 0.1
    shared = Scale.of(with_sink, without, robust=True)
    assert shared.clipped > 0
    for values, pointed in ((with_sink, True), (without, False)):
        sheet = inside(draw_heatmap(Heatmap(values, "weight"), scale=shared, width=200))
        top_of_bar = sheet[200 + 10]
        assert (top_of_bar[198] == rgb(LIGHT.background)).all() == pointed


def test_any_mode_of_photograph_will_do() -> None:
    for mode in ("L", "RGBA", "P", "CMYK"):
        photo = Image.new(mode, (40, 40))
        assert paint_heatmap(one_hot(2, 2, 0, 0), image=photo, width=40).mode == "RGB"
