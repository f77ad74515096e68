"""From a photograph to a trace: preprocessing, then one recorded forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from vitviz.capture.blocks import finite
from vitviz.capture.coordinates.layouts import placements_of
from vitviz.capture.cost import work_of
from vitviz.capture.modules import evaluating
from vitviz.capture.readout import read_query
from vitviz.capture.record import Recording, StagedRecording, record, record_stages
from vitviz.capture.trace import StagedTrace, Trace
from vitviz.models import Model, prepare
from vitviz.progress import Progress


def trace(
    model: Model,
    image: Image.Image,
    *,
    framing: str = "crop",
    keep_values: bool = False,
    hidden: Sequence[str] = (),
    progress: Progress | None = None,
) -> Trace:
    """Runs `image` through `model` once, as timm wrote it, and keeps every layer's attention.

    framing      "crop" (shorter side resized, centre cut out), "squash" (whole image, made square) or "fit" (whole image, its
                 shape kept, where the model takes such a size)
    keep_values  also keep every layer's values (heads, keys, value_dim)
    hidden       dotted names of modules whose output (tokens, width) is kept
    progress     called with (attention layers heard, layers in all) during the pass; raise from it to stop, and nothing is
                 left behind

    Raises UnsupportedError for a model without attention over a token grid, ModelError for a size it does not take.
    """
    prepared = prepare(model, image, framing=framing)
    return trace_input(prepared.model, prepared.input, keep_values=keep_values, hidden=hidden, progress=progress)


def trace_input(
    model: Model,
    pixels: Tensor,
    *,
    keep_values: bool = False,
    hidden: Sequence[str] = (),
    progress: Progress | None = None,
) -> Trace:
    """The same from a model input (3, height, width) that is already normalised."""
    with model.lock:
        pixels = pixels.to(model.device, model.dtype)
        each = _counting(model, progress) if progress else None
        recording = record(model.module, pixels[None], model.layout, keep_values=keep_values, hidden=hidden, each=each)
        return Trace(layers=recording.layers, hidden=recording.hidden, **_common(model, pixels, recording))


def trace_stages(model: Model, image: Image.Image, *, framing: str = "crop", keep_values: bool = False) -> StagedTrace:
    """Runs `image` through `model` once and keeps every layer's attention on the layer's own grid: windows, stages, pooled
    keys and class attention as much as plain layers.

    Arguments as in `trace`. Raises UnsupportedError for a model none of whose attention relates patches of the picture.
    """
    prepared = prepare(model, image, framing=framing)
    return trace_stages_input(prepared.model, prepared.input, keep_values=keep_values)


def trace_stages_input(
    model: Model, pixels: Tensor, *, keep_values: bool = False, progress: Progress | None = None
) -> StagedTrace:
    """The same from a model input (3, height, width) that is already normalised."""
    with model.lock:
        pixels = pixels.to(model.device, model.dtype)
        each = _counting(model, progress) if progress else None
        recording = record_stages(model.module, pixels[None], keep_values=keep_values, each=each)
        return StagedTrace(layers=recording.layers, left_out=recording.left_out, **_common(model, pixels, recording))


def trace_without_layers(model: Model, pixels: Tensor) -> StagedTrace:
    """What is left of a trace where no attention relates patches of the picture: the logits, and why nothing else is shown."""
    with model.lock, evaluating(model.module), torch.inference_mode():
        pixels = pixels.to(model.device, model.dtype)
        left_out = placements_of(model.module, model.input_size)
        logits = finite(model.module(pixels[None])[0].float(), model.name)
    return StagedTrace(model.name, pixels, model.layout, (), logits, left_out=left_out, weights_hash=model.weights_hash)


def _common(model: Model, pixels: Tensor, recording: Recording | StagedRecording) -> dict[str, Any]:
    """What every kind of trace says of its model, its input and what came out."""
    return {
        "model_name": model.name,
        "input": pixels,
        "layout": model.layout,
        "pooling": recording.pooling,
        "logits": recording.logits,
        "weights_hash": model.weights_hash,
        "reads": read_query(model.module, (pixels.shape[1], pixels.shape[2]), recording.layers, recording.pooling),
    }


def _counting(model: Model, progress: Progress) -> Callable[[int], None]:
    """Tells `progress` how many layers there will be: as many as blocks, or what a pass without numbers hears."""
    blocks = getattr(model.module, "blocks", None)
    layers = len(blocks) if isinstance(blocks, nn.Sequential) else len(work_of(model.module, model.input_size).shapes)
    return lambda heard: progress(heard, max(heard, layers))
