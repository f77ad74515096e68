"""Score biases that do not depend on the image: as table and index, or computed from a forward pass without content."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vitviz.capture import functions as known
from vitviz.capture.attention import BiasTable, DenseBias
from vitviz.capture.calls import AttentionCalls
from vitviz.capture.events import AttentionEvents, FusedCall
from vitviz.capture.modules import ModuleNames, blank_input, eval_mode, unwrapped
from vitviz.capture.roles import TensorMap, tensors_in


def position_index(module: nn.Module, queries: int, keys: int) -> Tensor | None:
    """The (queries, keys) index into the bias table, a buffer of an attention module or of its direct child; or None."""
    for owner in (module, *module.children()):
        index = getattr(owner, "relative_position_index", None)
        if isinstance(index, Tensor) and not index.is_floating_point() and index.numel() == queries * keys:
            return index.detach().reshape(queries, keys)  # (queries * keys,) or (queries, keys)
    return None


def compact_bias(mask: Tensor | None, index: Tensor | None) -> BiasTable | DenseBias | None:
    """A mask (heads or 1, queries or 1, keys) as a table with the model's own `index` if that is exact, else dense.

    The table is filled from the mask, table[index[q, k]] = mask[:, q, k], and compared with the whole mask in chunks. If one
    value differs, because the model adds more than the table, the dense mask is kept.
    """
    if mask is None:
        return None
    if index is None or mask.shape[1:] != index.shape:
        return DenseBias(mask)
    heads = mask.shape[0]
    table = mask.new_zeros(int(index.max()) + 1, heads)
    table[index.flatten().long()] = mask.flatten(1).T  # (queries * keys, heads) -> (entries, heads)
    bias = BiasTable(table, index.to(torch.int32))
    chunk = max(1, (1 << 20) // (heads * index.shape[1]))
    for start in range(0, index.shape[0], chunk):
        rows = slice(start, start + chunk)
        if not torch.equal(bias.rows(rows), mask[:, rows]):
            return DenseBias(mask)
    return bias


_ENDS = known.SOFTMAX | known.LOG_SOFTMAX | known.EXP
_SUMMARIES = known.REDUCE | known.LOG_SUM_EXP


class _WithoutContent(TorchFunctionMode):
    """Tracks which tensors depend on the picture, and computes what each score would be if all of those were zero."""

    def __init__(self, picture: Tensor) -> None:
        super().__init__()
        self._content = TensorMap[bool]()
        self._without = TensorMap[Tensor]()
        self._add(picture)

    def _add(self, tensor: Any) -> None:
        for one in tensors_in((tensor,), {}):
            self._content.set(one, True)

    def depends(self, tensor: Tensor) -> bool:
        """Whether a tensor depends on the picture."""
        return self._content.get(tensor) is not None

    def known(self, tensor: Tensor) -> Tensor | None:
        """The tensor's value without content, if it was computed from a product; else None."""
        return self._without.get(tensor)

    def know(self, tensor: Tensor, without: Tensor) -> None:
        self._without.set(tensor, without)

    def _replaced(self, value: Any) -> Any:
        if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
            return type(value)(self._replaced(one) for one in value)
        if not isinstance(value, Tensor) or not self.depends(value):
            return value
        without = self.known(value)
        return torch.zeros_like(value) if without is None else without

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = list(tensors_in(args, kwargs))
        depends = any(self.depends(one) for one in given)
        follows = depends and func not in _ENDS and any(self.known(one) is not None for one in given)
        result = func(*args, **kwargs)
        if not depends:
            return result
        self._add(args[0] if func in known.SET_ITEM else result)
        if func in _ENDS:
            self._without.discard(result)  # computed in place
        if follows and func in _SUMMARIES:
            if isinstance(result, Tensor):
                self.know(result, torch.zeros_like(result))
        elif follows:
            without = func(*self._replaced(args), **{name: self._replaced(value) for name, value in kwargs.items()})
            for one, other in zip(tensors_in((result,), {}), tensors_in((without,), {}), strict=True):
                self.know(one, other)
        return result


class _Biases(AttentionEvents):
    """Collects the scores without content of every attention call: its bias."""

    def __init__(self, names: ModuleNames, without: _WithoutContent) -> None:
        self.names = names
        self.without = without
        self.found: list[tuple[str, Tensor]] = []

    def product(self, result: Tensor, added: Tensor | None) -> None:
        if self.without.depends(result):
            nothing = torch.zeros_like(result)
            self.without.know(result, nothing if added is None or self.without.depends(added) else nothing + added)

    def fused(self, call: FusedCall) -> Tensor:
        mask = call.attn_mask
        if mask is not None and mask.is_floating_point():
            bias = self.without.known(mask) if self.without.depends(mask) else mask
            if bias is not None:
                self.found.append((self.names.calling, bias))
        return call.run()

    def scores(self, scores: Tensor) -> Tensor:
        bias = self.without.known(scores) if self.without.depends(scores) else scores
        if bias is not None:
            self.found.append((self.names.calling, bias.clone()))  # some models modify it in place afterwards
        return scores


def score_biases(module: nn.Module, input_size: tuple[int, int]) -> dict[str, Tensor]:
    """The position bias of every attention module that adds one to its scores. Hold the model's lock.

    Bias that also depends on the query's content (decomposed relative positions) is not included.

    Args:
        module: The model.
        input_size: (height, width) in pixels.

    Returns:
        Dotted name of the attention module -> (heads, queries, keys). Of windows it is the first one's, which is not masked by
        a shift.
    """
    module = unwrapped(module)
    blank = blank_input(module, input_size)
    without = _WithoutContent(blank)
    names = ModuleNames(module.named_modules())
    events = _Biases(names, without)
    with eval_mode(module), torch.inference_mode(), without, AttentionCalls(events, names, refusing=False):
        module(blank)
    biases: dict[str, Tensor] = {}
    for name, scores in events.found:
        bias = scores
        while bias.ndim > 3:
            bias = bias[0]  # the first image, the first window
        if bias.ndim == 3 and bool((bias != bias[..., :1]).any()):
            biases.setdefault(name, bias)
    return biases
