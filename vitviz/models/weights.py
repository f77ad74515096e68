"""Loads tensors of a safetensors file into a module, and reports every tensor that does not fit."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vitviz.errors import ModelError, NotFiniteError
from vitviz.models.registry import build, build_on_meta

# Largest safetensors header, the limit of the library itself.
_MAX_HEADER_BYTES = 100_000_000
# Extensions of formats without torch tensors.
_NOT_OF_TORCH = {".onnx", ".h5", ".hdf5", ".keras", ".msgpack", ".npz", ".npy", ".pb", ".tflite", ".gguf", ".mlmodel"}


def read_weights(path: Path) -> dict[str, Tensor]:
    """Name -> tensor, floating ones as float32.

    Raises:
        ModelError: For a file that is not complete safetensors, and for quantised weights.
    """
    need_file(path)
    try:
        tensors = load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise ModelError(_why_unread(path, error)) from error
    for name, tensor in tensors.items():
        if tensor.dtype in (torch.int8, torch.uint8):  # models have int64 (indices) or bool buffers
            raise ModelError(
                f"{path.name} holds quantised weights: {name} has {str(tensor.dtype).removeprefix('torch.')} numbers, which "
                "mean nothing without their scale. Save the model again in floating-point numbers."
            )
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def need_file(path: Path) -> None:
    """Raises ModelError if there is no file at `path`."""
    if not path.is_file():
        raise ModelError(f"There is no weights file {path.name}; give the path of a .safetensors file.")


def is_whole_safetensors(path: Path) -> bool:
    """Whether the header can be read, has at least one tensor, and agrees with the file's length.

    Format: https://github.com/huggingface/safetensors#format.

    Raises:
        OSError: If the file cannot be read; the library itself would report a damaged or missing file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size - 8, _MAX_HEADER_BYTES):
            return False
        try:
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            ends = [entry["data_offsets"][1] for entry in header.values()]
        except (ValueError, RecursionError, AttributeError, TypeError, LookupError):
            return False
    return bool(ends) and max(ends) == size - 8 - length


def _why_unread(path: Path, error: Exception) -> str:
    try:
        whole = is_whole_safetensors(path)
    except OSError as trouble:
        return f"{path.name} cannot be read at the moment ({trouble.strerror or type(trouble).__name__}). Try again."
    if whole:  # the file is intact: not enough memory, or a dtype that torch does not have
        return f"{path.name} is a whole safetensors file and could not be read ({_short(error)})."
    return f"{path.name} is not a whole safetensors file ({_short(error)}). {how_to_convert(path)}"


def how_to_convert(path: Path) -> str:
    """Sentences on how to convert weights of another format."""
    why = "Only safetensors files are read, because opening other formats may run code."
    if path.suffix.lower() in _NOT_OF_TORCH:
        return f"{why} Save the torch model's state_dict with safetensors.torch.save_file."
    old, new = path.name, path.with_suffix(".safetensors").name
    return (
        f"{why} Where you trust the file, two lines convert it: "
        f'`state = torch.load("{old}", map_location="cpu", weights_only=True)` and '
        f'`safetensors.torch.save_file({{name: t.contiguous() for name, t in state.items()}}, "{new}")`; '
        'where the weights lie deeper, take state["state_dict"] or state["model"] in place of state.'
    )


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def mismatch(module: nn.Module, state: Mapping[str, Tensor]) -> str | None:
    """A description of the first few tensors that do not fit the module; None if all fit.

    Tensors may be missing, unexpected, of another shape, or integer or complex in place of real (quantised weights
    without their scale).
    """
    wanted = module.state_dict()
    missing = sorted(set(wanted) - set(state))
    unexpected = sorted(set(state) - set(wanted))
    shapes = [
        f"{name} has {_shape(state[name])} where {_shape(wanted[name])} is wanted"
        for name in wanted
        if name in state and state[name].shape != wanted[name].shape
    ]
    types = [
        f"{name} has {str(state[name].dtype).removeprefix('torch.')}"
        for name in wanted
        if name in state and wanted[name].is_floating_point() and not state[name].is_floating_point()
    ]
    found = [
        ("missing are", missing),
        ("unexpected are", unexpected),
        ("of another shape:", shapes),
        ("not of floating-point numbers:", types),
    ]
    parts = [f"{kind} {_first(names)}" for kind, names in found if names]
    return "; ".join(parts) or None


def fill(module: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Loads the tensors into the module.

    Raises:
        ModelError: If tensors do not fit; the message names the first few.
    """
    wrong = mismatch(module, state)
    if wrong is not None:
        raise ModelError(f"{what} do not fit the architecture: {wrong}.")
    module.load_state_dict(state, assign=any(tensor.is_meta for tensor in module.state_dict().values()))
    module.requires_grad_(False)


def refuse_not_finite(module: nn.Module, what: str) -> None:
    """Checks that parameters and buffers of a module are finite.

    Infinite buffers are accepted as bounds (Gemma's clipping), but not in the statistics of a normalisation layer.

    Raises:
        NotFiniteError: For NaN or infinite values; the message names the tensors.
    """
    wrong, tensors = [], 0
    parameters = dict(module.named_parameters())
    for name, tensor in module.state_dict().items():
        if not tensor.is_floating_point() or tensor.is_meta:
            continue
        tensors += 1
        strict = name in parameters or name.endswith(("running_mean", "running_var"))
        bad = ~torch.isfinite(tensor) if strict else torch.isnan(tensor)
        if count := int(bad.sum()):
            wrong.append(f"{name} ({count:,} of {tensor.numel():,} values)")
    if wrong:
        raise NotFiniteError(
            f"{what} hold values that are not finite numbers (not-a-number or infinite), in {len(wrong)} of {tensors} tensors: "
            f"{_first(wrong)}. Save them again from a model that gives finite outputs."
        )


def _first(names: list[str], limit: int = 3) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a single number"


def _short(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:120]


_COMPILED = "_orig_mod."  # prefix of the names inside a part that torch.compile was applied to


def without_shared_prefix(state: Mapping[str, Tensor], module: nn.Module) -> tuple[dict[str, Tensor], str]:
    """(tensors under the module's names, removed prefix or "").

    Prefixes come from DataParallel ("module."), torch.compile ("_orig_mod."), peft ("base_model.model.") or training scripts
    ("state_dict.", "model."). A prefix is removed only if all names have it and no name of the module does.
    """
    wanted = module.state_dict().keys()
    names = list(state)
    prefix = ""
    while names:
        first, dot, _ = names[0][len(prefix) :].partition(".")
        longer = f"{prefix}{first}{dot}"
        if not dot or any(not name.startswith(longer) for name in names):
            break
        if any(name.startswith(first + dot) for name in wanted):
            break
        prefix = longer
    return {name[len(prefix) :]: tensor for name, tensor in state.items()}, prefix


def build_filled(
    architecture: str, args: Mapping[str, Any], state: Mapping[str, Tensor], size: tuple[int, int] | None, what: str
) -> tuple[nn.Module, tuple[str, ...]]:
    """(timm's module with the tensors, sentences on changes that made them fit).

    Args:
        architecture: timm's name.
        args: Arguments of timm's builder.
        state: Name -> tensor.
        size: (height, width) of the checkpoint's input; the module is built for it if its own size does not fit the tensors.
        what: Subject of the message, "The weights in pets.safetensors".

    Raises:
        ModelError: If tensors do not fit; the message names the first few.
    """
    module = build_on_meta(architecture, **args)
    stripped, prefix = without_shared_prefix(state, module)
    notes = (f"Every name in the file begins with {prefix!r}, which was removed.",) if prefix else ()
    if any(f".{_COMPILED}" in name for name in stripped):
        stripped = {name.replace(f".{_COMPILED}", "."): tensor for name, tensor in stripped.items()}
        notes = (*notes, f"Names in the file contain {_COMPILED!r} (torch.compile), which was removed.")
    wrong = mismatch(module, stripped)
    if wrong is None:
        return _filled(architecture, args, stripped, what), notes
    for more, note in _adjustments(module, args, stripped, size):
        try:
            other = build_on_meta(architecture, **{**args, **more})
        except ModelError:
            continue  # the architecture does not have this argument
        if mismatch(other, stripped) is None:
            return _filled(architecture, {**args, **more}, stripped, what), (*notes, note)
    raise ModelError(f"{what} do not fit {architecture}: {wrong}. {_hint(module, stripped)}".strip())


def _filled(architecture: str, args: Mapping[str, Any], state: Mapping[str, Tensor], what: str) -> nn.Module:
    module = build(architecture, **args)
    fill(module, state, what)
    return module


def _adjustments(
    module: nn.Module, args: Mapping[str, Any], state: Mapping[str, Tensor], size: tuple[int, int] | None
) -> Iterator[tuple[dict[str, Any], str]]:
    """Arguments to try, each with a sentence for the user: the description's input size, and the filters' channels."""
    sized: dict[str, Any] = {"img_size": size} if size is not None and "img_size" not in args else {}
    channels: dict[str, Any] = {}
    if "in_chans" not in args:
        for name, tensor in module.state_dict().items():
            found = state.get(name)
            if tensor.ndim == 4 and found is not None and found.ndim == 4 and found.shape[1] != tensor.shape[1]:
                channels = {"in_chans": int(found.shape[1])}
                break
    words = {
        "img_size": f"The model was built for {size[0]} x {size[1]} pixels, as its positions are." if size else "",
        "in_chans": f"The model was built with in_chans={channels.get('in_chans')}, as its filters are.",
    }
    for more in (sized, channels, {**sized, **channels}):
        if more:
            yield more, " ".join(words[name] for name in more)


def _hint(module: nn.Module, state: Mapping[str, Tensor]) -> str:
    """A sentence on what to try; empty if unknown."""
    wanted = module.state_dict()
    if any("lora_" in name for name in state):
        return "They hold a low-rank adapter (LoRA); merge it into the model, as peft's merge_and_unload does, and save that."
    prefixes = Counter(name.partition(".")[0] for name in state if "." in name)
    for prefix, count in prefixes.most_common(1):
        inner = [name for name in state if name.startswith(prefix + ".") and name[len(prefix) + 1 :] in wanted]
        if inner:
            return f"{count} of {len(state)} names begin with '{prefix}.'; save only those."
    positions, own = state.get("pos_embed"), wanted.get("pos_embed")
    if positions is not None and own is not None and positions.shape != own.shape:
        return 'If they were trained at another input size, name it in the JSON: "input_size": [height, width].'
    return ""
