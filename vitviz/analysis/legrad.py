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
from vitviz.capture.gradients import explicit_attention, gradients_of
from vitviz.capture.layouts import token_layout
from vitviz.capture.trunk import Output
from vitviz.errors import UnsupportedError
from vitviz.heatmap import Heatmap


def layer_map(gradient: Tensor) -> Tensor:
    """(heads, queries, keys) -> (keys,): the gradient's positive part, averaged over heads and queries."""
    return gradient.clamp_min(0).mean((0, 1))


def legrad(question: Question) -> Heatmap:
    """Heatmap (rows, cols): `layer_map` of every layer for that layer's own score, averaged over layers.

    One forward pass, and a backward pass that for each layer goes through that block and the head only. A pooling
    attention at the end belongs to how every layer is read and gives no map of its own. Raises UnsupportedError
    where layers cannot be read.
    """
    trunk = question.trunk
    with question.subject.lock, explicit_attention(question.module) as weights:
        passage = trunk.walk(question.x)
        seen = list(weights)
        grid, _pool = split_calls(seen, question.layout, question.subject.name)
        if len(grid) != trunk.num_layers:
            raise UnsupportedError(
                f"{question.subject.name} has {trunk.num_layers} blocks and {len(grid)} attention layers over its tokens; "
                "LeGrad needs one for each."
            )
        maps = []
        for index, state in zip(grid, passage.states[1:], strict=True):
            output = trunk.read(state)
            reference = Output(output.logits.detach(), None if output.tokens is None else output.tokens.detach())
            score = question.target.score(output, reference)[0]
            maps.append(layer_map(gradients_of(score, [seen[index]], keep_graph=True)[0][0]))
    mean = torch.stack(maps).mean(0)  # (layers, keys) -> (keys,)
    layout = token_layout(mean.shape[0], question.layout)
    assert layout is not None
    return Heatmap(layout.patches(mean.float().cpu().numpy()), "LeGrad")
