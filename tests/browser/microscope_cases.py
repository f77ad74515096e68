"""Layers with known queries and keys, as a browser may meet them: what the test app shows and the tests compute again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageDraw

from vitviz.capture.attention import Attention, BiasTable, DenseBias
from vitviz.tokens import TokenLayout
from vitviz.ui.components.microscope import layer_arrays
from vitviz.ui.server.payloads import PayloadStore, pack

STORE = PayloadStore()
NUM_LAYERS = 4


@dataclass(frozen=True)
class Case:
    layout: TokenLayout
    heads: int = 6
    head_dim: int = 64
    kind: str = "plain"

    @lru_cache(maxsize=8)  # noqa: B019 (cases are module constants)
    def layer(self, index: int) -> Attention:
        """Random, but the same in every process: smooth over the grid, so that maps look like maps."""
        made = torch.Generator().manual_seed(1000 * index + self.layout.num_tokens + self.heads)

        def tokens(layout: TokenLayout) -> torch.Tensor:  # (heads, tokens, head_dim)
            coarse = torch.randn(self.heads, self.head_dim, 5, 5, generator=made)
            patches = torch.nn.functional.interpolate(coarse, layout.grid, mode="bicubic", align_corners=False)
            prefix = torch.randn(self.heads, layout.num_prefix, self.head_dim, generator=made)
            return 1.6 * torch.cat([prefix, patches.flatten(2).transpose(1, 2)], dim=1)

        keys = replace(self.layout, grid=(8, 8), patch_size=(28, 28)) if self.kind == "pooled keys" else self.layout
        q, k = tokens(self.layout), tokens(keys)
        plain = Attention(f"blocks.{index}.attn", self.layout, keys, q=q, k=k, scale=self.head_dim**-0.5)
        n = self.layout.num_tokens
        if self.kind == "bias table":
            table = 2 * torch.randn(500, self.heads, generator=made)
            index_of = torch.randint(0, 500, (n, n), generator=made, dtype=torch.int32)
            return replace(plain, bias=BiasTable(table, index_of))
        if self.kind == "hidden keys":
            bias = torch.zeros(1, 1, n)
            bias[..., -n // 4 :] = -torch.inf
            return replace(plain, bias=DenseBias(bias))
        if self.kind == "mixed heads":
            mix = torch.eye(self.heads) + 0.2 * torch.randn(self.heads, self.heads, generator=made)
            mixed = torch.einsum("gh,hqk->gqk", mix, plain.weights())
            return Attention(plain.name, self.layout, keys, explicit=mixed, rows_sum_to_one=False)
        return replace(plain, lse=plain.log_sum_exp()) if index % 2 else plain

    def value_norm(self, index: int) -> torch.Tensor | None:
        """(heads, keys), for the cases that carry it: a few tokens give little."""
        if self.kind != "values":
            return None
        made = torch.Generator().manual_seed(index)
        return torch.rand(self.heads, self.layout.num_tokens, generator=made) * 3

    def payload(self, index: int) -> bytes:
        return pack(*layer_arrays(self.layer(index), self.value_norm(index)))

    def picture(self) -> Image.Image:
        """Something with a left, a right, a top and a bottom."""
        height, width = self.layout.input_size
        ramp = np.zeros((height, width, 3), np.uint8)
        ramp[..., 0] = np.linspace(60, 220, width)[None, :]
        ramp[..., 1] = np.linspace(200, 90, height)[:, None]
        ramp[..., 2] = 140
        picture = Image.fromarray(ramp)
        pen = ImageDraw.Draw(picture)
        pen.ellipse([width * 0.1, height * 0.5, width * 0.4, height * 0.9], fill="#202020", outline="#f0f0f0", width=4)
        pen.ellipse([width * 0.6, height * 0.5, width * 0.9, height * 0.9], fill="#202020", outline="#f0f0f0", width=4)
        pen.polygon(
            [(width * 0.25, height * 0.5), (width * 0.55, height * 0.3), (width * 0.75, height * 0.5)], fill="#c03020"
        )
        return picture


REGISTERS = ("cls", "reg0", "reg1", "reg2", "reg3")
CASES: dict[str, Case] = {
    "small": Case(TokenLayout(("cls",), (16, 16), (14, 14))),
    "small12": Case(TokenLayout(("cls",), (16, 16), (14, 14)), heads=12),
    "large": Case(TokenLayout(("cls",), (37, 37), (14, 14))),
    "large12": Case(TokenLayout(("cls",), (37, 37), (14, 14)), heads=12),
    "registers": Case(TokenLayout(REGISTERS, (16, 16), (14, 14)), kind="values"),
    "oblong": Case(TokenLayout((), (9, 16), (16, 16)), heads=3, head_dim=30),
    "tall": Case(TokenLayout(("cls",), (20, 9), (16, 16)), heads=16, head_dim=16),
    "bias": Case(TokenLayout(("cls",), (14, 14), (16, 16)), heads=12, kind="bias table"),
    "hidden": Case(TokenLayout(("cls",), (14, 14), (16, 16)), heads=2, kind="hidden keys"),
    "mixed": Case(TokenLayout(("cls",), (14, 14), (16, 16)), heads=4, kind="mixed heads"),
    "pooled": Case(TokenLayout((), (16, 16), (14, 14)), heads=4, kind="pooled keys"),
}
