"""What may happen at the attention calls of a forward pass: observing, changing or replacing what they work with."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from vitviz.capture.fused_call import FusedCall
from vitviz.capture.products import WeightedSum


class AttentionEvents:
    """By itself, nothing happens. Subclasses override what they need; an exception ends the pass."""

    def fused(self, call: FusedCall) -> Tensor:
        """(.., heads, queries, value_dim): what the model gets from a fused call, which makes no weights."""
        return call.run()

    def pooled(self, *args: Any, **kwargs: Any) -> Any:
        """What the model gets from torch's own `multi_head_attention_forward`."""
        return F.multi_head_attention_forward(*args, **kwargs)

    def product(self, result: Tensor, added: Tensor | None) -> None:
        """The product of two tensors of the pass, which may become scores, with what the same function `added` to it."""

    def scores(self, scores: Tensor) -> Tensor:
        """Scores that are about to be normalised over their last axis, the keys. A softmax written in steps may come here more
        than once: a change has to be one that can be made twice."""
        return scores

    def weights(self, weights: Tensor) -> Tensor:
        """Weights in the model's order of axes, about to be multiplied with values. What is returned has their shape."""
        return weights

    def output(self, call: WeightedSum, out: Tensor) -> Tensor:
        """(.., queries, value_dim): values summed by weights."""
        return out
