"""Which of its last tokens a model's output is computed from, found by differentiating the output by them.

A name says little here: many models carry a class token that their head never reads. So the model's own head is run on last
tokens drawn at random, and the output differentiated by them: what has a gradient is read.
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
from vitviz.capture.modules import blank_input, evaluating
from vitviz.capture.windows import WindowedAttention
from vitviz.errors import NOT_TAKEN
from vitviz.tokens import MEAN, POOL, Query, TokenLayout

SEED = 0
DIRECTIONS = 32  # in the space of outputs, along which the gradient is taken where its size matters
NEGLIGIBLE = 1e-6  # share of the gradient's norm below which nothing is read
EVEN = 1e-5  # relative difference below which the gradients of all patches are the same, as those of an average are

_Case = tuple[tuple[int, int], TokenLayout | None, bool]
_remembered: WeakKeyDictionary[nn.Module, tuple[Hashable, dict[_Case, Query]]] = WeakKeyDictionary()


def read_query(
    module: nn.Module,
    input_size: tuple[int, int],
    layers: Sequence[Attention | WindowedAttention],
    pooling: Sequence[Attention],
) -> Query:
    """The query whose rows the output of `module` is computed from.

    A class token, a distillation token and registers count one by one, patches together as MEAN. POOL where an attention
    that only collects reads the tokens. Where several are read, each has the share of the gradient's norm: the root of the
    sum of squares over 32 directions of the output (every output by itself where there are no more), for patches of the
    gradient of moving all of them alike. The two heads of a distilled DeiT are averaged: half each.

    A head that takes the largest patch in each channel reads patches that change from image to image; it counts as MEAN.
    Where nothing can be differentiated, names decide: the class token, else the pooling query, else MEAN. The answer is
    remembered as long as parts, settings and weights of the module stay as they are.

    Args:
        layers, pooling: attention of a pass at (height, width) `input_size`: over patches, and what only collects at the end.
    """
    state = _state(module)
    known = _remembered.get(module)
    if known is None or known[0] != state:
        known = _remembered[module] = (state, {})
    case = input_size, layers[-1].query_layout if layers else None, bool(pooling)
    if case not in known[1]:
        if len(known[1]) == 16:
            known[1].clear()
        known[1][case] = _read_query(module, *case)
    return known[1][case]


def by_names(layout: TokenLayout | None, pools: bool) -> Query:
    """What is read where nothing can be differentiated: the class token, else the pooling query, else the mean over patches."""
    if layout is not None and "cls" in layout.prefix:
        return Query((("cls", 1.0),))
    return Query(((POOL if pools else MEAN, 1.0),))


def _state(module: nn.Module) -> Hashable:
    """Changes with the parts, the settings and the weights of a module."""
    settings = tuple((k, v) for k, v in vars(module).items() if isinstance(v, str | int | float | None))
    weights = tuple((p.data_ptr(), 0 if p.is_inference() else p._version) for p in module.parameters() if not p.is_meta)
    return settings, weights, tuple(id(part) for part in module.modules())


def _read_query(module: nn.Module, input_size: tuple[int, int], layout: TokenLayout | None, pools: bool) -> Query:
    known = by_names(layout, pools)
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
        return known  # a token that joins after these layers is known to the attention that collects alone
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
    """(tokens of `shape`, output (outputs,) as a function of them); None where the head does not take them."""
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(SEED))
    with evaluating(module), torch.inference_mode(False), torch.enable_grad():
        tokens = drawn.to(next(module.parameters())).requires_grad_()
        with suppress(*NOT_TAKEN):
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
    """(tokens, width), of a feature map too: an average leaves the same at every place, whichever axes those are."""
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
    if extra < 0:  # patches are left out in front of the head, or were brought to another grid
        return layout.prefix if len(gradient) == layout.num_prefix else None
    return layout.prefix[:extra] if extra <= layout.num_prefix else ("",) * (extra - layout.num_prefix) + layout.prefix


class _LastTokensReached(Exception):
    """Ends a pass at the head."""


def _head_input(module: nn.Module, input_size: tuple[int, int]) -> tuple[int, ...] | None:
    """The shape of the tokens that the head is given, from a pass without numbers; None where it is not one tensor of them."""
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
    if norm is not None:  # a model of transformers goes on from there to its head by its own way
        norm.register_forward_hook(lambda _module, _inputs, tokens: normed.append(tokens))
    with torch.inference_mode(), suppress(_LastTokensReached, *NOT_TAKEN):
        bare(blank_input(bare, input_size, "meta"))
    last = (given or normed or [None])[-1]
    return tuple(last.shape) if isinstance(last, Tensor) and last.ndim in (3, 4) and last.shape[0] == 1 else None
