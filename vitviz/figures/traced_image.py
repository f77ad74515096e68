"""What a figure is about: one image in one model, traced, and a query in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from vitviz.capture.blocks import Passage
from vitviz.capture.trace import Trace
from vitviz.errors import UnsupportedError
from vitviz.figure import Provenance
from vitviz.models import Model, Prepared
from vitviz.progress import Progress
from vitviz.tokens import Query, TokenLayout, cell_of_name
from vitviz.tracing import trace_and_passage, trace_input, trace_without_layers

FRAMING_WORDS = {"crop": "centre crop", "squash": "squashed to fit", "fit": "whole image"}


@dataclass(frozen=True, eq=False)
class TracedImage:
    """One image in one model.

    Attributes:
        model: at the size it was traced at
        prepared: the image as it was prepared for the model
        trace: what the forward pass left behind
        image_hash: names the image by its pixels
        image_name: how a snippet of Python calls it: a path, or a placeholder for an upload
        image_note: what was done to it before it was loaded; empty for nothing
    """

    model: Model
    prepared: Prepared
    trace: Trace
    image_hash: str = ""
    image_name: str = "photo.jpg"
    image_note: str = ""

    @property
    def layout(self) -> TokenLayout:
        """Which token is which patch where the picture enters the model."""
        return self.model.layout

    @property
    def _dtype(self) -> str:
        """What the model computes in, where that is not float32."""
        name = str(self.model.dtype).removeprefix("torch.")
        return "" if name == "float32" else name

    def provenance(self, method: str, **details: Any) -> Provenance:
        """Where a figure of this subject comes from; `details` are Provenance's further fields."""
        return Provenance(
            model=self.model.name,
            weights_hash=self.model.weights_hash,
            image_hash=self.image_hash,
            input_size=self.model.input_size,
            framing=", ".join(filter(None, (FRAMING_WORDS[self.prepared.framing], self.image_note))),
            dtype=self._dtype,
            method=method,
            **details,
        )

    @property
    def loading(self) -> str:
        """The Python expression that loads this model."""
        if self.model.weights == "file":  # its description may lie beside it or not: the architecture fits both
            arguments = [repr(self.model.architecture), f"weights={f'{self.model.name}.safetensors'!r}"]
        elif self.model.weights == "random":
            arguments = [repr(self.model.name), f"weights={self.model.weights_hash!r}"]
        else:
            arguments = [repr(self.model.name)]
        arguments.append(f"input_size={literal(self.model.input_size)}")
        if self._dtype:  # the server's operator may have chosen it, and another machine would not know
            arguments.append(f"dtype={self._dtype!r}")
        return f"vitviz.load_model({', '.join(arguments)})"

    def snippet(self, *lines: str, imports: Iterable[str] = ()) -> str:
        """Python that loads this model and image, traces it as `trace`, and goes on with `lines`."""
        return "\n".join(
            [
                *sorted({"import vitviz", *imports}),
                "",
                f"model = {self.loading}",
                f"image = vitviz.load_image({self.image_name!r})",
                f"trace = vitviz.trace(model, image, framing={snippet_framing(self.prepared)!r})",
                *lines,
            ]
        )


def traced_image(
    prepared: Prepared, image_hash: str = "", image_name: str = "photo.jpg", progress: Progress | None = None
) -> TracedImage:
    """Runs the model that the image was prepared for; without a layer where none relates patches of the picture.

    Args:
        progress: called with (attention layers seen, layers in all); raise from it to stop
    """
    try:
        trace = trace_input(prepared.model, prepared.input, progress=progress)
    except UnsupportedError:
        trace = trace_without_layers(prepared.model, prepared.input)
    return TracedImage(prepared.model, prepared, trace, image_hash, image_name)


def traced_with_passage(
    prepared: Prepared, image_hash: str, image_name: str, most_bytes: float, progress: Progress | None = None
) -> tuple[TracedImage, Passage | None]:
    """The same with values and states between the blocks from the one pass, where they are at most so many bytes each."""
    passage = None
    try:
        trace, passage = trace_and_passage(
            prepared.model, prepared.input, keep_values=True, most_bytes=most_bytes, progress=progress
        )
    except UnsupportedError:
        trace = trace_without_layers(prepared.model, prepared.input)
    return TracedImage(prepared.model, prepared, trace, image_hash, image_name), passage


def snippet_framing(prepared: Prepared) -> str:
    """The framing that a snippet asks for: the input size that it loads the model at already has the shape of a "fit"."""
    return "squash" if prepared.framing == "fit" else prepared.framing


def made(function: str, /, *positional: str, **arguments: Any) -> str:
    """The text of a call, without the arguments that are None: made("f", "x", a=1, b=None) is 'f(x, a=1)'."""
    given = [f"{name}={literal(value)}" for name, value in arguments.items() if value is not None]
    return f"{function}({', '.join([*positional, *given])})"


def literal(value: Any) -> str:
    """The Python of a value; numpy's numbers as plain ones, which need no import."""
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' * (len(value) == 1)})"
    return repr(value.item() if isinstance(value, np.generic) else value)


_TOKEN_WORDS = {
    "cls": "the class token",
    "dist": "the distillation token",
    "mean": "the mean over all patches",
    "pool": "the pooling query",
}


def query_words(query: Query) -> str:
    """ "the class token", "the patch in row 3, column 5", "the class token (40%) and the mean over all patches (60%)"."""
    if len(query.parts) == 1:
        return _token_words(query.names[0])
    parts = [
        f"{_token_words(name)} ({share:.3g}%)" for name, share in ((name, 100 * share) for name, share in query.shares)
    ]
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _token_words(name: str) -> str:
    cell = cell_of_name(name)
    if cell is not None:
        return f"the patch in row {cell[0]}, column {cell[1]}"
    if name in _TOKEN_WORDS:
        return _TOKEN_WORDS[name]
    if name.startswith("pool"):
        return _TOKEN_WORDS["pool"]
    return f"the {'register' if name.startswith('reg') else 'further'} token {name}"
