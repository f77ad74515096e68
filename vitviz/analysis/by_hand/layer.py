"""`OpenLayer`: the input of one layer and of its attention, recorded by hooks in a further forward pass."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vitviz.analysis.question import ModelLike
from vitviz.capture.attention import Attention
from vitviz.capture.blocks import Blocks, HiddenStates
from vitviz.capture.events import Call
from vitviz.capture.layers import attention_of
from vitviz.capture.memory import NoCopies
from vitviz.capture.modules import is_norm, layer_scale, output_projection
from vitviz.capture.observe import observe
from vitviz.capture.record import record
from vitviz.capture.trace import Trace
from vitviz.errors import UnsupportedError


@dataclass(frozen=True, eq=False)
class OpenLayer:
    """One self-attention layer of one image, with its inputs and intermediate results.

    Attributes:
        index: Number of the layer, counted from 0.
        attention: The layer's attention, with values.
        module: The attention module.
        norm: The module between the residual stream and the attention; None if there is none.
        entrance: (tokens, width): input of the first layer.
        residual: (tokens, width): input of this layer.
        given: (tokens, width): input of the attention module.
        heads_out: (tokens, heads * value_dim): the heads' concatenated outputs before a norm or W_o.
        rotary: Table of sines and cosines (patches, 2 * head_dim), with a leading axis of heads if they differ; None
            without rotation.
        halves: Whether pairs of rotated components are half a head apart instead of neighbours.
        scale: (width,): LayerScale, the factors of the attention's output; None if the block has none.
        normed_after: Whether a norm is applied to the attention's output before it is added to the token.
    """

    index: int
    attention: Attention
    module: nn.Module
    norm: nn.Module | None
    entrance: Tensor
    residual: Tensor
    given: Tensor
    heads_out: Tensor
    rotary: Tensor | None
    halves: bool = False
    scale: Tensor | None = None
    normed_after: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors, without those of the modules, which belong to the model."""
        states = (self.entrance, self.residual, self.given, self.heads_out)
        return self.attention.nbytes + sum(state.nbytes for state in states)


def open_layer(model: ModelLike, trace: Trace, layer: int, hidden_states: HiddenStates | None = None) -> OpenLayer:
    """Runs the model again on the trace's input and keeps the inputs of `layer`.

    Args:
        model: The model of the trace.
        trace: One image's trace.
        layer: Counted from 0.
        hidden_states: The states between the blocks of the same pass, if they were kept: only the block of `layer` is run then.

    Returns:
        The layer's attention, module, inputs (tokens, width) and intermediate results.

    Raises:
        IndexError: For a layer that does not exist.
        UnsupportedError: If the layer is not a block of a sequence with a norm followed by attention of every token to
            every token.
    """
    trace.sequence("One head by hand")
    if not 0 <= layer < trace.num_layers:
        raise IndexError(f"layer {layer} does not exist: the model has {trace.num_layers}, counted from 0")
    name = trace.layers[layer].name
    if trace.layers[layer].query_layout != trace.layout or trace.layers[layer].key_layout != trace.layout:
        raise UnsupportedError(
            f"In layer {layer} the tokens are no longer the patches of the input, so no patch can be followed into it. "
            "Choose an earlier layer."
        )
    module, block = _inside_block(model.module, name)
    first_block = _inside_block(model.module, trace.layers[0].name)[1]
    watch = _HookRecords(module)
    with model.lock, ExitStack() as hooks:
        places = {"entrance": first_block, "residual": block, "given": module, "heads": _after_heads(module)}
        for part, place in places.items():
            hooks.callback(place.register_forward_pre_hook(watch.before(part), with_kwargs=True).remove)
        for child in block.children():
            hooks.callback(child.register_forward_hook(watch.made).remove)
        if hidden_states is None or block not in Blocks(model.module).blocks:
            attention = record(model.module, trace.input[None], trace.layout, keep_values=True).layers[layer]
        else:
            watch.states["entrance"] = hidden_states.states[0]
            attention = _of_one_block(model.module, trace, block, hidden_states)
    states = [watch.states.get(part) for part in places]
    if any(state is None or state.ndim != 3 or state.shape[1] != trace.layout.num_tokens for state in states):
        raise UnsupportedError(
            f"{name} does not take one sequence of tokens and give one back, so it cannot be followed by hand."
        )
    entrance, residual, given, heads = (state[0] for state in states if state is not None)
    assert isinstance(attention, Attention)
    return OpenLayer(
        layer,
        attention,
        module,
        watch.norm,
        entrance,
        residual,
        given,
        heads,
        watch.rotary,
        watch.halves,
        layer_scale(model.module, name),
        watch.normed_after,
    )


def _of_one_block(module: nn.Module, trace: Trace, block: nn.Module, hidden_states: HiddenStates) -> Attention:
    """The attention of a pass through one block. Hold the model's lock."""
    blocks, made = Blocks(module), list[Attention]()

    def receive(call: Call) -> None:
        made.append(attention_of(call.with_batch_axis(), blocks.module, trace.layout, NoCopies(), keep_values=True))

    index = blocks.blocks.index(block)
    with torch.inference_mode(), observe(module, receive):
        blocks.step(hidden_states, index, hidden_states.states[index])
    return made[-1]


def refuse_half_precision(opened: OpenLayer) -> None:
    """Raises UnsupportedError for a layer computed in bfloat16 or float16, where rounding exceeds the tolerance."""
    if torch.finfo(opened.given.dtype).bits < 32:
        name = str(opened.given.dtype).removeprefix("torch.")
        raise UnsupportedError(
            f"This model computes in {name}, which rounds each of its numbers to a few digits, so a computation by hand does "
            "not give the same numbers. Load it in float32."
        )


class _HookRecords:
    """What hooks recorded during the pass."""

    def __init__(self, attention: nn.Module) -> None:
        self.attention = attention
        self.normed_after = False
        self.states: dict[str, Tensor] = {}
        self.rotary: Tensor | None = None
        self.halves = False
        self.norm: nn.Module | None = None
        self._made: list[tuple[nn.Module, Tensor]] = []

    def before(self, part: str) -> Any:
        """A pre-forward hook that keeps a module's input under the name `part`."""

        def keep(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            state = args[0] if args else kwargs.get("x", kwargs.get("hidden_states"))
            if not isinstance(state, Tensor):
                return
            self.states[part] = state
            if part == "given":
                # The norm is the module of the block whose output is this tensor, whatever its name.
                self.norm = next((maker for maker, out in self._made if out is state), None)
                rope = kwargs.get("rope", args[1] if len(args) > 1 and hasattr(_module, "rotate_half") else None)
                self.rotary = rope.detach() if isinstance(rope, Tensor) else None
                self.halves = bool(getattr(_module, "rotate_half", False))
                table = kwargs.get("position_embeddings")  # transformers passes (cosines, sines)
                if isinstance(table, tuple) and len(table) == 2:
                    self.rotary, self.halves = torch.cat([table[1], table[0]], -1).detach(), True

        return keep

    def made(self, module: nn.Module, inputs: Any, output: Any) -> None:
        given = inputs[0] if inputs else None
        if is_norm(module) and any(maker is self.attention and out is given for maker, out in self._made):
            self.normed_after = True
        if isinstance(output, Tensor):
            self._made.append((module, output))


def _inside_block(model: nn.Module, name: str) -> tuple[nn.Module, nn.Module]:
    """(attention module called `name`, the block that contains it)."""
    parent, _, own = name.rpartition(".")
    module = model.get_submodule(name)
    projections = [part for part in ("qkv", "q_proj") if isinstance(getattr(module, part, None), nn.Linear)]
    if not own or not parent or not projections:
        raise UnsupportedError(
            f"{type(module).__name__} is not an attention module of its own inside a block, so its steps cannot be separated. "
            "The page Who looks at whom still shows its weights."
        )
    return module, model.get_submodule(parent)


def _after_heads(module: nn.Module) -> nn.Module:
    """The first module that is applied to the heads' outputs: a norm over them, or W_o."""
    for part in (getattr(module, "norm", None), output_projection(module)):
        if isinstance(part, nn.Module):
            return part
    raise UnsupportedError(f"{type(module).__name__} has no output projection, so where its heads end is not known.")
