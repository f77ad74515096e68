"""From a photograph to a trace: preprocessing, then one recorded forward pass."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vitviz.capture.blocks import Blocks, HiddenStates, Output, require_finite
from vitviz.capture.coordinates.layouts import known_calls, placements_of
from vitviz.capture.layers import why_not_sequential
from vitviz.capture.modules import eval_mode
from vitviz.capture.readout import find_output_query
from vitviz.capture.record import record
from vitviz.capture.trace import Trace
from vitviz.errors import INPUT_ERRORS, UnsupportedError, VitvizError
from vitviz.images import image_hash
from vitviz.models import Model, prepare
from vitviz.progress import Progress


@overload
def trace(
    model: Model,
    images: Image.Image,
    *,
    framing: str = "crop",
    keep_values: bool = False,
    hidden: Sequence[str] = (),
    progress: Progress | None = None,
) -> Trace: ...
@overload
def trace(
    model: Model,
    images: Iterable[Image.Image],
    *,
    framing: str = "crop",
    keep_values: bool = False,
    hidden: Sequence[str] = (),
    progress: Progress | None = None,
) -> Iterator[Trace]: ...
def trace(
    model: Model,
    images: Image.Image | Iterable[Image.Image],
    *,
    framing: str = "crop",
    keep_values: bool = False,
    hidden: Sequence[str] = (),
    progress: Progress | None = None,
) -> Trace | Iterator[Trace]:
    """Runs one unmodified forward pass of `model` on a photograph and keeps every layer's attention on the layer's own grid.

    Args:
        model: Any architecture: global attention, windows, stages, pooled keys, class attention.
        images: One RGB photograph of any size, or an iterable of several.
        framing: "crop" (shorter side resized, then a centre crop), "squash" (whole image, made square) or "fit" (whole image
            with its aspect ratio, if the model takes such a size).
        keep_values: Also keep every layer's values (heads, keys, value_dim).
        hidden: Dotted names of modules whose output (tokens, width) is kept.
        progress: Called with (attention layers done, layers in all) during a pass; an exception that it raises stops the pass.

    Returns:
        One photograph: its Trace. Several: an iterator that runs the model when its next trace is requested, so that memory
        holds only the traces that the caller keeps. If a trace's layers do not share one grid, `Trace.not_sequential` says
        why, and rollout raises.

    Raises:
        UnsupportedError: For a model without attention between patches of the picture.
        ModelError: For an input size that the model does not take.
        TypeError: For anything but photographs, such as a path; `vitviz.load_image` reads one.
    """

    def one(image: Image.Image) -> Trace:
        if not isinstance(image, Image.Image):
            raise TypeError(f"trace takes pictures and not {type(image).__name__}; vitviz.load_image reads a file")
        prepared = prepare(model, image, framing=framing)
        made = trace_input(prepared.model, prepared.input, keep_values=keep_values, hidden=hidden, progress=progress)
        return replace(
            made,
            image_hash=image_hash(image),
            framing=prepared.framing,
            shown=np.asarray(prepared.shown),
            model=prepared.model,
        )

    if isinstance(images, Image.Image | str | bytes | os.PathLike) or not isinstance(images, Iterable):
        return one(images)
    return map(one, images)


def trace_input(
    model: Model,
    pixels: Tensor,
    *,
    keep_values: bool = False,
    hidden: Sequence[str] = (),
    progress: Progress | None = None,
) -> Trace:
    """`trace` of a normalised model input (3, height, width). The trace has no image hash, framing or pixels to show."""
    with model.lock:
        pixels = pixels.to(model.device, model.dtype)
        made = record(
            model.module, pixels[None], model.layout, keep_values=keep_values, hidden=hidden, progress=progress
        )
        output_query = find_output_query(model.module, (pixels.shape[1], pixels.shape[2]), made.layers, made.pooling)
    return Trace(
        model.name,
        pixels,
        model.layout,
        made.layers,
        made.logits,
        made.pooling,
        made.hidden,
        made.left_out,
        made.not_sequential,
        model.weights_hash,
        output_query,
    )


def trace_and_hidden_states(
    model: Model,
    pixels: Tensor,
    *,
    keep_values: bool = False,
    most_bytes: float = float("inf"),
    progress: Progress | None = None,
) -> tuple[Trace, HiddenStates | None]:
    """`trace_input`, and the states before and after every block, from the same pass.

    Args:
        model: As in `trace`.
        pixels: (3, height, width), normalised.
        keep_values: Also keep every layer's values, if states are kept.
        most_bytes: States that would take more memory than this are not kept.
        progress: As in `trace`.

    Returns:
        The trace and the states. The states are None if they were not kept, or if the model is not a sequence of blocks
        followed by a head that reads the last block alone.
    """
    traces: list[Trace] = []
    with model.lock:
        blocks = _blocks_of(model, pixels, most_bytes)
        if blocks is None:
            return trace_input(model, pixels, progress=progress), None

        def traced() -> Output:
            traces.append(trace_input(model, pixels, keep_values=keep_values, progress=progress))
            return Output(traces[0].logits[None].to(model.dtype), None, blocks.kind)

        try:
            with torch.no_grad():
                hidden_states = blocks.hidden_states(pixels, forward=traced)
        except UnsupportedError:
            if not traces:
                raise
            return traces[0], None
    return traces[0], hidden_states.for_autograd()


def _blocks_of(model: Model, pixels: Tensor, most_bytes: float) -> Blocks | None:
    """The model as a sequence of blocks; None if it is not one, or if its states would take more than `most_bytes`.

    Determines the model's layout first, because that takes further passes, which must not be recorded.
    """
    try:
        blocks = Blocks(model.module, model.output_kind)
        known_calls(model.module, (pixels.shape[1], pixels.shape[2]))
    except (VitvizError, *INPUT_ERRORS):
        return None
    width = int(getattr(model.module, "num_features", 0))
    nbytes = (blocks.num_layers + 1) * model.layout.num_tokens * width * model.dtype.itemsize
    return blocks if 0 < nbytes <= most_bytes else None


def trace_without_layers(model: Model, pixels: Tensor) -> Trace:
    """A trace without layers, for a model without attention between patches: the logits, and why nothing else is shown."""
    with model.lock, eval_mode(model.module), torch.inference_mode():
        pixels = pixels.to(model.device, model.dtype)
        left_out = placements_of(model.module, model.input_size)
        logits = require_finite(model.module(pixels[None])[0].float(), model.name)
    why = why_not_sequential(left_out)
    return Trace(
        model.name,
        pixels,
        model.layout,
        (),
        logits,
        left_out=left_out,
        not_sequential=why,
        weights_hash=model.weights_hash,
    )
