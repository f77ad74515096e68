"""The look of a page, light or dark: everything a picture needs to know to sit well on it."""

from __future__ import annotations

from dataclasses import dataclass, replace

# Perceptually uniform: equal steps of value are equal steps to the eye, colour-blind eyes included.
SEQUENTIAL = ("viridis", "magma", "inferno", "cividis")
# For signed values only: neutral in the middle, pale (RdBu_r) or dark (berlin, managua), of like weight on both sides.
DIVERGING = ("RdBu_r", "berlin", "managua")


@dataclass(frozen=True)
class Theme:
    """Colours as "#rrggbb" and the size of the lettering in pixels of the picture.

    background, foreground  of the page; pictures carry their own background, so that a saved file stays legible
    muted                   second voice: units, what a scale clipped
    grid                    thin lines that only keep order
    accent                  what is chosen
    bar                     of a bar chart, what is not chosen
    lines                   of a chart, in order
    sequential, diverging   names of colour maps, from SEQUENTIAL and DIVERGING
    font_size               pixels; the default stays legible when a picture of the default width is shown on a phone

    Raises ValueError for a colour map that is not on the lists: others bend the numbers or are lost on some eyes.
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
        """Pixels of the second voice."""
        return max(9, round(self.font_size * 0.8))

    def grown(self, width: int, wanted: int) -> Theme:
        """The theme for a picture that had to be wider than `wanted`: its lettering stays legible scaled down."""
        return replace(self, font_size=round(self.font_size * max(1.0, width / wanted)))


# The lines are Okabe and Ito's (2008, "Color Universal Design"), which colour-blind eyes tell apart, without those that
# the page swallows. The accent is a cyan because none of the sequential maps and hardly a photograph has it.
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

# Pixels. Beside a sidebar on a 1024 x 768 projector a picture of this width is shown about as it is.
WIDTH = 640
# Height of small multiples over the width aimed at, so that many rows and few columns stay in reach of one screen.
TALLEST = 1.25
