"""Models nobody has seen before, defined here: understood where they call the fused function on patches, refused with a
sentence where they do something else.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitviz.capture.coordinates.layouts import known_calls, placements_of
from vitviz.capture.coordinates.run import place_calls
from vitviz.capture.observe import observe
from vitviz.capture.record import record
from vitviz.errors import CaptureError, UnsupportedError
from vitviz.tokens import TokenLayout

SIZE, GRID = (32, 48), TokenLayout((), (4, 6), (8, 8))
TOKENS = 24


class Unseen(nn.Module):
    """4 x 6 patches, as many channels as there are tokens, and whatever a subclass makes of them; classes at the end."""

    def __init__(self, width: int = TOKENS) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cut = nn.Conv2d(3, width, 8, 8)
        self.packed = nn.Linear(width, 3 * width)
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.cut(x).flatten(2).mT  # (batch, tokens, width)
        return self.head((tokens + self.mix(tokens)).mean(1))

    def mix(self, tokens: Tensor) -> Tensor:
        q, k, v = self.packed(tokens)[:, None].chunk(3, -1)  # (batch, 1, tokens, width)
        return self.attend(q, k, v)[:, 0]


class Plain(Unseen):
    def attend(self, q, k, v):
        return F.scaled_dot_product_attention(q * 2, k, v, scale=0.3)


class Backwards(Unseen):
    """Attends from the last patch to the first."""

    def attend(self, q, k, v):
        return F.scaled_dot_product_attention(q.flip(2), k.flip(2), v.flip(2)).flip(2)


class Channels(Unseen):
    def attend(self, q, k, v):
        return F.scaled_dot_product_attention(q.mT, k.mT, v.mT).mT


class ExplicitChannels(Unseen):
    def attend(self, q, k, v):
        return ((q.mT @ k).softmax(-1) @ v.mT).mT


class Subtracted(Unseen):
    def attend(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v) - 0.5 * F.scaled_dot_product_attention(k, q, v)


class Linear(Unseen):
    def attend(self, q, k, v):
        return (F.elu(q) + 1) @ ((F.elu(k) + 1).mT @ v)


class Convolved(Unseen):
    def mix(self, tokens):
        return F.conv1d(tokens.mT, torch.ones(TOKENS, 1, 3) / 3, padding=1, groups=TOKENS).mT


class TorchMultihead(Unseen):
    def __init__(self):
        super().__init__()
        self.made = nn.MultiheadAttention(TOKENS, 2, batch_first=True)

    def mix(self, tokens):
        return self.made(tokens, tokens, tokens, need_weights=False)[0]


class TorchLayer(Unseen):
    def __init__(self):
        super().__init__()
        self.made = nn.TransformerEncoderLayer(TOKENS, 2, 32, batch_first=True)

    def mix(self, tokens):
        return self.made(tokens)


class TorchEncoder(Unseen):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(TOKENS, 2, 32, batch_first=True)
        self.made = nn.TransformerEncoder(layer, 2)

    def mix(self, tokens):
        return self.made(tokens)


class TorchInAList(TorchMultihead):
    """torch's own, kept where no search through modules finds it."""

    def __init__(self):
        super().__init__()
        self.hidden = [self.made]
        del self.made

    def mix(self, tokens):
        return self.hidden[0](tokens, tokens, tokens, need_weights=False)[0]


class TorchPools(Unseen):
    def __init__(self):
        super().__init__()
        self.attn_pool = nn.MultiheadAttention(TOKENS, 2, batch_first=True)
        self.probe = nn.Parameter(torch.randn(1, 1, TOKENS))

    def mix(self, tokens):
        return self.attn_pool(self.probe.expand(len(tokens), -1, -1), tokens, tokens)[0]


def picture() -> Tensor:
    return torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def own_weights(module: Unseen, x: Tensor, gain: float) -> Tensor:
    """(tokens, tokens), worked out by hand from the module's projection."""
    with torch.no_grad():
        q, k, _ = module.packed(module.cut(x).flatten(2).mT)[0].chunk(3, -1)
        scores = [[gain * float((a * b).sum()) for b in k] for a in q]
        return torch.tensor(scores).softmax(-1)


@pytest.mark.parametrize(("model", "gain"), [(Plain, 0.6), (Backwards, TOKENS**-0.5)])
def test_a_fused_call_on_patches_is_captured_where_it_belongs(model, gain):
    module, x = model().eval(), picture()
    (layer,) = record(module, x, None).layers
    assert layer.query_layout == layer.key_layout == GRID
    torch.testing.assert_close(layer.weights()[0], own_weights(module, x, gain), atol=1e-5, rtol=0)


def test_a_fused_call_is_recorded_and_leaves_the_logits_as_they_were():
    module, x = Plain().eval(), picture()
    recording = record(module, x, GRID)
    torch.testing.assert_close(recording.layers[0].weights()[0], own_weights(module, x, 0.6), atol=1e-5, rtol=0)
    with torch.inference_mode():
        assert torch.equal(recording.logits, module(x)[0])


@pytest.mark.parametrize("model", [Channels, ExplicitChannels])
def test_channels_are_not_taken_for_tokens_where_there_are_as_many(model):
    module, x = model().eval(), picture()
    shapes: list[tuple[int, ...]] = []
    with torch.inference_mode(), observe(module, lambda call: shapes.append(call.shape)):
        module(x)
    assert shapes == [(1, 1, TOKENS, TOKENS)]  # by its shape it could be either
    for recorded in (lambda: record(module, x, GRID), lambda: record(module, x, None)):
        with pytest.raises(UnsupportedError, match="channels"):
            recorded()
    assert [call.kind for call in known_calls(module, SIZE)] == ["channels"]


def test_maps_that_are_subtracted_are_refused():
    with pytest.raises(UnsupportedError, match="subtracts"):
        record(Subtracted().eval(), picture(), GRID)
    with pytest.raises(UnsupportedError, match="negative"):
        record(Subtracted().eval(), picture(), None)


def test_patches_in_an_order_of_their_own_are_not_recorded_as_if_they_came_row_by_row():
    found = record(Backwards().eval(), picture(), GRID)
    assert "in another order" in found.not_sequential
    in_place = record(Backwards().eval(), picture(), None)
    assert torch.equal(found.layers[0].weights(), in_place.layers[0].weights())


@pytest.mark.parametrize("model", [Linear, Convolved])
def test_no_softmax_over_scores_is_said_to_be_no_attention(model):
    for recorded in (lambda m, x: record(m, x, GRID), lambda m, x: record(m, x, None)):
        with pytest.raises(CaptureError, match=r"No attention was seen in .*\. Choose|No attention was seen"):
            recorded(model().eval(), picture())


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (TorchMultihead, "MultiheadAttention"),
        (TorchLayer, "TransformerEncoderLayer"),
        (TorchEncoder, "TransformerEncoderLayer"),
        (TorchInAList, "MultiheadAttention"),
    ],
)
def test_torchs_own_attention_is_refused_in_every_way_of_asking(model, kind):
    """Switched to evaluation, where it takes a path of its own below torch functions."""
    module, x = model().eval(), picture()
    with torch.inference_mode():
        before = module(x)
    for asked in (lambda: record(module, x, GRID), lambda: record(module, x, None), lambda: place_calls(module, SIZE)):
        with pytest.raises(UnsupportedError, match=rf"torch's own {kind}.*\. Use"):
            asked()
    with torch.inference_mode():
        assert torch.equal(module(x), before)


def test_torchs_own_attention_is_recorded_where_it_pools():
    module, x = TorchPools().eval(), picture()
    (placement,) = placements_of(module, SIZE)
    assert (placement.kind, placement.key_layout) == ("pooling", GRID)
    with torch.inference_mode():
        tokens = module.cut(x).flatten(2).mT
        own = module.attn_pool(module.probe, tokens, tokens, average_attn_weights=False)[1]
    (pooled,) = record(module, x, None).pooling
    torch.testing.assert_close(pooled.weights(), own[0], atol=1e-6, rtol=0)


def test_what_is_related_is_asked_once_and_holds_at_every_size(monkeypatch):
    module = Channels().eval()
    assert [call.kind for call in known_calls(module, SIZE)] == ["channels"]
    monkeypatch.setattr("vitviz.capture.coordinates.layouts.place_calls", lambda *_: pytest.fail("asked again"))
    assert [call.kind for call in known_calls(module, (64, 64))] == ["channels"]


def test_placements_are_remembered_for_a_bounded_number_of_sizes(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "vitviz.capture.coordinates.layouts.place_calls",
        lambda module, size: asked.append(size) or place_calls(module, size),
    )
    monkeypatch.setattr("vitviz.capture.coordinates.layouts.SIZES_REMEMBERED", 2)
    module = Plain().eval()
    for size in [(32, 48), (32, 48), (16, 16), (16, 24), (32, 48)]:
        assert placements_of(module, size)[0].kind == "global"
    assert asked == [(32, 48), (16, 16), (16, 24), (32, 48)]
