"""A relative position bias is kept as a table only where the table says everything."""

from __future__ import annotations

import torch
from torch import nn

from vitviz.capture.bias import BiasTable, DenseBias, compact_bias, position_index

INDEX = torch.tensor([[0, 1, 2], [3, 0, 1], [4, 3, 0]])  # of each query row, by offset


def test_a_bias_of_the_index_alone_becomes_its_table():
    table = torch.randn(5, 2)
    dense = table[INDEX].permute(2, 0, 1)  # (heads, queries, keys)
    bias = compact_bias(dense, INDEX)
    assert isinstance(bias, BiasTable)
    assert torch.equal(bias.table, table)
    assert torch.equal(bias.rows(slice(0, 3)), dense)
    assert torch.equal(bias.columns(1), dense[:, :, 1])


def test_something_else_on_top_stays_dense():
    dense = torch.randn(5, 2)[INDEX].permute(2, 0, 1).clone()
    dense[1, 2, 0] += 1  # one entry that the table cannot know, in a place another one shares
    dense[1, 1, 1] -= 0.5
    bias = compact_bias(dense, INDEX)
    assert isinstance(bias, DenseBias)
    assert torch.equal(bias.rows(slice(1, 3)), dense[:, 1:3])
    assert torch.equal(bias.columns(0), dense[:, :, 0])


def test_without_an_index_or_with_one_of_another_size_it_stays_dense():
    dense = torch.randn(2, 3, 3)
    assert isinstance(compact_bias(dense, None), DenseBias)
    assert isinstance(compact_bias(dense, INDEX[:, :2]), DenseBias)
    assert compact_bias(None, INDEX) is None


def test_one_row_for_all_queries_is_spread():
    bias = compact_bias(torch.tensor([[[0.0, float("-inf"), 0.0]]]), None)
    assert bias.rows(slice(0, 2)).shape == (1, 1, 3)
    assert bias.columns(1).tolist() == [[float("-inf")]]


def test_the_index_is_found_on_the_module_or_its_child():
    module, child = nn.Module(), nn.Module()
    child.relative_position_index = INDEX.flatten()
    module.rel_pos = child
    assert torch.equal(position_index(module, 3, 3), INDEX)
    assert position_index(module, 4, 4) is None


def test_the_table_is_compared_in_chunks(monkeypatch):
    """Reading back all rows at once would take as much memory as the dense mask once more."""
    index = (torch.arange(1024)[:, None] - torch.arange(1024)).abs()
    dense = torch.randn(1024, 4)[index].permute(2, 0, 1)  # (heads, queries, keys)
    asked, rows = [], BiasTable.rows
    monkeypatch.setattr(BiasTable, "rows", lambda bias, chosen: asked.append(chosen) or rows(bias, chosen))
    assert isinstance(compact_bias(dense, index), BiasTable)
    assert [(part.start, part.stop) for part in asked] == [(0, 256), (256, 512), (512, 768), (768, 1024)]
