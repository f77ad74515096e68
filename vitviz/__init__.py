"""vitviz: a microscope for Vision Transformers. The public face, imported lazily: `import vitviz` loads neither torch nor streamlit."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# public name -> the module that defines it
_PUBLIC: dict[str, str] = {
    "load_model": "vitviz.models",
    "load_cnn": "vitviz.models",
    "prepare": "vitviz.models",
    "resized": "vitviz.models",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'vitviz' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
