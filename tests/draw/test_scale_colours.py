"""Colours and the colour bar: the bar's ends are the scale's ends, in colour and in number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.draw.pictures import pixels
from vitviz.draw import DARK, LIGHT, Scale, Theme
from vitviz.draw.scale import colours, rgb, table
from vitviz.draw.sheet import colour_bar, legend
from vitviz.draw.theme import DIVERGING, SEQUENTIAL


def lightness(colour: np.ndarray) -> np.ndarray:
    """(..., 3) uint8 sRGB -> CIE L*, worked out from the standard's formula."""
    linear = colour / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_sequential_maps_grow_lighter_all_the_way(name: str) -> None:
    steps = np.diff(lightness(table(name))[::8])  # every eighth: single steps round to 8 bits
    assert (steps > 0).all()


@pytest.mark.parametrize("name", DIVERGING)
def test_diverging_maps_turn_in_the_middle_and_treat_both_sides_alike(name: str) -> None:
    light = lightness(table(name))
    middle, ends = light[126:130].mean(), (light[0], light[-1])
    assert all(abs(end - middle) > 40 for end in ends)
    assert abs(ends[0] - ends[1]) < 20


def test_only_signed_scales_get_the_diverging_map() -> None:
    theme = replace(LIGHT, sequential="cividis", diverging="managua")
    ends = np.array([-1.0, 1.0])
    np.testing.assert_array_equal(colours(ends, Scale(-1, 1, signed=True), theme), table("managua")[[0, 255]])
    np.testing.assert_array_equal(colours(ends, Scale(-1, 1), theme), table("cividis")[[0, 255]])


def test_a_map_that_bends_the_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="'jet'.*viridis"):
        replace(LIGHT, sequential="jet")


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_lettering_stands_out_from_the_page(theme: Theme) -> None:
    def luminance(colour: str) -> float:
        return float(((lightness(np.array(rgb(colour))) + 16) / 116) ** 3)

    for colour in (theme.foreground, theme.muted, theme.accent):
        dark, light = sorted((luminance(colour), luminance(theme.background)))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, colour  # WCAG AA


@pytest.mark.parametrize("signed", [False, True])
def test_the_bar_runs_from_the_colour_of_its_low_end_to_that_of_its_high_end(signed: bool) -> None:
    scale = Scale(-2, 2, signed=signed)
    bar = pixels(colour_bar(scale, 400, LIGHT))
    middle = bar[bar.shape[0] // 2]
    for place, value in ((1, -2.0), (398, 2.0)):  # the outermost column is the bar's thin edge
        assert np.abs(middle[place] - colours(np.array(value), scale, LIGHT)).max() <= 8
    expected = colours(np.linspace(-2, 2, 400), scale, LIGHT)[1:-1].astype(int)
    assert np.abs(middle[1:-1] - expected).max() <= 8


def test_the_bar_is_pointed_only_at_an_end_beyond_which_values_lie() -> None:
    scale = Scale(0, 1)
    beyond = scale.counting(np.array([0.5, 3.0]))
    page = rgb(DARK.background)
    flat_end, pointed = pixels(colour_bar(scale, 200, DARK)), pixels(colour_bar(beyond, 200, DARK))
    assert (pointed[0, -3] == page).all() and not (pointed[0, 2] == page).all()
    assert not (flat_end[0, -3] == page).all()


def test_a_flat_scale_has_a_bar_of_the_one_colour_in_its_picture() -> None:
    scale = Scale.of(np.full((3, 3), 0.25))
    expected = colours(np.array(0.25), scale, LIGHT)
    assert (pixels(colour_bar(scale, 50, LIGHT)) == expected).all()


def test_the_legend_writes_the_numbers_at_the_ends_of_the_bar() -> None:
    """Numbers are dark marks under the bar: present at both ends and in the middle, absent in between."""
    strip = pixels(legend(Scale(0, 1), "weight", 600, LIGHT))[19 : 19 + 24]  # the line of numbers under the bar
    written = (np.abs(strip - rgb(LIGHT.background)).max(axis=-1) > 60).any(axis=0)
    assert written[:15].any() and written[-15:].any() and written[280:320].any()
    assert not written[60:240].any() and not written[360:540].any()
