"""Determines which of its last tokens a model's output is computed from, by differentiating the output by them.

A token's name does not decide it: many models have a class token that their head does not read. So the model's own head is
run on random last tokens, and the output is differentiated by them: a token with a gradient is read.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from vitviz.capture.attention import Attention
from vitviz.capture.blocks import final_norm
from vitviz.capture.coordinates.tensor import without_numbers
from vitviz.capture.modules import blank_input, eval_mode
from vitviz.capture.windows import WindowedAttention
from vitviz.errors import INPUT_ERRORS
from vitviz.tokens import MEAN, POOL, Query, TokenLayout

SEED = 0
DIRECTIONS = 32  # random directions in output space for the gradient's norm
NEGLIGIBLE = 1e-6  # share of the gradient's norm below which a token counts as not read
EVEN = 1e-5  # relative difference below which the patches' gradients count as equal, as those of a mean are

_Case = tuple[tuple[int, int], TokenLayout | None, bool]
_remembered: WeakKeyDictionary[nn.Module, tuple[Hashable, dict[_Case, Query]]] = WeakKeyDictionary()


def find_output_query(
    module: nn.Module,
    input_size: tuple[int, int],
    layers: Sequence[Attention | WindowedAttention],
    pooling: Sequence[Attention],
) -> Query:
    """The query whose rows the output of `module` is computed from.

    Class token, distillation token and registers are parts of their own; patches together are MEAN; POOL if a pooling layer
    reads the tokens. If several are read, a part's share is the norm of its gradient: the root of the sum of squares over 32
    random directions of the output (over every output, if there are no more), for patches of the gradient by a shift of
    all of them. The two heads of a distilled DeiT are averaged and count half each.

    A head that takes each channel's maximum over patches reads other patches for each image; it counts as MEAN. If nothing
    can be differentiated, names decide: the class token, else the pooling query, else MEAN. The result is cached until
    modules, settings or weights change.

    Args:
        module: The model.
        input_size: (height, width) in pixels.
        layers: Attention over patches, of a pass at this size.
        pooling: Its pooling layers.
    """
    state = _state(module)
    known = _remembered.get(module)
    if known is None or known[0] != state:
        known = _remembered[module] = (state, {})
    case = input_size, layers[-1].query_layout if layers else None, bool(pooling)
    if case not in known[1]:
        if len(known[1]) == 16:
            known[1].clear()
        known[1][case] = _find_output_query(module, *case)
    return known[1][case]


def query_from_names(layout: TokenLayout | None, pools: bool) -> Query:
    """The query if nothing can be differentiated: the class token, else the pooling query, else the mean over patches."""
    if layout is not None and "cls" in layout.prefix:
        return Query((("cls", 1.0),))
    return Query(((POOL if pools else MEAN, 1.0),))


def _state(module: nn.Module) -> Hashable:
    """A cache key that changes with the modules, settings and weights of a model."""
    settings = tuple((k, v) for k, v in vars(module).items() if isinstance(v, str | int | float | None))
    weights = tuple((p.data_ptr(), 0 if p.is_inference() else p._version) for p in module.parameters() if not p.is_meta)
    return settings, weights, tuple(id(part) for part in module.modules())


def _find_output_query(
    module: nn.Module, input_size: tuple[int, int], layout: TokenLayout | None, pools: bool
) -> Query:
    known = query_from_names(layout, pools)
    shape = _head_input(module, input_size) if layout is not None else None
    if layout is None or shape is None:
        return known
    tokens, output = _head_on_random_tokens(module, shape)
    if output is None:
        return known
    ways = _directions(len(output))
    gradient = _along(ways[0], output, tokens)  # (tokens, width), or a feature map
    names = _names_before_patches(gradient, layout)
    if names is None:
        return Query(((MEAN, 1.0),)) if _even(_folded(gradient)) else known
    first = _folded(gradient)
    if pools and not _even(first[len(names) :]):
        return Query(((POOL, 1.0),))
    norms = _norms(first, len(names)) ** 2
    read = [name for name, norm in zip((*names, MEAN), norms, strict=True) if norm > NEGLIGIBLE**2 * norms.sum()]
    if not read or not all(name == MEAN or name in layout.prefix for name in read):
        return known  # a token that joins after these layers is only in the pooling layer's layout
    if len(read) == 1 or (set(read) == {"cls", "dist"} and isinstance(getattr(module, "head_dist", None), nn.Module)):
        return Query(tuple((name, 1.0) for name in read))
    if len(output) <= DIRECTIONS:
        ways, norms = torch.eye(len(output)), torch.zeros_like(norms)
    else:
        ways = ways[1:]
    for way in ways:
        norms += _norms(_folded(_along(way, output, tokens)), len(names)) ** 2
    shares = dict(zip((*names, MEAN), (norms.sqrt() / norms.sqrt().sum()).tolist(), strict=True))
    return Query(tuple((name, float(f"{shares[name]:.3g}")) for name in read))


def _directions(outputs: int) -> Tensor:
    """(directions, outputs): random combinations of the outputs."""
    return torch.randn(DIRECTIONS, outputs, generator=torch.Generator().manual_seed(SEED))


def _head_on_random_tokens(module: Any, shape: tuple[int, ...]) -> tuple[Tensor, Tensor | None]:
    """(random tokens of `shape`, the head's output (outputs,)); None for the output if the head does not accept them."""
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(SEED))
    with eval_mode(module), torch.inference_mode(False), torch.enable_grad():
        tokens = drawn.to(next(module.parameters())).requires_grad_()
        with suppress(*INPUT_ERRORS):
            output = module.forward_head(tokens)
            if isinstance(output, Tensor) and output.requires_grad:
                # (1, outputs), or (1, tokens, outputs) and (1, outputs, rows, cols) where nothing is pooled
                flat = output.flatten(2).sum(2) if output.ndim == 4 else output.reshape(-1, output.shape[-1])
                return tokens, flat.float().sum(0)
    return tokens, None


def _along(way: Tensor, output: Tensor, tokens: Tensor) -> Tensor:
    """The gradient of output . way by the tokens, of their shape without the batch."""
    return torch.autograd.grad(output, tokens, way.to(output), retain_graph=True)[0][0].float()


def _folded(gradient: Tensor) -> Tensor:
    """A gradient as (tokens, width), also that of a feature map.

    Which axes of a feature map are rows and columns follows from the gradient: that of a mean is equal along them.
    """
    if gradient.ndim == 2:
        return gradient
    by_rows, by_channels = gradient.flatten(0, 1), gradient.flatten(1).T  # (rows, cols, width), (width, rows, cols)
    return by_rows if _even(by_rows) else by_channels


def _even(gradient: Tensor) -> bool:
    """Whether (tokens, width) is the same for every token."""
    return not len(gradient) or bool((gradient - gradient[0]).abs().max() <= EVEN * gradient.abs().max())


def _norms(gradient: Tensor, num_prefix: int) -> Tensor:
    """(tokens, width) -> (prefix tokens + 1,) float64: the norm of each prefix token's gradient, and of the patches' sum."""
    return torch.cat([gradient[:num_prefix], gradient[num_prefix:].sum(0, keepdim=True)]).double().norm(dim=1)


def _names_before_patches(gradient: Tensor, layout: TokenLayout) -> tuple[str, ...] | None:
    """Names of the tokens before the patches, "" for those that `layout` does not have; None for tokens on another grid."""
    if gradient.ndim != 2:
        return () if len(_folded(gradient)) == layout.num_patches and not layout.num_prefix else None
    extra = len(gradient) - layout.num_patches
    if extra < 0:  # patches were dropped or resampled before the head
        return layout.prefix if len(gradient) == layout.num_prefix else None
    return layout.prefix[:extra] if extra <= layout.num_prefix else ("",) * (extra - layout.num_prefix) + layout.prefix


class _LastTokensReached(Exception):
    """Ends a pass at the head."""


def _head_input(module: nn.Module, input_size: tuple[int, int]) -> tuple[int, ...] | None:
    """The shape of the head's input, from a pass on the meta device; None if it is not one tensor."""
    if not callable(getattr(module, "forward_head", None)):
        return None
    bare: Any = without_numbers(module)
    given: list[Any] = []
    normed: list[Any] = []

    def head(tokens: Any, *_args: Any, **_kwargs: Any) -> Any:
        given.append(tokens)
        raise _LastTokensReached

    bare.forward_head = head
    norm = final_norm(bare)
    if norm is not None:  # models of transformers do not call `forward_head` in their pass: their head follows the norm
        norm.register_forward_hook(lambda _module, _inputs, tokens: normed.append(tokens))
    with torch.inference_mode(), suppress(_LastTokensReached, *INPUT_ERRORS):
        bare(blank_input(bare, input_size, "meta"))
    last = (given or normed or [None])[-1]
    return tuple(last.shape) if isinstance(last, Tensor) and last.ndim in (3, 4) and last.shape[0] == 1 else None
