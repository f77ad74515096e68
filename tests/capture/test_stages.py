"""What is kept of a model of several stages owns its memory: nothing beside it is kept alive."""

from __future__ import annotations

import pytest

from tests.analysis.staged import SMALL, traced


@pytest.mark.parametrize("name", SMALL)
def test_queries_and_keys_keep_nothing_else_alive(name):
    layers = traced(name).every
    kept = [t for layer in layers for t in (layer.q, layer.k) if t is not None]
    assert kept or all(layer.explicit is not None for layer in layers)
    for tensor in kept:
        assert tensor.untyped_storage().nbytes() == tensor.nbytes
