"""torch's functions by what they do to attention weights on their way from a product of queries and keys to the values."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def named(owner: Any, names: str) -> list[Any]:
    """The functions of `owner` by name, as far as it has them."""
    return [getattr(owner, name) for name in names.split() if hasattr(owner, name)]


SOFTMAX = {F.softmax, torch.softmax, Tensor.softmax, torch.special.softmax}
LOG_SOFTMAX = {F.log_softmax, torch.log_softmax, Tensor.log_softmax, torch.special.log_softmax}
EXP = {*named(torch, "exp exp_ exp2 exp2_"), *named(Tensor, "exp exp_ exp2 exp2_"), torch.special.exp2}
PAIRWISE = {torch.cdist, F.cosine_similarity}  # scores of queries and keys that are no product of matrices
LOG_SUM_EXP = {torch.logsumexp, Tensor.logsumexp, torch.special.logsumexp}
SUM = {torch.sum, Tensor.sum}
NORMALIZE = {F.normalize}
DIVIDE = {
    *named(torch, "div divide true_divide"),
    *named(Tensor, "div div_ divide divide_ true_divide true_divide_ __truediv__ __itruediv__ __div__ __idiv__"),
}
SUBTRACT = {*named(torch, "sub subtract"), *named(Tensor, "sub sub_ subtract subtract_ __sub__ __isub__")}
SET_ITEM = {Tensor.__setitem__}
DROPOUT = {F.dropout, torch.dropout, torch.dropout_, F.alpha_dropout, F.feature_alpha_dropout}
# What joins heads: a linear layer or a convolution over the axis of heads.
MIX = {F.linear, F.conv1d, F.conv2d, torch.conv1d, torch.conv2d}
NORMS = {*named(F, "layer_norm group_norm batch_norm rms_norm instance_norm"), *named(torch, "layer_norm batch_norm")}
# What makes one number of several: no weights any more.
REDUCE = {
    *named(Tensor, "sum mean amax amin max min norm var std prod argmax argmin all any size dim"),
    *named(torch, "sum mean amax amin max min norm var std prod argmax argmin all any"),
}
# What moves numbers about, repeats some or leaves some out.
MOVE = {
    *named(
        Tensor,
        "expand expand_as repeat repeat_interleave tile __getitem__ narrow select index_select chunk split unbind "
        "tensor_split unfold masked_select take_along_dim gather topk sort",
    ),
    *named(
        torch,
        "cat concat stack tile repeat_interleave narrow select index_select chunk split unbind tensor_split gather "
        "take_along_dim broadcast_to topk sort",
    ),
    torch.functional.split,
    F.pad,
}
OTHER_NORMALISATIONS = {F.softmin, F.gumbel_softmax}
ACTIVATIONS = {
    *named(F, "relu relu_ relu6 sigmoid softplus hardsigmoid elu"),
    *named(torch, "relu relu_ sigmoid sigmoid_ square"),
    *named(Tensor, "relu relu_ sigmoid sigmoid_ square square_"),
    torch.special.expit,
}
