"""From a photograph to a trace: preprocessing, then one recorded forward pass."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from vitviz.capture.record import record
from vitviz.capture.staged_trace import StagedTrace
from vitviz.capture.stages import record_stages
from vitviz.capture.trace import Trace
from vitviz.models import Model, prepare


def trace(
    model: Model, image: Image.Image, *, framing: str = "crop", keep_values: bool = False, hidden: Sequence[str] = ()
) -> Trace:
    """Runs `image` through `model` once, as timm wrote it, and keeps every layer's attention.

    framing      "crop" (shorter side resized, centre cut out), "squash" (whole image, made square) or "fit" (whole image, its
                 shape kept, where the model takes such a size)
    keep_values  also keep every layer's values (heads, keys, value_dim)
    hidden       dotted names of modules whose output (tokens, width) is kept

    Raises UnsupportedError for a model without attention over a token grid, ModelError for a size it does not take.
    """
    prepared = prepare(model, image, framing=framing)
    return trace_input(prepared.model, prepared.input, keep_values=keep_values, hidden=hidden)


def trace_input(model: Model, pixels, *, keep_values: bool = False, hidden: Sequence[str] = ()) -> Trace:  # type: ignore[no-untyped-def]
    """The same from a model input (3, height, width) that is already normalised."""
    pixels = pixels.to(model.device)
    with model.lock:
        recording = record(model.module, pixels[None], model.layout, keep_values=keep_values, hidden=hidden)
    return Trace(
        model_name=model.name,
        input=pixels,
        layout=model.layout,
        layers=recording.layers,
        pooling=recording.pooling,
        logits=recording.logits,
        hidden=recording.hidden,
        weights_hash=model.weights_hash,
    )


def trace_stages(model: Model, image: Image.Image, *, framing: str = "crop", keep_values: bool = False) -> StagedTrace:
    """Runs `image` through `model` once and keeps every layer's attention on the layer's own grid: windows, stages, pooled
    keys and class attention as much as plain layers.

    Arguments as in `trace`. Raises UnsupportedError for a model none of whose attention relates patches of the picture.
    """
    prepared = prepare(model, image, framing=framing)
    return trace_stages_input(prepared.model, prepared.input, keep_values=keep_values)


def trace_stages_input(model: Model, pixels, *, keep_values: bool = False) -> StagedTrace:  # type: ignore[no-untyped-def]
    """The same from a model input (3, height, width) that is already normalised."""
    pixels = pixels.to(model.device)
    with model.lock:
        recording = record_stages(model.module, pixels[None], keep_values=keep_values)
    return StagedTrace(
        model_name=model.name,
        input=pixels,
        layout=model.layout,
        layers=recording.layers,
        pooling=recording.pooling,
        left_out=recording.left_out,
        logits=recording.logits,
        weights_hash=model.weights_hash,
    )
