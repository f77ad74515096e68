"""Lettering of at least 12 pixels, in one face, at the size at which the app shows pictures on a projector of 1024 x 768."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image, ImageFont

from vitviz import draw
from vitviz.draw import LIGHT, theme
from vitviz.draw.theme import fitting, font, paragraph, shortened, wrapped
from vitviz.heatmap import Heatmap
from vitviz.tokens import TokenLayout
from vitviz.ui.controls.figure import HALF

# CSS pixels that a picture has beside another and alone (tests/browser measures them), by what it is drawn in.
SHOWN = {HALF: 336, 840: 654}
RANDOM = np.random.default_rng(0)
FINE = TokenLayout(prefix=("cls", "reg0"), grid=(24, 24), patch_size=(14, 14))
PHOTO = Image.new("RGB", (336, 336), "#705030")
HEADS = RANDOM.random((12, 6, 24, 24))
NAMES = ["motorbike", "a name of a class that is rather long", "wheelchair"]
PICTURES: dict[str, Callable[..., Any]] = {
    "atlas": lambda **k: draw.draw_atlas(RANDOM.random((576, 576)), (24, 24), **k),
    "bars": lambda **k: draw.draw_bars(NAMES, [0.9, 0.05, 0.01], percent=True, **k),
    "board": lambda **k: draw.draw_board(HEADS, **k),
    "board of own scales": lambda **k: draw.draw_board(HEADS, shared=False, **k),
    "curve": lambda **k: draw.draw_curve(
        np.arange(12.0), dict.fromkeys(NAMES, np.arange(12.0)), x_label="layer", y_label="share", title="t", **k
    ),
    "filters": lambda **k: draw.draw_filters(RANDOM.random((28, 14, 14, 3)) - 0.5, shares=[0.011] * 28, **k),
    "grid": lambda **k: draw.draw_grid(PHOTO, FINE, numbers=True, **k),
    "heatmap": lambda **k: draw.draw_heatmap(Heatmap(RANDOM.random((24, 24)), "weight"), image=PHOTO, **k),
    "patch": lambda **k: draw.draw_patch(PHOTO, FINE, 300, **k),
    "scatter": lambda **k: draw.draw_scatter(np.arange(12), np.arange(12), x_label="layer", y_label="pixels", **k),
    "sequence": lambda **k: draw.draw_sequence(PHOTO, FINE, columns=16, highlight=300, **k),
    "sum": lambda **k: draw.draw_sum({"patch": RANDOM.random(384), "place": RANDOM.random(384)}, result="sum", **k),
}


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of every text that Pillow is asked for, in pixels."""
    asked: list[int] = []
    made = ImageFont.truetype

    def truetype(path: str, size: int, **rest: Any) -> Any:
        assert path.endswith(("SourceSans3-Regular.ttf", "SourceSans3-Bold.ttf"))
        font = made(path, size, **rest)
        return _Noted(font, size, asked)

    monkeypatch.setattr(ImageFont, "truetype", truetype)
    theme.font.cache_clear()
    yield asked
    theme.font.cache_clear()


class _Noted:
    """A font that notes its size when something is drawn in it, and not when it is only measured."""

    def __init__(self, font: Any, size: int, asked: list[int]) -> None:
        self.font, self.size, self.asked = font, size, asked

    def __getattr__(self, name: str) -> Any:
        if name in ("getmask", "getmask2"):
            self.asked.append(self.size)
        return getattr(self.font, name)


@pytest.mark.parametrize("width", SHOWN)
@pytest.mark.parametrize("name", PICTURES)
def test_the_smallest_lettering_is_12_pixels_where_it_is_shown(name: str, width: int, sizes: list[int]) -> None:
    picture = PICTURES[name](width=width)
    if isinstance(picture, Figure):
        texts = [text for text in picture.findobj(Text) if text.get_text()]
        assert {text.get_fontname() for text in texts} == {theme.FACE}
        sizes += [round(text.get_fontsize() / draw.charts.POINTS, 1) for text in texts]
        across = picture.get_size_inches()[0] * draw.charts.DOTS
    else:
        across = picture.width
    assert sizes and min(sizes) * SHOWN[width] / across >= 11.95


# Lettering fits where it is put, and draw keeps to its own side of the walls.


def test_every_character_that_numbers_and_labels_use_is_in_the_font() -> None:
    missing = font(20).getmask("\U000f0000").getbbox()  # what an unknown character looks like
    unknown = bytes(font(20).getmask("\U000f0000"))
    assert missing is not None
    for character in "0123456789.,×⁰¹²³⁴⁵⁶⁷⁸⁹⁻−≤≥…·↓→éüßĲ":
        assert bytes(font(20).getmask(character)) != unknown, character


def test_wrapped_lines_fit_and_lose_no_word() -> None:
    text = "every map has its own scale so colours do not compare between maps"
    lines = wrapped(text, 150, 16)
    assert " ".join(lines) == text and len(lines) > 2
    assert all(font(16).getlength(line) <= 150 for line in lines)
    assert paragraph(text, 150, LIGHT).width == 150


def test_a_word_too_wide_is_shortened_with_an_ellipsis() -> None:
    word = "Donaudampfschifffahrtsgesellschaft"
    short = shortened(word, 120, 16)
    assert short.endswith("…") and word.startswith(short[:-1])
    assert font(16).getlength(short) <= 120 + font(16).getlength("…")
    assert shortened("cat", 120, 16) == "cat"


def test_the_largest_fitting_size_is_found() -> None:
    size = fitting("1369", 30, 20)
    assert font(size).getlength("1369") <= 30 < font(size + 1).getlength("1369")
    assert fitting("1369", 5, 20) == 0


def test_draw_and_figure_import_nothing_that_computes_or_serves() -> None:
    code = (
        "import sys, vitviz.draw, vitviz.figure, vitviz.heatmap;"
        "bad = {'torch', 'timm', 'streamlit', 'matplotlib.pyplot'} & set(sys.modules);"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
