"""Models that are loaded once in a process, for tests that ask a model for answers and leave it as it is.

Loading a model and the passes that find its layout and what its head reads take longer than most of what is asked of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from vitviz.models import Model

MOST = 12


class Remembered:
    """`load_model` with a memory: the same model for the same arguments, of the last MOST; files are read every time."""

    def __init__(self, load: Callable[..., Model]) -> None:
        self.load = load
        self.models: OrderedDict[str, Model] = OrderedDict()

    def __call__(self, name: str, **arguments: Any) -> Model:
        arguments.pop("progress", None)  # there is none to tell of
        called_back = any(arguments.get(each) is not None for each in ("check", "checkpoint_config"))
        from_a_file = any(mark in f"{name} {arguments.get('weights')}" for mark in (":/", "./", ".safetensors", "hub:"))
        if called_back or from_a_file:
            return self.load(name, **arguments)
        key = repr((name, sorted((each, value) for each, value in arguments.items() if value is not None)))
        if key not in self.models:
            self.models[key] = self.load(name, **arguments)
        self.models.move_to_end(key)
        while len(self.models) > MOST:
            self.models.popitem(last=False)
        return self.models[key]
