"""What a figure is of: one image in one model, traced."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vitviz.capture.trace import Trace
from vitviz.figure import Provenance
from vitviz.models import Model, Prepared

FRAMING_WORDS = {"crop": "centre crop", "squash": "squashed to fit", "fit": "whole image"}


@dataclass(frozen=True, eq=False)
class Subject:
    """One image in one model.

    model       at the size it was traced at
    prepared    the image as the model met it
    trace       what the forward pass left behind
    image_hash  names the image by its pixels
    image_name  how a snippet of Python calls it: a path, or a placeholder for an upload
    """

    model: Model
    prepared: Prepared
    trace: Trace
    image_hash: str = ""
    image_name: str = "photo.jpg"

    def provenance(self, method: str, **details: Any) -> Provenance:
        """Where a figure of this subject comes from; `details` are Provenance's further fields."""
        return Provenance(
            model=self.model.name,
            weights_hash=self.model.weights_hash,
            image_hash=self.image_hash,
            input_size=self.model.input_size,
            framing=FRAMING_WORDS[self.prepared.framing],
            method=method,
            **details,
        )

    def snippet(self, *lines: str, imports: Iterable[str] = ()) -> str:
        """Python that loads this model and image, traces it as `trace`, and goes on with `lines`."""
        arguments = [repr(self.model.name)]
        if self.model.weights == "random":
            arguments.append(f"weights={self.model.weights_hash!r}")
        elif self.model.weights == "file":
            arguments.append('weights="checkpoint.safetensors"')
        arguments.append(f"input_size={self.model.input_size}")
        framing = (
            "squash" if self.prepared.framing == "fit" else self.prepared.framing
        )  # the size already has the shape
        return "\n".join(
            [
                *sorted({"import vitviz", *imports}),
                "",
                f"model = vitviz.load_model({', '.join(arguments)})",
                f"image = vitviz.load_image({self.image_name!r})",
                f"trace = vitviz.trace(model, image, framing={framing!r})",
                *lines,
            ]
        )


def made(function: str, /, *positional: str, **arguments: Any) -> str:
    """The text of a call, without the arguments that are None: made("f", "x", a=1, b=None) is 'f(x, a=1)'."""
    given = [f"{name}={value!r}" for name, value in arguments.items() if value is not None]
    return f"{function}({', '.join([*positional, *given])})"
