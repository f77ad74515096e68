"""Effective receptive fields of networks whose field is known by construction."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from scipy.signal import convolve2d
from torch import nn

from vitviz.analysis.question import BareModel
from vitviz.analysis.receptive_field import mean_receptive_fields, receptive_fields, square_side
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout


def whole_side(field) -> float:
    """The side of the square that holds all of the gradient."""
    return square_side(field.gradient, field.centre, 1.0)


class Convolutions(nn.Module):
    """Linear 3x3 convolutions of ones, in stages: the gradient is the box filter folded with itself."""

    def __init__(self, depth: int, stride: int = 1) -> None:
        super().__init__()
        self.stages = nn.Sequential(
            *(nn.Conv2d(3 if i == 0 else 1, 1, 3, stride if i == 0 else 1, padding=1, bias=False) for i in range(depth))
        )
        for parameter in self.parameters():
            nn.init.ones_(parameter)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.stages(x).mean((2, 3))


def network(module: nn.Module, name: str = "network") -> SimpleNamespace:
    return SimpleNamespace(name=name, module=module.eval(), lock=threading.RLock())


def smallest_square(gradient: np.ndarray, centre: tuple[float, float], share: float) -> float:
    """Squares tried one by one, in steps of a half pixel."""
    for half in np.arange(0.5, max(gradient.shape) + 0.5, 0.5):
        rows = [r for r in range(gradient.shape[0]) if abs(r + 0.5 - centre[0]) <= half - 0.5 + 1e-9]
        cols = [c for c in range(gradient.shape[1]) if abs(c + 0.5 - centre[1]) <= half - 0.5 + 1e-9]
        if rows and cols and gradient[np.ix_(rows, cols)].sum() >= share * gradient.sum() * (1 - 1e-7):
            return min(2 * half, max(gradient.shape))
    raise AssertionError


def test_stacked_convolutions_have_the_field_of_their_product():
    depth, side = 4, 21
    fields = receptive_fields(network(Convolutions(depth)), torch.randn(3, side, side))
    assert [field.name for field in fields] == [f"stages.{i}" for i in range(depth)]
    kernel = np.ones((1, 1))
    for layer, field in enumerate(fields):
        kernel = convolve2d(kernel, np.ones((3, 3)))  # (2 * layer + 3) to a side
        expected = np.zeros((side, side))
        margin = (side - len(kernel)) // 2
        expected[margin : margin + len(kernel), margin : margin + len(kernel)] = kernel / kernel.sum()
        assert (field.unit, field.centre) == ((10, 10), (10.5, 10.5))
        np.testing.assert_allclose(field.gradient, expected, atol=1e-7)
        assert (field.gradient[expected == 0] == 0).all()
        assert whole_side(field) == 2 * layer + 3, "the theoretical field"
        assert field.side == smallest_square(expected, field.centre, 0.95)
    assert fields[-1].side < 2 * depth + 1, "the effective field is the smaller one"


def test_strides_are_counted_in_pixels_of_the_input():
    fields = receptive_fields(network(Convolutions(2, stride=2)), torch.randn(3, 24, 24))
    assert fields[1].grid == (12, 12)
    assert whole_side(fields[1]) >= 7  # three steps of two pixels, and one more


@pytest.mark.parametrize("share", [0.3, 0.5, 0.95, 1.0])
@pytest.mark.parametrize("centre", [(4.0, 6.0), (4.5, 7.5), (2.0, 9.5)])
def test_the_square_is_the_smallest(share: float, centre: tuple[float, float]):
    gradient = np.random.default_rng(0).random((9, 13)) ** 4
    assert square_side(gradient, centre, share) == smallest_square(gradient, centre, share)


def test_no_gradient_has_no_square():
    assert square_side(np.zeros((4, 4)), (2, 2), 0.95) == 0
    with pytest.raises(ValueError, match="a share is above 0"):
        square_side(np.ones((4, 4)), (2, 2), 1.5)


def vit(dynamic: bool = False) -> BareModel:
    torch.manual_seed(0)
    module = timm.create_model(
        "vit_tiny_patch16_224", img_size=(48, 64), depth=2, embed_dim=24, num_heads=2, dynamic_img_size=dynamic
    ).eval()
    return BareModel(module, TokenLayout(("cls",), (3, 4), (16, 16)), "tiny")


@pytest.mark.parametrize("dynamic", [False, True])  # patches embedded as a sequence, and as a map with channels last
def test_a_transformer_sees_one_patch_and_after_one_layer_all_of_them(dynamic: bool):
    subject = vit(dynamic)
    pixels = torch.randn(3, 48, 64)
    fields = receptive_fields(subject, pixels)
    assert [field.name for field in fields] == ["patch_embed", "blocks.0", "blocks.1"]
    first = fields[0]
    patch = np.zeros((48, 64), bool)
    patch[16:32, 32:48] = True
    assert first.unit == (1, 2) and first.centre == (24, 40)
    assert (first.gradient[~patch] == 0).all() and whole_side(first) == 16
    for field in fields[1:]:
        assert (field.gradient > 0).mean() > 0.99 and field.gradient.sum() == pytest.approx(1, abs=1e-5)
    x = pixels[None].clone().requires_grad_()
    outputs = []
    subject.module.blocks[1].register_forward_hook(lambda _m, _i, out: outputs.append(out))
    subject.module(x)
    outputs[0][0, 1 + 1 * 4 + 2].sum().backward()
    expected = x.grad[0].abs().sum(0)
    np.testing.assert_allclose(fields[2].gradient, expected / expected.sum(), atol=1e-6)
    assert not subject.module.blocks[0]._forward_hooks
    assert all(parameter.grad is None or True for parameter in subject.module.parameters())


@pytest.mark.parametrize(
    ("name", "first", "count"),
    [
        ("resnet18", "layer1", 4),
        ("tf_efficientnet_lite0", "blocks.0", 7),
        ("swin_tiny_patch4_window7_224", "layers.0", 4),
    ],
)
def test_stages_of_other_networks_are_found(name: str, first: str, count: int):
    module = timm.create_model(name, **({"img_size": 64, "window_size": 2} if "swin" in name else {}))
    fields = receptive_fields(network(module), torch.randn(3, 64, 64))
    assert (fields[0].name, len(fields)) == (first, count)
    sides = [field.side for field in fields]
    assert sides[0] < 64 and sides[0] <= sides[-1] <= 64


def test_the_mean_counts_every_image_the_same():
    subject = vit()
    one, two = (receptive_fields(subject, scale * torch.randn(3, 48, 64)) for scale in (1, 5))
    mean = mean_receptive_fields([one, two])
    np.testing.assert_allclose(mean[2].gradient, (one[2].gradient + two[2].gradient) / 2, atol=1e-7)
    assert mean[2].side == square_side(mean[2].gradient, mean[2].centre, 0.95)
    with pytest.raises(ValueError, match="at least one image"):
        mean_receptive_fields([])


def test_what_has_no_layers_is_refused():
    with pytest.raises(UnsupportedError, match="name the parts"):
        receptive_fields(network(nn.Sequential(nn.Conv2d(3, 2, 3))), torch.randn(3, 8, 8))
    with pytest.raises(UnsupportedError, match="no part called 'stages.9'"):
        receptive_fields(network(Convolutions(2)), torch.randn(3, 8, 8), ["stages.9"])


def test_work_is_told_and_can_be_stopped():
    told = []
    receptive_fields(
        network(Convolutions(3)), torch.randn(3, 8, 8), progress=lambda done, all_: told.append((done, all_))
    )
    assert told == [(1, 3), (2, 3), (3, 3)]
