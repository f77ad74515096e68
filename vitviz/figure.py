"""What a page shows and an export writes: arrays, drawing, where they come from, and the Python that makes them."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, PngImagePlugin

import vitviz

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

# The key under which a PNG and an npz keep their provenance, as JSON.
PROVENANCE_KEY = "vitviz.provenance"
# Names that numpy's own npz writer takes for itself.
RESERVED = {"file", "allow_pickle", PROVENANCE_KEY}
# matplotlib shares font caches between figures and does not promise to draw in two threads at once.
_RENDERING = threading.Lock()


@dataclass(frozen=True)
class Provenance:
    """Where a figure comes from, so that it can be made again; empty for what does not apply.

    model         the name the model was loaded by
    weights_hash  sha256 of the weights, or "random:<seed>"
    image_hash    names the image by its pixels; the name of a user's file is never kept
    input_size    (height, width) in pixels
    framing       how the image became the input: "centre crop", "whole image", ...
    dtype         what the forward pass computed in, where not in float32: "bfloat16"
    layer, head   counted from 0
    query         the query token's short name: "cls", "r3c5"
    method        "rollout", "attention", "position similarity", ...
    parameters    the method's options by name: numbers (numpy's too), strings, booleans, None, or lists of them
    compared_with where the second half of a comparison comes from
    version       of vitviz
    """

    model: str = ""
    weights_hash: str = ""
    image_hash: str = ""
    input_size: tuple[int, int] | None = None
    framing: str = ""
    dtype: str = ""
    layer: int | None = None
    head: int | None = None
    query: str = ""
    method: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    compared_with: Provenance | None = None
    version: str = vitviz.__version__

    def as_dict(self) -> dict[str, Any]:
        """What applies, ready for JSON."""
        items = {each.name: getattr(self, each.name) for each in fields(self)}
        items["parameters"] = dict(self.parameters)
        if self.input_size is not None:
            items["input_size"] = list(self.input_size)
        if self.compared_with is not None:
            items["compared_with"] = self.compared_with.as_dict()
        return {name: value for name, value in items.items() if value not in ("", None, {})}

    def as_json(self) -> str:
        """The same as text.

        Raises:
            TypeError: For a parameter that JSON does not know.
        """
        return json.dumps(self.as_dict(), ensure_ascii=False, default=_plain)

    @classmethod
    def from_dict(cls, items: Mapping[str, Any]) -> Provenance:
        """The inverse of `as_dict`; names it does not know, from a later version, are passed over."""
        known = {each.name for each in fields(cls)}
        kept = {name: value for name, value in items.items() if name in known}
        if kept.get("input_size") is not None:
            height, width = kept["input_size"]
            kept["input_size"] = (int(height), int(width))
        if isinstance(kept.get("compared_with"), Mapping):
            kept["compared_with"] = cls.from_dict(kept["compared_with"])
        return cls(**{"version": "", **kept})

    @property
    def line(self) -> str:
        """One line for people: "embedded (weights 3f2a91c04b7d) · layer 11 · rollout (alpha 0.5)"."""
        weights = self.weights_hash if ":" in self.weights_hash else self.weights_hash[:12]
        place = [
            f"{name} {number}" for name, number in (("layer", self.layer), ("head", self.head)) if number is not None
        ]
        options = ", ".join(f"{name} {value}" for name, value in self.parameters.items())
        size = f"{self.input_size[1]} x {self.input_size[0]} pixels" if self.input_size else ""
        parts = (
            f"{self.model} (weights {weights})" if self.model and weights else self.model,
            f"image {self.image_hash[:12]}" if self.image_hash else "",
            ", ".join(filter(None, (size, self.framing))),
            self.dtype,
            ", ".join(place),
            f"query {self.query}" if self.query else "",
            f"{self.method} ({options})" if self.method and options else self.method or options,
            f"compared with ({replace(self.compared_with, version='').line})" if self.compared_with else "",
            f"vitviz {self.version}" if self.version else "",
        )
        return " · ".join(filter(None, parts))


@dataclass(frozen=True, eq=False)
class Figure:
    """One answer, complete: what is seen, the numbers behind it, and how to get them again.

    Attributes:
        arrays: by name; read-only copies. Names are Python identifiers, since they become names in an npz file
        drawing: a Pillow image or a matplotlib figure
        alt: what the picture shows, in words, for those who do not see it
        provenance: where it comes from
        snippet: Python that makes it again, starting from `import vitviz`

    Raises:
        ValueError: Without an alt text, and for an array without a usable name or of Python objects.
    """

    arrays: Mapping[str, np.ndarray]
    drawing: Image.Image | MatplotlibFigure
    alt: str
    provenance: Provenance
    snippet: str = ""

    def __post_init__(self) -> None:
        if not self.alt.strip():
            raise ValueError("a figure needs an alt text: say in words what the picture shows")
        kept: dict[str, np.ndarray] = {}
        for name, values in self.arrays.items():
            if not name.isidentifier() or name in RESERVED:
                raise ValueError(f"{name!r} cannot name an array in an npz file; use a plain Python name")
            copy = np.array(values)
            if copy.dtype.hasobject:
                raise ValueError(f"the array {name!r} holds Python objects; only numbers and text can be kept")
            copy.setflags(write=False)
            kept[name] = copy
        object.__setattr__(self, "arrays", kept)

    def image(self) -> Image.Image:
        """The drawing as pixels: RGB, of the drawing's own size."""
        if isinstance(self.drawing, Image.Image):
            return self.drawing.convert("RGB")
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        with _RENDERING:
            canvas = self.drawing.canvas
            if not isinstance(canvas, FigureCanvasAgg):
                canvas = FigureCanvasAgg(self.drawing)
            canvas.draw()
            return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")

    def png(self) -> bytes:
        """The picture as a PNG file that carries its alt text, provenance and snippet as text."""
        text = PngImagePlugin.PngInfo()
        text.add_itxt("Description", self.alt)
        text.add_itxt("Software", f"vitviz {self.provenance.version}")
        text.add_itxt("Comment", self.provenance.line)
        text.add_itxt(PROVENANCE_KEY, self.provenance.as_json())
        if self.snippet:
            text.add_itxt("vitviz.snippet", self.snippet)
        file = io.BytesIO()
        self.image().save(file, "PNG", pnginfo=text, compress_level=6)
        return file.getvalue()

    def __repr__(self) -> str:
        arrays = ", ".join(f"{name} {values.shape}" for name, values in self.arrays.items())
        return f"Figure({self.provenance.method or 'figure'!r}: {arrays})"

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        return self.png()

    def npz(self) -> bytes:
        """The arrays as a compressed npz file, with the provenance as JSON in a text array; needs no pickle to read."""
        file = io.BytesIO()
        np.savez_compressed(
            file, allow_pickle=False, **{**self.arrays, PROVENANCE_KEY: np.array(self.provenance.as_json())}
        )
        return file.getvalue()


def _plain(value: Any) -> Any:
    """A numpy number or array as Python's own, which JSON knows.

    Raises:
        TypeError: For anything else.
    """
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"a parameter of type {type(value).__name__} cannot be kept with a figure")
