"""Small Vision Transformers whose attention is written out in many ways, and the same computed by hand."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitviz.tokens import TokenLayout

SIZE, LAYOUT = (16, 24), TokenLayout((), (2, 3), (8, 8))
TOKENS, HEADS, DIM, CLASSES = 6, 2, 4, 5


def _by_sum(q: Tensor, k: Tensor) -> Tensor:
    return (q[..., :, None, :] * k[..., None, :, :]).sum(-1)


def _by_baddbmm(q: Tensor, k: Tensor) -> Tensor:
    batch, heads, tokens, _ = q.shape
    nothing = torch.zeros(batch * heads, tokens, tokens, dtype=q.dtype, device=q.device)
    return torch.baddbmm(nothing, q.flatten(0, 1), k.flatten(0, 1).mT).unflatten(0, (batch, heads))


def _by_hand(scores: Tensor) -> Tensor:
    e = (scores - scores.amax(-1, keepdim=True)).exp()
    return e / e.sum(-1, keepdim=True)


def _in_place(scores: Tensor) -> Tensor:
    scores = scores.clone()
    scores -= scores.max(-1, keepdim=True).values
    scores.exp_()
    return scores / scores.sum(dim=-1, keepdim=True)


def _by_reciprocal(scores: Tensor) -> Tensor:
    e = torch.exp(scores)
    return e * (1 / torch.sum(e, -1, keepdim=True))


def _by_columns(scores: Tensor) -> Tensor:
    return scores.mT.softmax(-2).mT


def _heads_last(w: Tensor, v: Tensor) -> Tensor:
    out = torch.einsum("bijh,bjhd->bihd", w.permute(0, 2, 3, 1), v.transpose(1, 2))
    return out.permute(0, 2, 1, 3)


def _by_weighted_sum(w: Tensor, v: Tensor) -> Tensor:
    return (w.unsqueeze(-1) * v.unsqueeze(-3)).sum(-2)


def _by_bmm(w: Tensor, v: Tensor) -> Tensor:
    return torch.bmm(w.flatten(0, 1), v.flatten(0, 1)).unflatten(0, v.shape[:2])


def _values_without_bias(w: Tensor, v: Tensor) -> Tensor:
    nothing = v.new_zeros(1, 1, 1)
    return torch.baddbmm(nothing, w.flatten(0, 1), v.flatten(0, 1), beta=0).unflatten(0, v.shape[:2])


SCORES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "q @ kT": lambda q, k: q @ k.transpose(-2, -1),
    "torch.matmul": lambda q, k: torch.matmul(input=q, other=k.mT),
    "linalg.matmul": lambda q, k: torch.linalg.matmul(q, k.mT),
    "bmm": lambda q, k: q.flatten(0, 1).bmm(k.flatten(0, 1).mT).unflatten(0, q.shape[:2]),
    "baddbmm": _by_baddbmm,
    "einsum": lambda q, k: torch.einsum("bhid,bhjd->bhij", q, k),
    "einsum keys first": lambda q, k: torch.einsum("b h j d, b h i d -> b h i j", k, q),
    "einsum dots": lambda q, k: torch.einsum("...id,...jd->...ij", q, k),
    "sum of products": _by_sum,
}
SOFTMAX: dict[str, Callable[[Tensor], Tensor]] = {
    "Tensor.softmax": lambda s: s.softmax(-1),
    "torch.softmax": lambda s: torch.softmax(s, dim=-1),
    "F.softmax": lambda s: F.softmax(input=s, dim=3),
    "nn.Softmax": lambda s: nn.Softmax(dim=-1)(s),
    "in another precision": lambda s: F.softmax(s, -1, dtype=torch.float64).type_as(s),
    "log_softmax().exp()": lambda s: F.log_softmax(s, -1).exp(),
    "logsumexp": lambda s: torch.exp(s - s.logsumexp(-1, keepdim=True)),
    "exp and sum": _by_hand,
    "in place": _in_place,
    "reciprocal": _by_reciprocal,
    "normalize": lambda s: F.normalize(s.exp(), p=1, dim=-1),
    "over columns": _by_columns,
}
VALUES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "w @ v": lambda w, v: w @ v,
    "vT @ wT": lambda w, v: (v.mT @ w.mT).mT,
    "v.T rmatmul": lambda w, v: v.__rmatmul__(w),
    "bmm": _by_bmm,
    "baddbmm": _values_without_bias,
    "einsum": lambda w, v: torch.einsum("bhij,bhjd->bhid", w, v),
    "einsum values first": lambda w, v: torch.einsum("bhjd,bhij->bhid", v, w),
    "einsum heads last": _heads_last,
    "weighted sum": _by_weighted_sum,
}
MIX = torch.tensor([[0.7, 0.3], [0.2, 0.9]], dtype=torch.float64)
BETWEEN: dict[str, Callable[[Tensor], Tensor]] = {
    "nothing": lambda w: w,
    "dropout": lambda w: nn.Dropout(0.3).eval()(w),
    "two casts": lambda w: w.to(torch.float32 if w.dtype == torch.float64 else torch.float64).to(w.dtype),
    "reshape and expand": lambda w: w.flatten(0, 1)[None].expand(1, -1, -1, -1).reshape(w.shape),
    "heads mixed": lambda w: torch.einsum("gh,bhij->bgij", MIX.to(w), w),
    "heads mixed by linear": lambda w: F.linear(w.permute(0, 2, 3, 1), MIX.to(w)).permute(0, 3, 1, 2),
    "heads mixed by convolution": lambda w: F.conv2d(w, MIX.to(w)[:, :, None, None]),
}


@dataclass(frozen=True)
class Spelling:
    """How one model writes its attention."""

    scores: str = "q @ kT"
    softmax: str = "Tensor.softmax"
    between: str = "nothing"
    values: str = "w @ v"

    def __str__(self) -> str:
        return ", ".join((self.scores, self.softmax, self.between, self.values))

    @property
    def mixes(self) -> bool:
        return "mixed" in self.between


class Attention(nn.Module):
    """Self-attention of 2 heads with a bias of its own on the scores, written as `attend` has it."""

    def __init__(self, attend: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.num_heads = HEADS
        self.qkv = nn.Linear(HEADS * DIM, 3 * HEADS * DIM)
        self.proj = nn.Linear(HEADS * DIM, HEADS * DIM)
        self.bias = nn.Parameter(torch.randn(HEADS, TOKENS, TOKENS))
        self.attend = attend

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """q, k, v (batch, heads, tokens, head_dim)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, HEADS, DIM)).permute(2, 0, 3, 1, 4).unbind(0)
        return q * 2, k, v

    def forward(self, x: Tensor) -> Tensor:
        out = self.attend(*self.heads(x), self.bias)
        return self.proj(out.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, attn: nn.Module) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(HEADS * DIM)
        self.attn = attn
        self.mlp = nn.Linear(HEADS * DIM, HEADS * DIM)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(x).relu()


class Written(nn.Module):
    """2 x 3 patches of 8 x 8 pixels, blocks with the attention modules given, the mean of all tokens, 5 classes."""

    num_classes = CLASSES

    def __init__(self, *attention: nn.Module, block: type[nn.Module] = Block) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, HEADS * DIM, 8, 8)
        self.blocks = nn.ModuleList(block(attn) for attn in attention)
        self.norm = nn.LayerNorm(HEADS * DIM)
        self.head = nn.Linear(HEADS * DIM, CLASSES)

    def forward_head(self, tokens: Tensor) -> Tensor:
        return self.head(tokens.mean(1))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch_embed(x).flatten(2).mT  # (batch, tokens, width)
        for block in self.blocks:
            tokens = block(tokens)
        return self.forward_head(self.norm(tokens))


def written(spelling: Spelling) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        weights = SOFTMAX[spelling.softmax](SCORES[spelling.scores](q, k) + bias)
        return VALUES[spelling.values](BETWEEN[spelling.between](weights), v)

    return attend


def redrawn(module: nn.Module) -> nn.Module:
    """Double precision, evaluation mode, every parameter drawn from one seed."""
    generator = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.4
    return module.double().eval()


def build(*spellings: Spelling) -> Written:
    """A model with a layer for each."""
    module = Written(*(Attention(written(spelling)) for spelling in spellings))
    return redrawn(module)  # type: ignore[return-value]


def picture(batch: int = 1) -> Tensor:
    return torch.randn(batch, 3, *SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@dataclass
class ByHand:
    """The same model computed with nothing but products of matrices and exponentials, head by head.

    off  (layer, head) whose output is zero; cut: keys that no query may look at
    weights  of every layer, (heads, tokens, tokens) leaves of the graph, as multiplied with the values
    """

    module: Written
    mixed: bool = False
    off: tuple[tuple[int, int], ...] = ()
    cut: tuple[int, ...] = ()
    weights: list[Tensor] = field(default_factory=list)

    def __call__(self, x: Tensor) -> Tensor:
        tokens = self.module.patch_embed(x).flatten(2).mT
        for layer, block in enumerate(self.module.blocks):
            own: Any = block.attn
            q, k, v = own.heads(block.norm1(tokens))
            e = torch.stack([(q[0, h] @ k[0, h].T + own.bias[h]).exp() for h in range(HEADS)])
            e = e * torch.tensor([float(key not in self.cut) for key in range(TOKENS)], dtype=e.dtype)
            weights = e / e.sum(-1)[..., None]
            if self.mixed:
                weights = torch.stack([sum(MIX[g, h] * weights[h] for h in range(HEADS)) for g in range(HEADS)])
            if not weights.requires_grad:
                weights = weights.detach().requires_grad_()
            self.weights.append(weights)
            out = [weights[h] @ v[0, h] * ((layer, h) not in self.off) for h in range(HEADS)]
            tokens = tokens + own.proj(torch.cat(out, -1)[None])
            tokens = tokens + block.mlp(tokens).relu()
        return self.module.forward_head(self.module.norm(tokens))


def _spellings() -> list[Spelling]:
    one = [Spelling(scores=name) for name in SCORES] + [Spelling(softmax=name) for name in SOFTMAX]
    one += [Spelling(between=name) for name in BETWEEN] + [Spelling(values=name) for name in VALUES]
    chance = random.Random(0)
    some = [Spelling(*(chance.choice(list(part)) for part in (SCORES, SOFTMAX, BETWEEN, VALUES))) for _ in range(24)]
    return list(dict.fromkeys([*one, *some]))


SPELLINGS = _spellings()


class Convolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Conv1d(HEADS * DIM, HEADS * DIM, 3, padding=1)

    def forward(self, x):
        return self.mix(x.mT).mT


class Own(nn.Module):
    """Attention of another class than its siblings', in a block of the same class: linear attention."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(HEADS * DIM, 3 * HEADS * DIM)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        return (F.elu(q) + 1) @ ((F.elu(k) + 1).mT @ v)
