"""Models of transformers through the same capture: what is captured is what the model's own eager attention computes."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

import vitviz
from tests.models.hugging_face.tiny import CASES, TINIES, called, own_weights, picture
from vitviz.analysis.by_hand import embedded_token, head_by_hand, open_layer
from vitviz.analysis.methods import explain
from vitviz.analysis.positions import position_kinds
from vitviz.analysis.question import Question
from vitviz.analysis.relative import rotary_table
from vitviz.analysis.sanity import cascade
from vitviz.analysis.targets import ClassLogit, SelfDot
from vitviz.capture.modules import attention_module
from vitviz.capture.record import record
from vitviz.errors import UnsupportedError
from vitviz.heatmap import Heatmap
from vitviz.tracing import trace_input


@pytest.fixture(scope="module", params=CASES)
def case(request, written):
    return written(request.param)


def test_weights_equal_the_models_own_eager_attention(case):
    """In double precision, where the fused and the eager path can only differ if they mean different things."""
    x = picture(case.tiny).double()
    module, eager = copy.deepcopy(case.sized.module).double(), copy.deepcopy(case.eager).double()
    recording = record(module, x, case.sized.layout)
    expected = own_weights(eager, x)
    assert len(recording.layers) == len(expected) == case.tiny.layers
    for layer, weights in zip(recording.layers, expected, strict=True):
        # some eager softmaxes are taken in single precision even here
        torch.testing.assert_close(layer.weights(), weights.double(), atol=1e-6, rtol=0)


def test_single_precision_too_far_from_uniform_and_rows_sum_to_one(case):
    x = picture(case.tiny)
    recording = record(case.sized.module, x, case.sized.layout)
    for layer, own in zip(recording.layers, own_weights(case.eager, x), strict=True):
        weights = layer.weights()
        torch.testing.assert_close(weights, own, atol=2e-5, rtol=0)
        assert weights.max() > 10 / max(weights.shape[-1], 11)
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:2]), atol=1e-5, rtol=0)
        assert layer.rows_sum_to_one


def test_bfloat16_stays_near_the_models_own_attention_in_full(case):
    module = copy.deepcopy(case.sized.module).bfloat16()
    recording = record(module, picture(case.tiny).bfloat16(), case.sized.layout)
    for layer, own in zip(recording.layers, own_weights(case.eager, picture(case.tiny)), strict=True):
        weights = layer.weights()
        assert weights.dtype == torch.float32
        assert 0 < abs(weights - own).max() < 0.03


def test_logits_are_bit_identical_to_the_plain_model(case):
    """With and without observing, and to transformers' own call of the module inside."""
    x = picture(case.tiny)
    traced = trace_input(case.sized, x[0]).logits
    with torch.inference_mode():
        assert torch.equal(case.sized.module(x)[0], traced)
    out = called(case.sized.module.model, x)
    own = next((out[name] for name in ("logits", "image_embeds", "pooler_output") if out.get(name) is not None), None)
    if own is None:  # SigLIP without its head: the mean over the patches
        own = out.last_hidden_state.mean(1)
    assert torch.equal(own[0], traced)
    assert traced.shape[0] == case.sized.module.num_classes or case.sized.module.num_classes == 0


def test_layout_names_every_token(case):
    layout, (height, width) = case.sized.layout, case.tiny.size
    assert (layout.prefix, layout.grid, layout.patch_size) == (case.tiny.prefix, (height // 8, width // 8), (8, 8))
    recording = record(case.sized.module, picture(case.tiny), layout)
    assert all(layer.query_layout == layer.key_layout == layout for layer in recording.layers)
    for index, layer in enumerate(recording.layers):
        speaking = case.sized.module.get_submodule(layer.name)
        assert speaking is attention_module(case.sized.module.blocks[index])


def test_a_patch_token_is_where_its_pixels_are(case):
    """Touching the pixels of one patch moves that token at the entrance, and no other patch."""
    layout, x = case.sized.layout, picture(case.tiny)
    seen = []
    handle = case.sized.module.blocks[0].register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    row, col = layout.grid[0] - 1, 1
    touched = x.clone()
    touched[..., row * 8 : row * 8 + 8, col * 8 : col * 8 + 8] += 1
    with torch.inference_mode():
        case.sized.module(x)
        case.sized.module(touched)
    handle.remove()
    moved = (seen[0] != seen[1]).any(-1)[0].nonzero().flatten().tolist()
    assert moved == [layout.token_at(row, col)]


def test_the_pooling_of_siglip_is_recorded_head_by_head(written):
    """Against the same arithmetic by hand: torch's own module, which hands out no more than the mean of its heads."""
    case = written(next(t for t in TINIES if t.made == "SiglipVisionModel"))
    x = picture(case.tiny)
    recording = record(case.sized.module, x, case.sized.layout, hidden=("model.post_layernorm",))
    (pooling,) = recording.pooling
    head = case.sized.module.attn_pool
    tokens = recording.hidden["model.post_layernorm"]
    w_q, w_k, _ = head.attention.in_proj_weight.chunk(3)
    b_q, b_k, _ = head.attention.in_proj_bias.chunk(3)
    q = nn.functional.linear(head.probe[0], w_q, b_q).reshape(1, 3, 16).transpose(0, 1)  # (heads, 1, head_dim)
    k = nn.functional.linear(tokens, w_k, b_k).reshape(-1, 3, 16).transpose(0, 1)  # (heads, tokens, head_dim)
    expected = (q @ k.mT / math.sqrt(16)).softmax(-1)
    torch.testing.assert_close(pooling.weights(), expected, atol=1e-5, rtol=0)
    assert (pooling.query_layout.prefix, pooling.key_layout) == (("pool0",), case.sized.layout)
    assert not written(next(t for t in TINIES if t.made == "SiglipForImageClassification")).model.module.attn_pool


def test_a_token_cut_out_is_cut_out_of_siglips_pooling_too(written):
    case = written(next(t for t in TINIES if t.made == "SiglipVisionModel"))
    with vitviz.intervene(case.sized, vitviz.CutTokens((5,))) as changed:
        trace = trace_input(changed, picture(case.tiny)[0])
    assert not trace.pooling[0].weights()[..., 5].any()
    assert trace.pooling[0].weights()[..., 4].all()


def test_positions_are_those_that_the_model_adds(case):
    """What enters the first layer, less what enters it when the position table is zero."""
    module, layout = case.sized.module, case.sized.layout
    if module.pos_embed is None:
        with pytest.raises(UnsupportedError, match="rotary"):
            vitviz.position_embedding(case.sized, layout)
        return
    place = module.pos_drop if module.pos_drop is not None else module.blocks[0]
    entered = [entering(place, module, picture(case.tiny))]
    twin = copy.deepcopy(module)
    table = next(p for name, p in twin.named_parameters() if "position_embedding" in name)
    table.data.zero_()
    place = twin.pos_drop if twin.pos_drop is not None else twin.blocks[0]
    entered.append(entering(place, twin, picture(case.tiny)))
    expected = (entered[0] - entered[1])[0, layout.num_prefix :]  # (patches, width)
    found = vitviz.position_embedding(case.sized, layout)
    torch.testing.assert_close(found.vectors, expected, atol=1e-5, rtol=0)
    assert position_kinds(case.sized, layout) == ("learned",)
    similarity = vitviz.position_similarity(case.sized, layout)
    assert np.allclose(similarity.diagonal(), 1)


def entering(place: nn.Module, module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    seen: list[torch.Tensor] = []
    handle = place.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    with torch.inference_mode():
        module(x)
    handle.remove()
    return seen[0]


def test_rotary_similarity_is_what_turning_does(written):
    """K of two patches: the dot product of one fixed vector turned as the one patch and as the other, over its length."""
    case = written(next(t for t in TINIES if t.made == "DINOv3ViTModel"))
    layout = case.sized.layout
    table = case.sized.module.model.rope_embeddings
    with torch.inference_mode():
        cos, sin = table(picture(case.tiny))
    vector = torch.ones(cos.shape[-1])
    half = vector.numel() // 2
    turned = vector * cos + torch.cat([-vector[half:], vector[:half]]) * sin  # (patches, head_dim)
    expected = (turned @ turned.T / vector.numel()).numpy()
    assert np.allclose(rotary_table(case.sized, layout).similarity(), expected, atol=1e-5)
    assert position_kinds(case.sized, layout) == ("rotary",)


def test_what_is_asked_of_a_timm_model_is_answered(case):
    """Rollout, head maps, filters, a head by hand, and the last layer read as the model reads it."""
    module, layout, x = case.sized.module, case.sized.layout, picture(case.tiny)[0]
    trace = trace_input(case.sized, x, keep_values=True)
    assert vitviz.rollout(trace).values.shape == layout.grid
    assert vitviz.head_maps(trace, layout.num_prefix + 3).shape == (2, 3, *layout.grid)
    assert vitviz.filter_components(case.sized, 4).components.shape == (4, 8, 8, 3)
    opened = open_layer(case.sized, trace, 1)
    hand = head_by_hand(opened, 2, layout.num_prefix + 3)
    assert np.allclose(hand.weights, trace.layers[1].row(layout.num_prefix + 3)[2], atol=1e-4)
    for token in range(layout.num_prefix + 1):
        assert embedded_token(case.sized, trace, opened, token).token.shape == (48,)
    target = ClassLogit(1) if module.num_classes else SelfDot()
    question = Question(case.sized, x, target)
    # `hidden_states` refuses a model whose last state is not read to its own logits
    assert torch.equal(question.hidden_states.output.logits[0], trace.logits)
    if module.num_classes:
        assert vitviz.logit_lens(question).logits.shape == (3, module.num_classes)
    assert explain(question, "gradcam").values.shape == layout.grid
    with vitviz.intervene(case.sized, vitviz.SwitchOffHeads(((0, 1), (1, 2)))) as changed:
        assert not torch.equal(trace_input(changed, x).logits, trace.logits)
    assert torch.equal(trace_input(case.sized, x).logits, trace.logits)


def test_the_sanity_check_unlearns_from_the_top_down(case):
    """Head, then layer by layer, then the embedding: every parameter once, and none before its turn."""
    own = dict(case.sized.module.named_parameters())
    blocks = [{id(p) for p in block.parameters()} for block in case.sized.module.blocks]
    entrance_parts = {id(p) for p in case.sized.module.embeddings.parameters()}
    seen = []

    def look(question):
        now = dict(question.module.named_parameters())
        changed = {id(own[name]) for name in own if not torch.equal(own[name], now[name])}
        seen.append([bool(changed & part) for part in (*blocks, entrance_parts)])
        seen[-1].append(len(changed) == len(own))
        return Heatmap(np.arange(4.0).reshape(2, 2), "nothing")

    question = Question(case.sized, picture(case.tiny)[0], SelfDot())
    names = [stage.name for stage in cascade(question, {"look": look})]
    assert names == ["head", "layer 1", "layer 0", "embedding"]
    no, yes = False, True
    # layer 0, layer 1, the entrance, everything
    assert seen == [[no] * 4, [no] * 4, [no, yes, no, no], [yes, yes, no, no], [yes] * 4]


def test_gradients_that_would_miss_siglips_pooling_are_refused(written):
    case = written(next(t for t in TINIES if t.made == "SiglipVisionModel"))
    with pytest.raises(UnsupportedError, match="MultiheadAttention"):
        explain(Question(case.sized, picture(case.tiny)[0], SelfDot()), "relevance")
