"""Lettering of at least 12 pixels, in one face, at the size at which the app shows pictures on a projector of 1024 x 768."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image, ImageFont

from vitviz import draw
from vitviz.draw import theme
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
    "scatter": lambda **k: draw.draw_scatter(
        np.arange(12), np.arange(12), shade=np.arange(12), shade_label="head", x_label="layer", y_label="pixels", **k
    ),
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
