"""Heads switched off, or at their mean, against an output projection changed by hand."""

from __future__ import annotations

import pytest
import torch

from tests.analysis.interventions.edits import AVERAGING, PLAIN, REGISTERS, answer, far, made, plainly, without_columns
from tests.capture.families import FAMILIES
from vitviz.analysis.interventions import SwitchOffHeads, head_means


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "explicit"])
@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_heads_switched_off_are_columns_of_the_projection_at_zero(family, fused):
    model, x = made(family)
    for block in model.module.blocks:
        block.attn.fused_attn = fused
    heads = ((0, 1), (1, 0), (1, 2))
    changed = answer(model, x, SwitchOffHeads(heads))
    torch.testing.assert_close(changed, plainly(without_columns(model.module, heads), x))
    assert far(changed, plainly(model.module, x))


def test_a_head_at_its_mean_is_a_constant_in_the_projections_bias():
    model, x = made(AVERAGING)
    other = torch.randn_like(x)
    means = head_means(model, [x[0], other[0]])
    outputs = []
    for image in (x, other):  # the mean by another way: the heads' outputs as the projection is given them
        attention = model.module.blocks[1].attn
        handle = attention.proj.register_forward_pre_hook(lambda _m, args: outputs.append(args[0][0]))
        plainly(model.module, image)
        handle.remove()
    size = 16
    constant = torch.stack(outputs).mean((0, 1))[2 * size : 3 * size]  # head 2 of layer 1
    torch.testing.assert_close(means.layers[1][2, 0], constant.float())
    edited = without_columns(model.module, ((1, 2),))
    projection = model.module.blocks[1].attn.proj.weight
    edited.blocks[1].attn.proj.bias.data += projection[:, 2 * size : 3 * size] @ means.layers[1][2, 0].double()
    changed = answer(model, x, SwitchOffHeads(((1, 2),), "mean"), head_means=means)
    torch.testing.assert_close(changed, plainly(edited, x))
    assert means.images == 2
    assert means.digest != head_means(model, [x[0]]).digest


def test_prefix_tokens_have_head_means_of_their_own():
    model, x = made(REGISTERS)
    means = head_means(model, [x[0]])
    assert means.layers[0].shape == (3, 6, 16)
    filled = means.fill(0, model.layout)
    assert filled.shape == (3, model.layout.num_tokens, 16)
    assert torch.equal(filled[:, :5], means.layers[0][:, :5])
    assert far(means.layers[0][:, 0], means.layers[0][:, -1])


def test_means_of_another_model_are_refused():
    model, x = made(PLAIN)
    other, image = made(REGISTERS)
    means = head_means(other, [image[0]])
    with pytest.raises(ValueError, match="another model"):
        answer(model, x, SwitchOffHeads(((0, 0),), "mean"), head_means=means)
    with pytest.raises(ValueError, match="no image"):
        head_means(model, [])
