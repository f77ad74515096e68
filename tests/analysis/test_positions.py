"""Position embeddings as the model adds them, and how alike they are."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from timm.layers import build_sincos2d_pos_embed, resample_abs_pos_embed
from torch import nn

from vitviz.analysis.positions import (
    chance_similarity,
    embedding_sum,
    patch_embedding,
    position_embedding,
    position_kinds,
    position_similarity,
    similarity_by_distance,
    similarity_by_step,
)
from vitviz.analysis.question import BareModel
from vitviz.errors import UnsupportedError
from vitviz.tokens import TokenLayout

ANY_LAYOUT = TokenLayout((), (1, 1), (1, 1))  # of a model whose positions are asked about on another grid


def holder(name: str, size: tuple[int, int], **arguments) -> BareModel:
    torch.manual_seed(0)
    module = (
        timm.create_model(name, img_size=size, depth=1, embed_dim=48, num_heads=3, **arguments)
        .eval()
        .requires_grad_(False)
    )
    if getattr(module, "pos_embed", None) is not None:
        module.pos_embed.normal_()
    return BareModel(module, ANY_LAYOUT)


CASES = [
    ("vit_tiny_patch16_224", ("cls",), {}),
    ("vit_tiny_patch16_224", ("cls",), {"dynamic_img_size": True}),
    ("deit_tiny_distilled_patch16_224", ("cls", "dist"), {}),
    ("deit3_small_patch16_224", ("cls",), {}),  # its table has no rows for the prefix
    ("vit_base_patch16_siglip_224", (), {}),
    ("eva02_tiny_patch14_224", ("cls",), {}),
    ("beit_base_patch16_224", ("cls",), {"use_abs_pos_emb": True}),
]


@pytest.mark.parametrize(("name", "prefix", "arguments"), CASES, ids=lambda v: str(v))
def test_the_embedding_is_what_the_first_block_receives_beyond_the_patches(name, prefix, arguments):
    side = 14 if "14" in name else 16
    layout = TokenLayout(prefix, (2, 3), (side, side))
    model = holder(name, layout.input_size, **arguments)
    pixels = torch.randn(3, *layout.input_size)
    received = []
    handle = model.module.blocks[0].register_forward_pre_hook(lambda _m, inputs: received.append(inputs[0][0]))
    with torch.inference_mode():
        model.module(pixels[None])
    handle.remove()
    position = position_embedding(model, layout)
    expected = received[0][layout.num_prefix :] - patch_embedding(model, pixels, layout)
    torch.testing.assert_close(position.vectors, expected, atol=1e-5, rtol=1e-5)
    assert position.kind == "learned"


def test_chosen_rows_are_those_of_the_whole_matrix(monkeypatch):
    model, layout = holder("vit_tiny_patch16_224", (64, 96)), TokenLayout(("cls",), (4, 6), (16, 16))
    whole = position_similarity(model, layout)
    monkeypatch.setattr("vitviz.analysis.positions.ROWS_AT_ONCE", 5)
    np.testing.assert_allclose(position_similarity(model, layout), whole, atol=1e-7)
    np.testing.assert_allclose(position_similarity(model, layout, [23, 4]), whole[[23, 4]], atol=1e-7)


def test_a_resampled_embedding_is_timms_own():
    model = holder("vit_tiny_patch16_224", (64, 64), dynamic_img_size=True)
    layout = TokenLayout(("cls",), (2, 5), (16, 16))
    expected = resample_abs_pos_embed(model.module.pos_embed, (2, 5), (4, 4), num_prefix_tokens=1)[0, 1:]
    torch.testing.assert_close(position_embedding(model, layout).vectors, expected)


def test_similarity_is_the_cosine():
    layout = TokenLayout(("cls",), (2, 3), (16, 16))
    model = holder("vit_tiny_patch16_224", layout.input_size)
    similarity = position_similarity(model, layout)
    vectors = model.module.pos_embed[0, 1:].numpy()
    for i in range(6):
        for j in range(6):
            cosine = vectors[i] @ vectors[j] / np.linalg.norm(vectors[i]) / np.linalg.norm(vectors[j])
            assert similarity[i, j] == pytest.approx(cosine, abs=1e-6)


def test_sin_cos_is_told_from_learned():
    layout = TokenLayout((), (4, 6), (16, 16))
    model = holder("vit_base_patch16_siglip_224", layout.input_size)
    model.module.pos_embed.data = build_sincos2d_pos_embed([4, 6], 48)[None]
    assert position_embedding(model, layout).kind == "sin-cos"
    similarity = layout.patches(position_similarity(model, layout)[0])
    assert similarity[0, 0] == pytest.approx(1)
    assert similarity[0, 0] > similarity[0, 1] > similarity[0, 2]


@pytest.mark.parametrize("name", ["vit_small_patch16_dinov3", "vit_relpos_small_patch16_224", "beit_base_patch16_224"])
def test_positions_inside_the_attention_are_refused_here(name):
    layout = TokenLayout((), (2, 3), (16, 16))
    with pytest.raises(UnsupportedError, match="rotary or relative"):
        position_similarity(holder(name, layout.input_size), layout)


def test_the_curve_has_one_at_no_distance_and_the_mean_elsewhere():
    layout = TokenLayout((), (1, 3), (10, 10))
    similarity = np.array([[1, 0.5, 0.1], [0.5, 1, 0.3], [0.1, 0.3, 1]], np.float32)
    curve = similarity_by_distance(similarity, layout)
    np.testing.assert_allclose(curve.distance, [0, 10, 20])
    np.testing.assert_allclose(curve.mean, [1, 0.4, 0.1], rtol=1e-6)
    assert (curve.low <= curve.mean + 1e-6).all()
    assert (curve.mean <= curve.high + 1e-6).all()


def test_the_sum_at_the_entrance_adds_up():
    layout = TokenLayout(("cls",), (2, 3), (16, 16))
    model = holder("vit_tiny_patch16_224", layout.input_size)
    terms = embedding_sum(model, torch.randn(3, *layout.input_size), layout)
    law_of_cosines = terms.patch**2 + terms.position**2 + 2 * terms.patch * terms.position * terms.cosine
    np.testing.assert_allclose(terms.total**2, law_of_cosines, rtol=1e-4)
    assert terms.patch.shape == (6,)


def built(name: str, **arguments) -> BareModel:
    torch.manual_seed(0)
    return BareModel(timm.create_model(name, **arguments).eval().requires_grad_(False), ANY_LAYOUT)


def naflex():
    model = built("naflexvit_base_patch16_gap", depth=1, embed_dim=48, num_heads=3, pos_embed_grid_size=(2, 3))
    layout = TokenLayout(("reg0", "reg1", "reg2", "reg3"), (2, 3), (16, 16))
    return model, layout, model.module.embeds.pos_embed.reshape(6, -1)


def factorized():
    model = built("naflexvit_base_patch16_parfac_gap", depth=1, embed_dim=48, num_heads=3, pos_embed_grid_size=(3, 3))
    layout = TokenLayout(("reg0", "reg1", "reg2", "reg3"), (3, 3), (16, 16))
    embeds = model.module.embeds
    return model, layout, (embeds.pos_embed_y[0, :, None] + embeds.pos_embed_x[0, None]).reshape(9, -1)


def fourier():
    model = built("xcit_nano_12_p16_224", depth=1, embed_dim=48, num_heads=3)
    return model, TokenLayout((), (2, 3), (16, 16)), model.module.pos_embed(1, 2, 3)[0].flatten(1).T


def nested():
    model = built(
        "tnt_s_patch16_224", img_size=48, depth=1, embed_dim=48, inner_dim=12, num_heads_outer=3, num_heads_inner=2
    )
    return model, TokenLayout(("cls",), (3, 3), (16, 16)), model.module.patch_pos[0, 1:]


def channels_first():
    bare = built("pit_ti_224", img_size=64)
    layout = TokenLayout((), (7, 7), (8, 8))  # overlapping patches: 7 x 8 is not the size of the input
    model = SimpleNamespace(name="pit", module=bare.module, layout=layout, lock=bare.lock, input_size=(64, 64))
    return model, layout, model.module.pos_embed[0].flatten(1).T


@pytest.mark.parametrize("make", [naflex, factorized, fourier, nested, channels_first])
def test_an_embedding_of_any_name_is_read(make):
    """Where timm keeps it in a part of its own, computes it, or keeps it with its channels in front."""
    model, layout, expected = make()
    torch.testing.assert_close(position_embedding(model, layout).vectors, expected, atol=1e-5, rtol=1e-5)
    assert position_similarity(model, layout, [0])[0, 0] == pytest.approx(1)
    assert position_kinds(model, layout)[0] in ("learned", "sin-cos")
    pixels = torch.randn(3, *getattr(model, "input_size", layout.input_size))
    terms = embedding_sum(model, pixels, layout)
    received = []
    drop = getattr(model.module, "embeds", model.module).pos_drop
    handle = drop.register_forward_pre_hook(lambda _m, inputs: received.append(inputs[0][0]))
    model.module(pixels[None])
    handle.remove()
    tokens = received[0][-layout.num_patches :] if received[0].ndim == 2 else received[0].flatten(1).T
    np.testing.assert_allclose(terms.total, tokens.norm(dim=-1), rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("crossvit_9_240", {}, r"position parameters \(pos_embed_0, pos_embed_1\)"),
        ("volo_d1_224", {}, r"position parameters \(pos_embed"),
        ("swin_tiny_patch4_window7_224", {}, "adds no position embedding"),
        ("pvt_v2_b0", {}, "adds no position embedding"),
    ],
)
def test_absence_is_claimed_only_where_nothing_is_there(name, arguments, words):
    layout = TokenLayout((), (14, 14), (16, 16))
    with pytest.raises(UnsupportedError, match=words):
        position_embedding(built(name, **arguments), layout)


def test_an_embedding_of_zeros_is_said_to_be_zero():
    model, layout = holder("vit_tiny_patch16_224", (32, 48)), TokenLayout(("cls",), (2, 3), (16, 16))
    model.module.pos_embed.zero_()
    with pytest.raises(UnsupportedError, match="is zero at every patch"):
        position_embedding(model, layout)


def test_reading_it_leaves_nothing_on_the_model():
    model, layout, _ = naflex()
    position_embedding(model, layout)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.module.modules())


def test_a_table_of_sines_and_cosines_is_told_after_it_was_resampled():
    """The formula of MAE written out here; the interpolation is torch's own."""
    side, width = 6, 32
    angles = np.arange(side)[:, None] / 10000 ** (np.arange(width // 4) / (width // 4))  # (side, width / 4)
    waves = np.concatenate([np.sin(angles), np.cos(angles)], 1)  # (side, width / 2)
    table = np.concatenate(
        [
            np.broadcast_to(waves[None], (side, side, width // 2)),
            np.broadcast_to(waves[:, None], (side, side, width // 2)),
        ],
        -1,
    )
    for size in (6, 4, 9):
        maps = torch.tensor(table).float().permute(2, 0, 1)[None]  # (1, width, side, side)
        there = nn.functional.interpolate(maps, (size, size), mode="bicubic", antialias=True, align_corners=False)
        model = holder("vit_tiny_patch16_224", (16 * size, 16 * size))
        model.module.pos_embed = nn.Parameter(torch.zeros(1, size * size + 1, 48), requires_grad=False)
        model.module.pos_embed[0, 1:, :width] = there[0].flatten(1).T  # (width, size, size) -> (size * size, width)
        layout = TokenLayout(("cls",), (size, size), (16, 16))
        assert position_embedding(model, layout).kind == "sin-cos"
        model.module.pos_embed += 0.01 * torch.randn_like(model.module.pos_embed)
        assert position_embedding(model, layout).kind == "learned"


def test_similarity_by_step_is_the_mean_over_pairs():
    rows, cols, step = 4, 5, 2
    layout = TokenLayout((), (rows, cols), (8, 8))
    similarity = np.random.default_rng(0).normal(size=(rows * cols, rows * cols))
    similarity = similarity + similarity.T
    pairs = {"row": [], "column": [], "diagonal": []}
    for one in range(rows * cols):
        for two in range(rows * cols):
            down, right = (abs(a - b) for a, b in zip(divmod(one, cols), divmod(two, cols), strict=True))
            kind = {(0, step): "row", (step, 0): "column", (step, step): "diagonal"}.get((down, right))
            if kind:
                pairs[kind].append(similarity[one, two])
    found = similarity_by_step(similarity, layout, step)
    assert {kind: pytest.approx(np.mean(values)) for kind, values in pairs.items()} == {
        kind: getattr(found, kind) for kind in pairs
    }
    with pytest.raises(ValueError, match="from 1 to 3"):
        similarity_by_step(similarity, layout, 4)


def test_of_random_directions_95_in_100_are_within_chance():
    vectors = np.random.default_rng(0).normal(size=(2, 4000, 384))
    one, two = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    within = np.abs((one * two).sum(-1)) < chance_similarity(384)
    assert within.mean() == pytest.approx(0.95, abs=0.012)
    assert chance_similarity(384) == pytest.approx(0.1, abs=1e-3)
