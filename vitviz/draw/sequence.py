"""The sequence a picture unrolls into: prefix tokens in front, then patch after patch, numbered, wrapped like text."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageOps

from vitviz.draw.cells import box, check_shape, outline
from vitviz.draw.lettering import fitting, font, line_height
from vitviz.draw.sheet import sheet
from vitviz.draw.theme import LIGHT, WIDTH, Theme
from vitviz.tokens import TokenLayout

SPACE = 8


def shown_rows(num_rows: int, max_rows: int | None, wanted: int | None) -> list[int | None]:
    """Which rows of a long sequence are shown: the first, the `wanted` one and the last; None for those left out."""
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
    """Every token as a tile with its number under it: prefix tokens by name, patches by their pixels.

    image      what the model saw, in the grid's proportions
    columns    tiles a row
    max_rows   rows shown; of a longer sequence the first rows, the highlighted token's and the last one, and how many
               tokens were left out between them. None shows all
    highlight  token index to frame

    Raises DrawError where the picture has other proportions than the grid, IndexError for a token that does not exist.
    """
    check_shape(image, layout)
    if highlight is not None:
        layout.cell_of(highlight)  # raises for a token that does not exist
    columns = max(1, min(columns, layout.num_tokens))
    # Space at both ends too: a frame reaches over its tile.
    tile_width = (width - SPACE * (columns + 1)) // columns
    tile_height = max(1, round(tile_width * layout.patch_size[0] / layout.patch_size[1]))
    tile = tile_width, tile_height
    caption = min(fitting(str(layout.num_tokens - 1), tile_width, theme.small), theme.small) or 8
    pitch = tile_height + line_height(caption) + SPACE
    wanted = None if highlight is None else highlight // columns
    rows = shown_rows(-(-layout.num_tokens // columns), max_rows, wanted)

    gap_height = line_height(theme.small) + SPACE
    tall = sum(gap_height if row is None else pitch for row in rows)
    canvas = Image.new("RGB", (width, tall + SPACE), theme.background)
    pen, top, last = ImageDraw.Draw(canvas), SPACE, -1
    for position, row in enumerate(rows):
        if row is None:
            following = rows[position + 1]
            assert following is not None
            left_out = (following - last - 1) * columns
            pen.text((SPACE, top), f"… {left_out:,} more tokens …", font=font(theme.small), fill=theme.muted)
            top += gap_height
            continue
        for column in range(min(columns, layout.num_tokens - row * columns)):
            token = row * columns + column
            left = SPACE + column * (tile_width + SPACE)
            canvas.paste(token_tile(image, layout, token, tile, theme), (left, top))
            middle = left + tile_width / 2
            chosen = token == highlight
            pen.text(
                (middle, top + tile_height + 3),
                str(token),
                font=font(caption, bold=chosen),
                fill=theme.accent if chosen else theme.foreground,
                anchor="ma",
            )
            if chosen:
                outline(canvas, (left, top, left + tile_width, top + tile_height))
        top, last = top + pitch, row
    return sheet([canvas], theme, title=title)


def token_tile(image: Image.Image, layout: TokenLayout, token: int, size: tuple[int, int], theme: Theme) -> Image.Image:
    """One token as a picture of `size` (width, height): a patch's pixels, or a prefix token's name on an empty tile."""
    cell = layout.cell_of(token)
    if cell is not None:
        patch = image.convert("RGB").crop(box(cell, layout.grid, image.size))
        tile = patch.resize(size, Image.Resampling.NEAREST if patch.width < size[0] else Image.Resampling.BOX)
        # A patch of plain sky would be lost on the page without its edge.
        ImageDraw.Draw(tile).rectangle((0, 0, size[0] - 1, size[1] - 1), outline=theme.bar)
        return tile
    tile = ImageOps.expand(Image.new("RGB", (size[0] - 2, size[1] - 2), theme.background), 1, theme.foreground)
    name = layout.prefix[token]
    face = font(fitting(name, size[0] - 6, theme.font_size) or 8)
    ImageDraw.Draw(tile).text((size[0] / 2, size[1] / 2), name, font=face, fill=theme.foreground, anchor="mm")
    return tile
