"""Which models there are: timm's registry by words, and a short list of those worth meeting first."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import timm
from timm.models import get_pretrained_cfg, split_model_name_tag


@dataclass(frozen=True)
class CatalogueEntry:
    """One name that `load_model` takes.

    name          "embedded", or timm's name with or without a pretrained tag
    architecture  timm's name without the tag
    tag           the tag, which says what the weights were trained on; None for a bare architecture
    downloadable  whether the hub has these weights as safetensors; without them there are random weights only
    input_size    (height, width) in pixels
    license       the weights' licence as timm states it, or None
    """

    name: str
    architecture: str
    tag: str | None
    downloadable: bool
    input_size: tuple[int, int]
    license: str | None = None


@dataclass(frozen=True)
class CuratedEntry:
    """A model worth meeting: its name, the family it stands for, and one line on why it is interesting."""

    name: str
    family: str
    why: str


def search(text: str, limit: int = 50) -> list[CatalogueEntry]:
    """Entries whose name holds every word of `text`, in any order and case; all of them for an empty text, up to `limit`.

    Names that begin with the first word come first, then shorter ones, then by the alphabet; weights that can be downloaded
    come before those that cannot.
    """
    words = text.lower().replace("-", "_").split()
    found = [entry for entry in _entries() if all(word in entry.name.lower() for word in words)]
    first = words[0] if words else ""
    found.sort(key=lambda entry: (not entry.name.startswith(first), not _ready(entry), len(entry.name), entry.name))
    return found[: max(0, limit)]


def _ready(entry: CatalogueEntry) -> bool:
    return entry.downloadable or entry.name == "embedded"


@lru_cache(maxsize=1)
def _entries() -> tuple[CatalogueEntry, ...]:
    entries = [CatalogueEntry("embedded", "vit_small_patch14_dinov2", None, False, (224, 224), "apache-2.0 and mit")]
    tagged = timm.list_models(pretrained=True)
    bare = [name for name in timm.list_models() if not timm.is_model_pretrained(name)]
    for name in (*tagged, *bare):
        cfg = get_pretrained_cfg(name)
        architecture, tag = split_model_name_tag(name)
        height, width = cfg.input_size[1:] if cfg else (224, 224)
        downloadable = bool(cfg and cfg.hf_hub_id)
        entries.append(
            CatalogueEntry(name, architecture, tag or None, downloadable, (height, width), cfg.license if cfg else None)
        )
    return tuple(entries)


@lru_cache(maxsize=1)
def curated() -> tuple[CuratedEntry, ...]:
    """The short list, in the order in which to meet them."""
    text = files(__package__).joinpath("curated.json").read_text(encoding="utf-8")
    return tuple(CuratedEntry(**entry) for entry in json.loads(text))
