"""Recognises the attention calls of a running forward pass: scores, their softmax, and the product of weights with values.

`AttentionCalls` is a `TorchFunctionMode` around the model's own code. It follows tensors by identity: the result of a product,
functions of it, its softmax, functions of the weights (dropout, transposition, mixed heads, casts), and the product of the
weights with values. An `AttentionEvents` defines what happens at a call. Attention that cannot be followed up to the product
with the values raises UnsupportedError, which names its module.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vitviz.capture import functions as known
from vitviz.capture.events import FUSED, AttentionEvents, FusedCall
from vitviz.capture.functions import MULTIPLY, PRODUCTS, Product, WeightedSum, product_of, summed
from vitviz.capture.modules import ModuleNames, common_ancestor
from vitviz.capture.roles import Normalisation, Role, TensorMap, axis_of, drops, positional, replaced, tensors_in
from vitviz.errors import CaptureError, UnsupportedError, VitvizError

STEPS_FOLLOWED = 24  # functions between a product and its softmax; models have one to ten


class AttentionCalls(TorchFunctionMode):
    """Recognises attention in the functions that a model calls on this thread, and calls `events`.

    Args:
        events: Called at each call.
        names: The model's modules by name, to find out which one is calling.
        refusing: Whether to raise UnsupportedError for attention that cannot be followed: weights with dropout, values
            multiplied by weights that are not normalised, and, at the end of a pass without an exception, normalised scores
            that were not multiplied with values.
    """

    def __init__(self, events: AttentionEvents, names: ModuleNames, *, refusing: bool = True) -> None:
        super().__init__()
        self.events = events
        self.names = names
        self.refusing = refusing
        self.products: set[str] = set()  # modules that multiply two tensors of the pass with each other
        self._roles = TensorMap[Role]()
        self._open: list[Normalisation] = []

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        super().__exit__(exc_type, exc_val, exc_tb)
        left = [one for one in self._open if one.looks_like_attention]
        self._open.clear()
        self._roles.clear()
        if exc_type is None and left:
            self._refuse(left[0].module, "normalises the scores of a product, and no product of these weights was seen")

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is FUSED:
            return self._fused(FusedCall(*args, **kwargs))
        if func is F.multi_head_attention_forward:
            return self.events.pooled(*args, **kwargs)
        if kwargs:
            args, kwargs = positional(args, kwargs)
        if func in known.SOFTMAX or func in known.LOG_SOFTMAX:
            return self._softmax(func, args, kwargs)
        if func in PRODUCTS:
            return self._product(func, args, kwargs)
        if func in known.PAIRWISE:
            result = func(*args, **kwargs)
            self._scored(result, None)
            return result
        if not self._roles and func not in MULTIPLY:
            return func(*args, **kwargs)
        found = [(tensor, role) for tensor in tensors_in(args, kwargs) if (role := self._roles.get(tensor))]
        if not found:
            result = func(*args, **kwargs)
            if func in MULTIPLY:
                self._multiplied(args, result)
            return result
        kind = found[0][1].kind
        if func in known.SUM and kind in ("outer", "weighted"):
            return self._summed(func, args, kwargs, found[0][1])
        if func in known.EXP or func in known.LOG_SUM_EXP:
            return self._part_of_a_softmax(func, args, kwargs, found[0][1])
        if func in MULTIPLY and any(role.kind == "weights" for _, role in found):
            args = self._weighting(args)
            found = [(tensor, role) for tensor in tensors_in(args, kwargs) if (role := self._roles.get(tensor))]
        result = func(*args, **kwargs)
        with our_own_errors(func):
            self._follow(func, args, kwargs, found, result)
        return result

    def _refuse(self, module: str, what: str) -> None:
        if self.refusing:
            raise UnsupportedError(
                f"{module or 'The model'!r} {what}, so its attention cannot be followed, and a map without it would be wrong. "
                "Choose a model that calls scaled_dot_product_attention, or writes softmax(scores) @ values."
            )

    def _refuse_chance(self, module: str) -> None:
        if self.refusing:
            raise UnsupportedError(
                f"{module or 'The model'!r} drops attention weights at random also when it is evaluated, so no pass is like "
                "the next. Give its dropout the module's own `training` flag."
            )

    def _fused(self, call: FusedCall) -> Tensor:
        if call.dropout_p:
            self._refuse_chance(self.names.calling)
        return self.events.fused(call)

    # scores -> weights

    def _normalised(self, tensor: Tensor, axis: int, *, scored: bool) -> None:
        """Records that `tensor` was just normalised and holds weights."""
        one = Normalisation(self.names.calling, scored, tensor.shape, axis % tensor.ndim)
        self._open.append(one)
        self._roles.set(tensor, Role("weights", of=(one,)))

    def _softmax(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        scores, *rest = args
        role = self._roles.get(scores)
        dim = kwargs.get("dim", rest[0] if rest else None)
        axis = dim % scores.ndim if isinstance(dim, int) and scores.ndim else None
        scored = role is not None and role.kind in ("scores", "log")
        matrix = scored and (scores.ndim > 2 or (scores.ndim == 2 and min(scores.shape) > 1))
        tracked = axis is not None and (matrix or (axis == scores.ndim - 1 and scores.ndim > 2))
        if not tracked:
            return func(*args, **kwargs)
        assert axis is not None
        result = func(self._offered(scores, axis), *rest, **kwargs)
        if func in known.LOG_SOFTMAX:
            self._roles.set(result, Role("log" if scored else "unscored log", axis=axis))
        else:
            self._normalised(result, axis, scored=scored)
        return result

    def _offered(self, scores: Tensor, axis: int) -> Tensor:
        """Passes scores to `events` with the keys as last axis; returns the result in the model's order of axes."""
        keys_last = scores if axis % scores.ndim == scores.ndim - 1 else scores.transpose(axis, -1)  # keys as last axis
        changed = self.events.scores(keys_last)
        if changed is keys_last:
            return scores
        return changed if keys_last is scores else changed.transpose(axis, -1)  # the model's order of axes

    def _part_of_a_softmax(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], role: Role) -> Any:
        """Handles a softmax written in steps: an exponential, or the log of a sum of exponentials."""
        scores = args[0]
        if role.kind not in ("scores", "log", "unscored log"):
            return func(*args, **kwargs)
        axis = axis_of(args, kwargs, scores.ndim) if func in known.LOG_SUM_EXP else role.axis
        offered = self._offered(scores, axis)
        changed = offered is not scores
        if changed and func.__name__.endswith("_"):
            offered = scores.copy_(offered)
        result = func(offered, *args[1:], **kwargs)
        if func in known.LOG_SUM_EXP:
            self._roles.set(result, Role("lse", axis=axis))
        elif role.kind == "scores":
            self._roles.set(result, Role("exp", changed=changed))
        else:
            self._normalised(result, axis, scored=role.kind == "log")
        return result

    def _divided(self, weights: Any, exponentials: Role, axis: int) -> None:
        """Records that `weights` are exponentials divided by their sum over `axis`, counted from the end."""
        if exponentials.changed and axis != -1:
            self._refuse(self.names.calling, "takes the exponential of its scores, with the keys not on the last axis")
        self._normalised(weights, axis, scored=True)

    # products

    def _product(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with our_own_errors(func):
            product = product_of(func, args, kwargs)
        if product is None:
            return func(*args, **kwargs)
        sides = (product.left, product.right)
        mixes = (
            min(side.ndim for side in sides) == 2 < max(side.ndim for side in sides)
        )  # heads, by a matrix; or a projection
        roles = [(side, role) for side in sides if (role := self._roles.get(side))]
        for side, role in roles if not mixes else ():
            if role.kind == "weights":
                return self._values_summed(func, args, kwargs, product, side)
            if role.kind == "exp" or role.activated:
                self._refuse(
                    self.names.calling, "multiplies values by a function of scores that is not normalised before"
                )
        result = func(*args, **kwargs)
        if not mixes:
            if not any(isinstance(side, nn.Parameter) for side in sides):
                self._scored(result, product.added)
        elif roles and roles[0][1].kind in ("scores", "exp", "weights"):
            self._roles.set(result, roles[0][1])
        return result

    def _scored(self, result: Tensor, added: Tensor | None) -> None:
        """Records that `result` is the product of two tensors of the pass."""
        self.products.add(self.names.calling)
        self._roles.set(result, Role("scores"))
        self.events.product(result, added)

    def _values_summed(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], product: Product, weights: Tensor
    ) -> Any:
        """Computes the product of weights with values, and reports both to `events`."""
        with our_own_errors(func):
            call = self._call(product, weights)
        used = self.events.weights(weights)
        if used is not weights:
            args, kwargs = replaced(args, kwargs, weights, used)
            call.operand = used
        out = func(*args, **kwargs)
        return call.changed(out, lambda moved: self.events.output(call, moved))

    def _call(self, product: Product, weights: Tensor) -> WeightedSum:
        role = self._roles.get(weights)
        assert role is not None
        module = common_ancestor(role.of[-1].module, self.names.calling)
        call = WeightedSum(module, product, on_the_left=weights is product.left)
        call.signed = role.signed
        for one in role.of:
            if one.taken and weights.numel() < one.shape.numel():
                self._refuse(one.module, "multiplies its weights with values in parts")
            call.repeated, one.taken = call.repeated or one.taken, True
            if one in self._open:
                self._open.remove(one)
        return call

    # products written as a multiplication and a sum

    def _multiplied(self, args: tuple[Any, ...], result: Any) -> None:
        """Records q[.., :, None, :] * k[.., None, :, :], which becomes a product when it is summed."""
        tensors = len(args) == 2 and all(isinstance(one, Tensor) and one.ndim > 2 for one in args)
        if tensors and result.numel() > max(args[0].numel(), args[1].numel()):
            self._roles.set(result, Role("outer"))

    def _weighting(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Passes weights to `events` before they are multiplied with values entry by entry, the sum following later."""
        if len(args) != 2 or not all(isinstance(one, Tensor) for one in args):
            return args
        left, right = args
        role = self._roles.get(left)
        first = role is not None and role.kind == "weights"
        weights, role = (left, role) if first else (right, self._roles.get(right))
        assert role is not None
        if not role.of[0].scored or torch.broadcast_shapes(left.shape, right.shape).numel() <= weights.numel():
            return args
        used = self.events.weights(weights)
        self._roles.set(used, role)
        return (used, right) if first else (left, used)

    def _summed(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], role: Role) -> Any:
        """Handles the sum after an entrywise multiplication: together they are a product of two tensors."""
        result = func(*args, **kwargs)
        dim = kwargs.get("dim", kwargs.get("axis", args[1] if len(args) > 1 else None))
        dim = dim[0] if isinstance(dim, list | tuple) and len(dim) == 1 else dim
        if not isinstance(dim, int):
            return result
        if role.parts is None:
            self._scored(result, None)
            return result
        self._roles.discard(args[0])  # its role would keep the weights in memory
        left, right = role.parts
        known_left = self._roles.get(left)
        weights = left if known_left is not None and known_left.kind == "weights" else right
        call = self._call(summed(left, right, dim), weights)
        kept = result.ndim == args[0].ndim
        out = result.squeeze(dim) if kept else result
        changed = call.changed(out, lambda moved: self.events.output(call, moved))
        return result if changed is out else changed.unsqueeze(dim) if kept else changed

    # everything else

    def _follow(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], found: list[tuple[Tensor, Role]], result: Any
    ) -> None:
        """Gives `result`, computed from tensors with roles, its own role."""
        by_kind = {role.kind: role for _, role in reversed(found)}
        source, role = min(found, key=lambda one: one[1].rank)
        if func in known.SUM and role.kind == "exp":
            self._roles.set(result, Role("sum", axis=axis_of(args, kwargs, source.ndim)))
        elif func in known.NORMALIZE and role.kind == "exp" and kwargs.get("p", args[1] if len(args) > 1 else 2) == 1:
            axis = kwargs.get("dim", args[2] if len(args) > 2 else 1)
            self._divided(result, role, axis % source.ndim - source.ndim)
        elif by_kind.keys() >= {"exp", "sum"} and func in known.DIVIDE | MULTIPLY:
            self._divided(result, by_kind["exp"], by_kind["sum"].axis)
        elif by_kind.keys() >= {"scores", "lse"} and func in known.SUBTRACT:
            self._roles.set(result, Role("log", axis=by_kind["lse"].axis))
        elif func in known.SET_ITEM:
            self._roles.set(args[0], role)
        elif func in known.OTHER_NORMALISATIONS and role.kind == "scores":
            self._refuse(self.names.calling, f"normalises scores by {func.__name__}")
        elif func in known.REDUCE:
            return
        elif role.kind == "weights":
            self._made_of_weights(func, args, kwargs, found, result)
        elif isinstance(result, list | tuple) and func in known.MOVE:
            for part in result:
                if part.dtype.is_floating_point:  # not the indices that max returns
                    self._roles.set(part, role)
        elif isinstance(result, Tensor) and _keeps_role(func, role, source, result):
            activated = role.activated or func in known.ACTIVATIONS
            self._roles.set(result, replace(role, steps=role.steps + 1, activated=activated))

    def _made_of_weights(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], found: list[tuple[Tensor, Role]], result: Any
    ) -> None:
        """Decides whether a function of weights is still weights, or values multiplied by them."""
        sources = [(tensor, role) for tensor, role in found if role.kind == "weights"]
        weights, role = sources[0]
        if func in known.DROPOUT and drops(args, kwargs):
            self._refuse_chance(role.of[0].module)
        if isinstance(result, list | tuple):
            for part in result:
                self._roles.set(part, role)
            return
        if not isinstance(result, Tensor) or not result.dtype.is_floating_point:
            return
        of = tuple(dict.fromkeys(one for _, source in sources for one in source.of))
        signed = any(source.signed for _, source in sources) or (func in known.SUBTRACT and len(sources) == 2)
        mixed = func in known.MIX and weights.ndim > 3
        if result.numel() == weights.numel() or func in known.MOVE or mixed:
            self._roles.set(result, Role("weights", of=of, signed=signed))
        elif func in MULTIPLY and role.of[0].scored and len(args) == 2 and all(isinstance(one, Tensor) for one in args):
            self._roles.set(result, Role("weighted", of=of, signed=signed, parts=(args[0], args[1])))


def _keeps_role(func: Any, role: Role, source: Tensor, result: Tensor) -> bool:
    """Whether a function of scores, or of a part of a softmax, has a result of the same role."""
    if role.kind in ("sum", "lse"):
        return True
    if func in known.NORMS or role.steps >= STEPS_FOLLOWED or role.kind == "weighted":
        return False
    if func is F.linear and source.ndim < 4:  # a projection of tokens, not a mixture of heads
        return False
    return result.numel() == source.numel() or func in known.MOVE


@contextmanager
def our_own_errors(what: Any) -> Iterator[None]:
    """Turns an error of this package's code into a CaptureError, so that it is not mistaken for an error of the model.

    Args:
        what: The function that is being followed, or a description of it, for the message.
    """
    try:
        yield
    except VitvizError:
        raise
    except Exception as error:
        name = what if isinstance(what, str) else getattr(what, "__qualname__", None) or repr(what)
        raise CaptureError(
            f"vitviz failed to follow {name} ({type(error).__name__}: {error}). Please report it."
        ) from error
