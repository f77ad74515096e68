"""Bars, filters, sums and curves."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from tests.draw.pictures import inside, pixels
from vitviz.draw import DARK, LIGHT, draw_bars, draw_curve, draw_filters, draw_scatter, draw_sum
from vitviz.draw.charts import count_layers, percentage, spread_labels
from vitviz.draw.scale import rgb
from vitviz.draw.small_multiples import as_colours
from vitviz.errors import DrawError


def bar_lengths(picture: np.ndarray, bars: int, colour: str) -> list[int]:
    height = picture.shape[0] // bars
    middles = picture[height // 2 :: height][:bars]
    return [int((row == rgb(colour)).all(axis=-1).sum()) for row in middles]


def test_a_bar_is_as_long_as_its_value() -> None:
    lengths = bar_lengths(inside(draw_bars(["a", "b", "c"], [4.0, 2.0, 1.0])), 3, LIGHT.bar)
    assert lengths[0] == pytest.approx(2 * lengths[1], abs=1)
    assert lengths[0] == pytest.approx(4 * lengths[2], abs=2)


def test_percent_bars_are_measured_against_the_whole_and_the_chosen_one_is_coloured() -> None:
    picture = inside(draw_bars(["a", "b"], [0.5, 0.25], percent=True, chosen=0))
    chosen, other = bar_lengths(picture, 2, LIGHT.accent)[0], bar_lengths(picture, 2, LIGHT.bar)[1]
    track = other + bar_lengths(picture, 2, LIGHT.grid)[1]
    assert chosen == pytest.approx(track / 2, abs=1)
    assert other == pytest.approx(track / 4, abs=1)


def test_negative_bars_go_the_other_way_from_a_common_zero() -> None:
    picture = inside(draw_bars(["a", "b"], [1.0, -1.0]))
    height = picture.shape[0] // 2
    places = [np.nonzero((picture[y] == rgb(LIGHT.bar)).all(axis=-1))[0] for y in (height // 2, height + height // 2)]
    assert places[1].max() + 1 == places[0].min()
    assert abs(len(places[0]) - len(places[1])) <= 1


@pytest.mark.parametrize(
    ("share", "text"), [(0.873, "87.3 %"), (0.0, "0.0 %"), (0.0004, "< 0.1 %"), (0.9999, "> 99.9 %"), (1.0, "100.0 %")]
)
def test_a_share_is_never_rounded_to_nothing_or_to_everything(share: float, text: str) -> None:
    assert percentage(share) == text


def test_bars_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(DrawError, match="2 names"):
        draw_bars(["a", "b"], [1.0])
    with pytest.raises(DrawError, match="longer than the full length"):
        draw_bars(["a"], [1.2], percent=True)
    with pytest.raises(DrawError, match="not finite"):
        draw_bars(["a"], [np.nan])


def test_zero_bars_are_empty_and_not_an_error() -> None:
    assert bar_lengths(inside(draw_bars(["a", "b"], [0.0, 0.0])), 2, LIGHT.bar) == [0, 0]


def test_filters_are_grey_at_zero_and_stretched_each_to_its_own_largest_value() -> None:
    components = np.zeros((2, 3, 3, 3))
    components[0, 0, 0] = [0.5, -0.5, 0.0]
    components[1, 2, 2] = [0.0, 0.0, 1e-4]
    coloured = as_colours(components)
    assert coloured[0, 0, 0].tolist() == [255, 1, 128]
    assert coloured[1, 2, 2].tolist() == [128, 128, 255]
    assert (coloured[0, 1:] == 128).all()
    assert (as_colours(np.zeros((1, 2, 2, 3))) == 128).all()


def test_filters_lie_row_by_row() -> None:
    components = np.zeros((5, 2, 2, 3))
    for index, channel in enumerate((0, 1, 2, 0, 1)):
        components[index, ..., channel] = 1
    picture = inside(draw_filters(components, columns=3, width=300))
    first = picture[10]
    assert [first[x].argmax() for x in (20, 150, 260)] == [0, 1, 2]
    second = picture[10 + 94 + 8 + 20 + 5]
    assert [second[x].argmax() for x in (20, 150)] == [0, 1]
    assert (second[260] == rgb(LIGHT.background)).all()
    numbers = (picture[96:112] != rgb(LIGHT.background)).any(axis=(0, 2))  # under the first row of tiles
    assert [numbers[left : left + 90].any() for left in (0, 102, 204)] == [True] * 3


def test_filters_of_another_shape_are_refused() -> None:
    with pytest.raises(DrawError, match=r"shape \(4, 3, 8, 8\)"):
        draw_filters(np.zeros((4, 3, 8, 8)))
    with pytest.raises(DrawError, match="4 components need as many shares of variance, not 3"):
        draw_filters(np.zeros((4, 8, 8, 3)), shares=[0.1, 0.2, 0.3])


def test_the_last_strip_is_the_sum_and_all_share_one_scale() -> None:
    """One component each way: 1 and 2 make 3, the largest, so that only the sum's strip reaches the last colour."""
    one, two = np.zeros(64), np.zeros(64)
    one[10], two[10], one[40] = 1.0, 2.0, -2.0
    picture = inside(draw_sum({"patch": one, "position": two}, result="token", robust=False, width=640))
    from vitviz.draw import Scale
    from vitviz.draw.scale import colours

    column = picture[:, 105]
    scale = Scale(-3, 3, signed=True)
    rows = [np.nonzero((column == colours(np.array(value), scale, LIGHT)).all(axis=-1))[0] for value in (1.0, 2.0, 3.0)]
    assert [len(each) for each in rows] == [40, 40, 40]
    assert rows[0].max() < rows[1].min() and rows[1].max() < rows[2].min()


def test_a_sum_of_vectors_of_different_length_is_refused() -> None:
    with pytest.raises(DrawError, match="one length"):
        draw_sum({"a": np.zeros(3), "b": np.zeros(4)}, result="c")
    with pytest.raises(DrawError, match="one length"):
        draw_sum({}, result="c")


def test_curves_carry_their_numbers_labels_and_theme() -> None:
    x = np.linspace(0, 10, 30)
    figure = draw_curve(
        x,
        {"cost in $": x, "gain in $": x**2},
        bands={"gain in $": (x, x**3)},
        x_label="distance",
        y_label="y",
        theme=DARK,
    )
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.lines[1].get_ydata(), x**2, rtol=1e-6)
    assert len({line.get_linestyle() for line in axes.lines}) == 2, "colour never stands alone"
    assert [text.get_text() for text in axes.texts] == ["cost in $", "gain in $"]
    assert not any(text.get_parse_math() for text in axes.texts), "dollars are not formulas"
    assert axes.get_legend() is None, "nothing stands over the lines"
    assert axes.get_xlabel() == "distance"
    assert figure.get_facecolor()[:3] == pytest.approx(to_rgb(DARK.background))
    figure.canvas.draw()
    assert not draw_curve(x, {"": x}, x_label="x", y_label="y").axes[0].texts


@pytest.mark.parametrize("width", [440, pytest.param(900, marks=pytest.mark.long)])
def test_names_stand_at_the_ends_of_lines_and_none_over_another(width: int) -> None:
    x = np.arange(6.0)
    names = ["Attention relevance", "LeGrad", "a name of so many words that it takes several lines", *"abcdef"]
    figure = draw_curve(
        x,
        {name: 0.4 + 0.002 * i + 0 * x for i, name in enumerate(names)},
        x_label="x",
        y_label="y",
        y_range=(0, 1),
        width=width,
    )
    figure.canvas.draw()
    (axes,) = figure.axes
    assert len({str(line.get_linestyle()) + str(line._dash_pattern) for line in axes.lines}) == len(names)
    boxes = [Text.get_window_extent(text) for text in axes.texts]
    assert all(box.x0 >= axes.bbox.x1 and box.x1 <= figure.bbox.x1 for box in boxes)
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    middles = [(box.y0 + box.y1) / 2 for box in boxes]
    assert middles == sorted(middles), "in the order of their ends"


def test_labels_move_apart_and_no_further() -> None:
    assert spread_labels([0.5, 0.2], [0.1, 0.1]) == [0.5, 0.2]
    assert spread_labels([0.5, 0.52], [0.1, 0.1]) == pytest.approx([0.5, 0.6])
    assert spread_labels([1.0, 0.99, 0.0], [0.1, 0.1, 0.1]) == pytest.approx([0.95, 0.85, 0.05])


def test_curves_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DrawError, match="3 points"):
        draw_curve(np.arange(3), {"a": np.arange(4)}, x_label="x", y_label="y")
    with pytest.raises(DrawError, match="not finite"):
        draw_curve(np.arange(2), {"a": np.array([0, np.nan])}, x_label="x", y_label="y")
    with pytest.raises(DrawError, match="0 points"):
        draw_curve(np.empty(0), {}, x_label="x", y_label="y")


def test_a_scatter_has_a_dot_for_each_pair() -> None:
    layers, heads = np.meshgrid(np.arange(4), np.arange(3), indexing="ij")
    distance = layers * 10.0 + heads
    (axes,) = draw_scatter(layers, distance, x_label="layer", y_label="pixels").axes
    offsets = axes.collections[0].get_offsets()
    np.testing.assert_allclose(np.asarray(offsets), np.stack([layers.ravel(), distance.ravel()], axis=1))
    with pytest.raises(DrawError, match="12 and 3"):
        draw_scatter(layers, np.arange(3), x_label="layer", y_label="pixels")


def test_pictures_take_the_pages_colour() -> None:
    for theme in (LIGHT, DARK):
        assert (pixels(draw_bars(["a"], [1.0], theme=theme))[0, 0] == rgb(theme.background)).all()


def test_a_name_may_be_anything() -> None:
    x = np.arange(3.0)
    figure = draw_curve(x, {"_hidden": x, "$b$": x + 1}, x_label="x", y_label="y")
    assert [text.get_text() for text in figure.axes[0].texts] == ["_hidden", "$b$"]
    two_lines = inside(draw_bars(["two\nlines", "b"], [2.0, 1.0]))
    np.testing.assert_array_equal(two_lines, inside(draw_bars(["two lines", "b"], [2.0, 1.0])))


def test_states_between_layers_are_named_by_the_layer_after_which_they_are_taken() -> None:
    figure = count_layers(draw_curve(np.arange(13), {"": np.arange(13.0)}, x_label="after layer", y_label="y"), 13)
    assert [each.get_text() for each in figure.axes[0].get_xticklabels()] == ["input", "1", "3", "5", "7", "9", "11"]
    many = count_layers(draw_curve(np.arange(41), {"": np.arange(41.0)}, x_label="after layer", y_label="y"), 41)
    shown = many.axes[0].get_xticklabels()
    assert [each.get_text() for each in shown][-2:] == ["33", "39"] and len(shown) <= 9
    assert [round(place) for place in many.axes[0].get_xticks()][-2:] == [34, 40]
