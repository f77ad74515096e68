"""The picture cut into patches: the grid over it, one patch's pixels, and the sequence of tokens."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from vitviz.draw.cells import box, check_shape, edges, outline
from vitviz.draw.scale import rgb
from vitviz.draw.sheet import GAP, beside, sheet
from vitviz.draw.theme import LIGHT, SMALLEST, WIDTH, Theme, fitting, font, line_height, paragraph, shortened
from vitviz.errors import DrawError
from vitviz.tokens import TokenLayout

# Every patch is numbered; if patches are small, every fifth, tenth, ... patch of every fifth, tenth, ... row.
STRIDES = (1, 5, 10, 20, 50)


def draw_grid(
    image: Image.Image,
    layout: TokenLayout,
    *,
    line_width: int = 2,
    dim: float = 0.0,
    numbers: bool = False,
    highlight: Iterable[int] = (),
    title: str = "",
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """The photograph, `width` pixels wide, cut into its patches.

    Args:
        image: The model input before normalisation, at any resolution, with the grid's aspect ratio.
        layout: Which token is which patch.
        line_width: Width of the grid's lines in pixels, 0 for none.
        dim: Share of the page's colour blended into the photograph, 0 to 1; highlighted patches are not changed.
        numbers: Writes the token index on each patch; if patches are small, on every fifth, tenth, ... patch of every
            fifth, tenth, ... row.
        highlight: Token indices to frame; prefix tokens have no patch and are ignored.
        title: Written above.
        width: Pixels of the picture inside the margin.
        theme: Colours and font size.

    Raises:
        DrawError: If the picture has another aspect ratio than the grid.
        IndexError: For a token that does not exist.
    """
    picture = paint_grid(
        image, layout, line_width=line_width, dim=dim, numbers=numbers, highlight=highlight, width=width, theme=theme
    )
    return sheet([picture], theme, title=title)


def paint_grid(
    image: Image.Image,
    layout: TokenLayout,
    *,
    line_width: int = 2,
    dim: float = 0.0,
    numbers: bool = False,
    highlight: Iterable[int] = (),
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """The picture of `draw_grid` without title and margin; patches are at the positions of `cells.box`."""
    check_shape(image, layout)
    height = round(width * image.height / image.width)
    photograph = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    sunk = Image.blend(photograph, Image.new("RGB", photograph.size, theme.background), float(np.clip(dim, 0, 1)))
    chosen = [cell for cell in map(layout.cell_of, highlight) if cell is not None]
    areas = [box(cell, layout.grid, photograph.size) for cell in chosen]
    for area in areas:
        sunk.paste(photograph.crop(area), area)
    _cut(sunk, layout.grid, line_width, theme)
    if numbers:
        _number(sunk, layout)
    for area in areas:
        outline(sunk, area)
    return sunk


def _cut(picture: Image.Image, grid: tuple[int, int], line_width: int, theme: Theme) -> None:
    """Draws lines between patches, and none around the picture."""
    if line_width < 1:
        return
    pixels = np.array(picture)  # (height, width, 3)
    down, across = edges(grid[0], picture.height)[1:-1], edges(grid[1], picture.width)[1:-1]
    # A faint contrasting shadow on both sides keeps a line visible on pixels of its own colour.
    shadow = 255 - np.array(rgb(theme.background), np.float32)
    before, after = line_width // 2, line_width - line_width // 2
    for axis, cuts in ((0, down), (1, across)):
        lines = pixels if axis == 0 else pixels.transpose(1, 0, 2)  # a view: (along the cut axis, along the line, 3)
        for cut in cuts:
            soft = lines[max(cut - before - 1, 0) : cut + after + 1]
            soft[:] = (0.65 * soft + 0.35 * shadow).astype(np.uint8)
    for axis, cuts in ((0, down), (1, across)):
        lines = pixels if axis == 0 else pixels.transpose(1, 0, 2)
        for cut in cuts:
            lines[max(cut - before, 0) : cut + after] = rgb(theme.background)
    picture.paste(Image.fromarray(pixels))


def _number(picture: Image.Image, layout: TokenLayout) -> None:
    rows, cols = layout.grid
    down, across = edges(rows, picture.height), edges(cols, picture.width)
    longest = str(layout.num_tokens - 1)
    cell_width, cell_height = picture.width / cols, picture.height / rows
    for stride in STRIDES:
        size = min(fitting(longest, 0.9 * cell_width * stride, 16), int(0.75 * cell_height * stride))
        if size >= SMALLEST:
            break
    face, pen = font(max(size, SMALLEST)), ImageDraw.Draw(picture)
    for row in range(0, rows, stride):
        for col in range(0, cols, stride):
            place = (int(across[col]) + 3, int(down[row]) + 2)
            # White with a black outline is legible on every photograph, in both themes.
            name = str(layout.token_at(row, col))
            pen.text(place, name, font=face, fill="#ffffff", stroke_width=1, stroke_fill="#000000")


def draw_patch(
    image: Image.Image, layout: TokenLayout, token: int, *, title: str = "", width: int = WIDTH, theme: Theme = LIGHT
) -> Image.Image:
    """The photograph with one patch framed, and beside it the patch's pixels as squares.

    Args:
        image: The model input before normalisation, in its own size.
        layout: Which token is which patch.
        token: Index of the patch's token.
        title: Written above.
        width: Pixels of the picture inside the margin.
        theme: Colours and font size.

    Raises:
        DrawError: For a picture of another size than the model's input and for a prefix token, which has no pixels.
        IndexError: For a token that does not exist.
    """
    cell = layout.cell_of(token)
    if cell is None:
        raise DrawError(f"The token {layout.prefix[token]!r} is learned and has no pixels; choose a patch instead.")
    check_shape(image, layout)
    high, wide = layout.input_size
    if image.size != (wide, high):
        raise DrawError(
            f"The picture is {image.width} x {image.height} pixels, the model's input {wide} x {high}: "
            "to show a patch's pixels, give the picture at the model's input size."
        )
    patch = np.asarray(image.convert("RGB").crop(box(cell, layout.grid, image.size)))  # (patch height, patch width, 3)
    half = (width - 2 * GAP) // 2
    place = paint_grid(image, layout, line_width=0, dim=0.55, highlight=[token], width=half, theme=theme)
    lens = pixels(patch, half, theme)
    outline(lens, (3, 3, lens.width - 3, lens.height - 3))
    red, green, blue = patch.reshape(-1, 3).mean(axis=0).round().astype(int)  # (pixels, 3) -> (3,)
    words = (
        f"token {token}: row {cell[0]}, column {cell[1]}, {patch.shape[1]} x {patch.shape[0]} pixels, "
        f"mean red {red}, green {green}, blue {blue}"
    )
    picture = beside([place, lens], theme)
    return sheet([picture, paragraph(words, picture.width, theme, quiet=True)], theme, title=title)


def pixels(patch: np.ndarray, width: int, theme: Theme) -> Image.Image:
    """(height, width, 3) uint8 pixels as squares, with lines between them if there is space."""
    rows, cols = patch.shape[:2]
    picture = Image.fromarray(patch).resize((width, round(width * rows / cols)), Image.Resampling.NEAREST)
    if width // cols >= 6:
        pen = ImageDraw.Draw(picture)
        for y in edges(rows, picture.height)[1:-1]:
            pen.line([(0, int(y)), (width, int(y))], fill=theme.grid)
        for x in edges(cols, width)[1:-1]:
            pen.line([(int(x), 0), (int(x), picture.height)], fill=theme.grid)
    return picture


TILE_SPACE = 8


def shown_rows(num_rows: int, max_rows: int | None, wanted: int | None) -> list[int | None]:
    """The rows of a long sequence to show: the first ones, the `wanted` one and the last; None for a gap."""
    if max_rows is None or num_rows <= max_rows:
        return list(range(num_rows))
    ends = {num_rows - 1} | ({wanted} if wanted is not None else set())
    first = [row for row in range(num_rows) if row not in ends][: max(max_rows - len(ends), 1)]
    shown: list[int | None] = []
    for row in sorted({*first, *ends}):
        if row and (not shown or shown[-1] != row - 1):
            shown.append(None)
        shown.append(row)
    return shown


def draw_sequence(
    image: Image.Image,
    layout: TokenLayout,
    *,
    columns: int = 10,
    max_rows: int | None = 6,
    highlight: int | None = None,
    title: str = "",
    width: int = WIDTH,
    theme: Theme = LIGHT,
) -> Image.Image:
    """Every token as a tile with its index below: prefix tokens by name, patches by their pixels.

    Args:
        image: The model input before normalisation, with the grid's aspect ratio.
        layout: Which token is which patch.
        columns: Largest number of tiles in a row; fewer if their numbers would touch.
        max_rows: Rows shown; of a longer sequence the first rows, the highlighted token's and the last one, with the number
            of tokens left out between them. None shows all.
        highlight: Token index to frame.
        title: Written above.
        width: Pixels of the picture inside the margin.
        theme: Colours and font size.

    Raises:
        DrawError: If the picture has another aspect ratio than the grid.
        IndexError: For a token that does not exist.
    """
    check_shape(image, layout)
    if highlight is not None:
        layout.cell_of(highlight)  # raises for a token that does not exist
    longest = font(theme.small).getlength(str(layout.num_tokens - 1))
    columns = max(1, min(columns, layout.num_tokens, int((width - TILE_SPACE) // (longest + TILE_SPACE))))
    # Space at both ends as well, because a frame is larger than its tile.
    tile_width = (width - TILE_SPACE * (columns + 1)) // columns
    tile_height = max(1, round(tile_width * layout.patch_size[0] / layout.patch_size[1]))
    tile = tile_width, tile_height
    pitch = tile_height + line_height(theme.small) + TILE_SPACE
    wanted = None if highlight is None else highlight // columns
    rows = shown_rows(-(-layout.num_tokens // columns), max_rows, wanted)

    gap_height = line_height(theme.small) + TILE_SPACE
    tall = sum(gap_height if row is None else pitch for row in rows)
    canvas = Image.new("RGB", (width, tall + TILE_SPACE), theme.background)
    pen, top, last = ImageDraw.Draw(canvas), TILE_SPACE, -1
    for position, row in enumerate(rows):
        if row is None:
            following = rows[position + 1]
            assert following is not None
            left_out = (following - last - 1) * columns
            pen.text((TILE_SPACE, top), f"… {left_out:,} more tokens …", font=font(theme.small), fill=theme.muted)
            top += gap_height
            continue
        for column in range(min(columns, layout.num_tokens - row * columns)):
            token, left = row * columns + column, TILE_SPACE + column * (tile_width + TILE_SPACE)
            canvas.paste(token_tile(image, layout, token, tile, theme), (left, top))
            _write_index(canvas, (left, top, left + tile_width, top + tile_height), token, token == highlight, theme)
        top, last = top + pitch, row
    return sheet([canvas], theme, title=title)


def _write_index(canvas: Image.Image, tile: tuple[int, int, int, int], token: int, chosen: bool, theme: Theme) -> None:
    """The token's index below its tile (left, top, right, bottom); a chosen tile is framed."""
    left, _, right, bottom = tile
    ImageDraw.Draw(canvas).text(
        (left + (right - left) / 2, bottom + 3),
        str(token),
        font=font(theme.small, bold=chosen),
        fill=theme.accent if chosen else theme.foreground,
        anchor="ma",
    )
    if chosen:
        outline(canvas, tile)


def token_tile(image: Image.Image, layout: TokenLayout, token: int, size: tuple[int, int], theme: Theme) -> Image.Image:
    """One token as a picture of `size` (width, height): a patch's pixels, or a prefix token's name on an empty tile."""
    cell = layout.cell_of(token)
    if cell is not None:
        patch = image.convert("RGB").crop(box(cell, layout.grid, image.size))
        tile = patch.resize(size, Image.Resampling.NEAREST if patch.width < size[0] else Image.Resampling.BOX)
        # An outline, because a patch may have the colour of the page.
        ImageDraw.Draw(tile).rectangle((0, 0, size[0] - 1, size[1] - 1), outline=theme.bar)
        return tile
    tile = ImageOps.expand(Image.new("RGB", (size[0] - 2, size[1] - 2), theme.background), 1, theme.foreground)
    name = layout.prefix[token]
    fits = fitting(name, size[0] - 6, theme.font_size, theme.small) or theme.small
    name = shortened(name, size[0] - 6, fits)
    ImageDraw.Draw(tile).text((size[0] / 2, size[1] / 2), name, font=font(fits), fill=theme.foreground, anchor="mm")
    return tile
