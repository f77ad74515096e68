"""From a selection to a loaded model, through the queue of models."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from vitviz.errors import ModelError
from vitviz.models import Model, load_model, resized
from vitviz.models.names import require_published
from vitviz.ui import services
from vitviz.ui.compute import Key, Progress
from vitviz.ui.selection import Selection
from vitviz.ui.text import common as words
from vitviz.ui.waiting import answer

# Whoever runs the server names a folder of .safetensors files here; users choose among them by name only.
CHECKPOINTS = "VITVIZ_CHECKPOINTS"
FILE = "file:"


@cache
def embedded() -> Model:
    """The embedded model, read once and kept as long as the server runs."""
    return load_model("embedded")


def checkpoints() -> tuple[str, ...]:
    """Names of the checkpoints in the server's folder, without their ending; none where no folder was named."""
    folder = os.environ.get(CHECKPOINTS, "")
    return tuple(sorted(path.stem for path in Path(folder).glob("*.safetensors"))) if folder else ()


def current(selection: Selection) -> Model:
    """The selected model at the selected size. Raises ModelError or UnsupportedError."""
    own = answer(
        services.models(),
        Key("model", selection.model, selection.weights),
        f"load {selection.model}",
        lambda progress: _load(selection, progress),
        words.LOADING_MODEL.format(model=selection.model),
    )
    if not selection.size or (selection.size, selection.size) == own.input_size:
        return own
    size = (selection.size, selection.size)
    key = Key("model", selection.model, selection.weights, size=size)
    return answer(services.models(), key, f"load {selection.model}", lambda _: resized(own, size), words.COMPUTING)


def _load(selection: Selection, progress: Progress) -> Model:
    def report(done: int, total: int, _: str) -> None:
        progress.report(done / total if total else 0.0)

    name, untrained = selection.model, selection.weights == "random"
    if name.startswith(FILE):
        return _from_folder(name.removeprefix(FILE))
    require_published(name)  # the library takes paths; what a link or a search field asks for never becomes one
    if name == "embedded" and not untrained:
        return embedded()
    return load_model(name, weights="random" if untrained else "pretrained", progress=report)


def _from_folder(stem: str) -> Model:
    # Only what the folder lists is opened, so that no name in a link can lead anywhere else.
    if stem not in checkpoints():
        raise ModelError(
            "There is no checkpoint of that name in the server's folder. Choose another model in the sidebar."
        )
    return load_model(str(Path(os.environ[CHECKPOINTS]) / f"{stem}.safetensors"))
