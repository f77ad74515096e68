"""timm's registry: names and configurations, a search, a curated list, and modules built by name.

Modules are timm's own, unmodified, with random weights or on the meta device without weights.
"""

from __future__ import annotations

import difflib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import timm
import torch
from timm.models import PretrainedCfg, get_pretrained_cfg, split_model_name_tag
from torch import nn
from torch.overrides import TorchFunctionMode

from vitviz.errors import ModelError

# Random weights use torch's global generator, so that simultaneous builds would not be reproducible.
BUILDING = threading.Lock()


def architectures() -> list[str]:
    """Every architecture that timm has registered, in its order."""
    return timm.list_models()


def timm_version() -> str:
    """The version of timm."""
    return str(timm.__version__)


def pretrained_cfg(name: str) -> PretrainedCfg:
    """timm's configuration of a registry name, with or without a pretrained tag.

    Raises:
        ModelError: For a name that timm does not have; the message has similar ones.
    """
    architecture, tag = split_model_name_tag(name)
    if timm.is_model(architecture):
        try:
            found = get_pretrained_cfg(name)
        except RuntimeError:
            found = None
        if found is None and tag:
            tags = [other.removeprefix(architecture + ".") for other in timm.list_pretrained(architecture)]
            known = f"it has {', '.join(tags)}" if tags else "it has none"
            raise ModelError(f"timm's {architecture} has no pretrained weights tagged {tag!r}; {known}.")
        return found or PretrainedCfg(architecture=architecture)
    raise ModelError(f"No model is called {name!r}. {_nearest(architecture)}")


def _nearest(architecture: str) -> str:
    known = timm.list_models()
    close = difflib.get_close_matches(architecture, known, n=3, cutoff=0.6)
    close = close or [other for other in known if architecture and architecture.lower() in other][:3]
    if close:
        return f"Did you mean {', '.join(close)}?"
    return (
        'Names are "embedded", those of timm\'s registry, which `vitviz models --search WORD` searches, and "hf:owner/name" '
        "for a model of transformers."
    )


def build(name: str, *, seed: int = 0, **kwargs: Any) -> nn.Module:
    """timm's module with random weights, in evaluation mode and without gradients.

    It is built with `dynamic_img_size` if the architecture supports that, so that one module takes every input size and
    resamples its position embeddings in each forward pass. Exception: an architecture whose own input size is not a multiple
    of the patch size, because only a module of fixed size crops the remainder.

    Args:
        name: A name of timm's registry.
        seed: Of the random weights.
        **kwargs: Arguments of `timm.create_model`.

    Raises:
        ModelError: For an unknown name, or arguments that timm rejects.
    """
    pretrained_cfg(name)
    with BUILDING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = _create(name, kwargs)
        if _leaves_pixels_over(module):
            torch.manual_seed(seed)
            module = _create(name, {"dynamic_img_size": False, **kwargs})
    return module.eval().requires_grad_(False)


def build_on_meta(name: str, **kwargs: Any) -> nn.Module:
    """The module of `build` on the meta device: with shapes and without weights, built in a fraction of a second."""
    pretrained_cfg(name)
    with torch.device("meta"), SkipInitialisation():
        module = _create(name, kwargs)
        if _leaves_pixels_over(module):
            module = _create(name, {"dynamic_img_size": False, **kwargs})
    return module.eval().requires_grad_(False)


def _leaves_pixels_over(module: nn.Module) -> bool:
    """Whether a module of dynamic size rejects the size it was built for, such as 384 pixels with patches of 14."""
    embed = getattr(module, "patch_embed", None)
    size, patch = getattr(embed, "img_size", None), getattr(embed, "patch_size", None)
    if (
        not getattr(module, "dynamic_img_size", False)
        or not size
        or not patch
        or getattr(embed, "dynamic_img_pad", False)
    ):
        return False
    return any(side % step for side, step in zip(size, patch, strict=True))


class SkipInitialisation(TorchFunctionMode):
    """Skips the initialisation of weights on the meta device, which has no effect and took most of the time of a build."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func in _IN_PLACE and args[0].is_meta else func(*args, **(kwargs or {}))


_IN_PLACE = {
    getattr(torch.Tensor, name)
    for name in "normal_ uniform_ trunc_normal_ erfinv_ clamp_ mul_ add_ sub_ div_ fill_ zero_ copy_".split()
    if hasattr(torch.Tensor, name)
}


class _Stopped(BaseException):
    """Wraps an error so that it passes the builders of timm and transformers, which convert every `Exception`."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class _Checked(TorchFunctionMode):
    """Calls `check` before every torch function on this thread until it raises once, so that clean-up code can run."""

    def __init__(self, check: Callable[[], None]) -> None:
        super().__init__()
        self.check: Callable[[], None] | None = check

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.check is not None:
            try:
                self.check()
            except Exception as error:
                self.check = None
                raise _Stopped(error) from error
        return func(*args, **(kwargs or {}))


@contextmanager
def stoppable(check: Callable[[], None] | None) -> Iterator[None]:
    """Calls `check` inside the `with` block before a tensor is created or filled; its exception ends the block."""
    if check is None:
        yield
        return
    try:
        with _Checked(check):
            yield
    except _Stopped as stopped:
        raise stopped.error from None


def _create(name: str, kwargs: dict[str, Any]) -> nn.Module:
    try:
        return timm.create_model(name, **{"dynamic_img_size": True, **kwargs})
    except TypeError as error:
        if "dynamic_img_size" not in str(error):
            raise ModelError(f"timm cannot build {name} as asked: {first_line(error)}") from error
    except Exception as error:
        raise ModelError(f"timm cannot build {name} as asked: {first_line(error)}") from error
    try:
        return timm.create_model(name, **kwargs)
    except Exception as error:  # timm's layers raise AssertionError, TypeError, RuntimeError and others
        raise ModelError(f"timm cannot build {name} as asked: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


@dataclass(frozen=True)
class CatalogueEntry:
    """One name for `load_model`.

    Attributes:
        name: "embedded", or timm's name with or without a pretrained tag.
        architecture: timm's name without the tag.
        tag: The tag, which describes the weights' training; None for an architecture without pretrained weights.
        downloadable: Whether the hub has these weights as safetensors; else only random weights are available.
        input_size: (height, width) in pixels.
        license: The weights' licence according to timm, or None.
    """

    name: str
    architecture: str
    tag: str | None
    downloadable: bool
    input_size: tuple[int, int]
    license: str | None = None


@dataclass(frozen=True)
class CuratedEntry:
    """A model of the curated list: its name, its family, and one line on why it is listed."""

    name: str
    family: str
    why: str


def search(text: str, limit: int = 50) -> list[CatalogueEntry]:
    """At most `limit` entries whose name contains every word of `text`, in any order and case; all match an empty text.

    Order: downloadable weights first, then names that begin with the first word, then shorter names, then alphabetical.
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
    """The curated list, in the order in which to show it."""
    text = files(__package__).joinpath("curated.json").read_text(encoding="utf-8")
    return tuple(CuratedEntry(**entry) for entry in json.loads(text))
