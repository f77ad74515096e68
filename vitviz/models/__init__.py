"""Models: registry, loading, preprocessing. The only package that imports timm or transformers."""

from vitviz.models.convolutional import load_cnn
from vitviz.models.embedded import Cnn
from vitviz.models.load import load_model
from vitviz.models.model import Model, Preprocessing
from vitviz.models.preparation import FRAMINGS, Prepared, prepare, resized
from vitviz.models.registry import CatalogueEntry, CuratedEntry, build_on_meta, curated, search

__all__ = [
    "FRAMINGS",
    "CatalogueEntry",
    "Cnn",
    "CuratedEntry",
    "Model",
    "Prepared",
    "Preprocessing",
    "build_on_meta",
    "curated",
    "load_cnn",
    "load_model",
    "prepare",
    "resized",
    "search",
]
