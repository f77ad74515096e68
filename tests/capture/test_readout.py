"""What a model's output is computed from: compared with moving each last token of a real pass and watching the output."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from vitviz.analysis.queries import default_query
from vitviz.capture.coordinates.layouts import placements_of
from vitviz.capture.readout import find_output_query
from vitviz.capture.record import record
from vitviz.capture.trace import Trace
from vitviz.models.layout import layout_of
from vitviz.tokens import Query, TokenLayout

SIZE = (32, 48)
TINY = {"img_size": SIZE, "embed_dim": 24, "depth": 1, "num_heads": 2, "num_classes": 5}
POOLS = ("token", "avg", "avgmax", "max", "map", "")


def made(name: str, **arguments) -> nn.Module:
    torch.manual_seed(3)
    return timm.create_model(name, **{**TINY, **arguments}).eval().requires_grad_(False)


def traced(module: nn.Module) -> Trace:
    layout = layout_of(module, "tiny", SIZE)
    x = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    seen = record(module, x, layout)
    output_query = find_output_query(module, SIZE, seen.layers, seen.pooling)
    return Trace("tiny", x[0], layout, seen.layers, seen.logits, seen.pooling, output_query=output_query)


def moved(module: nn.Module, x: Tensor, num_tokens: int) -> list[int]:
    """Last tokens whose change changes the output of the module's own pass."""

    def logits(token: int | None) -> Tensor:
        def change(_module: nn.Module, _inputs: tuple[Tensor], tokens: Tensor) -> Tensor:
            tokens = tokens.clone()
            if token is not None:
                tokens[:, token] += torch.linspace(-3, 3, tokens.shape[-1])
            return tokens

        handle = module.norm.register_forward_hook(change)
        try:
            return module(x[None])
        finally:
            handle.remove()

    plain = logits(None)
    return [token for token in range(num_tokens) if not torch.equal(logits(token), plain)]


# With registers and without a class token the plain run has "map" and "avg".
CASES = [
    pytest.param(
        pool, cls, registers, included, marks=pytest.mark.long if registers and pool not in ("map", "avg") else ()
    )
    for pool, cls, registers, included in product(POOLS, (True, False), (0, 4), (False, True))
    if (cls or pool != "token") and not (included and pool in ("token", ""))
]


@pytest.mark.parametrize(("pool", "cls", "registers", "included"), CASES)
def test_any_pooling_with_any_prefix(pool, cls, registers, included):
    arguments = {"pool_include_prefix": True} if included else {}
    module = made("vit_tiny_patch16_224", global_pool=pool, class_token=cls, reg_tokens=registers, **arguments)
    trace = traced(module)
    layout, asked = trace.layout, default_query(trace)
    assert layout.num_prefix == cls + registers
    read = moved(module, trace.input, layout.num_tokens)
    if pool == "map":  # the pooling query asks, and its keys are the tokens that move the output
        assert asked == "pool"
        keys = trace.pooling[-1].key_layout
        assert [layout.num_tokens - keys.num_tokens + key for key in range(keys.num_tokens)] == read
        assert trace.pooling[-1].query_layout.prefix == ("pool0",)
    else:
        weights = asked.weights(layout)
        assert weights.nonzero()[0].tolist() == read
        if pool in ("avg", ""):  # every token that is averaged counts the same, to the digits of the text form
            np.testing.assert_allclose(weights[read], 1 / len(read), rtol=5e-3)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("beit_base_patch16_224", {}, "mean"),
        ("eva02_tiny_patch14_224", {"patch_size": 16}, "mean"),
        ("vit_small_patch16_dinov3", {}, "mean"),
        ("vit_relpos_base_patch16_cls_224", {}, "cls"),
        ("vit_relpos_base_patch16_clsgap_224", {}, "mean"),
        ("vit_pe_core_tiny_patch16_384", {}, "pool"),
        ("vit_so150m_patch16_reg4_map_256", {}, "pool"),
        ("vit_base_patch16_siglip_224", {}, "pool"),
        ("deit_tiny_distilled_patch16_224", {}, "cls+dist"),
        ("deit_tiny_distilled_patch16_224", {"num_classes": 0}, "cls+dist"),
        ("vit_tiny_patch16_224", {"num_classes": 0}, "cls"),
    ],
)
def test_families(name, arguments, expected):
    assert default_query(traced(made(name, **arguments))) == expected


def test_the_two_heads_of_a_distilled_deit_count_half_each_whatever_their_weights():
    module = made("deit_tiny_distilled_patch16_224")
    module.head_dist.weight.mul_(100)
    assert default_query(traced(module)).shares == (("cls", 0.5), ("dist", 0.5))


class Concatenated(nn.Module):
    """Class token and the mean over patches side by side in front of one linear head, as in DINOv2's linear classifier."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.inner, self.head = module, nn.Linear(2 * 24, 5)
        self.num_prefix_tokens, self.num_classes = 1, 5

    blocks = property(lambda self: self.inner.blocks)
    norm = property(lambda self: self.inner.norm)
    patch_embed = property(lambda self: self.inner.patch_embed)
    cls_token = property(lambda self: self.inner.cls_token)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.inner.forward_features(x))

    def forward_head(self, tokens: Tensor) -> Tensor:
        return self.head(torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], dim=1))


def test_shares_are_those_of_the_gradients_norm():
    module = Concatenated(made("vit_tiny_patch16_224")).eval().requires_grad_(False)
    module.head.weight[:, 24:] *= 3
    share = float(module.head.weight[:, :24].norm())
    share /= share + float(module.head.weight[:, 24:].norm())  # the output is linear: its gradient is its weight
    asked = default_query(traced(module))
    assert asked.names == ("cls", "mean")
    assert dict(asked.shares)["cls"] == pytest.approx(share, rel=5e-3)
    assert 0.15 < share < 0.35


def test_other_weights_or_settings_are_asked_again():
    module = made("vit_tiny_patch16_224", global_pool="avg", class_token=True)
    assert default_query(traced(module)) == "mean"
    module.global_pool = "token"
    assert default_query(traced(module)) == "cls"
    module = Concatenated(made("vit_tiny_patch16_224")).eval().requires_grad_(False)
    assert default_query(traced(module)).names == ("cls", "mean")
    with torch.no_grad():
        module.head.weight[:, :24] = 0
    assert default_query(traced(module)) == "mean"


def test_a_module_without_a_head_is_told_by_names():
    layout = TokenLayout(("cls",), (2, 3), (16, 16))
    seen = traced(made("vit_tiny_patch16_224"))
    assert seen.layout == layout
    assert find_output_query(nn.Linear(2, 2), SIZE, seen.layers, ()) == Query.parse("cls")
    assert find_output_query(nn.Linear(2, 2), SIZE, (), seen.layers) == "pool"
    assert find_output_query(nn.Linear(2, 2), SIZE, (), ()) == "mean"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vit_base_patch16_siglip_224", ("pool0",)),
        ("vit_pe_core_tiny_patch16_384", ("pool0",)),
        ("cait_xxs24_224", ("cls",)),
        ("xcit_nano_12_p16_224", ("cls",)),
    ],
)
def test_a_query_that_pools_is_no_class_token(name, expected):
    placements = placements_of(made(name), SIZE)
    assert {p.query_layout.prefix for p in placements if p.kind == "pooling"} == {expected}
