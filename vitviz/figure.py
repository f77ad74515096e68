"""A figure of the app, of the command line or of a notebook: arrays, drawing, provenance, and the Python that computes it."""

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
# Names that numpy's npz writer uses for its own arguments.
RESERVED = {"file", "allow_pickle", PROVENANCE_KEY}
# matplotlib shares font caches between figures and is not thread-safe.
_RENDERING = threading.Lock()


@dataclass(frozen=True)
class Provenance:
    """Everything needed to compute a figure again; attributes that do not apply are empty.

    Attributes:
        model: The name the model was loaded by.
        weights_hash: sha256 of the weights, or "random:<seed>".
        image_hash: Hash of the image's pixels; the name of a user's file is never kept.
        input_size: (height, width) in pixels.
        framing: How the image became the input: "centre crop", "whole image", ...
        dtype: Precision of the forward pass if it is not float32: "bfloat16".
        layer, head: Counted from 0.
        query: The query token's short name: "cls", "r3c5".
        method: "rollout", "attention", "position similarity", ...
        parameters: The method's options by name: numbers (numpy's too), strings, booleans, None, or lists of them.
        compared_with: Provenance of a comparison's second half.
        version: Version of vitviz.
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
        """The attributes that are not empty, as values for JSON."""
        items = {each.name: getattr(self, each.name) for each in fields(self)}
        items["parameters"] = dict(self.parameters)
        if self.input_size is not None:
            items["input_size"] = list(self.input_size)
        if self.compared_with is not None:
            items["compared_with"] = self.compared_with.as_dict()
        return {name: value for name, value in items.items() if value not in ("", None, {})}

    def as_json(self) -> str:
        """`as_dict` as JSON text.

        Raises:
            TypeError: For a parameter that JSON cannot represent.
        """
        return json.dumps(self.as_dict(), ensure_ascii=False, default=_plain)

    @classmethod
    def from_dict(cls, items: Mapping[str, Any]) -> Provenance:
        """The inverse of `as_dict`; unknown names, written by a later version, are ignored."""
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
    """A drawing with the arrays it shows, its provenance and the Python code that computes the arrays again.

    Attributes:
        arrays: Name -> read-only copy. Names are Python identifiers, because they become names in an npz file.
        drawing: A Pillow image or a matplotlib figure.
        alt: Alternative text for readers who cannot see the picture.
        provenance: Model, image, method and options that the arrays come from.
        snippet: Python code, starting with `import vitviz`.

    Raises:
        ValueError: For an empty alt text, an array whose name is no identifier, and an array of Python objects.
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
        """The drawing as an RGB image in its own size."""
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
        """A PNG file with alt text, provenance and snippet as text chunks."""
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
        """The PNG that a notebook shows."""
        return self.png()

    def npz(self) -> bytes:
        """The arrays as a compressed npz file that can be read without pickle; the provenance is a text array of JSON."""
        file = io.BytesIO()
        np.savez_compressed(
            file, allow_pickle=False, **{**self.arrays, PROVENANCE_KEY: np.array(self.provenance.as_json())}
        )
        return file.getvalue()


def _plain(value: Any) -> Any:
    """A numpy number or array as a Python number or list, for JSON.

    Raises:
        TypeError: For anything else.
    """
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"a parameter of type {type(value).__name__} cannot be kept with a figure")
