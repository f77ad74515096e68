"""The embedded model, loaded once a file."""

from __future__ import annotations

import pytest

from vitviz.models import load_model


@pytest.fixture(scope="module")
def model():
    return load_model("embedded")
