"""Records one forward pass: the logits, and the attention of every layer over its own grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from vitviz.capture.attention import Attention
from vitviz.capture.blocks import require_finite
from vitviz.capture.coordinates.layouts import KnownCall, NotFollowed, forget_calls, known_calls, placements_of
from vitviz.capture.coordinates.placement import Placement
from vitviz.capture.events import Call
from vitviz.capture.layers import (
    NO_LAYER,
    attention_at,
    attention_of,
    joined,
    refuse_other_than_tokens,
    why_not_sequential,
)
from vitviz.capture.memory import LargePages
from vitviz.capture.modules import eval_mode, unwrapped
from vitviz.capture.observe import observe
from vitviz.capture.trace import Layer
from vitviz.errors import INPUT_ERRORS, CaptureError, UnsupportedError
from vitviz.progress import Progress
from vitviz.tokens import TokenLayout


@dataclass(frozen=True, eq=False)
class Recording:
    """The recorded pass of one image.

    Attributes:
        layers: Attention whose queries are patches, first layer first, each with its own layouts.
        pooling: Pooling layers (class attention, attention pooling).
        logits: (classes,) float32.
        hidden: Module name -> (tokens, width).
        left_out: Placements of the calls that cannot be shown; their `kind` is the reason.
        not_sequential: Why the layers are not a sequence over one grid; "" if they are (see `Trace`).
    """

    layers: tuple[Layer, ...]
    pooling: tuple[Attention, ...]
    logits: Tensor
    hidden: dict[str, Tensor] = field(default_factory=dict)
    left_out: tuple[Placement, ...] = ()
    not_sequential: str = ""


@dataclass(frozen=True)
class _Request:
    """The arguments of `record` that both ways of recording take."""

    module: nn.Module
    x: Tensor
    keep_values: bool
    hidden: Sequence[str]
    progress: Progress | None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.x.shape[2], self.x.shape[3]

    @property
    def name(self) -> str:
        return type(self.module).__name__

    def report(self, done: int, expected: int) -> None:
        if self.progress:
            self.progress(done, max(done, expected))  # a model that was changed may attend more often

    @contextmanager
    def keeping(self) -> Iterator[dict[str, Tensor]]:
        """Yields a dictionary, module name -> output (tokens, width), which is filled for the modules in `hidden`."""
        kept: dict[str, Tensor] = {}
        known = dict(self.module.named_modules()) if self.hidden else {}
        if missing := [name for name in self.hidden if name not in known]:
            raise ValueError(f"the model has no module called {missing[0]!r}")
        handles = [known[name].register_forward_hook(_keeper(kept, name)) for name in self.hidden]
        try:
            yield kept
        finally:
            for handle in handles:
                handle.remove()


def record(
    module: nn.Module,
    x: Tensor,
    layout: TokenLayout | None,
    *,
    keep_values: bool = False,
    hidden: Sequence[str] = (),
    progress: Progress | None = None,
) -> Recording:
    """Runs the unmodified `module` and keeps the attention of every layer.

    If all layers attend over the grid of `layout`, tokens are in the layout's order. Otherwise (windows, stages, pooled keys)
    the tokens of each call are reordered by its placement, from a pass over coordinates.

    Args:
        module: The model. Hold its lock.
        x: (1, 3, height, width), normalised.
        layout: Which token is which patch at the model's first attention; None to use the placement of every call.
        keep_values: Also keep v (heads, keys, value_dim) of every layer.
        hidden: Dotted names of modules whose output (tokens, width) is kept.
        progress: Called after each attention call with (calls so far, calls expected); an exception that it raises stops
            the pass.

    Raises:
        CaptureError: If no attention was observed, or other calls than in the pass over coordinates.
        NotFiniteError: If an output is not finite.
        UnsupportedError: If no attention relates patches of the picture, or it cannot be observed or followed.
        ValueError: For a batch of several images (use `observe` for those), or an unknown module name.
    """
    if x.ndim != 4 or x.shape[0] != 1:
        raise ValueError(f"a recording is of one image, (1, 3, height, width), not {tuple(x.shape)}")
    request = _Request(unwrapped(module), x, keep_values, hidden, progress)
    if layout is None:
        return _call_by_call(request)
    try:
        recording = _over_one_grid(request, layout)
    except UnsupportedError as error:
        if isinstance(error, NotFollowed):
            raise
        try:
            return _call_by_call(request)
        except UnsupportedError:
            raise error from None  # no layer can be shown: the first error names the shape that was found
    if recording.layers and not _one_map_in_two_calls(request, recording.layers):
        return recording
    try:
        return _call_by_call(request)
    except UnsupportedError:
        if recording.layers:
            raise
        return replace(recording, not_sequential=NO_LAYER)


def _one_map_in_two_calls(request: _Request, layers: Sequence[Layer]) -> bool:
    """Whether one module's calls are the two maps of differential attention, whose difference is not recorded."""
    names = [layer.name for layer in layers]
    if len(set(names)) == len(names):
        return False
    return not all(placement.placed for placement in placements_of(request.module, request.size))


def _over_one_grid(request: _Request, layout: TokenLayout) -> Recording:
    """Records layers over the grid of `layout`. Raises UnsupportedError for other layers, and errors as `record`."""
    module, size = request.module, request.size
    unknown: NotFollowed | None = None
    expected: tuple[KnownCall, ...] = ()
    try:
        expected = known_calls(module, size)
    except NotFollowed as error:  # if the model itself raises for this input, that error says more
        unknown = error
    for call in expected:
        refuse_other_than_tokens(call.module, call.kind)
    made: list[Attention] = []

    def run(only_fused: bool) -> Tensor:
        made.clear()
        pages = LargePages(layout.num_tokens)

        def receive(call: Call) -> None:
            kind = expected[len(made)].kind if len(made) < len(expected) else None
            refuse_other_than_tokens(call.module, kind)
            made.append(attention_of(call.with_batch_axis(), module, layout, pages, keep_values=request.keep_values))
            request.report(len(made), len(expected))

        with torch.inference_mode(), observe(module, receive, only_fused=only_fused):
            logits: Tensor = module(request.x)
        return logits

    with request.keeping() as kept:
        only_fused = bool(expected) and all(call.fused for call in expected)
        logits = run(only_fused)
        # The model was changed since, or imported the fused call under its own name: a mode sees what the patch misses.
        if only_fused and len(made) < len(expected):
            logits = run(only_fused=False)
        if made and expected and len(made) != len(expected):
            forget_calls(module)
            expected = known_calls(module, size)
            logits = run(only_fused=False)
    if not made:
        raise CaptureError(
            f"No attention was seen in {request.name}: it neither calls scaled_dot_product_attention nor multiplies "
            "values by the softmax of scores, one row of weights for each token. Choose a Vision Transformer."
        )
    if unknown is not None:
        raise unknown
    if len(made) != len(expected):
        raise CaptureError(
            f"{request.name} attends {len(made)} times, and {len(expected)} times in a pass without numbers, so "
            "which token is which patch is not known. Choose a model whose layers do not depend on the values of its input."
        )
    layers = tuple(attention for attention in made if attention.query_layout.num_patches)
    pooling = tuple(attention for attention in made if not attention.query_layout.num_patches)
    return Recording(layers, pooling, require_finite(logits[0].float(), request.name), kept)


def _call_by_call(request: _Request) -> Recording:
    """Records every call over its own grid, by its placement."""
    module = request.module
    try:
        placements = placements_of(module, request.size)
    except INPUT_ERRORS as error:
        with torch.inference_mode(), eval_mode(module):
            module(request.x)  # if the model itself raises for this input, that error says more
        raise NotFollowed.of(module, error) from error
    made: list[tuple[Placement, Layer]] = []
    number = 0

    def receive(call: Call) -> None:
        nonlocal number
        if number >= len(placements) or (call.module, call.shape) != (
            placements[number].module,
            placements[number].shape,
        ):
            raise CaptureError(
                f"The attention in {call.module or 'the model'!r} changes from one pass to the next; "
                "it cannot be placed."
            )
        placement, number = placements[number], number + 1
        if placement.placed:
            made.append((placement, attention_at(call, placement, module, keep_values=request.keep_values)))
        request.report(number, len(placements))

    with request.keeping() as kept, torch.inference_mode(), observe(module, receive):
        logits = module(request.x)
    left_out = tuple(placement for placement in placements if not placement.placed)
    if not made:
        if left_out:
            raise UnsupportedError(
                f"The attention in {left_out[0].module!r} does not relate patches of the picture ({left_out[0].kind})."
            )
        raise CaptureError(f"No attention was seen in {request.name}. Choose a Vision Transformer.")
    layers = joined([layer for placement, layer in made if placement.kind != "pooling"])
    pooling = tuple(layer for p, layer in made if p.kind == "pooling" and isinstance(layer, Attention))
    logits = require_finite(logits[0].float(), request.name)
    return Recording(layers, pooling, logits, kept, left_out, why_not_sequential(placements))


def _keeper(kept: dict[str, Tensor], name: str) -> Any:
    def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
        kept[name] = (output[0] if isinstance(output, tuple) else output)[0]

    return keep
