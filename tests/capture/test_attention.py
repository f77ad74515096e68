"""Rows, columns, scores and weighted sums of one layer agree with its weights, in chunks or at once."""

from __future__ import annotations

import dataclasses

import torch

from vitviz.capture.attention import Attention


def test_rows_columns_scores_and_pulls_agree_with_the_weights(recorded):
    *_, layout, recording = recorded
    for layer in recording.layers:
        weights = layer.weights()
        token = layout.token_at(layout.grid[0] - 1, 1)
        torch.testing.assert_close(layer.row(token), weights[:, token], atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(layer.column(token), weights[:, :, token], atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(layer.weights(head=1), weights[1], atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(layer.scores().softmax(-1), weights, atol=2e-6, rtol=1e-5)
        vectors = torch.rand(2, layout.num_tokens)
        torch.testing.assert_close(
            layer.left_multiply(vectors), torch.einsum("nq,hqk->nhk", vectors, weights), atol=1e-5, rtol=1e-5
        )


def test_chunks_do_not_show(recorded, monkeypatch):
    *_, layout, recording = recorded
    layer = recording.layers[1]
    whole = layer.weights()
    monkeypatch.setattr("vitviz.capture.attention.CHUNK_ENTRIES", 100)
    few = next(size for size in (4, 5, 6) if layer.num_queries % size)  # the last chunk is shorter than the others
    monkeypatch.setattr(Attention, "fewest_queries", few)
    torch.testing.assert_close(layer.weights(), whole, atol=1e-5, rtol=0)
    vectors = torch.randn(2, layout.num_tokens)
    for shown in (layer, dataclasses.replace(layer, lse=None, _made={})):
        torch.testing.assert_close(
            shown.left_multiply(vectors), torch.einsum("nq,hqk->nhk", vectors, whole), atol=1e-5, rtol=1e-5
        )


def test_the_kernels_log_sum_exp_is_the_rows_own(recorded):
    *_, recording = recorded
    for layer in recording.layers:
        assert layer.lse is not None
        torch.testing.assert_close(layer.lse, layer.scores().logsumexp(-1), atol=1e-5, rtol=1e-6)
        without = dataclasses.replace(layer, lse=None, _made={})
        torch.testing.assert_close(without.column(3), layer.column(3), atol=1e-6, rtol=1e-5)
