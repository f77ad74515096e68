"""LeGrad: the gradient of each layer's own class score by that layer's attention.

Bousselham et al. 2024, "LeGrad: an explainability method for Vision Transformers via feature formation sensitivity"
(arXiv 2404.03214), section 3. The score of layer l is read from the tokens after block l by the model's own final
norm, pooling and head. The reference implementation reads the mean of all tokens instead, for which a head that reads
the class token was not trained.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vitviz.analysis.methods.base import Method
from vitviz.analysis.question import Question, split_calls
from vitviz.capture.gradients import WeightGradient, gradients_of, watched_attention, weight_gradient
from vitviz.capture.layers import token_layout
from vitviz.errors import UnsupportedError
from vitviz.heatmap import Heatmap
from vitviz.references import publication


def layer_map(gradient: WeightGradient) -> Tensor:
    """(keys,): the positive part of a layer's gradient by its weights, averaged over heads and queries."""
    attention = gradient.attention
    total = torch.zeros(attention.num_keys, device=attention.device, dtype=attention.dtype)
    for chunk in gradient.query_chunks():
        total += gradient.rows(chunk).clamp_min(0).sum((0, 1))  # (heads, chunk, keys) -> (keys,)
    return total / (attention.num_heads * attention.num_queries)


def legrad(question: Question) -> Heatmap:
    """Heatmap (rows, cols): `layer_map` of every layer for that layer's own score, averaged over layers.

    In one forward pass every layer is differentiated as soon as it has run, through its block and the head alone, so that one
    block's graph is in memory at a time. A pooling layer is part of the head and has no map.

    Raises:
        UnsupportedError: For a model whose head cannot be applied to every layer.
    """
    blocks, name = question.blocks, question.model.name
    question.refuse_other_kinds()
    maps: list[Tensor] = []
    with question.model.lock, watched_attention(question.module) as watched:

        def after(layer: int, state: Tensor) -> Tensor:
            grid, _pool = split_calls(watched, question.layout, name)
            if len(grid) != 1:
                raise UnsupportedError(
                    f"Block {layer} of {name} has {len(grid)} attention layers over its tokens; LeGrad needs one in each."
                )
            output = blocks.read(state)
            (gradient,) = gradients_of(question.target.score(output, output.detached())[0], grid)
            maps.append(layer_map(weight_gradient(grid[0], gradient, question.module, question.layout)))
            watched.clear()
            return state.detach()

        blocks.hidden_states(question.x, after)
    mean = torch.stack(maps).mean(0)  # (layers, keys) -> (keys,)
    layout = token_layout(mean.shape[0], question.layout)
    assert layout is not None
    return Heatmap(layout.patches(mean.float().cpu().numpy()), "LeGrad")


METHOD = Method(
    "legrad",
    "LeGrad",
    legrad,
    per_class=True,
    signed=False,
    formula="mean_l mean_h mean_q ReLU(d s_l / d A[l, h]), s_l the target read after layer l",
    reference=publication("bousselham").short,
    cost="about 2",
    limitations="The gradient is not multiplied by the attention: it shows where more attention would help, not where it is.",
    order=50,
)
