"""What a model adds to its scores by itself, whatever the picture: its forward pass with every q kT set to zero."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vitviz.capture.fused_call import FUSED
from vitviz.capture.listener import MATMUL, SOFTMAX, over_scores
from vitviz.capture.speaker import Speaker


class _WithoutContent(TorchFunctionMode):
    """Products of queries and keys give zero; what then reaches the softmax is the bias."""

    def __init__(self, speaker: Speaker) -> None:
        super().__init__()
        self.speaker = speaker
        self.found: list[tuple[str, Tensor]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is FUSED:
            mask = kwargs.get("attn_mask", args[3] if len(args) > 3 else None)
            if mask is not None and mask.is_floating_point():
                self.found.append((self.speaker.name, mask))
            return func(*args, **kwargs) * 0
        if func in SOFTMAX and over_scores(args[0], args, kwargs):
            self.found.append((self.speaker.name, args[0]))
        result = func(*args, **kwargs)
        return result * 0 if func in MATMUL else result


def biases_alone(module: nn.Module, input_size: tuple[int, int]) -> dict[str, Tensor]:
    """Attention module's dotted name -> (heads, queries, keys) that it adds to its scores because of where tokens are;
    modules that add nothing are left out. Inside windows it is the bias of the first window, which no shift masks.

    Bias that depends on the query's content as well (decomposed relative positions) is none of this. Hold the model's
    lock.
    """
    parameter = next(module.parameters())
    blank = torch.zeros(1, 3, *input_size, device=parameter.device, dtype=parameter.dtype)
    with torch.inference_mode(), _WithoutContent(Speaker(module.named_modules())) as listening:
        module(blank)
    biases: dict[str, Tensor] = {}
    for name, scores in listening.found:
        bias = scores
        while bias.ndim > 3:
            bias = bias[0]  # the first image, the first window
        if bias.ndim == 3 and bool((bias != bias[..., :1]).any()):
            biases.setdefault(name, bias)
    return biases
