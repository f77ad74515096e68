"""The model on paper, in each way of writing its attention."""

from __future__ import annotations

import pytest

from tests.analysis.reference import CLASS, picture, subject


@pytest.fixture(params=["fused", "folded", "explicit"])
def by_hand(request):
    model = subject(request.param)
    return model, picture(), model.module.head[CLASS]
