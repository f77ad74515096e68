"""`load_model` by name, and the sizes of weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from timm.models import is_model, split_model_name_tag
from torch import nn

from vitviz.capture.modules import input_channels
from vitviz.errors import HubError, ModelError, UnsupportedError
from vitviz.models import embedded, hugging_face, repository
from vitviz.models.checkpoint import CheckpointConfig, for_channels, imagenet_labels, read_config
from vitviz.models.hub import STILL_WORKS, bytes_to_fetch, cached, fetch
from vitviz.models.layout import layout_of
from vitviz.models.model import Model, pick_device, pick_dtype
from vitviz.models.names import (
    TIMM_FOLDER,
    TRANSFORMERS,
    ModelLocation,
    Source,
    is_file_name,
    is_transformers_name,
    repository_location,
    source_of,
    timm_location,
)
from vitviz.models.preparation import built_size, resized, takes_any_size
from vitviz.models.registry import build, build_on_meta, pretrained_cfg, stoppable
from vitviz.models.weights import build_filled, how_to_convert, need_file, read_weights, refuse_not_finite, sha256_of
from vitviz.outputs import OutputKind, output_kind
from vitviz.progress import Progress


def load_model(
    name: str,
    *,
    weights: str | Path | None = None,
    input_size: int | tuple[int, int] | None = None,
    device: str = "auto",
    dtype: str | torch.dtype = "auto",
    checkpoint_config: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    check: Callable[[], None] | None = None,
) -> Model:
    """Loads a model.

    Args:
        name: "embedded"; a name of timm's registry; the path of a .safetensors checkpoint with its JSON beside it; a model
            saved by timm's `save_for_hf` ("hf-hub:owner/name", "local-dir:./folder" or a path to the folder); or, with the
            extra "transformers", "hf:owner/name" or "hf:./folder".
        weights: "embedded", "pretrained" (from the hub), "random" or "random:<seed>" (untrained, reproducible by the seed),
            or the path of a .safetensors file; by default those of the name.
        input_size: (height, width) in pixels, or one number for a square; by default the model's own, 224 for "embedded".
        device: "cpu", "cuda", or "auto" for VITVIZ_DEVICE if that is set, else a GPU if there is one.
        dtype: Precision of the forward pass: "float32"; "bfloat16", which is faster on some hardware and has about two
            decimal digits; or "auto" for VITVIZ_DTYPE if that is set, else float32. Attention weights and maps are computed
            in float32 in every case.
        checkpoint_config: A checkpoint's description in place of the JSON beside it (fields in `vitviz.models.checkpoint`).
        progress: Called as progress(bytes done, bytes in all) during a download.
        check: Called before every tensor that is created or filled while the module is built; an exception that it
            raises stops the loading.

    Returns:
        The model in evaluation mode with its frozen description: layout, preprocessing, labels and hash of the weights.

    Raises:
        ModelError: For an unknown name, or weights that do not fit.
        NotFiniteError: For weights with values that are not finite.
        HubError: If weights cannot be downloaded.
        UnsupportedError: For a model without attention over tokens, or a size that it does not take.
    """
    torch_device, torch_dtype = pick_device(device), pick_dtype(dtype)
    name = str(name)
    embedded.refuse_other_names(name)
    location = timm_location(name)
    if weights is None:
        weights = "embedded" if name == "embedded" else "pretrained" if location or not is_file_name(name) else name
    kind = str(weights)
    with stoppable(check):
        if is_transformers_name(name):
            model = _of_transformers(name, kind, progress)
        elif location is not None:
            model = _of_timm(name, location, kind, progress)
        elif kind == "embedded":
            model = _embedded(name)
        elif kind == "random" or kind.startswith("random:"):
            model = _random(str(name), kind)
        elif kind == "pretrained":
            model = _pretrained(name, progress)
        elif kind.endswith(".safetensors"):
            model = _from_file(name, Path(weights), checkpoint_config)
        elif is_file_name(kind):
            raise ModelError(
                f"Weights are the path of a .safetensors file, and {Path(kind).name} is of another format. "
                f"{how_to_convert(Path(kind))}"
            )
        else:
            raise ModelError(
                f'Weights are "embedded", "pretrained", "random" or the path of a .safetensors file, not {kind!r}.'
            )
        model.module.to(torch_device, torch_dtype)
    if input_size is None:
        return model
    return resized(model, (input_size, input_size) if isinstance(input_size, int) else input_size)


def _embedded(name: str) -> Model:
    if name != "embedded":
        raise ModelError(
            f'The embedded weights belong to the model "embedded" and not to {name}; ask for "pretrained" or "random".'
        )
    module, config, weights_hash = embedded.read_embedded(embedded.VIT)
    assert config.architecture is not None
    model = _assemble(name, config.architecture, module, config, "embedded", weights_hash)
    return replace(
        model, ood_detector=embedded.ood_detector(embedded.VIT), groups=tuple(embedded.class_groups().values())
    )


def _random(name: str, kind: str) -> Model:
    seed = _seed(kind)
    if name == "embedded":
        config = embedded.embedded_config(embedded.VIT)
    elif name.endswith(".safetensors"):  # the architecture of its description, without its weights
        path = Path(name)
        config, name = read_config(path), path.name
        if config.architecture is None:
            raise ModelError(f"{path.stem}.json does not say which architecture {path.name} holds.")
    else:
        config = CheckpointConfig()
    architecture = config.architecture or name
    _refuse_without_attention(name, architecture, config)
    module = build(architecture, seed=seed, **config.build_args())
    return _assemble(name, architecture, module, config, "random", f"random:{seed}")


def _seed(kind: str) -> int:
    seed = kind.partition(":")[2] or "0"
    if not (seed.isascii() and seed.isdigit() and len(seed) < 10):
        raise ModelError(f'A seed is a whole number from 0 to 999999999, as in "random:7", not {seed!r}.')
    return int(seed)


def _of_transformers(name: str, kind: str, progress: Progress | None) -> Model:
    if kind == "pretrained":
        return hugging_face.load(name, progress=progress)
    if kind == "random" or kind.startswith("random:"):
        return hugging_face.load(name, seed=_seed(kind))
    raise ModelError(f'The weights of {name} are "pretrained" or "random", not {kind!r}.')


def _of_timm(name: str, location: ModelLocation, kind: str, progress: Progress | None) -> Model:
    """A model saved by timm with its config.json."""
    try:
        described = repository.describe(location)
    except UnsupportedError:
        if location.folder is None or name.startswith(TIMM_FOLDER):
            raise
        return _of_transformers(f"{TRANSFORMERS}{name}", kind, progress)  # a path to a model saved by transformers
    architecture, config = described.architecture, described.config
    _refuse_without_attention(name, architecture, config)
    if kind == "random" or kind.startswith("random:"):
        seed = _seed(kind)
        module = build(architecture, seed=seed, **config.build_args())
        return _assemble(name, architecture, module, config, "random", f"random:{seed}")
    if kind != "pretrained":
        raise ModelError(f'The weights of {name} are "pretrained" or "random", not {kind!r}.')
    module, notes, weights_hash = repository.load_weights(described, progress)
    model = _assemble(name, architecture, module, config, "file", weights_hash, notes)
    labels = None if model.output_kind is OutputKind.FEATURES else repository.labels_of(described)
    return replace(model, weights="pretrained", labels=labels)


def _pretrained(name: str, progress: Progress | None) -> Model:
    if name == "embedded":
        raise ModelError('The embedded model has its own weights; use "embedded" or "random".')
    cfg = pretrained_cfg(name)
    source = source_of(name, cfg)
    _refuse_without_attention(name, name, CheckpointConfig())
    path = fetch(source, progress)
    try:
        module = build(name, pretrained=True, pretrained_cfg_overlay={"file": str(path)})
    except ModelError as error:
        raise HubError(
            f"The weights that the hub has as {source.repository} do not fit timm's {name} ({_reason(error)}). "
            f"{STILL_WORKS}"
        ) from error
    return _assemble(name, name, module, CheckpointConfig(), "pretrained", sha256_of(path))


def _reason(error: ModelError) -> str:
    return str(error).partition(": ")[2].rstrip(".")[:200]


def _from_file(name: str, path: Path, given: Mapping[str, Any] | None) -> Model:
    need_file(path)
    config = read_config(path, given)
    named = None if str(name).endswith(".safetensors") else split_model_name_tag(name)[0]
    if named and name == path.stem and not is_model(named):
        named = None  # the file's name is not that of an architecture
    described = config.architecture and split_model_name_tag(config.architecture)[0]
    if named and described and named != described and name != path.stem:
        raise ModelError(f"{path.name} says it holds a {config.architecture}, and a {named} was asked for.")
    architecture = config.architecture or named
    if architecture is None:
        raise ModelError(
            f"{path.name} does not say which architecture it holds; put it into {path.stem}.json or give its name."
        )
    state = read_weights(path)
    weights_hash = sha256_of(path)
    if config.sha256 is not None and config.sha256.lower() != weights_hash:
        raise ModelError(
            f"{path.name} is not the file that its description names: its sha256 begins {weights_hash[:12]}."
        )
    module, notes = build_filled(
        architecture, config.build_args(), state, config.input_size, f"The weights in {path.name}"
    )
    return _assemble(path.stem, architecture, module, config, "file", weights_hash, notes)


def _refuse_without_attention(name: str, architecture: str, config: CheckpointConfig) -> None:
    """Raises for a model without attention over tokens, before weights are downloaded or drawn."""
    module = build_on_meta(architecture, **config.build_args())
    layout_of(module, name, built_size(module, pretrained_cfg(architecture)))


def _assemble(
    name: str,
    architecture: str,
    module: nn.Module,
    config: CheckpointConfig,
    weights: str,
    weights_hash: str,
    notes: tuple[str, ...] = (),
) -> Model:
    cfg = pretrained_cfg(architecture)
    if weights != "random":
        refuse_not_finite(module, f"The weights of {name}")
    size = built_size(module, cfg)
    labels = imagenet_labels(cfg) if weights == "pretrained" else config.labels
    kind = config.output_kind or output_kind(module)
    if kind is OutputKind.FEATURES:
        labels = None
    model = Model(
        name=name,
        architecture=split_model_name_tag(architecture)[0],
        module=module,
        layout=layout_of(module, name, size),
        input_size=size,
        preprocessing=for_channels(config.preprocessing_over(cfg), input_channels(module)),
        labels=None if weights == "random" else labels,  # an untrained classifier's outputs have no meaning
        weights=weights,
        weights_hash=weights_hash,
        output_kind=kind,
        dynamic_size=takes_any_size(module, cfg.fixed_input_size),
        notes=notes,
    )
    return resized(model, config.input_size) if config.input_size else model


def download_bytes(name: str) -> int:
    """Bytes of weights that loading a model would download now; 0 if they are in the cache.

    Raises:
        HubError: If the hub does not have them or cannot be reached, or if their size exceeds the limits.
    """
    source = _hub_source(name)
    return 0 if source is None else bytes_to_fetch(source)


def is_missing(name: str) -> bool:
    """Whether a model's weights are on the hub and not in the cache; makes no request. Raises as `download_bytes`."""
    source = _hub_source(name)
    return source is not None and cached(source) is None


def _hub_source(name: str) -> Source | None:
    if name == "embedded" or is_file_name(name):
        return None
    location = (
        repository_location(name.removeprefix(TRANSFORMERS)) if is_transformers_name(name) else timm_location(name)
    )
    if location is None:
        return None if is_transformers_name(name) else source_of(name, pretrained_cfg(name))
    return None if location.repository is None else Source(location.repository, location.revision)


_BYTES = 4  # of a float32 number, in which every model is built


def weight_bytes(name: str) -> int:
    """Bytes of a model's parameters and buffers in float32. The weights are not read.

    Args:
        name: As in `load_model`. The module is built on the meta device; of a .safetensors file only the header is read.

    Raises:
        ModelError: As `load_model` for a name that is unknown or cannot be built.
        HubError: If the description of a model of the hub cannot be downloaded.
    """
    module: nn.Module
    if is_transformers_name(name):
        module = hugging_face.describe(name).bare
    elif (location := timm_location(name)) is not None:
        config = repository.describe(location).config
        module = build_on_meta(config.architecture or "", **config.build_args())
    elif name.endswith(".safetensors"):
        return _of_file(Path(name))
    elif name == "embedded":
        config = embedded.embedded_config(embedded.VIT)
        module = build_on_meta(config.architecture or "", **config.build_args())
    else:
        module = build_on_meta(name)
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))


def _of_file(path: Path) -> int:
    try:
        with safe_open(path, "pt") as file:
            return _BYTES * sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path.name} is not a whole safetensors file.") from error
