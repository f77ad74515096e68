"""Observing leaves nothing on the model, sees every call, and refuses what it cannot follow."""

from __future__ import annotations

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.models.vision_transformer_sam import VisionTransformerSAM
from torch import nn

from vitviz.capture.observe import observe
from vitviz.capture.record import record
from vitviz.errors import Cancelled, CaptureError, UnsupportedError
from vitviz.tokens import TokenLayout

GRID = TokenLayout((), (2, 3), (4, 4))


class Toy(nn.Module):
    """Patches of 4 x 4 pixels, one attention of a kind that the test chooses, a mean: a model nobody has seen before."""

    def __init__(self, attend):
        super().__init__()
        torch.manual_seed(0)
        self.patch_embed = nn.Conv2d(3, 8, 4, 4)
        self.mixer = nn.Identity()
        self.attend = attend

    def forward(self, x):
        tokens = self.patch_embed(x).flatten(2).transpose(1, 2)  # (batch, tokens, 8)
        heads = tokens.unflatten(-1, (2, 4)).transpose(1, 2)  # (batch, heads, tokens, head_dim)
        return self.attend(heads).transpose(1, 2).flatten(2).mean(1)


def picture():
    return torch.randn(1, 3, 8, 12, generator=torch.Generator().manual_seed(1))


def hooks(module: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())


def tiny():
    return timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2).eval()


def test_nothing_is_left_on_the_model():
    module = tiny()
    before = {name: value for m in module.modules() for name, value in vars(m).items() if name == "fused_attn"}
    record(module, torch.randn(1, 3, 32, 32), TokenLayout(("cls",), (2, 2), (16, 16)), hidden=("blocks.1",))
    assert hooks(module) == 0
    assert before == {name: value for m in module.modules() for name, value in vars(m).items() if name == "fused_attn"}


def test_nothing_is_left_after_an_exception_half_way():
    module = tiny()
    module.blocks[1].mlp.fc1 = nn.Linear(3, 3)  # breaks in the middle of the second block
    with pytest.raises(RuntimeError):
        record(module, torch.randn(1, 3, 32, 32), TokenLayout(("cls",), (2, 2), (16, 16)), hidden=("blocks.0",))
    assert hooks(module) == 0
    assert torch.overrides._get_current_function_mode() is None


def test_an_exception_of_the_receiver_ends_the_pass_and_leaves_nothing():
    module = tiny()

    def refuse(_call):
        raise KeyError("enough")

    with pytest.raises(KeyError), observe(module, refuse):
        module(torch.randn(1, 3, 32, 32))
    assert hooks(module) == 0


def test_an_unknown_model_is_recorded_through_the_fused_call():
    model = Toy(lambda h: F.scaled_dot_product_attention(h, h * 2, h, scale=0.7))
    layer = record(model, picture(), GRID).layers[0]
    q = layer.q
    torch.testing.assert_close(layer.weights(), (q @ (2 * q).transpose(1, 2) * 0.7).softmax(-1))


def test_boolean_and_causal_masks_become_minus_infinity():
    mask = torch.ones(6, 6, dtype=torch.bool)
    mask[:, 4] = False
    for attend, hidden in (
        (lambda h: F.scaled_dot_product_attention(h, h, h, attn_mask=mask), [(0, 4), (5, 4)]),
        (lambda h: F.scaled_dot_product_attention(h, h, h, is_causal=True), [(0, 1), (3, 4)]),
    ):
        layer = record(Toy(attend), picture(), GRID).layers[0]
        weights = layer.weights()
        assert all(weights[:, q, k].max() == 0 for q, k in hidden)
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 6))
        torch.testing.assert_close(layer.column(4), weights[:, :, 4])


def test_grouped_queries_share_their_keys():
    layer = record(
        Toy(lambda h: F.scaled_dot_product_attention(h, h[:, :1], h[:, :1], enable_gqa=True)), picture(), GRID
    ).layers[0]
    expected = (layer.q @ layer.q[:1].transpose(1, 2) / 2).softmax(-1)
    torch.testing.assert_close(layer.weights(), expected)


def test_an_explicit_softmax_is_recorded_with_the_weights_as_used():
    model = Toy(lambda h: (h @ h.transpose(-2, -1)).softmax(-1) @ h)
    layer = record(model, picture(), GRID).layers[0]
    assert layer.explicit is not None
    assert layer.rows_sum_to_one
    with pytest.raises(ValueError, match="no scores"):
        layer.scores()


def test_heads_mixed_after_the_softmax_are_recorded_mixed():
    mix = torch.tensor([[0.5, 0.9], [0.1, 0.2]])
    seen = []

    def talk(h):
        weights = torch.einsum("ab,nbqk->naqk", mix, (h @ h.transpose(-2, -1)).softmax(dim=-1))
        seen.append(weights)
        return weights @ h

    layer = record(Toy(talk), picture(), GRID).layers[0]
    assert torch.equal(layer.weights(), seen[-1][0])
    assert not layer.rows_sum_to_one


def test_no_attention_is_an_error_and_not_an_empty_trace():
    with pytest.raises(CaptureError, match="No attention"):
        record(Toy(lambda h: h.relu()), picture(), GRID)


@pytest.mark.parametrize(
    "made",
    [nn.MultiheadAttention(8, 2), nn.TransformerEncoderLayer(8, 2)],
    ids=["MultiheadAttention", "TransformerEncoderLayer"],
)
def test_torchs_own_attention_is_refused_by_name(made):
    model = Toy(lambda h: h)
    model.mixer = made
    with pytest.raises(UnsupportedError, match=f"mixer.*{type(made).__name__}"):
        record(model, picture(), GRID)
    assert hooks(model) == 0


def test_attention_over_something_else_than_the_grid_is_refused_with_its_shape():
    model = Toy(lambda h: F.scaled_dot_product_attention(h, h[:, :, ::2], h[:, :, ::2]))  # on every other patch
    with pytest.raises(UnsupportedError, match=r"\(1, 2, 6, 3\)"):
        record(model, picture(), GRID)


def test_a_batch_is_observed_call_by_call():
    module = tiny()
    shapes = []
    with torch.inference_mode(), observe(module, lambda call: shapes.append((call.module, call.shape))):
        module(torch.randn(3, 3, 32, 32))
    assert shapes == [("blocks.0.attn", (3, 3, 5, 5)), ("blocks.1.attn", (3, 3, 5, 5))]


def test_more_than_one_image_cannot_be_one_recording():
    with pytest.raises(ValueError, match="one image"):
        record(tiny(), torch.randn(2, 3, 32, 32), TokenLayout(("cls",), (2, 2), (16, 16)))


def test_values_and_hidden_states_are_kept_when_asked_for():
    module = tiny()
    x, layout = torch.randn(1, 3, 32, 32), TokenLayout(("cls",), (2, 2), (16, 16))
    recording = record(module, x, layout, keep_values=True, hidden=("blocks.0", "norm"))
    with torch.inference_mode():
        tokens = module.forward_features(x)[0]
    assert torch.equal(recording.hidden["norm"], tokens)
    layer = recording.layers[1]
    expected = F.scaled_dot_product_attention(layer.q, layer.k, layer.v)
    torch.testing.assert_close(layer.weights() @ layer.v, expected)
    assert record(module, x, layout).layers[0].v is None
    with pytest.raises(ValueError, match=r"blocks\.9"):
        record(module, x, layout, hidden=("blocks.9",))


def test_half_precision_is_recorded_and_weights_are_computed_in_single():
    module = tiny().bfloat16()
    recording = record(module, torch.randn(1, 3, 32, 32).bfloat16(), TokenLayout(("cls",), (2, 2), (16, 16)))
    weights = recording.layers[0].weights()
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 5), atol=1e-3, rtol=0)


@pytest.mark.parametrize("stop_after", [1, 2])
def test_a_pass_that_is_called_off_leaves_the_model_as_it_was(stop_after):
    module, x = tiny(), torch.randn(1, 3, 32, 32)
    layout = TokenLayout(("cls",), (2, 2), (16, 16))
    before = record(module, x, layout).logits
    received: list[int] = []

    def progress(count: int, expected: int) -> None:
        assert expected == 2
        received.append(count)
        if count == stop_after:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        record(module, x, layout, hidden=("blocks.0",), progress=progress)
    assert received == list(range(1, stop_after + 1))
    assert hooks(module) == 0
    assert torch._C._len_torch_function_stack() == 0
    assert not torch.is_inference_mode_enabled()
    assert torch.equal(record(module, x, layout).logits, before)


def test_values_are_not_kept_alive_by_queries_and_keys():
    module, x = tiny(), torch.randn(1, 3, 32, 32)
    layer = record(module, x, TokenLayout(("cls",), (2, 2), (16, 16))).layers[0]
    calls = []
    with torch.inference_mode(), observe(module, calls.append):
        module(x)
    assert torch.equal(layer.q, calls[0].q[0]) and torch.equal(layer.k, calls[0].k[0])
    packed, ours = calls[0].q.untyped_storage(), {t.untyped_storage().data_ptr() for t in (layer.q, layer.k)}
    assert calls[0].v.untyped_storage().data_ptr() == packed.data_ptr() and packed.data_ptr() not in ours
    assert layer.nbytes == 4 * (layer.q.numel() + layer.k.numel() + layer.lse.numel())


def test_heads_that_share_keys_by_broadcasting_are_recorded_with_them():
    layer = record(Toy(lambda h: F.scaled_dot_product_attention(h, h[:, 1:], h[:, 1:])), picture(), GRID).layers[0]
    torch.testing.assert_close(layer.weights(), (layer.q @ layer.q[1:].transpose(1, 2) / 2).softmax(-1))
    assert layer.k.shape == layer.q.shape


def test_heads_folded_into_the_batch_are_heads():
    """SAM's blocks hand (heads, tokens, head_dim) to the fused call for a batch of one; its unfused path is the reference."""
    torch.manual_seed(0)
    sizes = {"img_size": (64, 96), "patch_size": 16, "depth": 2, "embed_dim": 48, "num_heads": 3}
    module = VisionTransformerSAM(**sizes, global_attn_indexes=(0, 1), use_rel_pos=True).eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    x, layout = torch.randn(1, 3, 64, 96), TokenLayout((), (4, 6), (16, 16))
    fused = record(module, x, layout)
    for block in module.blocks:
        block.attn.fused_attn = False
    explicit = record(module, x, layout)
    for one, other in zip(fused.layers, explicit.layers, strict=True):
        assert one.num_heads == 3 and one.explicit is None and other.explicit is not None
        assert other.explicit.max() > 10 / 24
        torch.testing.assert_close(one.weights(), other.weights(), atol=1e-5, rtol=0)
