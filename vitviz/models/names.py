"""Names of models: which refer to the hub, which to files of this machine, and which may come from a link.

    embedded                      the model that comes with vitviz
    vit_tiny_patch16_224.augreg   a name of timm's registry, with or without a tag
    hf:owner/name@revision        a repository of transformers; "hf:" and a path is a folder of this machine
    hf-hub:owner/name@revision    a repository saved by timm; "local-dir:" and a path is a folder of this machine
    weights.safetensors           a file of this machine

The library and the command line take all of them. Names from outside (a link, a search field) are checked by
`require_published` first, which raises for every name that refers to a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import timm
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from timm.models import PretrainedCfg, is_model_pretrained, split_model_name_tag

from vitviz.errors import HubError, ModelError
from vitviz.models.registry import pretrained_cfg

# OWNER/NAME or NAME, and after an @ the revision. No match is an absolute path or contains "..".
_PART = r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,95}"
_REPOSITORY = re.compile(rf"({_PART}(?:/{_PART})?)(?:@({_PART}))?")

TRANSFORMERS, TIMM_HUB, TIMM_FOLDER = "hf:", "hf-hub:", "local-dir:"
_TIMM_HUB = re.compile(r"hf[-_]hub:", re.IGNORECASE)  # timm still accepts the older spelling


# Extensions of weight files.
_ENDINGS = {".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".pkl", ".pickle", ".tar", ".pyth", ".th"} | {
    *(".onnx", ".h5", ".hdf5", ".keras", ".msgpack", ".npz", ".npy", ".pb", ".tflite", ".gguf", ".mlmodel"),
}


@dataclass(frozen=True)
class ModelLocation:
    """Where a model's files are: a repository at a revision, or a folder."""

    repository: str | None = None
    revision: str = "main"
    folder: Path | None = None


def repository_location(text: str) -> ModelLocation | None:
    """The location of "owner/name" or "owner/name@revision"; None for text of another form.

    Raises:
        ModelError: For a name of this form that the hub does not allow, such as "a--b/c".
    """
    found = _REPOSITORY.fullmatch(text)
    if found is None:
        return None
    try:
        validate_repo_id(found[1])
    except HFValidationError as error:
        raise ModelError(
            f"No repository of the hub can be called {found[1]!r}: a name has no '--' or '..', ends in no '-', '.' or "
            "'.git', and is at most 96 characters long. Check its spelling."
        ) from error
    return ModelLocation(repository=found[1], revision=found[2] or "main")


def timm_location(name: str) -> ModelLocation | None:
    """The location of a model saved by timm; None for any other name.

    Args:
        name: "hf-hub:owner/name", "local-dir:folder", or a path to a folder that contains its config.json.

    Raises:
        ModelError: For "hf-hub:" without a valid repository name, and for an empty folder name.
    """
    hub = _TIMM_HUB.match(name)
    if hub is not None:
        location = repository_location(name[hub.end() :])
        if location is None:
            raise ModelError(
                f"{name[:120]!r} does not name a repository; write hf-hub:owner/name, or local-dir: and the path of a folder."
            )
        return location
    if name.lower().startswith(TIMM_FOLDER):
        path = name[len(TIMM_FOLDER) :]
        if not path:
            raise ModelError(
                'After "local-dir:" comes the path of a folder with a config.json and a model.safetensors.'
            )
        return ModelLocation(folder=Path(path).expanduser())
    # A name without a separator is never a folder, even if the working directory has one of that name.
    if any(mark in name for mark in "/\\") and not name.startswith(TRANSFORMERS):
        folder = Path(name).expanduser()
        return ModelLocation(folder=folder) if folder.is_dir() else None
    return None


def is_file_name(name: str) -> bool:
    """Whether a name has the extension of a weight file, of any format."""
    return Path(name).suffix.lower() in _ENDINGS and not is_model_pretrained(name)  # one tag of the registry is "pt"


def require_published(name: str) -> None:
    """Checks that a name is "embedded", a name of timm's registry or a repository of the hub, and not a file.

    Raises:
        ModelError: For any other name; the message has similar ones that exist.
    """
    if name == "embedded":
        return
    for prefix in (TRANSFORMERS, TIMM_HUB):
        if name.startswith(prefix):
            if repository_location(name.removeprefix(prefix)) is None:
                raise ModelError(f"{name[:120]!r} does not name a repository of the hub; write {prefix}owner/name.")
            return
    pretrained_cfg(name)


WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True)
class Source:
    """A file of a repository on the hub at a revision; by default the pretrained weights."""

    repository: str
    revision: str
    file: str = WEIGHTS_FILE


def source_of(name: str, cfg: PretrainedCfg) -> Source:
    """The weights of a registry name. Raises HubError if they are published in another format only, or not at all."""
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


def is_transformers_name(name: str) -> bool:
    """Whether a name is that of a model of transformers."""
    return str(name).startswith(TRANSFORMERS)


def transformers_location(name: str) -> ModelLocation:
    """The location of a model of transformers.

    Args:
        name: "hf:owner/name" or "hf:owner/name@revision" for a repository; "hf:" with any other path, as in
            "hf:./folder", for a folder.

    Raises:
        ModelError: For a repository name that the hub does not allow.
    """
    rest = str(name).removeprefix(TRANSFORMERS)
    return repository_location(rest) or ModelLocation(folder=Path(rest).expanduser())
