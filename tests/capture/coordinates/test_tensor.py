"""A rule for places that fails is no size that a model does not take: what it would have shown is not lost."""

from __future__ import annotations

import pytest
import torch

from tests.capture.written import HEADS, LAYOUT, SIZE, Attention, Spelling, Written, picture, redrawn, written
from vitviz.analysis.methods.legrad import legrad
from vitviz.analysis.methods.relevance import generic_relevance
from vitviz.analysis.question import BareModel, Question
from vitviz.analysis.targets import ClassLogit
from vitviz.capture.coordinates import tensor
from vitviz.capture.coordinates.layouts import known_calls, placements_of
from vitviz.capture.record import record
from vitviz.errors import CaptureError, UnsupportedError, VitvizError
from vitviz.models.layout import layout_of

TOKENS = 6


class Odd(Written):
    """Uses a function before its blocks whose rule fails."""

    def forward(self, x):
        return super().forward(torch.special.log_ndtr(x))


def across(q, k, v, bias):
    """Attention between channels, as many as tokens."""
    return ((q.mT @ k).softmax(-1) @ v.mT).mT


@pytest.mark.parametrize("error", [TypeError, IndexError, ValueError, RuntimeError, AssertionError, KeyError])
def test_an_error_in_a_rule_is_told(monkeypatch, error):
    def rule(*_args, **_kwargs):
        raise error("in the rule")

    monkeypatch.setitem(tensor.RULES, torch.special.log_ndtr, rule)
    module = redrawn(Odd(Attention(across)))
    with pytest.raises(CaptureError, match="log_ndtr.*in the rule"):
        known_calls(module, SIZE)
    with pytest.raises(VitvizError, match="log_ndtr"):
        record(module, picture(), LAYOUT)


class ByName(Written):
    """Calls torch's functions with their arguments by name."""

    def forward(self, x):
        x = torch.nn.functional.conv2d(input=x, weight=self.patch_embed.weight, bias=self.patch_embed.bias, stride=8)
        x = torch.flatten(input=x, start_dim=2)
        tokens = torch.transpose(input=x, dim0=1, dim1=2)
        tokens = torch.cat(tensors=[tokens[:, :3], tokens[:, 3:]], dim=1)
        tokens = torch.roll(input=torch.roll(input=tokens, shifts=2, dims=1), shifts=-2, dims=1)
        for block in self.blocks:
            tokens = torch.add(
                input=tokens, other=block.attn(torch.nn.functional.layer_norm(input=tokens, normalized_shape=[8]))
            )
        return self.head(tokens.mean(axis=1))


def test_arguments_by_name_are_followed():
    module = redrawn(ByName(Attention(written(Spelling()))))
    assert layout_of(module, "by name", SIZE) == LAYOUT
    assert [call.kind for call in known_calls(module, SIZE)] == ["global"]
    assert record(module, picture(), LAYOUT).layers[0].num_heads == HEADS


class Reading(Written):
    """Looks at the numbers of its input, which places do not have."""

    def forward(self, x):
        if float(x.mean()) > 1e6:
            raise ValueError("too bright")
        return super().forward(x)


def test_a_model_that_depends_on_the_numbers_is_refused_where_its_patches_cannot_be_followed():
    with pytest.raises(UnsupportedError, match="without numbers"):
        record(redrawn(Reading(Attention(written(Spelling())))), picture(), LAYOUT)


def test_what_the_model_raises_for_its_input_is_raised():
    with pytest.raises(ValueError, match="too bright"):
        record(redrawn(Reading(Attention(across))), picture() + 1e7, LAYOUT)


def test_a_size_that_the_model_does_not_take_is_the_models_own_error():
    module = redrawn(Written(Attention(written(Spelling()))))
    with pytest.raises(RuntimeError):
        placements_of(module, (32, 32))  # 16 tokens, and a bias for 6


@pytest.mark.parametrize(
    "move",
    [
        torch.fliplr,
        lambda t: t.flip(1),
        lambda t: t[:, torch.arange(TOKENS - 1, -1, -1)],
        lambda t: torch.take_along_dim(t, torch.arange(TOKENS - 1, -1, -1)[None, :, None], 1),
        lambda t: t.index_select(1, torch.arange(TOKENS - 1, -1, -1)),
        lambda t: torch.swapdims(torch.fliplr(torch.swapdims(t, 0, 0)), 0, 0),
    ],
)
def test_an_order_of_its_own_is_noticed_however_it_is_made(move):
    class Moved(Written):
        def forward(self, x):
            tokens = move(self.patch_embed(x).flatten(2).mT)
            return self.forward_head(self.norm(self.blocks[0](tokens)))

    assert (
        "in another order" in record(redrawn(Moved(Attention(written(Spelling())))), picture(), LAYOUT).not_sequential
    )


class Square(Attention):
    """One head as wide as there are tokens."""

    def __init__(self, attend):
        super().__init__(attend)
        self.up, self.down = torch.nn.Linear(8, 3 * TOKENS), torch.nn.Linear(TOKENS, 8)

    def forward(self, x):
        q, k, v = self.up(x)[:, None].chunk(3, -1)  # (batch, 1, tokens, 6)
        return self.down(self.attend(q, k, v, None)[:, 0])


def subtracted(q, k, v, bias):
    return (q @ k.mT).softmax(-1) @ v - 0.5 * ((k @ q.mT).softmax(-1) @ v)


def backwards(q, k, v, bias):
    return ((q.flip(2) @ k.flip(2).mT).softmax(-1) @ v.flip(2)).flip(2)


@pytest.mark.parametrize(("attend", "word"), [(across, "channels"), (subtracted, "subtracts"), (backwards, "order")])
@pytest.mark.parametrize("method", [generic_relevance, legrad, lambda question: question.trace])
def test_what_a_shape_does_not_tell_is_refused_by_every_method(attend, word, method):
    question = Question(BareModel(redrawn(Written(Square(attend))), LAYOUT), picture()[0], ClassLogit(1))
    with pytest.raises(UnsupportedError, match=word):
        method(question)
