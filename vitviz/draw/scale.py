"""`Scale`, the mapping of values to colours, and the colour maps.

A scale counts and reports the values beyond its ends. Colour maps are perceptually uniform and safe for colour-blind readers;
diverging ones are for signed values only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import matplotlib
import numpy as np
from PIL import ImageColor

from vitviz.draw.theme import Theme
from vitviz.errors import DrawError

# End of a robust scale. Without it attention sinks, a few tokens with most of the mass, make all other patches black.
ROBUST_PERCENTILE = 99.0
# Values whose relative difference is below this are equal except for float32 rounding, and drawn in one colour.
FLAT = 1e-5


RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def number(value: float, step: float = 0.0, digits: int = 3) -> str:
    """A value with `digits` significant digits, or as many more as distinguish it from values `step` away."""
    if value == 0:
        return "0"
    if 0 < step < abs(value):
        digits = min(max(digits, int(np.ceil(np.log10(abs(value) / step))) + 1), 7)
    figures, _, power = f"{abs(value):.{digits - 1}e}".partition("e")
    if -4 <= int(power) < 6:
        text = f"{float(f'{figures}e{power}'):,.{max(digits - 1 - int(power), 0)}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        text = f"{figures.rstrip('0').rstrip('.')}×10{str(int(power)).translate(RAISED)}"
    return "\N{MINUS SIGN}" + text if value < 0 else text


@dataclass(frozen=True)
class Scale:
    """A linear mapping of [low, high] to [0, 1]. Values beyond the ends have the end's colour and are counted.

    A scale made by the constructor, Scale(-1, 1, signed=True), has no counts; `counting` adds them. Pictures with the same
    scale have the same colour for the same value.

    Attributes:
        low, high: The ends.
        signed: Whether zero is the middle: low = -high.
        robust: Whether the end is a percentile and not the extreme value.
        below, above: How many of the counted values are beyond each end.
        total: How many values were counted.
        lowest, highest: The extremes of the counted values.
        noise: A range not wider than this is rounding; larger than the default if values are differences of larger ones.
    """

    low: float
    high: float
    signed: bool = False
    robust: bool = False
    below: int = 0
    above: int = 0
    total: int = 0
    lowest: float = 0.0
    highest: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low <= self.high):
            raise ValueError(
                f"a scale runs from a smaller to a larger finite number, not from {self.low} to {self.high}"
            )
        if self.signed and self.low != -self.high:
            raise ValueError(f"a signed scale is symmetric about zero, not from {self.low} to {self.high}")

    @classmethod
    def of(
        cls,
        *maps: np.ndarray,
        robust: bool = False,
        signed: bool = False,
        low: float | None = None,
        noise: float = 0.0,
    ) -> Scale:
        """The scale of all values of all `maps`.

        A raw scale ends at the smallest and largest value, a signed one at plus and minus the largest absolute value. In a
        robust scale the 99th percentile (of absolute values, if signed) replaces the largest value; if that leaves no range,
        as for a map with a single non-zero patch, the scale stays raw.

        Args:
            *maps: Of any shapes; several for a shared scale.
            robust: End at the 99th percentile.
            signed: Zero in the middle.
            low: A fixed lower end, such as zero.
            noise: The range that rounding alone can cause; see `rounding`.

        Raises:
            DrawError: For a value that is not finite, and without a value.
        """
        values = np.concatenate([finite(m).ravel() for m in maps]) if maps else np.empty(0, np.float32)
        if values.size == 0:
            raise DrawError("There is no value to draw: the map is empty.")
        size = np.abs(values) if signed else values
        bottom = 0.0 if signed else float(values.min()) if low is None else float(low)
        top = max(float(size.max()), bottom)
        if robust:
            # In double precision, so that frontend/core/scale.js computes the same number.
            percentile = float(np.percentile(size.astype(np.float64), ROBUST_PERCENTILE))
            span = 2 * percentile if signed else percentile - bottom
            robust = span > max(FLAT * max(abs(bottom), abs(percentile)), noise)
            top = percentile if robust else top
        return cls(-top if signed else bottom, top, signed, robust, noise=noise).counting(values)

    def counting(self, *maps: np.ndarray) -> Scale:
        """The same scale with counts of other values: those of the picture that its colour bar belongs to.

        Raises:
            DrawError: For a value that is not finite.
        """
        parts = [finite(m) for m in maps]
        return replace(
            self,
            below=sum(int(np.count_nonzero(p < np.float32(self.low))) for p in parts),
            above=sum(int(np.count_nonzero(p > np.float32(self.high))) for p in parts),
            total=sum(p.size for p in parts),
            lowest=min((float(p.min()) for p in parts if p.size), default=0.0),
            highest=max((float(p.max()) for p in parts if p.size), default=0.0),
        )

    @property
    def flat(self) -> bool:
        """Whether all values are equal except for rounding. `frontend/core/scale.js` has the same rule."""
        return self.high - self.low <= self._rounding

    @property
    def _rounding(self) -> float:
        """Largest difference of values that count as equal."""
        return max(FLAT * max(abs(self.low), abs(self.high)), self.noise)

    @property
    def _level(self) -> float:
        """The value of a flat scale."""
        return 0.0 if self.signed else self.high

    @property
    def clipped(self) -> int:
        """How many of the counted values are beyond an end."""
        return self.below + self.above

    def unit(self, values: np.ndarray) -> np.ndarray:
        """(...) values -> (...) float32 in [0, 1]; one half everywhere for a flat scale.

        Raises:
            DrawError: For a value that is not finite.
        """
        values = finite(values)
        if self.flat:
            # Values of another map may be beyond a flat scale; they are mapped to its ends.
            margin = self._rounding
            return (0.5 * (1 + (values > self.high + margin) - 1.0 * (values < self.low - margin))).astype(np.float32)
        return np.clip((values - np.float32(self.low)) / np.float32(self.high - self.low), 0, 1)

    def ticks(self) -> list[tuple[float, str]]:
        """(position in [0, 1], text) of the numbers on the colour bar: both ends and the middle; one number if flat.

        An end with values beyond it has an inequality sign. A low end that is much smaller than the range, such as 10⁻¹⁴ from a
        softmax, is written as about zero.
        """
        if self.flat:
            return [(0.5, number(self._level))]
        step = (self.high - self.low) / 2
        low, middle, high = (number(v, step) for v in (self.low, (self.low + self.high) / 2, self.high))
        if 0 < abs(self.low) < (self.high - self.low) / 1000:
            low = "≈ 0"
        return [(0.0, f"≤ {low}" if self.below else low), (0.5, middle), (1.0, f"≥ {high}" if self.above else high)]

    @property
    def label(self) -> str:
        """A sentence on the kind of the scale, the range of the counted values, and the clipped values.

        "raw scale, from the smallest to the largest value",
        "robust scale, ends at the 99th percentile: 3 of 256 values lie beyond (up to 0.412)".
        """
        if self.flat and not self.clipped:
            return f"every value is {number(self._level)}"
        kind = f"robust scale, ends at the {ROBUST_PERCENTILE:.0f}th percentile" if self.robust else "raw scale"
        if not self.clipped:
            if not self.total:
                return kind
            if (self.lowest, self.highest) == (self.low, self.high):
                return f"{kind}, from the smallest to the largest value"
            step = (self.highest - self.lowest) / 2
            return f"{kind}; the values here run from {number(self.lowest, step)} to {number(self.highest, step)}"
        reach = [number(self.lowest)] * bool(self.below) + [number(self.highest)] * bool(self.above)
        verb = "lies" if self.clipped == 1 else "lie"
        return f"{kind}: {self.clipped:,} of {self.total:,} values {verb} beyond (up to {' and '.join(reach)})"


def rounding(*maps: np.ndarray) -> float:
    """The `noise` of a difference of these maps: the rounding error of values of their size."""
    return FLAT * max((float(np.abs(finite(each)).max()) for each in maps if np.size(each)), default=0.0)


def finite(values: np.ndarray) -> np.ndarray:
    """The values as float32.

    Raises:
        DrawError: If some are not finite; the message has their number.
    """
    values = np.asarray(values, dtype=np.float32)
    wrong = values.size - int(np.count_nonzero(np.isfinite(values)))
    if wrong:
        raise DrawError(
            f"{wrong:,} of {values.size:,} values are not finite numbers, so they cannot be drawn. "
            "The model's weights may be damaged, or half precision overflowed: try full precision."
        )
    return values


@lru_cache(maxsize=16)
def table(name: str) -> np.ndarray:
    """(256, 3) uint8, read-only: the colour map `name` of matplotlib from its first to its last colour."""
    colours = matplotlib.colormaps[name](np.arange(256), bytes=True)[:, :3]
    colours.setflags(write=False)
    return colours


def map_name(scale: Scale, theme: Theme) -> str:
    """The theme's diverging colour map for a signed scale, else its sequential one."""
    return theme.diverging if scale.signed else theme.sequential


def levels(values: np.ndarray, scale: Scale) -> np.ndarray:
    """(...) values -> (...) uint8: index of each value's colour.

    Raises:
        DrawError: For values that are not finite.
    """
    return (scale.unit(values) * 255 + 0.5).astype(np.uint8)


def colours(values: np.ndarray, scale: Scale, theme: Theme) -> np.ndarray:
    """(...) values -> (..., 3) uint8.

    Raises:
        DrawError: For values that are not finite.
    """
    return table(map_name(scale, theme))[levels(values, scale)]


def rgb(colour: str) -> tuple[int, int, int]:
    """ "#rrggbb" as three numbers."""
    red, green, blue = ImageColor.getrgb(colour)[:3]
    return red, green, blue
