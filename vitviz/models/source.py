"""Where on the hub a model's files are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import timm
from timm.models import PretrainedCfg, split_model_name_tag

from vitviz.errors import HubError

WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True)
class Source:
    """A file of a repository on the hub at a revision of it; the pretrained weights, unless another is named."""

    repository: str
    revision: str
    file: str = WEIGHTS_FILE


def source_of(name: str, cfg: PretrainedCfg) -> Source:
    """Raises HubError where weights are published only in a format that is not read, or not at all."""
    if cfg.hf_hub_id:
        repository, _, revision = cfg.hf_hub_id.partition("@")
        return Source(repository, revision or "main")
    architecture = split_model_name_tag(name)[0]
    others = [other for other in timm.list_pretrained(architecture) if _on_the_hub(other)]
    instead = f"Weights that can be had: {', '.join(others[:4])}." if others else 'weights="random" still works.'
    if not cfg.url:
        raise HubError(f"timm knows no pretrained weights for {name}. {instead}")
    address = cfg.url[0] if isinstance(cfg.url, tuple) else cfg.url
    ending = Path(urlsplit(address).path).suffix
    raise HubError(
        f"The weights of {name} are published only as a {ending} file at {urlsplit(address).hostname}, and files of "
        f"that kind are not read because opening them may run code. {instead}"
    )


def _on_the_hub(name: str) -> bool:
    cfg = timm.get_pretrained_cfg(name)
    return bool(cfg and cfg.hf_hub_id)
