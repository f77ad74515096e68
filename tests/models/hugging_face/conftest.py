"""One folder for each tiny model, written once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from vitviz.models import Model, load_model, resized


class Written(NamedTuple):
    """tiny, the eager twin that was saved, the folder, and what vitviz loads from it, at the size of `picture`."""

    tiny: Any
    eager: Any
    folder: Path
    model: Model
    sized: Model


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Gives the `Written` of one of TINIES."""
    from tests.models.hugging_face.tiny import Tiny, write

    made: dict[str, Written] = {}

    def give(tiny: Tiny) -> Written:
        if str(tiny) not in made:
            folder = tmp_path_factory.mktemp("model")
            eager = write(tiny, folder)
            model = load_model(f"hf:{folder}")
            made[str(tiny)] = Written(tiny, eager, folder, model, resized(model, tiny.size))
        return made[str(tiny)]

    return give
