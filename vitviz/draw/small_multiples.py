"""Small multiples: every head of every layer, the similarity of every position, the components of the patch filters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from vitviz.draw.cells import Tiling, outline
from vitviz.draw.scale import Scale, finite, levels, map_name, number, table
from vitviz.draw.sheet import bar_height, column, legend, ramp, sheet
from vitviz.draw.theme import LIGHT, SMALLEST, TALLEST, WIDTH, Theme, fitting, font, line_height, paragraph
from vitviz.errors import DrawError

BOARD_SPACE = 5


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

    Args:
        shared: one scale for all, with one colour bar: colours compare between heads. Otherwise every map has its own scale,
            the number under it is what its last colour stands for, and colours do not compare
        robust: scales end at the 99th percentile
        signed: zero is the middle of the scales
        scale: the shared scale, where it comes from elsewhere
        chosen: (layer, head) to frame, as indices into `maps`
        first_layer: the number the first row is called by
        width: pixels aimed at: a patch is a whole number of pixels, so a board comes out narrower or wider

    Raises:
        DrawError: For another number of axes, values that are not finite and a head that is not on the board.
    """
    maps = finite(maps)
    if maps.ndim != 4 or maps.size == 0:
        raise DrawError(f"A head board needs maps (layers, heads, rows, cols), not an array of shape {maps.shape}.")
    layers, heads, rows, cols = maps.shape
    if chosen is not None and not (0 <= chosen[0] < layers and 0 <= chosen[1] < heads):
        raise DrawError(f"Layer {chosen[0]}, head {chosen[1]} is not on a board of {layers} layers and {heads} heads.")

    row_names = [f"L{first_layer + layer}" for layer in range(layers)]
    left = int(font(theme.small).getlength(row_names[-1])) + 12
    across, down = width - left - BOARD_SPACE * heads, TALLEST * width - BOARD_SPACE * layers
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
    longest = max((text for layer in ends for text in layer), key=font(SMALLEST).getlength, default="")
    least = math.ceil(font(SMALLEST).getlength(longest) / cols)
    times = max(1, least, round(min(across / (heads * cols), down / (layers * rows))))  # pixels a patch
    tile = rows * times, cols * times
    theme = theme.grown(heads * (tile[1] + BOARD_SPACE), width - left)
    left = int(font(theme.small).getlength(row_names[-1])) + 12
    end_size = fitting(longest, tile[1], theme.small)
    caption = 0 if shared else line_height(end_size)
    tiling = Tiling((layers, heads), tile, BOARD_SPACE, caption, left, line_height(theme.small) + 4)
    index = index.repeat(times, axis=2).repeat(times, axis=3)  # (layers, heads, tile height, tile width)
    name = map_name(scale if scale is not None and shared else scales[0][0], theme)
    board = tiling.laid(table(name)[index], theme)
    tiling.name_sides(board, row_names, [f"H{head}" for head in range(heads)], theme)

    if chosen is not None:
        outline(board, tiling.box(*chosen))
    if shared:
        assert scale is not None
        key = legend(scale, label, board.width - left, theme)
    else:
        _write_ends(board, tiling, ends, end_size, theme)
        key = _own_scales_key(scales, label, board.width - left, theme)
    words = paragraph("Rows are layers, columns are heads, counted from 0.", board.width, theme, quiet=True)
    return sheet([board, _moved(key, left, theme), words], theme, title=title)


def _moved(image: Image.Image, left: int, theme: Theme) -> Image.Image:
    """To the right by `left` pixels: what stands under maps that have numbers beside them shares the maps' edges."""
    moved = Image.new("RGB", (left + image.width, image.height), theme.background)
    moved.paste(image, (left, 0))
    return moved


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


def draw_atlas(
    similarity: np.ndarray,
    grid: tuple[int, int],
    *,
    label: str = "cosine similarity",
    signed: bool = True,
    scale: Scale | None = None,
    chosen: tuple[int, int] | None = None,
    title: str = "",
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """(patches, patches) similarity of positions as rows x cols tiles: tile (i, j) is the map of patch (i, j) with all.

    Args:
        grid: (rows, cols) of patches
        signed: zero is the middle of the scale, as it should be for a cosine
        scale: the raw scale of all values where none is given
        chosen: (row, col) of the tile to frame
        width: pixels aimed at; a value is a whole number of pixels, and no value is left out: the tiles of 37 x 37 patches are
            1,406 pixels wide together

    Raises:
        DrawError: For an array that does not fit the grid, values that are not finite and a tile outside the grid.
    """
    similarity = finite(similarity)
    rows, cols = grid
    if similarity.shape != (rows * cols, rows * cols):
        raise DrawError(
            f"The atlas of a grid of {rows} x {cols} patches needs an array ({rows * cols}, {rows * cols}), "
            f"not one of shape {similarity.shape}."
        )
    if chosen is not None and not (0 <= chosen[0] < rows and 0 <= chosen[1] < cols):
        raise DrawError(f"Patch {chosen} is outside the grid of {rows} rows and {cols} columns, counted from 0.")
    scale = (scale or Scale.of(similarity, signed=signed)).counting(similarity)

    space = 1 if cols > 24 else 2
    across, down = (width / cols - space) / cols, (TALLEST * width / rows - space) / rows
    times = max(1, round(min(across, down)))  # pixels a value
    left = int(font(theme.small).getlength(str(rows - 1))) + 12
    theme = theme.grown(cols * (cols * times + space), width - left)
    left = int(font(theme.small).getlength(str(rows - 1))) + 12
    tiling = Tiling(grid, (rows * times, cols * times), space, left=left, top=line_height(theme.small) + 4)
    # (patches, patches) -> (tile rows, tile cols, rows, cols): the row of patch (i, j), folded back into the grid
    index = levels(similarity, scale).reshape(rows, cols, rows, cols).repeat(times, axis=2).repeat(times, axis=3)
    atlas = tiling.laid(table(map_name(scale, theme))[index], theme)
    tiling.name_sides(atlas, [str(row) for row in range(rows)], [str(col) for col in range(cols)], theme)
    if chosen is not None:
        outline(atlas, tiling.box(*chosen))
    words = paragraph(
        "One tile a patch, in the patch's own place: its position's similarity with every other position.",
        atlas.width,
        theme,
        quiet=True,
    )
    key = _moved(legend(scale, label, atlas.width - left, theme), left, theme)
    return sheet([atlas, key, words], theme, title=title)


def draw_filters(
    components: np.ndarray,
    *,
    shares: Sequence[float] | np.ndarray | None = None,
    columns: int = 7,
    title: str = "",
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """(count, height, width, 3) components as colour tiles: zero is mid-grey, each tile stretched to its largest value.

    A component's sign is arbitrary: a tile and its negative are the same component.

    Args:
        shares: (count,) explained variance ratio, written under each tile as a percentage; its number where not given
        columns: tiles a row at most; fewer where their texts would touch

    Raises:
        DrawError: For another shape, another number of shares, and values that are not finite.
    """
    components = finite(components)
    if components.ndim != 4 or components.shape[-1] != 3 or components.size == 0:
        raise DrawError(f"Filters need an array (count, height, width, 3), not one of shape {components.shape}.")
    count, rows, cols, _ = components.shape
    if shares is not None and len(shares) != count:
        raise DrawError(f"{count} components need as many shares of variance, not {len(shares)}.")
    texts = [str(i) for i in range(count)] if shares is None else [f"{100 * share:.1f} %" for share in shares]
    space, longest = 8, max(font(theme.small).getlength(text) for text in texts)
    columns = max(1, min(columns, count, int((width + space) // (longest + space))))
    times = max(1, (width - space * (columns - 1)) // (columns * cols))
    shape = -(-count // columns), columns
    tiling = Tiling(shape, (rows * times, cols * times), space, line_height(theme.small) + 2)

    tiles = np.empty((*shape, rows, cols, 3), np.uint8)
    tiles[:] = np.array(Image.new("RGB", (1, 1), theme.background))[0, 0]
    tiles.reshape(-1, rows, cols, 3)[:count] = as_colours(components)
    picture = tiling.laid(tiles.repeat(times, axis=2).repeat(times, axis=3), theme)
    pen = ImageDraw.Draw(picture)
    for index, text in enumerate(texts):
        left, _, right, bottom = tiling.box(*divmod(index, columns))
        pen.text(((left + right) / 2, bottom + 2), text, font=font(theme.small), fill=theme.muted, anchor="ma")
    words = "Grey is zero; each tile is stretched to its own largest value."
    if shares is not None:
        words = f"Share of the filters' variance under each, {100 * float(np.sum(shares)):.0f} % in all. {words}"
    return sheet([picture, paragraph(words, picture.width, theme, quiet=True)], theme, title=title)


def as_colours(components: np.ndarray) -> np.ndarray:
    """(count, height, width, 3) signed -> uint8 of the same shape: zero to 128, the largest magnitude to 1 or 255."""
    largest = np.abs(components).max(axis=(1, 2, 3), keepdims=True)
    return (128.5 + 127 * components / np.where(largest > 0, largest, 1)).astype(np.uint8)
