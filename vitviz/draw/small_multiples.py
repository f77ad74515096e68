"""Small multiples: maps of every head of every layer, similarities of every position, components of the patch filters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from vitviz.draw.cells import Tiling, outline
from vitviz.draw.scale import Scale, finite, levels, map_name, number, rgb, table
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
    chosen: tuple[int, int] | None = None,
    first_layer: int = 0,
    title: str = "",
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """Maps of every head of every layer as small multiples; layers and heads are counted from 0.

    Args:
        maps: (layers, heads, rows, cols).
        label: Name of the quantity.
        shared: One scale and colour bar for all heads, so that their colours can be compared. Otherwise every map has its own
            scale, and the number below it is the value of its last colour.
        robust: Scales end at the 99th percentile.
        signed: Zero is the middle of the scales.
        chosen: (layer, head) to frame, as indices into `maps`.
        first_layer: Number of the first row.
        title: Written above.
        width: Wanted width in pixels; the result may be narrower or wider, because a patch is a whole number of pixels.
        theme: Colours and font size.

    Raises:
        DrawError: For another number of axes, values that are not finite, and a `chosen` that does not exist.
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
    index, scales = _levels_and_scales(maps, shared, robust, signed)
    ends = [] if shared else [[number(each.high, digits=2) for each in layer] for layer in scales]
    longest = max((text for layer in ends for text in layer), key=font(SMALLEST).getlength, default="")
    least = math.ceil(font(SMALLEST).getlength(longest) / cols)
    times = max(1, least, round(min(across / (heads * cols), down / (layers * rows))))  # pixels a patch
    tile = rows * times, cols * times
    theme = theme.scaled_for(heads * (tile[1] + BOARD_SPACE), width - left)
    left = int(font(theme.small).getlength(row_names[-1])) + 12
    end_size = fitting(longest, tile[1], theme.small)
    caption = 0 if shared else line_height(end_size)
    tiling = Tiling((layers, heads), tile, BOARD_SPACE, caption, left, line_height(theme.small) + 4)
    index = index.repeat(times, axis=2).repeat(times, axis=3)  # (layers, heads, tile height, tile width)
    board = tiling.laid(table(map_name(scales[0][0], theme))[index], theme)
    tiling.name_sides(board, row_names, [f"H{head}" for head in range(heads)], theme)

    if chosen is not None:
        outline(board, tiling.box(*chosen))
    if shared:
        key = legend(scales[0][0], label, board.width - left, theme)
    else:
        _write_ends(board, tiling, ends, end_size, theme)
        key = _own_scales_key(scales, label, board.width - left, theme)
    words = paragraph("Rows are layers, columns are heads, counted from 0.", board.width, theme, quiet=True)
    return sheet([board, _moved(key, left, theme), words], theme, title=title)


def _levels_and_scales(
    maps: np.ndarray, shared: bool, robust: bool, signed: bool
) -> tuple[np.ndarray, list[list[Scale]]]:
    """(layers, heads, rows, cols) numbers of colours, and the scale of every map; with `shared` one alone."""
    if shared:
        scale = Scale.of(maps, robust=robust, signed=signed).counting(maps)
        return levels(maps, scale), [[scale]]
    scales = [[Scale.of(each, robust=robust, signed=signed) for each in layer] for layer in maps]
    index = np.empty(maps.shape, np.uint8)
    for layer, head in np.ndindex(*maps.shape[:2]):
        index[layer, head] = levels(maps[layer, head], scales[layer][head])
    return index, scales


def _moved(image: Image.Image, left: int, theme: Theme) -> Image.Image:
    """The picture moved to the right by `left` pixels, to align it with maps that have numbers on their left."""
    moved = Image.new("RGB", (left + image.width, image.height), theme.background)
    moved.paste(image, (left, 0))
    return moved


def _write_ends(board: Image.Image, tiling: Tiling, ends: list[list[str]], size: int, theme: Theme) -> None:
    pen = ImageDraw.Draw(board)
    for row, col in np.ndindex(tiling.shape):
        left, _, right, bottom = tiling.box(row, col)
        pen.text(((left + right) / 2, bottom + 1), ends[row][col], font=font(size), fill=theme.muted, anchor="ma")


def _own_scales_key(scales: list[list[Scale]], label: str, width: int, theme: Theme) -> Image.Image:
    """The colour bar without numbers, which differ between maps, and an explanation."""
    every = [scale for layer in scales for scale in layer]
    ends = sorted(scale.high for scale in every)
    clipped, total = sum(scale.clipped for scale in every), sum(scale.total for scale in every)
    words = (
        f"{label}: every map has its own scale, so colours cannot be compared between maps. The number under a map is its "
        f"last colour's value, from {number(ends[0])} to {number(ends[-1])} on this board."
    )
    if clipped:
        words += f" Robust scales: {clipped:,} of {total:,} values are outside the scales."
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
    """Similarities of positions as rows x cols tiles: tile (i, j) is the map of patch (i, j) with all patches.

    Args:
        similarity: (patches, patches).
        grid: (rows, cols) of patches.
        label: Name of the quantity.
        signed: Zero is the middle of the scale, as for a cosine.
        scale: By default the raw scale of all values.
        chosen: (row, col) of the tile to frame.
        title: Written above.
        width: Wanted width in pixels; every value is at least one pixel, so that tiles of 37 x 37 patches take 1,406 pixels.
        theme: Colours and font size.

    Raises:
        DrawError: For an array that does not fit the grid, values that are not finite, and a tile outside the grid.
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
    theme = theme.scaled_for(cols * (cols * times + space), width - left)
    left = int(font(theme.small).getlength(str(rows - 1))) + 12
    tiling = Tiling(grid, (rows * times, cols * times), space, left=left, top=line_height(theme.small) + 4)
    # (patches, patches) -> (tile rows, tile cols, rows, cols): the row of patch (i, j) as a map of the grid
    index = levels(similarity, scale).reshape(rows, cols, rows, cols).repeat(times, axis=2).repeat(times, axis=3)
    atlas = tiling.laid(table(map_name(scale, theme))[index], theme)
    tiling.name_sides(atlas, [str(row) for row in range(rows)], [str(col) for col in range(cols)], theme)
    if chosen is not None:
        outline(atlas, tiling.box(*chosen))
    words = paragraph(
        "Each tile stands at the place of a patch and shows the similarity of its position with every other position.",
        atlas.width,
        theme,
        quiet=True,
    )
    key = _moved(legend(scale, label, atlas.width - left, theme), left, theme)
    return sheet([atlas, key, words], theme, title=title)


def paint_atlas(
    similarity: np.ndarray, grid: tuple[int, int], scale: Scale, *, width: int = WIDTH, theme: Theme = LIGHT
) -> Image.Image:
    """The tiles of `draw_atlas` without names and scale, each in the centre of its patch's cell.

    Args:
        similarity: (patches, patches).
        grid: (rows, cols) of patches.
        scale: The scale of all values.
        width: Wanted width in pixels.
        theme: Colours and font size.
    """
    rows, cols = grid
    side = max(rows, cols)
    times = max(1, width // (cols * (side + 1)))  # pixels a value
    cell = side * times + max(2, times)
    high, wide = rows * times, cols * times
    top, left = (cell - high) // 2, (cell - wide) // 2
    # (patches, patches) -> (tile rows, tile cols, rows, cols), as in `draw_atlas`
    index = (
        levels(finite(similarity), scale).reshape(rows, cols, rows, cols).repeat(times, axis=2).repeat(times, axis=3)
    )
    cells = np.empty((rows, cols, cell, cell, 3), np.uint8)
    cells[:] = rgb(theme.background)
    cells[:, :, top : top + high, left : left + wide] = table(map_name(scale, theme))[index]
    # (tile rows, tile cols, cell, cell, 3) -> (pixels down, pixels across, 3)
    return Image.fromarray(cells.transpose(0, 2, 1, 3, 4).reshape(rows * cell, cols * cell, 3))


def draw_filters(
    components: np.ndarray,
    *,
    shares: Sequence[float] | np.ndarray | None = None,
    columns: int = 7,
    title: str = "",
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """Filters as colour tiles: zero is mid-grey, and each tile is scaled to its largest absolute value.

    The sign of a component is arbitrary: a tile and its negative are the same component.

    Args:
        components: (count, height, width, 3).
        shares: (count,) explained variance ratio, written below each tile as a percentage; by default the tile's number.
        columns: Largest number of tiles in a row; fewer if their texts would touch.
        title: Written above.
        width: Pixels of the picture inside the margin.
        theme: Colours and font size.

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
    tiles.reshape(-1, rows, cols, 3)[:count] = as_colours(components)  # (tiles, ...)
    picture = tiling.laid(tiles.repeat(times, axis=2).repeat(times, axis=3), theme)
    pen = ImageDraw.Draw(picture)
    for index, text in enumerate(texts):
        left, _, right, bottom = tiling.box(*divmod(index, columns))
        pen.text(((left + right) / 2, bottom + 2), text, font=font(theme.small), fill=theme.muted, anchor="ma")
    words = "Grey is zero; each tile is stretched to its own largest value."
    if shares is not None:
        words = (
            f"Under each tile: its share of the filters' variance, {100 * float(np.sum(shares)):.0f} % in all. {words}"
        )
    return sheet([picture, paragraph(words, picture.width, theme, quiet=True)], theme, title=title)


def as_colours(components: np.ndarray) -> np.ndarray:
    """(count, height, width, 3) signed -> uint8 of the same shape: zero is 128, the largest absolute value 1 or 255."""
    largest = np.abs(components).max(axis=(1, 2, 3), keepdims=True)
    return (128.5 + 127 * components / np.where(largest > 0, largest, 1)).astype(np.uint8)
