"""Models: catalogue, loading, preprocessing, support. The only package that imports timm, or transformers."""

from vitviz.models.build import build_on_meta
from vitviz.models.catalogue import CatalogueEntry, CuratedEntry, curated, search
from vitviz.models.embedded import Cnn, load_cnn
from vitviz.models.load import load_model
from vitviz.models.model import Model, Preprocessing
from vitviz.models.preparation import FRAMINGS, Prepared, prepare
from vitviz.models.sizes import resized

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
