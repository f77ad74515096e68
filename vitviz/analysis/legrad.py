"""LeGrad: what each layer's own class score owes to that layer's attention.

Bousselham et al. 2024, "LeGrad: an explainability method for Vision Transformers via feature formation sensitivity"
(arXiv 2404.03214), section 3. The score of layer l is read from the tokens after block l by the model's own final
norm, pooling and head. The reference implementation reads the mean of all tokens instead, which a head trained on
the class token never saw.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vitviz.analysis.question import Question, split_calls
from vitviz.capture.gradients import gradients_of, watched_attention
from vitviz.capture.layouts import token_layout
from vitviz.capture.trunk import Output
from vitviz.capture.weight_gradient import WeightGradient, weight_gradient
from vitviz.errors import UnsupportedError
from vitviz.heatmap import Heatmap


def layer_map(gradient: WeightGradient) -> Tensor:
    """(keys,): the positive part of a layer's gradient by its weights, averaged over heads and queries."""
    attention = gradient.attention
    total = torch.zeros(attention.num_keys, device=attention.device, dtype=attention.dtype)
    for chunk in gradient.query_chunks():
        total += gradient.rows(chunk).clamp_min(0).sum((0, 1))  # (heads, chunk, keys) -> (keys,)
    return total / (attention.num_heads * attention.num_queries)


def legrad(question: Question) -> Heatmap:
    """Heatmap (rows, cols): `layer_map` of every layer for that layer's own score, averaged over layers.

    One forward pass, and a backward pass that for each layer goes through that block and the head only. A pooling
    attention at the end belongs to how every layer is read and gives no map of its own. Raises UnsupportedError
    where layers cannot be read.
    """
    trunk = question.trunk
    with question.subject.lock, watched_attention(question.module) as watched:
        passage = trunk.walk(question.x)
        seen = list(watched)
        grid, _pool = split_calls(seen, question.layout, question.subject.name)
        if len(grid) != trunk.num_layers:
            raise UnsupportedError(
                f"{question.subject.name} has {trunk.num_layers} blocks and {len(grid)} attention layers over its tokens; "
                "LeGrad needs one for each."
            )
        maps = []
        for call, state in zip(grid, passage.states[1:], strict=True):
            output = trunk.read(state)
            reference = Output(output.logits.detach(), None if output.tokens is None else output.tokens.detach())
            score = question.target.score(output, reference)[0]
            (gradient,) = gradients_of(score, [call], keep_graph=True)
            maps.append(layer_map(weight_gradient(call, gradient, question.module, question.layout)))
    mean = torch.stack(maps).mean(0)  # (layers, keys) -> (keys,)
    layout = token_layout(mean.shape[0], question.layout)
    assert layout is not None
    return Heatmap(layout.patches(mean.float().cpu().numpy()), "LeGrad")
