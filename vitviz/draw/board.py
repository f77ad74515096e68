"""The head board: every head of every layer as a small map, layers down, heads across."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from vitviz.draw.cells import outline
from vitviz.draw.colour import levels, map_name, table
from vitviz.draw.colourbar import bar_height, legend, ramp
from vitviz.draw.lettering import fitting, font, line_height, paragraph
from vitviz.draw.scale import Scale, finite, number
from vitviz.draw.sheet import column, sheet
from vitviz.draw.theme import LIGHT, TALLEST, WIDTH, Theme
from vitviz.draw.tiles import Tiling
from vitviz.errors import DrawError

SPACE = 5


def draw_board(
    maps: np.ndarray,
    *,
    label: str = "attention weight",
    shared: bool = True,
    robust: bool = False,
    signed: bool = False,
    scale: Scale | None = None,
    chosen: tuple[int, int] | None = None,
    first_layer: int = 0,
    title: str = "",
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """(layers, heads, rows, cols) maps as a board of small multiples; layers and heads are counted from 0, as in code.

    shared       one scale for all, with one colour bar: colours compare between heads. Otherwise every map has its own
                 scale, the number under it is what its last colour stands for, and colours do not compare
    robust       scales end at the 99th percentile
    signed       zero is the middle of the scales
    scale        the shared scale, where it comes from elsewhere
    chosen       (layer, head) to frame, as indices into `maps`
    first_layer  the number the first row is called by
    width        pixels aimed at: a patch is a whole number of pixels, so a board comes out narrower or wider

    Raises DrawError for another number of axes, values that are not finite and a head that is not on the board.
    """
    maps = finite(maps)
    if maps.ndim != 4 or maps.size == 0:
        raise DrawError(f"A head board needs maps (layers, heads, rows, cols), not an array of shape {maps.shape}.")
    layers, heads, rows, cols = maps.shape
    if chosen is not None and not (0 <= chosen[0] < layers and 0 <= chosen[1] < heads):
        raise DrawError(f"Layer {chosen[0]}, head {chosen[1]} is not on a board of {layers} layers and {heads} heads.")

    row_names = [f"L{first_layer + layer}" for layer in range(layers)]
    left = int(font(theme.small).getlength(row_names[-1])) + 12
    across, down = width - left - SPACE * heads, TALLEST * width - SPACE * layers
    times = max(1, round(min(across / (heads * cols), down / (layers * rows))))  # pixels a patch
    tile = rows * times, cols * times
    theme = theme.grown(left + heads * (tile[1] + SPACE), width)
    scales: list[list[Scale]] = []
    if shared:
        scale = (scale or Scale.of(maps, robust=robust, signed=signed)).counting(maps)
        index = levels(maps, scale)
    else:
        scales = [[Scale.of(each, robust=robust, signed=signed) for each in layer] for layer in maps]
        index = np.empty(maps.shape, np.uint8)
        for layer, head in np.ndindex(layers, heads):
            index[layer, head] = levels(maps[layer, head], scales[layer][head])
    ends = [[number(each.high, digits=2) for each in layer] for layer in scales]  # written where scales differ
    longest = max((text for layer in ends for text in layer), key=len, default="")
    end_size = fitting(longest, tile[1], theme.small, 9) or 9
    caption = 0 if shared else line_height(end_size)
    tiling = Tiling((layers, heads), tile, SPACE, caption, left, line_height(theme.small) + 4)
    index = index.repeat(times, axis=2).repeat(times, axis=3)  # (layers, heads, tile height, tile width)
    name = map_name(scale if scale is not None and shared else scales[0][0], theme)
    board = tiling.laid(table(name)[index], theme)
    tiling.name_sides(board, row_names, [f"H{head}" for head in range(heads)], theme)

    if chosen is not None:
        outline(board, tiling.box(*chosen))
    if shared:
        assert scale is not None
        key = legend(scale, label, board.width, theme)
    else:
        _write_ends(board, tiling, ends, end_size, theme)
        key = _own_scales_key(scales, label, board.width, theme)
    words = paragraph("Rows are layers, columns are heads, counted from 0.", board.width, theme, quiet=True)
    return sheet([board, key, words], theme, title=title)


def _write_ends(board: Image.Image, tiling: Tiling, ends: list[list[str]], size: int, theme: Theme) -> None:
    pen = ImageDraw.Draw(board)
    for row, col in np.ndindex(tiling.shape):
        left, _, right, bottom = tiling.box(row, col)
        pen.text(((left + right) / 2, bottom + 1), ends[row][col], font=font(size), fill=theme.muted, anchor="ma")


def _own_scales_key(scales: list[list[Scale]], label: str, width: int, theme: Theme) -> Image.Image:
    """The bar without numbers on it, since they differ from map to map, and what to make of it."""
    every = [scale for layer in scales for scale in layer]
    ends = sorted(scale.high for scale in every)
    clipped, total = sum(scale.clipped for scale in every), sum(scale.total for scale in every)
    words = (
        f"{label}: every map has its own scale, so colours do not compare between maps. The number under a map is its "
        f"last colour's value, from {number(ends[0])} to {number(ends[-1])} on this board."
    )
    if clipped:
        words += f" Robust scales: {clipped:,} of {total:,} values lie beyond the ends."
    bar = ramp(map_name(every[0], theme), width, bar_height(theme))
    return column([bar, paragraph(words, width, theme, quiet=True)], theme, gap=3)
