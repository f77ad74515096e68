"""`Theme`: the colours of pictures for a light or dark page; and functions for text.

The font is that of the app's pages, from a file of the assets, so that pictures look the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from vitviz.assets import asset_path

# Perceptually uniform, also for colour-blind readers.
SEQUENTIAL = ("viridis", "magma", "inferno", "cividis")
# For signed values only: a neutral middle, light (RdBu_r) or dark (berlin, managua), and equal contrast on both sides.
DIVERGING = ("RdBu_r", "berlin", "managua")

# The font of Streamlit's pages, where its name is "Source Sans".
FACE = "Source Sans 3"
# Pixels: text is not made smaller to fit; without enough space it is left out or written less often.
SMALLEST = 12


@dataclass(frozen=True)
class Theme:
    """Colours as "#rrggbb", and the font size in pixels of the picture.

    Attributes:
        name: "light" or "dark".
        background, foreground: Of the page; a picture is drawn on this background, so that a saved file is legible.
        muted: Secondary text, such as units and clipped values.
        grid: Grid lines.
        accent: The selected element.
        bar: Bars that are not selected.
        lines: Lines of a chart, in order.
        sequential, diverging: Names of colour maps, from SEQUENTIAL and DIVERGING.
        font_size: Pixels; the default is legible when a picture of the default width is shown on a phone.

    Raises:
        ValueError: For another colour map, which would not be uniform or not be safe for colour-blind readers.
    """

    name: str
    background: str
    foreground: str
    muted: str
    grid: str
    accent: str
    bar: str
    lines: tuple[str, ...]
    sequential: str = "inferno"
    diverging: str = "RdBu_r"
    font_size: int = 20

    def __post_init__(self) -> None:
        if self.sequential not in SEQUENTIAL:
            raise ValueError(f"{self.sequential!r} is not among the sequential colour maps: {', '.join(SEQUENTIAL)}")
        if self.diverging not in DIVERGING:
            raise ValueError(f"{self.diverging!r} is not among the diverging colour maps: {', '.join(DIVERGING)}")

    @property
    def small(self) -> int:
        """Font size of secondary text in pixels."""
        return max(SMALLEST, round(self.font_size * 0.8))

    def scaled_for(self, width: int, wanted: int) -> Theme:
        """The theme with a larger font for a picture wider than `wanted`, which will be scaled down to that width."""
        return replace(self, font_size=round(self.font_size * max(1.0, width / wanted)))


# Lines: Okabe and Ito 2008, "Color Universal Design", safe for colour-blind readers, without those of low contrast on the
# page. The accent is a cyan, which none of the sequential colour maps contains and few photographs do.
LIGHT = Theme(
    "light",
    background="#ffffff",
    foreground="#22252b",
    muted="#5d6470",
    grid="#e1e5eb",
    accent="#007ea3",
    bar="#98a1af",
    lines=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"),
)
DARK = Theme(
    "dark",
    background="#0e1117",
    foreground="#f2f4f8",
    muted="#a4adba",
    grid="#343b47",
    accent="#3ddcff",
    bar="#727d8e",
    lines=("#56b4e9", "#e69f00", "#2cc79a", "#cc79a7", "#f0e442"),
)

# Pixels. Beside a sidebar on a 1024 x 768 screen a picture of this width is shown in about its own size.
WIDTH = 640
# Largest height of small multiples relative to their width, so that many rows of few columns still fit one screen.
TALLEST = 1.25


def font_file(bold: bool = False) -> str:
    """Path of FACE's file."""
    return str(asset_path("fonts", f"SourceSans3-{'Bold' if bold else 'Regular'}.ttf"))


@lru_cache(maxsize=64)
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The font FACE at `size` pixels."""
    return ImageFont.truetype(font_file(bold), size, layout_engine=ImageFont.Layout.BASIC)


def line_height(size: int) -> int:
    """Pixels from one line of text to the next."""
    ascent, descent = font(size).getmetrics()
    return ascent + descent


def fitting(text: str, width: float, largest: int, smallest: int = SMALLEST) -> int:
    """The largest font size, `largest` down to `smallest`, at which `text` fits into `width` pixels; 0 for none."""
    for size in range(largest, smallest - 1, -1):
        if font(size).getlength(text) <= width:
            return size
    return 0


def shortened(text: str, width: float, size: int, bold: bool = False) -> str:
    """`text`, shortened with an ellipsis if it is wider than `width` pixels."""
    face = font(size, bold)
    if face.getlength(text) <= width:
        return text
    while text and face.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def wrapped(text: str, width: float, size: int, bold: bool = False) -> list[str]:
    """`text` broken at spaces into lines of at most `width` pixels; a word wider than that is shortened."""
    face, lines = font(size, bold), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and face.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return [shortened(line, width, size, bold) for line in lines]


def paragraph(text: str, width: int, theme: Theme, *, quiet: bool = False, bold: bool = False) -> Image.Image:
    """Text as a picture `width` pixels wide and as tall as it needs; `quiet` sets it as secondary text."""
    size = theme.small if quiet else theme.font_size
    lines = wrapped(text, width, size, bold)
    picture = Image.new("RGB", (width, line_height(size) * len(lines)), theme.background)
    pen = ImageDraw.Draw(picture)
    for index, line in enumerate(lines):
        colour = theme.muted if quiet else theme.foreground
        pen.text((0, index * line_height(size)), line, font=font(size, bold), fill=colour)
    return picture
