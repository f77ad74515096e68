"""`TracedImage`, the subject of a figure: one image in one model with its trace; and text for snippets and captions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from vitviz.capture.blocks import HiddenStates
from vitviz.capture.trace import Trace
from vitviz.errors import UnsupportedError
from vitviz.figure import Provenance
from vitviz.models import Model, Prepared
from vitviz.progress import Progress
from vitviz.tokens import Query, TokenLayout, cell_of_name
from vitviz.tracing import trace_and_hidden_states, trace_input, trace_without_layers

FRAMING_WORDS = {"crop": "centre crop", "squash": "squashed to fit", "fit": "whole image"}


@dataclass(frozen=True, eq=False)
class TracedImage:
    """One image in one model.

    Attributes:
        model: The model at the size of the trace.
        prepared: The model's input.
        trace: The trace of the forward pass.
        image_hash: Hash of the image's pixels.
        image_name: Its path in Python snippets, a placeholder for an upload.
        image_note: How it was changed before it was loaded; may be empty.
    """

    model: Model
    prepared: Prepared
    trace: Trace
    image_hash: str = ""
    image_name: str = "photo.jpg"
    image_note: str = ""

    @property
    def layout(self) -> TokenLayout:
        """Which token is which patch at the model's first attention."""
        return self.model.layout

    @property
    def _dtype(self) -> str:
        """Precision of the model if it is not float32, else ""."""
        name = str(self.model.dtype).removeprefix("torch.")
        return "" if name == "float32" else name

    def provenance(self, method: str, **details: Any) -> Provenance:
        """The provenance of a figure of this subject; `details` are further attributes of `Provenance`."""
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
        if self.model.weights == "file":  # works also without a description beside the file
            arguments = [repr(self.model.architecture), f"weights={f'{self.model.name}.safetensors'!r}"]
        elif self.model.weights == "random":
            arguments = [repr(self.model.name), f"weights={self.model.weights_hash!r}"]
        else:
            arguments = [repr(self.model.name)]
        arguments.append(f"input_size={literal(self.model.input_size)}")
        if self._dtype:  # written out, because VITVIZ_DTYPE may set it here and not on another machine
            arguments.append(f"dtype={self._dtype!r}")
        return f"vitviz.load_model({', '.join(arguments)})"

    def snippet(self, *lines: str, imports: Iterable[str] = ()) -> str:
        """Python that loads this model and image, computes `trace`, and continues with `lines`."""
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


def subject_of(trace: Trace) -> TracedImage:
    """The subject of a trace made by `vitviz.trace`, which has its model and its image.

    Raises:
        ValueError: For a trace without model and image, such as one made by `trace_input`.
    """
    if trace.model is None or trace.shown is None:
        raise ValueError(
            "this trace carries neither its model nor the pixels shown, so there is no figure of it; make it with "
            "vitviz.trace(model, image)"
        )
    box = (0.0, 0.0, float(trace.shown.shape[1]), float(trace.shown.shape[0]))
    prepared = Prepared(trace.input, Image.fromarray(trace.shown), box, trace.framing, trace.model)
    return TracedImage(trace.model, prepared, trace, trace.image_hash)


def traced_image(
    prepared: Prepared, image_hash: str = "", image_name: str = "photo.jpg", progress: Progress | None = None
) -> TracedImage:
    """Traces an image that was prepared for a model; the trace has no layers if no attention relates patches.

    Args:
        prepared: The image, with its model.
        image_hash: Hash of the image's pixels.
        image_name: Its path in Python snippets.
        progress: Called with (attention layers done, layers in all); an exception that it raises stops the pass.
    """
    try:
        trace = trace_input(prepared.model, prepared.input, progress=progress)
    except UnsupportedError:
        trace = trace_without_layers(prepared.model, prepared.input)
    return TracedImage(prepared.model, prepared, trace, image_hash, image_name)


def traced_with_hidden_states(
    prepared: Prepared, image_hash: str, image_name: str, most_bytes: float, progress: Progress | None = None
) -> tuple[TracedImage, HiddenStates | None]:
    """`traced_image` with values and the states between blocks from the same pass, if each takes at most `most_bytes`."""
    hidden_states = None
    try:
        trace, hidden_states = trace_and_hidden_states(
            prepared.model, prepared.input, keep_values=True, most_bytes=most_bytes, progress=progress
        )
    except UnsupportedError:
        trace = trace_without_layers(prepared.model, prepared.input)
    return TracedImage(prepared.model, prepared, trace, image_hash, image_name), hidden_states


def snippet_framing(prepared: Prepared) -> str:
    """The framing in a snippet. "fit" is replaced, since the snippet loads the model at the fitted input size."""
    return "squash" if prepared.framing == "fit" else prepared.framing


def made(function: str, /, *positional: str, **arguments: Any) -> str:
    """The text of a call, without the arguments that are None: made("f", "x", a=1, b=None) is 'f(x, a=1)'."""
    given = [f"{name}={literal(value)}" for name, value in arguments.items() if value is not None]
    return f"{function}({', '.join([*positional, *given])})"


class Code(str):
    """Python that stands in a call as it is written, such as the name of a variable."""


def literal(value: Any) -> str:
    """The Python literal of a value; numpy's numbers as Python's, which need no import."""
    if isinstance(value, Code):
        return str(value)
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
