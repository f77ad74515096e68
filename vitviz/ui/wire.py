"""Arrays as bytes for the browser: small enough to read in thirty lines of JavaScript, aligned so that nothing is copied there.

    4 bytes    "VVZ1"
    4 bytes    length of the header, unsigned, little endian
    header     UTF-8 JSON {"arrays": {name: {"dtype", "shape", "offset"}}, "meta": {...}}, padded with spaces so that what
               follows starts at a multiple of 8
    arrays     raw, little endian, row by row; each at its offset, counted from the end of the header, a multiple of 8

The first four bytes let a reader tell a payload from the page that a server sends for an address it does not know.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

MAGIC = b"VVZ1"
DTYPES = ("float32", "uint16", "int32", "uint8")
_ALIGNMENT = 8


def pack(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any] | None = None) -> bytes:
    """One payload. Raises TypeError for an array of another type than `DTYPES`: a silent conversion would hide a loss."""
    described: dict[str, dict[str, Any]] = {}
    parts: list[bytes] = []
    offset = 0
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise TypeError(f"array {name!r} is {array.dtype}; a payload carries {', '.join(DTYPES)}")
        raw = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
        described[name] = {"dtype": array.dtype.name, "shape": list(array.shape), "offset": offset}
        parts.append(raw + bytes(-len(raw) % _ALIGNMENT))
        offset += len(parts[-1])
    header = json.dumps(
        {"arrays": described, "meta": dict(meta or {})}, allow_nan=False, separators=(",", ":")
    ).encode()
    header += b" " * (-(len(header) + 8) % _ALIGNMENT)
    return b"".join([MAGIC, struct.pack("<I", len(header)), header, *parts])


def pack_picture(picture: Image.Image) -> bytes:
    """A payload of a picture, as the array "picture" that holds a PNG file: one route and one rule serve everything."""
    encoded = io.BytesIO()
    picture.convert("RGB").save(encoded, "PNG", compress_level=3)
    return pack({"picture": np.frombuffer(encoded.getvalue(), np.uint8)})


def unpack(payload: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays by name, read only, and the meta. Raises ValueError for bytes that are no payload."""
    if payload[:4] != MAGIC or len(payload) < 8:
        raise ValueError("these bytes are not a payload: they do not begin with VVZ1")
    (length,) = struct.unpack_from("<I", payload, 4)
    header = json.loads(payload[8 : 8 + length])
    start = 8 + length
    arrays = {
        name: np.frombuffer(
            payload, np.dtype(entry["dtype"]).newbyteorder("<"), int(np.prod(entry["shape"])), start + entry["offset"]
        ).reshape(entry["shape"])
        for name, entry in header["arrays"].items()
    }
    return arrays, header["meta"]
