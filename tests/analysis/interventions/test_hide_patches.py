"""Hidden patches against the same edit made by hand, to the pixels or to the sequence."""

from __future__ import annotations

import pytest
import torch

from tests.analysis.interventions.edits import AVERAGING, PLAIN, REGISTERS, SIGLIP, answer, by_loop, far, made, plainly
from tests.capture.families import FAMILIES
from vitviz.analysis.interventions import HidePatches


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_hidden_patches_have_the_mean_colour(family):
    model, x = made(family)
    edited = x.clone()
    for index, (rows, cols) in enumerate(by_loop(x, model.layout)):
        if index in (1, 4):
            edited[:, :, rows, cols] = x.mean((2, 3), keepdim=True)
    torch.testing.assert_close(answer(model, x, HidePatches((1, 4))), plainly(model.module, edited))


def test_blurred_patches_keep_their_colour_and_lose_their_detail():
    model, x = made(PLAIN)
    seen = []
    handle = model.module.patch_embed.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    answer(model, x, HidePatches((8,), "blur"))
    handle.remove()
    inside = torch.zeros_like(x, dtype=torch.bool)
    inside[:, :, 16:32, 32:48] = True
    assert torch.equal(seen[0][~inside], x[~inside])
    assert seen[0][inside].std() < 0.2 * x[inside].std()


def test_a_batch_is_hidden_image_by_image():
    model, x = made(PLAIN)
    other = 2 * x + 1
    both = answer(model, torch.cat([x, other]), HidePatches((3,)))
    torch.testing.assert_close(both[1:], answer(model, other, HidePatches((3,))))


def run_without_rows(model, x, removed):
    """Patches really taken out of the sequence behind the position embedding, in timm's own steps."""
    module = model.module
    with torch.no_grad():
        tokens = module.norm_pre(module._pos_embed(module.patch_embed(x)))
        kept = [t for t in range(model.layout.num_tokens) if t - model.layout.num_prefix not in removed]
        tokens = tokens[:, kept]
        for block in module.blocks:
            tokens = block(tokens)
        return module.forward_head(module.norm(tokens))


@pytest.mark.parametrize("family", [PLAIN, REGISTERS, SIGLIP, AVERAGING, FAMILIES[2]], ids=str)
def test_a_removed_patch_is_gone_from_the_sequence(family):
    model, x = made(family)
    removed = (0, 7, 8, 23)
    changed = answer(model, x, HidePatches(removed, "removed"))
    torch.testing.assert_close(changed, run_without_rows(model, x, removed))
    assert far(changed, plainly(model.module, x))
