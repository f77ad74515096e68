"""torch's functions grouped by their effect on scores and weights, and `Product`: a product of two tensors, however written."""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vitviz.errors import UnsupportedError


def named_functions(owner: Any, names: str) -> list[Any]:
    """The functions of `owner` with these names, separated by spaces; names that this version of torch lacks are skipped."""
    return [getattr(owner, name) for name in names.split() if hasattr(owner, name)]


SOFTMAX = {F.softmax, torch.softmax, Tensor.softmax, torch.special.softmax}
LOG_SOFTMAX = {F.log_softmax, torch.log_softmax, Tensor.log_softmax, torch.special.log_softmax}
EXP = {
    *named_functions(torch, "exp exp_ exp2 exp2_"),
    *named_functions(Tensor, "exp exp_ exp2 exp2_"),
    torch.special.exp2,
}
PAIRWISE = {torch.cdist, F.cosine_similarity}  # scores of queries and keys that are no product of matrices
LOG_SUM_EXP = {torch.logsumexp, Tensor.logsumexp, torch.special.logsumexp}
SUM = {torch.sum, Tensor.sum}
NORMALIZE = {F.normalize}
DIVIDE = {
    *named_functions(torch, "div divide true_divide"),
    *named_functions(
        Tensor, "div div_ divide divide_ true_divide true_divide_ __truediv__ __itruediv__ __div__ __idiv__"
    ),
}
SUBTRACT = {
    *named_functions(torch, "sub subtract"),
    *named_functions(Tensor, "sub sub_ subtract subtract_ __sub__ __isub__"),
}
SET_ITEM = {Tensor.__setitem__}
DROPOUT = {F.dropout, torch.dropout, torch.dropout_, F.alpha_dropout, F.feature_alpha_dropout}
# Functions that mix heads: a linear layer or a convolution over the axis of heads.
MIX = {F.linear, F.conv1d, F.conv2d, torch.conv1d, torch.conv2d}
NORMS = {
    *named_functions(F, "layer_norm group_norm batch_norm rms_norm instance_norm"),
    *named_functions(torch, "layer_norm batch_norm"),
}
# Reductions: their results are not weights any more.
REDUCE = {
    *named_functions(Tensor, "sum mean amax amin max min norm var std prod argmax argmin all any size dim"),
    *named_functions(torch, "sum mean amax amin max min norm var std prod argmax argmin all any"),
}
# Functions that reorder, repeat or select entries.
MOVE = {
    *named_functions(
        Tensor,
        "expand expand_as repeat repeat_interleave tile __getitem__ narrow select index_select chunk split unbind "
        "tensor_split unfold masked_select take_along_dim gather topk sort",
    ),
    *named_functions(
        torch,
        "cat concat stack tile repeat_interleave narrow select index_select chunk split unbind tensor_split gather "
        "take_along_dim broadcast_to topk sort",
    ),
    torch.functional.split,
    F.pad,
}
OTHER_NORMALISATIONS = {F.softmin, F.gumbel_softmax}
ACTIVATIONS = {
    *named_functions(F, "relu relu_ relu6 sigmoid softplus hardsigmoid elu"),
    *named_functions(torch, "relu relu_ sigmoid sigmoid_ square"),
    *named_functions(Tensor, "relu relu_ sigmoid sigmoid_ square square_"),
    torch.special.expit,
}


MATMUL = {
    *(torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.linalg.matmul),
    *(torch.bmm, Tensor.bmm, torch.mm, Tensor.mm),
}
REVERSED_MATMUL = {Tensor.__rmatmul__}
EINSUM = {torch.einsum, torch.functional.einsum}
ADDED = {torch.baddbmm, Tensor.baddbmm, Tensor.baddbmm_, torch.addmm, Tensor.addmm, Tensor.addmm_}
PRODUCTS = MATMUL | REVERSED_MATMUL | EINSUM | ADDED
BROADCAST = string.digits  # letters of an operand's axes of size 1 that are broadcast over the other operand's
MULTIPLY = {torch.mul, torch.multiply, Tensor.mul, Tensor.multiply, Tensor.__mul__, Tensor.__rmul__}


@dataclass(frozen=True, eq=False)
class Product:
    """The product of two tensors as an einsum: each axis has a letter, and letters that `out` lacks are summed over.

    Which axis holds the keys and which the queries follows from the letters.

    Attributes:
        left, right: The operands.
        left_letters, right_letters: A letter for each of their axes.
        out: A letter for each axis of the result.
        added: The tensor that the function adds to the product (torch.baddbmm), or None.
        scaled: Whether the function also scales the product.
    """

    left: Tensor
    right: Tensor
    left_letters: str
    right_letters: str
    out: str
    added: Tensor | None = None
    scaled: bool = False


def product_of(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Product | None:
    """The product that a call of a function in PRODUCTS computes.

    None if it is not a product of two matrices: with a vector, three operands, or an einsum that takes a diagonal.
    """
    if func in EINSUM:
        return _einsum(args)
    given = [*args, *(kwargs[name] for name in ("other", "batch1", "batch2", "mat1", "mat2") if name in kwargs)]
    operands = [one for one in given if isinstance(one, Tensor)]
    added = None
    if func in ADDED:
        beta = kwargs.get("beta", 1)
        added, operands = operands[0] * beta if beta else None, operands[1:]
    if len(operands) != 2 or min(one.ndim for one in operands) < 2:
        return None
    left, right = operands if func not in REVERSED_MATMUL else reversed(operands)
    lead = string.ascii_lowercase[: max(left.ndim, right.ndim) - 2]
    return Product(
        left,
        right,
        lead[len(lead) - (left.ndim - 2) :] + "XY",
        lead[len(lead) - (right.ndim - 2) :] + "YZ",
        lead + "XZ",
        added,
        kwargs.get("alpha", 1) != 1,
    )


def _einsum(args: tuple[Any, ...]) -> Product | None:
    if not args or not isinstance(args[0], str):
        return None  # einsum's other form, with lists of axis numbers
    equation, *given = args
    operands = list(given[0]) if len(given) == 1 and isinstance(given[0], list | tuple) else given
    if len(operands) != 2:
        return None
    inputs, arrow, out = equation.replace(" ", "").partition("->")
    letters = inputs.split(",")
    free = [one for one in string.ascii_letters if one not in equation]
    widths = [operand.ndim - len(own.replace("...", "")) for own, operand in zip(letters, operands, strict=True)]
    widest = "".join(
        free[: max([width for own, width in zip(letters, widths, strict=True) if "..." in own], default=0)]
    )
    letters = [own.replace("...", widest[len(widest) - width :]) for own, width in zip(letters, widths, strict=True)]
    if not arrow:  # implicit form: letters that occur once, in alphabetical order
        once = sorted(
            one for one in {*letters[0], *letters[1]} - {*widest} if (letters[0] + letters[1]).count(one) == 1
        )
        out = widest + "".join(once)
    out = out.replace("...", widest)
    if any(len(set(own)) < len(own) for own in letters):
        return None
    return Product(operands[0], operands[1], letters[0], letters[1], out)


def summed(left: Tensor, right: Tensor, dim: int) -> Product:
    """`(left * right).sum(dim)` of operands that broadcast to one shape."""
    shape = torch.broadcast_shapes(left.shape, right.shape)
    letters = string.ascii_lowercase[: len(shape)]
    dim %= len(shape)

    def own(tensor: Tensor) -> str:
        axes = range(len(shape) - tensor.ndim, len(shape))
        sizes = zip(axes, tensor.shape, strict=True)
        return "".join(letters[axis] if size == shape[axis] else BROADCAST[axis] for axis, size in sizes)

    return Product(left, right, own(left), own(right), letters[:dim] + letters[dim + 1 :])


class WeightedSum:
    """A product of attention weights with values, with access in a fixed order of axes.

    Attributes:
        module: Dotted name of the module that computed the weights.
        operand: The weights in the model's order of axes.
        repeated: Whether the same weights were multiplied with other values before.
        signed: Whether weights were subtracted from others, so that they may be negative.
    """

    def __init__(self, module: str, product: Product, *, on_the_left: bool) -> None:
        """Raises UnsupportedError for a product that does not sum values over exactly one axis of keys."""
        self.module = module
        self.repeated = self.signed = False
        self.plain = on_the_left and product.left_letters.endswith("XY")
        sides = [(product.left, product.left_letters), (product.right, product.right_letters)]
        (self.operand, own), (self._values, theirs) = sides if on_the_left else sides[::-1]
        out = product.out
        keys = [letter for letter in own if letter in theirs and letter not in out]
        lost = [letter for letter in own if letter not in BROADCAST and letter not in out and letter not in theirs]
        if len(keys) != 1 or lost or product.added is not None or product.scaled:
            raise UnsupportedError(
                f"The attention in {module or 'the model'!r} multiplies its weights with values in a way that is not a sum of "
                "values over one axis of keys, so it cannot be followed. Choose a model that uses matmul or einsum."
            )
        queries = [letter for letter in own if letter in out and letter not in theirs]
        depth = [letter for letter in theirs if letter in out and letter not in own]
        self._query, self._key = queries[-1] if queries else "", keys[0]
        self._depth = depth[-1] if depth else ""
        axes = [*dict.fromkeys([one for one in theirs if one in depth[:-1]] + [one for one in own if one in out])]
        self._lead = [one for one in axes if one != self._query]
        self._own, self._theirs, self._out = own, theirs, out

    @property
    def weights(self) -> Tensor:
        """(.., queries, keys): weights as multiplied with the values."""
        return self.oriented(self.operand)

    @property
    def values(self) -> Tensor:
        """(.., keys, value_dim); values that heads share are expanded to each head."""
        values = _ordered(self._values, self._theirs, [*self._lead, self._key, self._depth])
        lead = self.weights.shape[:-2]
        return values if values.shape[:-2] == lead else values.expand(*lead, *values.shape[-2:])

    def oriented(self, tensor: Tensor) -> Tensor:
        """A tensor of the shape of `operand`, such as its gradient, as (.., queries, keys)."""
        return _ordered(tensor, self._own, [*self._lead, self._query, self._key])

    def changed(self, out: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
        """Applies `change` to `out` as (.., queries, value_dim); returns the result in the model's order of axes."""
        order = [*self._lead, self._query, self._depth]
        before = _ordered(out, self._out, order)
        after = change(before)
        if after is before:
            return out
        kept = [letter for letter in order if letter in self._out and letter]
        added = [axis for axis, letter in enumerate(order) if letter not in kept]
        for axis in reversed(added):
            after = after.squeeze(axis)
        return after.permute([kept.index(letter) for letter in self._out])  # the model's order of axes


def _ordered(tensor: Tensor, letters: str, order: list[str]) -> Tensor:
    """`tensor` with its axes in `order`; a letter that it lacks becomes an axis of size 1."""
    if list(letters) == order:
        return tensor
    present = [letter for letter in order if letter and letter in letters]
    left = [letter for letter in letters if letter not in present]  # broadcast axes of size 1
    moved = tensor.permute([letters.index(letter) for letter in [*left, *present]])
    for _ in left:
        moved = moved.squeeze(0)
    for axis, letter in enumerate(order):
        if not letter or letter not in letters:
            moved = moved.unsqueeze(axis)
    return moved
