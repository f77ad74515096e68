"""Conversion of values of more than 8 bits, with the same rule for every format.

integers from 0 to 65,535   black is 0; white is the full scale of the smallest of 8, 10, 12, 14 and 16 bits that holds the
                            largest value, because a file of 16 bits does not say how many its camera used
floats from 0 to 1          unchanged
other values                black is the smallest value, white the largest
"""

from __future__ import annotations

from typing import Any

import numpy as np

_BITS = (8, 10, 12, 14, 16)
# Pillow's raw mode of 16-bit pixels, of which it decodes the high bytes -> the raw mode that decodes the low bytes.
_OTHER_BYTE = {
    "RGB;16B": "RGB;16L",
    "RGB;16L": "RGB;16B",
    "RGBA;16B": "RGBA;16L",
    "RGBA;16L": "RGBA;16B",
    "RGBX;16B": "RGBX;16L",
    "RGBX;16L": "RGBX;16B",
    "RGB;16N": "RGB;16B",  # on a little-endian machine; others show Pillow's result
    "RGBX;16N": "RGBX;16B",
    "RGBA;16N": "RGBA;16B",
}
_GREY_ALPHA = "LA;16B"
# A picture whose largest high byte is at least this uses more than 14 bits: its high bytes are the 8-bit picture.
_FILLS_16_BITS = 64


def raw_mode(image: Any) -> str:
    """Pillow's raw mode of a file that was opened and not yet decoded; "" if it has none."""
    if not getattr(image, "tile", None):
        return ""
    args = image.tile[0].args
    found = args[0] if isinstance(args, tuple | list) and args else args
    return found if isinstance(found, str) else ""


def sixteen_bits(high: Any, raw: str, again: Any) -> np.ndarray | None:
    """The values of a picture of 16 bits a channel that uses fewer; None if its high bytes, which Pillow decodes, suffice.

    Args:
        high: The decoded image of high bytes, in mode RGB, RGBA or LA.
        raw: Its `raw_mode`.
        again: Opens the same file again.

    Returns:
        (height, width, channels) uint16, or None.
    """
    if raw not in _OTHER_BYTE and raw != _GREY_ALPHA:
        return None
    colours = 1 if raw == _GREY_ALPHA else 3
    upper = np.asarray(high)  # (height, width, channels)
    if upper[..., :colours].max(initial=0) >= _FILLS_16_BITS:
        return None
    other = again()
    if raw == _GREY_ALPHA:  # as four bytes: grey high, grey low, alpha high, alpha low
        _decode_as(other, "RGBA", "RGBA")
        parts = np.asarray(other).astype(np.uint16)
        return parts[..., 0::2] << 8 | parts[..., 1::2]
    _decode_as(other, other.mode, _OTHER_BYTE[raw])
    return upper.astype(np.uint16) << 8 | np.asarray(other)


def _decode_as(image: Any, mode: str, raw: str) -> None:
    tiles = []
    for tile in image.tile:
        args = (raw, *tile.args[1:]) if isinstance(tile.args, tuple | list) else raw
        tiles.append(tile._replace(args=args))
    image.tile, image._mode = tiles, mode
    image.load()


def black_and_white(values: np.ndarray) -> tuple[float, float]:
    """(value shown black, value shown white) of a picture's finite values, by the module's rule."""
    finite = np.isfinite(values) if values.dtype.kind == "f" else True
    low = float(
        np.min(values, where=finite, initial=np.inf if values.dtype.kind == "f" else np.iinfo(values.dtype).max)
    )
    high = float(
        np.max(values, where=finite, initial=-np.inf if values.dtype.kind == "f" else np.iinfo(values.dtype).min)
    )
    if values.dtype.kind == "f":
        return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
    if low >= 0 and high < 1 << _BITS[-1]:
        return 0.0, float(next((1 << bits) - 1 for bits in _BITS if high < 1 << bits))
    return low, high


def to_8_bits(values: np.ndarray) -> np.ndarray:
    """uint8 of the same shape, by the module's rule. NaN is black."""
    low, high = black_and_white(values)
    if values.dtype == np.uint16 and low == 0:
        levels = (np.arange(65536) * 255 + int(high) // 2) // int(high)  # exact, with one look-up for each value
        return np.minimum(levels, 255).astype(np.uint8)[values]
    work = np.float64 if values.dtype.itemsize > 2 and values.dtype.kind in "iu" else np.float32
    scaled: Any = values.astype(work)
    np.nan_to_num(scaled, copy=False, nan=low, posinf=high, neginf=low)
    scaled -= low
    scaled *= 255 / (high - low) if high > low else 0.0
    shown: np.ndarray = np.rint(scaled, out=scaled).clip(0, 255).astype(np.uint8)
    return shown


def said_of(values: np.ndarray) -> str:
    """A sentence on the values shown black and white; "" for values of 16 bits and for floats from 0 to 1."""
    low, high = black_and_white(values)
    if values.dtype.kind == "f":
        return "" if (low, high) == (0.0, 1.0) or not high > low else _stretched(f"{low:.4g}", f"{high:.4g}")
    if low == 0 and high in {(1 << bits) - 1 for bits in _BITS}:
        return (
            ""
            if high == 65535
            else f"Its values fit into {int(high).bit_length()} bits, so {int(high):,} is shown white."
        )
    return _stretched(f"{int(low):,}", f"{int(high):,}")


def _stretched(low: str, high: str) -> str:
    return f"Its values go from {low} to {high}; the smallest is shown black, the largest white."
