"""A two-layer attention model small enough to differentiate on paper: attention is fixed, everything else is linear.

x0 holds a class token, a register and one token a patch (the patch's mean colour). Layer l adds sum_h c[l, h] A[l, h] x,
with A fixed. The logits are W x2[cls]. So with w a row of W:

    x1 = (I + C_1) x0, x2 = (I + C_2) x1, C_l = sum_h c[l, h] A[l, h]
    score = w . x2[cls]
    d score / d A[2, h][q, k] = [q = cls] c[2, h] w . x1[k]
    d score / d A[1, h][q, k] = (I + C_2)[cls, q] c[1, h] w . x0[k]
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitviz.analysis.question import BareModel
from vitviz.analysis.targets import Target
from vitviz.capture.blocks import Output
from vitviz.tokens import TokenLayout

GRID = (2, 3)
PATCH = 4
LAYOUT = TokenLayout(("cls", "reg0"), GRID, (PATCH, PATCH))
HEADS = 2
CLASSES = 4


class FixedAttention(nn.Module):
    """how: "fused", "folded" (fused, with the batch folded into the heads, as some models do) or "explicit"."""

    def __init__(self, scores: Tensor, gains: Tensor, how: str) -> None:
        super().__init__()
        self.scores = nn.Parameter(scores, requires_grad=False)  # (heads, tokens, tokens)
        self.gains = nn.Parameter(gains, requires_grad=False)  # (heads,)
        self.num_heads = HEADS
        self.how = how

    @property
    def A(self) -> Tensor:  # noqa: N802
        return self.scores.softmax(-1)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        values = self.gains[:, None, None] * x[:, None]  # (batch, heads, tokens, width)
        query = self.scores.expand(batch, -1, -1, -1)
        if self.how == "explicit":
            return (query.softmax(-1) @ values).sum(1)
        key = torch.eye(tokens, dtype=x.dtype).expand(batch, HEADS, -1, -1)
        if self.how == "folded":  # (batch, heads, tokens, ..) -> (batch * heads, tokens, ..) and back
            folded = (t.flatten(0, 1) for t in (query, key, values))
            out = F.scaled_dot_product_attention(*folded, scale=1.0).unflatten(0, (batch, HEADS))
        else:
            out = F.scaled_dot_product_attention(query, key, values, scale=1.0)
        return out.sum(1)


class Block(nn.Module):
    def __init__(self, attn: FixedAttention) -> None:
        super().__init__()
        self.attn = attn

    def forward(self, x: Tensor) -> Tensor:
        return x + self.attn(x)


class Linear(nn.Module):
    """The model of this file; forward_head as timm's models have it."""

    def __init__(self, how: str = "fused", classes: int = CLASSES, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        self.num_classes = classes
        self.prefix = nn.Parameter(draw(LAYOUT.num_prefix, 3), requires_grad=False)
        tokens = LAYOUT.num_tokens
        self.blocks = nn.ModuleList(
            Block(FixedAttention(2 * draw(HEADS, tokens, tokens), draw(HEADS), how)) for _ in range(2)
        )
        self.head = nn.Parameter(draw(max(classes, 1), 3), requires_grad=False)

    def embed(self, x: Tensor) -> Tensor:
        patches = F.avg_pool2d(x, PATCH).flatten(2).transpose(1, 2)  # (batch, 3, rows, cols) -> (batch, patches, 3)
        return torch.cat([self.prefix.expand(x.shape[0], -1, -1), patches], 1)

    def forward_head(self, tokens: Tensor) -> Tensor:
        return tokens[:, 0] @ self.head.T if self.num_classes else tokens[:, 0]

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return self.forward_head(x)

    # What follows is the arithmetic on paper.

    def mixing(self, layer: int) -> Tensor:
        """(tokens, tokens): C of a layer."""
        attention = self.blocks[layer].attn
        return (attention.gains[:, None, None] * attention.A).sum(0)

    def states(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x0, x1, x2, each (tokens, 3)."""
        x0 = self.embed(pixels[None])[0]
        x1 = x0 + self.mixing(0) @ x0
        return x0, x1, x1 + self.mixing(1) @ x1

    def gradients(self, pixels: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        """d score / d A of both layers, (heads, tokens, tokens) each, by the formulas above."""
        x0, x1, _ = self.states(pixels)
        last = torch.zeros(HEADS, LAYOUT.num_tokens, LAYOUT.num_tokens, dtype=torch.float64)
        last[:, 0] = self.blocks[1].attn.gains[:, None] * (x1 @ w)
        reach = self.mixing(1)[0].clone()
        reach[0] += 1
        first = self.blocks[0].attn.gains[:, None, None] * reach[None, :, None] * (x0 @ w)[None, None]
        return first, last

    def contributions(self, pixels: Tensor, w: Tensor) -> Tensor:
        """(patches,): how far the score falls when a patch takes the image's mean colour; in a linear model they add up."""
        reach = torch.eye(LAYOUT.num_tokens, dtype=torch.float64) + self.mixing(1)
        reach = (reach @ (torch.eye(LAYOUT.num_tokens, dtype=torch.float64) + self.mixing(0)))[0, LAYOUT.num_prefix :]
        x0 = self.embed(pixels[None])[0, LAYOUT.num_prefix :]
        return reach * ((x0 - pixels.mean((1, 2))) @ w)


class LinearTarget:
    """A target whose likelihood is its score, so that curves of a linear model are sums."""

    quantity = "score"

    def __init__(self, target: Target) -> None:
        self.target = target

    def score(self, output: Output, reference: Output) -> Tensor:
        return self.target.score(output, reference)

    likelihood = score


def subject(how: str = "fused", classes: int = CLASSES, seed: int = 0) -> BareModel:
    return BareModel(Linear(how, classes, seed), LAYOUT, "by hand")


def picture(seed: int = 1) -> Tensor:
    """(3, 8, 12) float64."""
    return torch.randn(3, *LAYOUT.input_size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


CLASS = 2  # the one whose score is explained


def on_patches(row) -> torch.Tensor:
    return LAYOUT.patches(row).float()


def close(heatmap, expected, atol=1e-5):
    torch.testing.assert_close(torch.from_numpy(heatmap.values.copy()), expected.float(), atol=atol, rtol=1e-5)
