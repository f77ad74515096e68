"""Figures and snippets ask models and change none: each model is loaded once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import vitviz
from tests.remembered import Remembered


@pytest.fixture(autouse=True, scope="package")
def each_model_is_loaded_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vitviz, "load_model", Remembered(vitviz.load_model), raising=False)
        yield
