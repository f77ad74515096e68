"""A Vision Transformer as a sequence of blocks: the states between them, and forward passes restarted from any block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from vitviz.capture.modules import eval_mode, unwrapped
from vitviz.errors import NotFiniteError, UnsupportedError
from vitviz.outputs import OutputKind, output_kind
from vitviz.progress import Progress

# Largest relative difference of logits read from the last state from the model's own: float32 rounding.
READ_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Output:
    """The output of a forward pass.

    Attributes:
        logits: (batch, classes), or the pooled features (batch, width) of a model without a classifier.
        tokens: (batch, tokens, width) after the final norm; None if no final norm was found.
        kind: What the logits are.
    """

    logits: Tensor
    tokens: Tensor | None = None
    kind: OutputKind = OutputKind.CLASSES

    @property
    def values(self) -> Tensor:
        """(batch, classes) float: probabilities of classes or labels; other outputs unchanged."""
        values: Tensor = self.kind.read(self.logits)
        return values

    def detached(self) -> Output:
        """A copy detached from the autograd graph."""
        return replace(self, logits=self.logits.detach(), tokens=None if self.tokens is None else self.tokens.detach())


@dataclass(frozen=True, eq=False)
class HiddenStates:
    """The states of one forward pass between its blocks.

    Attributes:
        states: Layers + 1 tensors (batch, tokens, width): the input of every block, then the output of the last.
        extras: Further arguments of each block (rotary tables, shared bias), needed to run it again.
        output: The output of the pass.
    """

    states: tuple[Tensor, ...]
    extras: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...]
    output: Output

    def for_autograd(self) -> HiddenStates:
        """A copy that autograd accepts, also of a pass in inference mode."""
        with torch.inference_mode(False), torch.no_grad():
            return cast(HiddenStates, _copied(self))


def _copied(value: Any) -> Any:
    match value:
        case Tensor():
            return value.clone()
        case tuple():
            return tuple(map(_copied, value))
        case dict():
            return {name: _copied(each) for name, each in value.items()}
        case HiddenStates() | Output():
            return replace(value, **{each.name: _copied(getattr(value, each.name)) for each in fields(value)})
    return value


def final_norm(module: nn.Module) -> nn.Module | None:
    """The module whose output is the final tokens: the norm after the last block, or the last block if there is no norm."""
    norm = getattr(module, "norm", None)
    if isinstance(norm, nn.Module):
        return norm
    blocks = getattr(module, "blocks", None)
    return blocks[-1] if isinstance(blocks, nn.Sequential | nn.ModuleList) and len(blocks) else None


def require_finite(logits: Tensor, name: str) -> Tensor:
    """Returns the logits. Raises NotFiniteError if one is NaN or infinite; the message names the model `name`."""
    wrong = 0 if logits.is_meta else logits.numel() - int(torch.isfinite(logits).sum())
    if wrong:
        raise NotFiniteError(
            f"{wrong:,} of {logits.numel():,} outputs of {name} are not finite numbers (not-a-number or infinite), so there is "
            "nothing to show or to explain. Its weights or its input hold such values, or numbers grew too large on the way; "
            "load sound weights, or compute in float32."
        )
    return logits


def run(module: nn.Module, x: Tensor, kind: OutputKind | None = None) -> Output:
    """The module's forward pass in evaluation mode, with the final tokens.

    Args:
        module: The model.
        x: (batch, 3, height, width), normalised.
        kind: What the outputs are; by default determined from the module.

    Raises:
        NotFiniteError: If an output is not finite.
    """
    module = unwrapped(module)
    tokens: list[Tensor] = []
    source = final_norm(module)
    handle = source.register_forward_hook(lambda _m, _i, out: tokens.append(out)) if source is not None else None
    try:
        with eval_mode(module):
            logits = module(x)
    finally:
        if handle is not None:
            handle.remove()
    whole = tokens[-1] if tokens and isinstance(tokens[-1], Tensor) and tokens[-1].ndim == 3 else None
    return Output(require_finite(logits, type(module).__name__), whole, kind or output_kind(module))


class Blocks:
    """The blocks of a timm module and its head. The module is called with temporary hooks and not modified.

    Args:
        module: The model.
        kind: What the outputs are; by default determined from the module.

    Raises:
        UnsupportedError: For a module that is not a single sequence of blocks with a head.
    """

    def __init__(self, module: nn.Module, kind: OutputKind | None = None) -> None:
        module = unwrapped(module)
        blocks = getattr(module, "blocks", None)
        if (
            not isinstance(blocks, nn.Sequential | nn.ModuleList)
            or not len(blocks)
            or not hasattr(module, "forward_head")
        ):
            raise UnsupportedError(
                f"{type(module).__name__} is not one row of blocks with a head behind it, so it cannot be read or "
                "restarted between its layers. Choose a plain Vision Transformer."
            )
        self.module = module
        self.kind = kind or output_kind(module)
        self.blocks: tuple[nn.Module, ...] = tuple(blocks)

    @property
    def num_layers(self) -> int:
        return len(self.blocks)

    def hidden_states(
        self,
        x: Tensor,
        after: Callable[[int, Tensor], Tensor] | None = None,
        forward: Callable[[], Output] | None = None,
    ) -> HiddenStates:
        """One forward pass that keeps every state, as part of the autograd graph if gradients are enabled.

        Args:
            x: (batch, 3, height, width), normalised.
            after: Called with (layer, state) after each block; its result replaces the state.
            forward: Runs the pass on x in place of `run`, to record something else as well.

        Raises:
            UnsupportedError: If the head reads more than the last block's tokens.
        """
        inputs: list[Tensor] = []
        extras: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        last: list[Tensor] = []

        def before(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            inputs.append(args[0])
            extras.append((args[1:], dict(kwargs)))

        handles = [block.register_forward_pre_hook(before, with_kwargs=True) for block in self.blocks]
        if after:
            for layer, block in enumerate(self.blocks):
                handles.append(block.register_forward_hook(lambda _m, _i, out, layer=layer: after(layer, out)))
        handles.append(self.blocks[-1].register_forward_hook(lambda _m, _i, out: last.append(out)))
        try:
            output = forward() if forward else run(self.module, x, self.kind)
        finally:
            for handle in handles:
                handle.remove()
        states = (*inputs, *last)
        if len(states) != self.num_layers + 1 or any(not isinstance(s, Tensor) or s.ndim != 3 for s in states):
            raise UnsupportedError(
                f"{type(self.module).__name__} does not pass one sequence of tokens from block to block."
            )
        # Detached instead of under no_grad: gradients of a pooling attention in the head may be needed.
        with eval_mode(self.module):
            read = self.read(states[-1].detach()).detached()
        if read.logits.shape != output.logits.shape or not torch.allclose(
            read.logits,
            output.logits,
            rtol=READ_TOLERANCE,
            atol=READ_TOLERANCE * float(output.logits.detach().abs().max()),
        ):
            raise UnsupportedError(
                f"{type(self.module).__name__} does more between its last block and its output than a norm, a pooling and "
                "a head, so its layers cannot be read through them."
            )
        if output.tokens is None:  # `forward` did not record them
            output = replace(output, tokens=read.tokens)
        return HiddenStates(states, tuple(extras), output)

    def step(self, hidden_states: HiddenStates, layer: int, state: Tensor) -> Tensor:
        """Runs block `layer` on state (batch, tokens, width), with its further arguments from `hidden_states`."""
        args, kwargs = hidden_states.extras[layer]
        return self.blocks[layer](state, *args, **kwargs)

    def resume(
        self, hidden_states: HiddenStates, layer: int, state: Tensor, progress: Progress | None = None
    ) -> Tensor:
        """The last block's output (batch, tokens, width) if `state` is the input of block `layer`.

        `progress` is called after each block with (blocks run, blocks to run).
        """
        for index in range(layer, self.num_layers):
            state = self.step(hidden_states, index, state)
            if progress:
                progress(index + 1 - layer, self.num_layers - layer)
        return state

    def read(self, state: Tensor) -> Output:
        """The model's own final norm, pooling and head on a state (batch, tokens, width)."""
        norm = getattr(self.module, "norm", None)
        tokens = norm(state) if isinstance(norm, nn.Module) else state
        return Output(self.module.forward_head(tokens), tokens, self.kind)  # type: ignore[operator]
