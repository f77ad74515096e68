"""`Question`: one model, one input and one target, with the passes that several methods share, computed once."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from vitviz.analysis.queries import Query, as_query, default_query
from vitviz.analysis.targets import SelfDot, Target, needs_classifier, quantity_of
from vitviz.capture.blocks import Blocks, HiddenStates, Output, run
from vitviz.capture.coordinates.layouts import refuse_other_kinds
from vitviz.capture.gradients import (
    DifferentiatedCall,
    WeightGradient,
    gradients_of,
    watched_attention,
    weight_gradient,
)
from vitviz.capture.layers import token_layout
from vitviz.capture.modules import eval_mode, unwrapped
from vitviz.capture.readout import find_output_query
from vitviz.capture.record import record
from vitviz.capture.trace import Trace
from vitviz.errors import UnsupportedError
from vitviz.outputs import OutputKind, output_kind
from vitviz.tokens import TokenLayout

# Names of a Question's cached results that do not depend on its Model object.
PASSES = ("hidden_states", "reference", "trace", "attention_gradients", "hidden_likelihoods")


# What analyses need of a model: no more than each uses, so that a bare module can be asked, and a convolutional network.


class NetworkLike(Protocol):
    """Protocol of a network of any kind: a loaded `Model`, or a convolutional network."""

    @property
    def name(self) -> str: ...
    @property
    def module(self) -> nn.Module: ...
    @property
    def lock(self) -> threading.RLock: ...


class ModelLike(NetworkLike, Protocol):
    """Protocol of a model with tokens: a loaded `Model`, or a `BareModel`."""

    @property
    def layout(self) -> TokenLayout: ...


class LoadedNetwork(NetworkLike, Protocol):
    """A network with what came with its weights: a loaded `Model`, or a convolutional network. `preprocessing` has `mean` and
    `std` of each colour; `labels` name the outputs, where they are known.
    """

    @property
    def labels(self) -> tuple[str, ...] | None: ...
    @property
    def preprocessing(self) -> Any: ...


@dataclass(frozen=True, eq=False)
class BareModel:
    """A module and its token layout as a model: a copy with other weights, or a module that `load_model` did not load.

    Attributes:
        module: The module; wrappers (torch.compile, DataParallel) are removed.
        layout: Which token is which patch.
        name: Name of the model in messages.
        output_kind: What its outputs are; by default determined from the module.
        lock: Held during passes.
    """

    module: nn.Module
    layout: TokenLayout
    name: str = "model"
    output_kind: OutputKind | None = None
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "module", unwrapped(self.module))


@dataclass(frozen=True, eq=False)
class AttentionGradients:
    """One image's attention with the gradient of the target's score by its weights.

    Attributes:
        layers: Each layer over the token grid, first layer first.
        pooling: Pooling layers at the end; often empty.
    """

    layers: tuple[WeightGradient, ...]
    pooling: tuple[WeightGradient, ...] = ()


@dataclass(frozen=True, eq=False)
class Question:
    """One model, one input and one target.

    Attributes:
        model: Any ModelLike.
        pixels: (3, height, width), normalised.
        target: The number to explain.

    Raises:
        UnsupportedError: For a class target of a model without a classifier.
    """

    model: ModelLike
    pixels: Tensor
    target: Target

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3:
            raise ValueError(f"a question is about one image (3, height, width), not {tuple(self.pixels.shape)}")
        if needs_classifier(self.target) and self.kind is OutputKind.FEATURES:
            raise UnsupportedError(
                f"{self.model.name} has no classifier; explain a token's dot product with itself instead."
            )

    def __repr__(self) -> str:
        return f"Question({self.model.name!r}, pixels {tuple(self.pixels.shape)}, {self.target})"

    @property
    def passes(self) -> dict[str, Any]:
        """Results so far by name, for `reuse` by another Question with the same weights, pixels and target."""
        return {name: self.__dict__[name] for name in PASSES if name in self.__dict__}

    def reuse(self, passes: Mapping[str, Any]) -> None:
        """Takes over `passes` of a Question about the same weights, pixels and target."""
        self.__dict__.update(passes)

    @property
    def module(self) -> nn.Module:
        return self.model.module

    @property
    def layout(self) -> TokenLayout:
        return self.model.layout

    @property
    def kind(self) -> OutputKind:
        """What the model's outputs are."""
        return output_kind(self.model)

    @property
    def quantity(self) -> str:
        """Display name of the target's likelihood."""
        return quantity_of(self.target, self.kind)

    def run(self, x: Tensor, module: nn.Module | None = None) -> Output:
        """The output for x (batch, 3, height, width), of the model or of a changed `module` in its place."""
        return run(self.module if module is None else module, x, self.kind)

    @cached_property
    def x(self) -> Tensor:
        """(1, 3, height, width) on the model's device and in its precision, a tensor that autograd accepts."""
        with torch.inference_mode(False):
            return self.pixels.detach().to(next(self.module.parameters())).clone()[None]

    @cached_property
    def blocks(self) -> Blocks:
        return Blocks(self.module, self.kind)

    @cached_property
    def hidden_states(self) -> HiddenStates:
        """The states between the blocks for the unchanged image, detached."""
        with self.model.lock, torch.inference_mode(False), torch.no_grad():
            return self.blocks.hidden_states(self.x)

    @cached_property
    def reference(self) -> Output:
        """The output for the unchanged image: a batch of 1, detached."""
        if "hidden_states" in self.__dict__:
            return self.hidden_states.output
        with self.model.lock, torch.inference_mode(False), torch.no_grad():
            return self.run(self.x)

    @cached_property
    def trace(self) -> Trace:
        """The image's trace. Raises UnsupportedError if its layers are not a sequence over one grid."""
        with self.model.lock:
            seen = record(self.module, self.x, self.layout)
            output_query = find_output_query(self.module, self._size, seen.layers, seen.pooling)
        name, not_sequential = self.model.name, seen.not_sequential
        trace = Trace(
            name,
            self.x[0],
            self.layout,
            seen.layers,
            seen.logits,
            seen.pooling,
            not_sequential=not_sequential,
            output_query=output_query,
        )
        trace.sequence("This method")
        return trace

    @cached_property
    def attention_gradients(self) -> AttentionGradients:
        """Attention with gradients, from one forward pass and one backward pass."""
        self.refuse_other_kinds()
        with self.model.lock, watched_attention(self.module) as watched:
            output = self.run(self.x)
            score = self.target.score(output, output.detached())[0]
            gradients = gradients_of(score, watched)
        own = dict(zip(watched, gradients, strict=True))
        grid, pool = split_calls(watched, self.layout, self.model.name)

        def of(calls: Sequence[DifferentiatedCall]) -> tuple[WeightGradient, ...]:
            return tuple(weight_gradient(call, own[call], self.module, self.layout) for call in calls)

        return AttentionGradients(of(grid), of(pool))

    @cached_property
    def hidden_likelihoods(self) -> dict[bytes, float]:
        """Cache of likelihoods: set of hidden patches, packed to bits -> likelihood. Methods that hide patches add to it."""
        return {}

    def refuse_other_kinds(self) -> None:
        """Raises UnsupportedError if the model's attention does not relate its tokens row by row."""
        with self.model.lock:
            refuse_other_kinds(self.module, (self.pixels.shape[1], self.pixels.shape[2]))

    @cached_property
    def query(self) -> Query:
        """The query whose row explains the target: the target's token, else the query that the output is computed from.

        Raises:
            UnsupportedError: For a token that does not exist.
        """
        if isinstance(self.target, SelfDot) and self.target.token is not None:
            return as_query(self.target.token, self.layout)
        if "attention_gradients" not in self.__dict__:
            return default_query(self.trace)
        seen = self.attention_gradients
        layers, pooling = ([each.attention for each in some] for some in (seen.layers, seen.pooling))
        with self.model.lock:
            return find_output_query(self.module, self._size, layers, pooling)

    @property
    def _size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[2]

    def likelihood(self) -> float:
        """The target's likelihood for the unchanged image."""
        return float(self.target.likelihood(self.reference, self.reference)[0])

    def score(self) -> float:
        """The target's score for the unchanged image."""
        return float(self.target.score(self.reference, self.reference)[0])

    @contextmanager
    def eval_mode(self) -> Iterator[None]:
        """Holds the model's lock in evaluation mode and without gradients, for passes over changed images."""
        with self.model.lock, eval_mode(self.module), torch.inference_mode(False), torch.no_grad():
            yield


def split_calls(
    watched: Sequence[DifferentiatedCall], layout: TokenLayout, name: str
) -> tuple[list[DifferentiatedCall], list[DifferentiatedCall]]:
    """(calls over the token grid, calls of pooling layers). Raises UnsupportedError for any other call."""
    grid, pool = [], []
    for one in watched:
        shape = one.call.with_batch_axis().shape
        queries, keys = shape[-2:]
        key_layout = token_layout(keys, layout)
        if len(shape) == 4 and key_layout is not None and queries == keys:
            grid.append(one)
        elif len(shape) == 4 and key_layout is not None and queries < layout.num_patches:
            pool.append(one)
        else:
            raise UnsupportedError(
                f"{name} attends with the shape {shape}, which is not its grid of "
                f"{layout.grid[0]}x{layout.grid[1]} patches; relevance through windows and stages is not defined here."
            )
    return grid, pool
