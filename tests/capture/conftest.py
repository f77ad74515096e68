"""Models that are captured: attention written in every way, and every family of models."""

from __future__ import annotations

import pytest

from tests.capture import families, written
from vitviz.capture.record import record


@pytest.fixture(scope="module", params=written.SPELLINGS, ids=str)
def spelled(request):
    spelling: written.Spelling = request.param
    return spelling, written.build(spelling, spelling)


@pytest.fixture(scope="module", params=families.FAMILIES, ids=str)
def recorded(request):
    family: families.Family = request.param
    module, x, layout = families.build(family)
    return family, module, x, layout, record(module, x, layout)
