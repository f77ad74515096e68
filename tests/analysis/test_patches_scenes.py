"""The same patch in two scenes, with answers that are known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch

from vitviz.analysis.patches import Paste, pasted, two_scenes
from vitviz.analysis.question import BareModel
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout

LAYOUT = TokenLayout(("cls",), (3, 4), (16, 16))
DEPTH = 3


def model(name: str = "vit_tiny_patch16_224", layout: TokenLayout = LAYOUT, **arguments) -> BareModel:
    torch.manual_seed(1)
    module = timm.create_model(
        name, img_size=layout.input_size, depth=DEPTH, embed_dim=48, num_heads=3, **arguments
    ).eval()
    for parameter in module.parameters():
        parameter.data.normal_(std=0.3)
    return BareModel(module.requires_grad_(False), layout)


def scenes() -> tuple[torch.Tensor, torch.Tensor]:
    made = torch.Generator().manual_seed(2)
    return torch.randn(3, *LAYOUT.input_size, generator=made), torch.randn(3, *LAYOUT.input_size, generator=made)


def without_attention(subject: BareModel) -> BareModel:
    """Values of zero: attention adds the same constant to every token, whatever it looks at."""
    for block in subject.module.blocks:
        width = block.attn.qkv.weight.shape[1]
        block.attn.qkv.weight[2 * width :] = 0
        block.attn.qkv.bias[2 * width :] = 0
    return subject


def by_hand(subject: BareModel, source: torch.Tensor, scene: torch.Tensor, here: int, there: int) -> np.ndarray:
    """(layers, patches): each scene through the model on its own, tokens kept by hooks, cosines one by one."""
    kept: list[list[torch.Tensor]] = []
    for pixels in (source, scene):
        outputs: list[torch.Tensor] = []
        handles = [
            b.register_forward_hook(lambda _m, _i, out, into=outputs: into.append(out[0]))
            for b in subject.module.blocks
        ]
        subject.module(pixels[None])
        for handle in handles:
            handle.remove()
        kept.append(outputs)
    answer = []
    for one, two in zip(*kept, strict=True):
        a = one[1 + here].double().numpy()
        answer.append([a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in two[1:].double().numpy()])
    return np.array(answer)


def test_only_the_block_changes_hands():
    a, b = scenes()
    scene = pasted(a, b, Paste((0, 1), (2, 2)), LAYOUT)
    torch.testing.assert_close(scene[:, 32:48, 32:48], a[:, 0:16, 16:32], rtol=0, atol=0)
    rest = torch.ones(LAYOUT.input_size, dtype=torch.bool)
    rest[32:48, 32:48] = False
    torch.testing.assert_close(scene[:, rest], b[:, rest], rtol=0, atol=0)


def test_a_block_is_cut_off_at_either_edge():
    assert set(Paste((0, 0), block=3).cells((3, 4))) == {((r, c), (r, c)) for r in (0, 1) for c in (0, 1)}
    moved = set(Paste((1, 1), (0, 3), block=3).cells((3, 4)))
    assert moved == {((r + 1, c - 2), (r, c)) for r in (0, 1) for c in (2, 3)}


def test_the_same_place_starts_at_one_and_another_place_parts_with_its_position():
    a, b = scenes()
    stays = two_scenes(model(), a, b, Paste((1, 2))).itself
    np.testing.assert_allclose(stays[:2], 1, atol=1e-6)
    assert (stays[2:] < 0.9998).all()
    moves = two_scenes(model(), a, b, Paste((1, 2), (0, 0))).itself
    assert moves[0] == pytest.approx(1, abs=1e-6)
    assert moves[1] < 0.9998


def test_without_attention_the_scene_does_not_matter():
    a, b = scenes()
    np.testing.assert_allclose(two_scenes(without_attention(model()), a, b, Paste((1, 2))).itself, 1, atol=1e-5)


def test_similarities_are_those_of_two_separate_passes():
    a, b = scenes()
    subject, paste = model(), Paste((1, 2), (2, 0), block=3)
    found = two_scenes(subject, a, b, paste)
    rows = by_hand(subject, a, pasted(a, b, paste, LAYOUT), here=1 * 4 + 2, there=2 * 4 + 0)
    np.testing.assert_allclose(found.itself[2:], rows[:, 8], atol=1e-5)
    others = np.delete(rows, 8, axis=1)
    np.testing.assert_allclose(found.other[2:], others.mean(1), atol=1e-5)
    np.testing.assert_allclose(found.other_low[2:], np.percentile(others, 10, axis=1), atol=1e-5)
    np.testing.assert_allclose(found.other_high[2:], np.percentile(others, 90, axis=1), atol=1e-5)
    assert found.num_layers == DEPTH


def test_the_whole_scene_pasted_is_the_same_scene():
    a, b = scenes()
    np.testing.assert_allclose(two_scenes(model(), a, b, Paste((1, 1), block=7)).itself, 1, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("vit_small_patch16_dinov3", ("cls", "reg0", "reg1", "reg2", "reg3")), ("vit_base_patch16_siglip_224", ())],
)
def test_other_prefixes_and_positions(name, prefix):
    layout = TokenLayout(prefix, LAYOUT.grid, LAYOUT.patch_size)
    subject = model(name, layout)
    a, b = scenes()
    found = two_scenes(subject, a, b, Paste((1, 1)))
    np.testing.assert_allclose(found.itself[:2], 1, atol=1e-5)
    assert found.itself[-1] < 0.9998


def test_what_cannot_be_pasted_is_refused():
    a, b = scenes()
    with pytest.raises(ValueError, match="odd"):
        Paste((0, 0), block=2)
    with pytest.raises(IndexError, match="outside"):
        pasted(a, b, Paste((0, 0), (3, 0)), LAYOUT)
    with pytest.raises(ValueError, match="48"):
        pasted(a, b[:, :32], Paste((0, 0)), LAYOUT)


def test_a_model_of_several_stages_is_refused():
    module = timm.create_model(
        "swin_tiny_patch4_window7_224", img_size=64, depths=(1, 1, 1, 1), embed_dim=24, window_size=2
    ).eval()
    layout = TokenLayout((), (16, 16), (4, 4))
    picture = torch.zeros(3, 64, 64)
    with pytest.raises(UnsupportedError, match="one row of blocks"):
        two_scenes(BareModel(module, layout, "swin"), picture, picture, Paste((0, 0)))
